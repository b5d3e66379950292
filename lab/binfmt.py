"""The binfmt images: Debian's QEMU with a small program of ours that registers it in the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import golang, packages
from lab.debs import DEBS
from lab.images import Image
from lab.layers import Entry, directory, file, program, symlink, write_layer
from lab.packages import PORTS
from lab.parts import Part
from lab.paths import SOURCE
from lab.published import image_part

if TYPE_CHECKING:
    from pathlib import Path

# The emulators of platforms that images are made for; Debian's package lacks that of the machine's own architecture.
EMULATORS = ("aarch64", "arm", "i386", "loongarch64", "mips64", "mips64el", "ppc64le", "riscv64", "s390x", "x86_64")


def _make_program(folder: Path) -> str:
    return f"go {golang.build(SOURCE / 'binfmt', ['.'], folder, '-s -w')}"


def entries(registrar: Path, qemu: Path) -> list[Entry]:
    """Return the files of a binfmt image: the program, and of each emulator binary, rule and the name the rule uses."""
    rules = [name for name in EMULATORS if (qemu / f"usr/lib/binfmt.d/qemu-{name}.conf").exists()]
    directories = ("usr", "usr/bin", "usr/lib", "usr/lib/binfmt.d", "usr/libexec", "usr/libexec/qemu-binfmt")
    files = [*(directory(name) for name in directories), program("usr/bin/binfmt", registrar)]
    for name in rules:
        rule, emulator = f"usr/lib/binfmt.d/qemu-{name}.conf", f"usr/bin/qemu-{name}-static"
        files += [file(rule, qemu / rule), program(emulator, qemu / emulator)]
        # By this name Debian's QEMU knows that the kernel hands it the program's own argv[0] (flag P).
        files += [symlink(f"usr/libexec/qemu-binfmt/{name}-binfmt-P", f"../../bin/qemu-{name}-static")]
    return files


def _images(entrypoint: list[str], folder: Path) -> list[Image]:
    host = packages.host_architecture()
    qemu = packages.unpack(packages.find(DEBS.folder, "qemu-user-static", host), folder / "qemu")
    layer = write_layer(folder / "layer.tar.gz", entries(PROGRAM.folder / "binfmt", qemu))
    config = {"Env": ["PATH=/usr/bin"], "Entrypoint": entrypoint}
    return [Image(PORTS[host], (layer,), config)]


def _version() -> str:
    return "QEMU " + packages.version(packages.find(DEBS.folder, "qemu-user-static", packages.host_architecture()))


def _part(repository: str, tags: tuple[str, ...], entrypoint: list[str]) -> Part:
    return image_part(
        repository,
        tags,
        images=lambda folder: _images(entrypoint, folder),
        version=_version,
        recipe=tuple(entrypoint),
        files=("binfmt.py",),
        needs=(PROGRAM, DEBS),
    )


PROGRAM = Part(name="binfmt-program", make=_make_program, files=("binfmt/go.mod", "binfmt/main.go"))
TONISTIIGI = _part("tonistiigi/binfmt", ("latest", "qemu-v10.2.3", "qemu-v9.2.2"), ["/usr/bin/binfmt"])
LINUXKIT = _part("linuxkit/binfmt", ("latest", "v0.6"), ["/usr/bin/binfmt", "--register"])

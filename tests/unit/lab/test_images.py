"""Layers and images: the same bytes every time, described as registries want them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from typing import TYPE_CHECKING

from lab import images
from lab.busybox import entries
from lab.layers import directory, file, hard_link, program, symlink, write_layer
from lab.registry import libraries

if TYPE_CHECKING:
    from pathlib import Path

    from lab.layers import Layer


def make(path: Path, binary: Path) -> Layer:
    """Write a layer with one entry of each kind."""
    found = [directory("bin"), program("bin/tool", binary), hard_link("bin/other", "bin/tool")]
    return write_layer(path, [*found, symlink("bin/link", "tool"), file("etc/motd", b"hello\n")])


def image(folder: Path, platform: str) -> images.Image:
    """Make a small image."""
    binary = folder / "binary"
    binary.write_bytes(b"\x7fELF")
    return images.Image(platform, (make(folder / "layer.tar.gz", binary),), {"Cmd": ["sh"]})


def test_a_layer_comes_out_the_same_at_any_time(tmp_path: Path) -> None:
    """Neither the time nor the owner nor the name of a source file gets into it."""
    first, second = tmp_path / "a", tmp_path / "b"
    for path, when in ((first, 1), (second, 2_000_000_000)):
        path.write_bytes(b"\x7fELF")
        os.utime(path, (when, when))
    one, two = make(tmp_path / "one.tar.gz", first), make(tmp_path / "two.tar.gz", second)
    assert one.digest == two.digest
    assert one.path.read_bytes() == two.path.read_bytes()


def test_a_layer_knows_its_own_names(tmp_path: Path) -> None:
    """The digest is that of the compressed, the diff id that of the plain archive."""
    layer = image(tmp_path, "linux/amd64").layers[0]
    packed = layer.path.read_bytes()
    assert "sha256:" + hashlib.sha256(packed).hexdigest() == layer.digest
    assert "sha256:" + hashlib.sha256(gzip.decompress(packed)).hexdigest() == layer.diff_id
    assert len(packed) == layer.size


def test_entries_keep_their_kind_and_mode(tmp_path: Path) -> None:
    """What is unpacked is what was asked for."""
    with tarfile.open(image(tmp_path, "linux/amd64").layers[0].path) as archive:
        found = {info.name: (info.type, info.mode, info.linkname, info.uid) for info in archive}
    assert {
        "bin": (tarfile.DIRTYPE, 0o755, "", 0),
        "bin/tool": (tarfile.REGTYPE, 0o755, "", 0),
        "bin/other": (tarfile.LNKTYPE, 0o777, "bin/tool", 0),
        "bin/link": (tarfile.SYMTYPE, 0o777, "tool", 0),
        "etc/motd": (tarfile.REGTYPE, 0o644, "", 0),
    } == found


def test_the_index_lists_each_image_by_platform(tmp_path: Path) -> None:
    """An index names the digest, size and platform of every manifest."""
    several = [image(tmp_path, platform) for platform in ("linux/amd64", "linux/arm/v7")]
    index = json.loads(images.index_bytes(several))
    assert [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm", "variant": "v7"},
    ] == [entry["platform"] for entry in index["manifests"]]
    for one, entry in zip(several, index["manifests"], strict=True):
        manifest = one.manifest_bytes()
        assert "sha256:" + hashlib.sha256(manifest).hexdigest() == entry["digest"]
        assert len(manifest) == entry["size"]


def test_the_config_tells_platform_and_layers(tmp_path: Path) -> None:
    """A config that lacked its layers' diff ids could not be pulled."""
    one = image(tmp_path, "linux/arm/v7")
    config = json.loads(one.config_bytes())
    assert ("linux", "arm", "v7") == (config["os"], config["architecture"], config["variant"])
    assert [one.layers[0].diff_id] == config["rootfs"]["diff_ids"]
    assert {"Cmd": ["sh"]} == config["config"]


def test_busybox_has_a_name_for_each_applet(tmp_path: Path) -> None:
    """All are links to the one binary, and the binary comes before them."""
    binary = tmp_path / "busybox"
    binary.write_bytes(b"\x7fELF")
    names = [entry.info.name for entry in entries(binary, ["wget", "sh", "busybox"])]
    assert ["bin/busybox", "bin/sh", "bin/wget"] == [name for name in names if name.startswith("bin/")]


def test_libraries_are_read_from_ldd() -> None:
    """The loader stands without an arrow; the kernel's own library is no file."""
    listing = (
        "\tlinux-vdso.so.1 (0x00007ffc)\n"
        "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fc2)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007fc3)\n"
    )
    assert ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"] == [
        str(path) for path in libraries(listing)
    ]
    assert [] == libraries("\tnot a dynamic executable\n")

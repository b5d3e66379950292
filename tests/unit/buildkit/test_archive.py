"""Archives of several solves become one, with every image and every blob once."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.buildkit.archive import join_archives
from multiarch.errors import MultiarchError

if TYPE_CHECKING:
    from pathlib import Path

INDEX, IMAGE = "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"


def blob(content: bytes) -> tuple[str, bytes]:
    """Return the name in an archive and the content."""
    return f"blobs/sha256/{hashlib.sha256(content).hexdigest()}", content


def descriptor(content: bytes, media_type: str, **fields: Any) -> dict[str, Any]:
    """Return what points to some content."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(content), **fields}


def write(path: Path, files: dict[str, bytes]) -> Path:
    """Write a tar."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def archive(path: Path, architecture: str, layers: list[bytes], listed: str = INDEX) -> Path:
    """Write an archive as BuildKit does."""
    manifest = json.dumps({"layers": [descriptor(layer, "application/x-layer") for layer in layers]}).encode()
    platform = {"os": "linux", "architecture": architecture}
    index = json.dumps({"mediaType": INDEX, "manifests": [descriptor(manifest, IMAGE, platform=platform)]}).encode()
    top = json.dumps({"manifests": [descriptor(index, listed, annotations={"a": "b"})]}).encode()
    blobs = [blob(index), blob(manifest), *map(blob, layers)]
    return write(path, {"oci-layout": b"{}", **dict(blobs), "index.json": top})


def read(path: Path) -> dict[str, bytes]:
    """Return the files of an archive; fails where one is there twice."""
    with tarfile.open(path) as tar:
        assert len(tar.getnames()) == len(set(tar.getnames()))
        files = {name: tar.extractfile(name) for name in tar.getnames()}
        return {name: file.read() for name, file in files.items() if file}


def test_images_of_all_archives_are_in_one_index(tmp_path: Path) -> None:
    """In their order; a blob that several have is written once."""
    archives = [archive(tmp_path / f"{name}.tar", name, [b"shared", name.encode()]) for name in ("amd64", "arm64")]
    digest = join_archives(archives, tmp_path / "all.tar")
    files = read(tmp_path / "all.tar")
    (listed,) = json.loads(files["index.json"])["manifests"]
    assert (digest, INDEX) == (listed["digest"], listed["mediaType"])
    index = json.loads(files[f"blobs/sha256/{digest[7:]}"])
    assert ["amd64", "arm64"] == [entry["platform"]["architecture"] for entry in index["manifests"]]
    layers = {layer["digest"][7:] for entry in index["manifests"] for layer in _manifest(files, entry)["layers"]}
    assert {b"shared", b"amd64", b"arm64"} == {files[f"blobs/sha256/{name}"] for name in layers}
    assert {name: hashlib.sha256(files[name]).hexdigest() for name in files if "/" in name} == {
        name: name.rpartition("/")[2] for name in files if "/" in name
    }
    assert b'{"imageLayoutVersion":"1.0.0"}' == files["oci-layout"]


def _manifest(files: dict[str, bytes], entry: dict[str, Any]) -> Any:
    return json.loads(files[f"blobs/sha256/{entry['digest'][7:]}"])


def test_archive_that_is_none_leaves_what_was_there(tmp_path: Path) -> None:
    """Whatever is wrong with it is one line, and the old archive stays as it was."""
    (tmp_path / "all.tar").write_text("old")
    bad = [
        write(tmp_path / "empty.tar", {}),
        write(tmp_path / "none.tar", {"index.json": b"[]"}),
        archive(tmp_path / "image.tar", "amd64", [], listed=IMAGE),
    ]
    (tmp_path / "text.tar").write_text("no tar")
    for path in [*bad, tmp_path / "text.tar", tmp_path / "missing.tar"]:
        with pytest.raises(
            MultiarchError, match=r"^[^\n]+/all\.tar: the images cannot be put into one archive: [^\n]+$"
        ):
            join_archives([archive(tmp_path / "good.tar", "arm64", []), path], tmp_path / "all.tar")
        assert "old" == (tmp_path / "all.tar").read_text()

"""Digests that jobs hand over as files: what is written, and what is read of whatever lies there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multiarch.errors import ConfigurationError
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference
from multiarch.publish.digests import read_digests, write_digests
from multiarch.publish.errors import IncompleteMatrixError

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "ab" * 32
APP = ImageReference.parse("ghcr.io/a/b")
ARM64, ARM = Platform.parse("arm64"), Platform.parse("arm/v7")


def test_digests_of_all_jobs_are_read(tmp_path: Path) -> None:
    """Each job writes a file of its own, so that their directories can be merged; again is no error."""
    directory = str(tmp_path / "new" / "digests")
    for platform in (ARM64, ARM, ARM64):
        write_digests(directory, APP, {platform: DIGEST})
    assert {"linux-arm64.txt": f"ghcr.io/a/b@{DIGEST}\n", "linux-arm-v7.txt": f"ghcr.io/a/b@{DIGEST}\n"} == {
        path.name: path.read_text() for path in (tmp_path / "new" / "digests").iterdir()
    }
    assert {ARM: DIGEST, ARM64: DIGEST} == read_digests(directory, APP, [ARM, ARM64])


def test_platform_without_a_file_is_missing(tmp_path: Path) -> None:
    """As one without a staging tag is."""
    write_digests(str(tmp_path), APP, {ARM64: DIGEST})
    with pytest.raises(
        IncompleteMatrixError, match=r"no image for linux/arm/v7 \(.*/linux-arm-v7\.txt\); run build-arch"
    ):
        read_digests(str(tmp_path), APP, [ARM64, ARM])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "holds no reference with a digest; run build-arch again"),
        (b"\xff", "holds no reference with a digest; run build-arch again"),
        (b"ghcr.io/a/b:latest\n", "holds no reference with a digest; run build-arch again"),
        (b"ghcr.io/a/b@sha256:1\n", "holds no reference with a digest; run build-arch again"),
        (b"ghcr.io/a/b@" + DIGEST.encode() + b"\n" * 2000, "holds no reference with a digest; run build-arch again"),
        (b"ghcr.io/x/y@" + DIGEST.encode(), "is of ghcr.io/x/y, and this publishes from ghcr.io/a/b"),
        (b"ghcr.io/a/b:t@" + DIGEST.encode(), "is of ghcr.io/a/b, and this publishes from ghcr.io/a/b"),
    ],
)
def test_file_that_is_none_is_told(tmp_path: Path, content: bytes, expected: str) -> None:
    """An artifact comes from elsewhere; what it names is published only if it is a digest in our repository."""
    (tmp_path / "linux-arm64.txt").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_digests(str(tmp_path), APP, [ARM64])
    assert f"digests: {tmp_path}/linux-arm64.txt {expected}" == str(caught.value)


def test_directory_that_is_none_is_told(tmp_path: Path) -> None:
    """In one line, on both sides."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"^digests: cannot write to .*/file: File exists$"):
        write_digests(str(tmp_path / "file"), APP, {ARM64: DIGEST})
    with pytest.raises(ConfigurationError, match=r"^digests: cannot read .*/file/linux-arm64\.txt: Not a directory$"):
        read_digests(str(tmp_path / "file"), APP, [ARM64])

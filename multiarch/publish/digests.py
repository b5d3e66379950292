"""Digests that the jobs of a build hand over as files, in the place of staging tags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError
from multiarch.image.reference import ImageReference
from multiarch.paths import replacing
from multiarch.publish.errors import IncompleteMatrixError, MissingImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multiarch.image.platform import Platform

_LARGEST = 1024  # bytes of a file, which is one reference


def write_digests(directory: str, image: ImageReference, digests: Mapping[Platform, str]) -> None:
    """Write a file for each platform, with the reference of what was pushed for it: ``REPOSITORY@DIGEST``.

    :raises ConfigurationError: the directory cannot be written to.
    """
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        for platform, digest in digests.items():
            with replacing(_path(directory, platform)) as file:
                file.write(f"{image.with_digest(digest)}\n".encode())
    except OSError as error:
        raise ConfigurationError("digests", f"cannot write to {directory}: {error.strerror}") from None


def read_digests(directory: str, image: ImageReference, platforms: Iterable[Platform]) -> dict[Platform, str]:
    """Return the digests that were handed over.

    :raises IncompleteMatrixError: a platform has no file.
    :raises ConfigurationError: a file holds something else, or the digest of another repository.
    """
    digests, missing = {}, []
    for platform in platforms:
        path = _path(directory, platform)
        try:
            with path.open("rb") as file:
                digests[platform] = _digest(path, image, file.read(_LARGEST + 1))
        except FileNotFoundError:
            missing.append(MissingImage(platform, path))
        except OSError as error:
            raise ConfigurationError("digests", f"cannot read {path}: {error.strerror}") from None
    if missing:
        raise IncompleteMatrixError(missing)
    return digests


def _digest(path: Path, image: ImageReference, content: bytes) -> str:
    """Return the digest in the content of a file."""
    try:
        reference = ImageReference.parse(content.decode().removesuffix("\n"))
    except ValueError:
        reference = image
    if not reference.digest or len(content) > _LARGEST:
        raise ConfigurationError("digests", f"{path} holds no reference with a digest; run build-arch again")
    if reference.with_digest("") != image:
        raise ConfigurationError("digests", f"{path} is of {reference.name}, and this publishes from {image}")
    return reference.digest


def _path(directory: str, platform: Platform) -> Path:
    return Path(directory) / f"{platform.os}-{platform.slug}.txt"

"""Places of build caches outside of BuildKit: each platform of each target has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.config.settings import CacheKind
from multiarch.paths import cache_directory

if TYPE_CHECKING:
    from multiarch.config.settings import MatrixEntry, Settings


def cache_place(settings: Settings, entry: MatrixEntry) -> str:
    """Return where the cache of a platform is: a reference, the path of a directory, or a scope of GitHub's service.

    Empty where it has no place of its own: there is none, or it is in the image.
    """
    image, slug = settings.publish.images[0], "-".join(filter(None, [entry.target, entry.platform.slug]))
    kind = settings.build.cache
    if kind is CacheKind.REGISTRY:
        return str((settings.build.cache_image or image).with_tag(f"buildcache-{slug}"))
    if kind is CacheKind.LOCAL:
        return str(cache_directory() / "buildkit" / image.name / slug)
    return f"{image.repository}-{slug}" if kind is CacheKind.GITHUB else ""

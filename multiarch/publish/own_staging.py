"""Removal of a release's own staging tags, once its tags have moved (``keep_staging: false``)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from multiarch.concurrency import each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multiarch.config.settings import Settings
    from multiarch.publish.publication import Published
    from multiarch.publish.staged import StagedImage
    from multiarch.registry.client import Registry


def remove_own_tags(
    every: Sequence[Settings],
    published: Sequence[Published],
    registries: Mapping[str, Registry],
    say: Callable[[str], object],
) -> None:
    """Remove the staging tags of what was published, where the settings say so; never what they point to.

    The tags have moved: whatever goes wrong here is said, and the release is none the worse.

    :param every: the settings of each target, in the order of *published*.
    """
    for settings, one in zip(every, published, strict=True):
        if settings.publish.keep_staging or settings.publish.digests is not None:
            continue
        try:
            each(partial(_remove, settings, registries), one.images)
        except Exception as error:  # noqa: BLE001 (whatever it is, the tags are published)
            say(f"published; not all staging tags are removed: {error}")


def _remove(settings: Settings, registries: Mapping[str, Registry], image: StagedImage) -> None:
    """Remove the staging tag of an image, unless another build has moved it."""
    from multiarch.publish.removal import remove_tag

    tag = settings.staging[image.platform]
    registry = registries[tag.registry]
    manifest = registry.manifest(tag.repository, tag.tag)
    if manifest is None:
        return
    images = [entry.digest for entry in manifest.entries if not entry.is_attestation] or [manifest.digest]
    if images == [image.manifest.digest]:
        remove_tag(registry, tag)

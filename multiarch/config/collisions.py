"""What no two targets may have in common: published tags, staging tags and caches."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from multiarch.config.caches import cache_place
from multiarch.config.settings import CacheKind
from multiarch.errors import ConfigurationError
from multiarch.image.reference import ImageReference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.config.settings import Settings
    from multiarch.config.targets import WrittenTarget


def check_apart(written: Sequence[WrittenTarget], whole: Mapping[str, Settings]) -> None:
    """Check that no two targets have a tag, a staging tag or a cache in common, and that each is of use.

    :param whole: the settings of each target, with all of its platforms.
    :raises ConfigurationError: two have, or one has no tags and serves none.
    """
    published = _check_tags(written, whole)
    staged = Counter(str(entry.staging) for target in written for entry in whole[target.name].matrix)
    for target in written:
        for entry in whole[target.name].matrix:
            tag = str(entry.staging)
            if staged[tag] > 1 or tag in published:
                whose = "a published tag" if tag in published else "another target's"
                raise ConfigurationError(target.layers.where("arch_tag"), f"the staging tag {tag} is {whose} too")
    _check_caches(
        written, whole, {**dict.fromkeys(published, "a published tag"), **dict.fromkeys(staged, "a staging tag")}
    )


def _check_tags(written: Sequence[WrittenTarget], whole: Mapping[str, Settings]) -> dict[str, WrittenTarget]:
    """Return the published tags, each with its target."""
    needed = {base for target in written for base in target.bases.values()}
    holders: dict[str, WrittenTarget] = {}
    for target in written:
        settings = whole[target.name]
        if not settings.publish.tags and target.name not in needed:
            raise ConfigurationError(f"multiarch.targets.{target.group}", "has no tags, and nothing is built on it")
        for reference in map(str, settings.publish.references):
            other = holders.setdefault(reference, target)
            if other is target:
                continue
            if other.group == target.group:
                problem = f"{reference} is a tag of {other.name} and of {target.name}"
                raise ConfigurationError(f"multiarch.targets.{target.group}", problem)
            problem = f"{other.name} and {target.name} both go to {reference}; use {{target}}, or other tags"
            raise ConfigurationError(target.layers.where("image"), problem)
    return holders


def _check_caches(written: Sequence[WrittenTarget], whole: Mapping[str, Settings], holders: dict[str, str]) -> None:
    """Check that each platform has a cache of its own: ``a`` on ``windows/amd64`` and ``a-windows`` have one name.

    :param holders: tags that no cache may have, each with what it is.
    """
    for target in written:
        for entry in whole[target.name].matrix:
            place = cache_place(whole[target.name], entry)
            if not place:
                continue
            where = f"multiarch.targets.{target.group}"
            if whole[target.name].build.cache is CacheKind.REGISTRY:
                try:
                    ImageReference.parse(place)
                except ValueError as error:
                    raise ConfigurationError(where, f"its name is too long for the tag of a cache: {error}") from None
            if place in holders:
                problem = f"the cache of {entry.leg}, {place}, is {holders[place]} too; call the target otherwise"
                raise ConfigurationError(where, problem)
            holders[place] = f"that of {entry.leg}"

"""Images that a build has taken from registries by their tags, as the names of its vertices tell.

They are those of BuildKit's own frontend (BuildKit, frontend/dockerfile/dockerfile2llb/convert.go): what a tag was
resolved to is the digest behind its name where a stage begins. Any other name of a vertex may mean anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ASKED_FOR = re.compile(r"(?:\[[^\]]*\] load metadata for |resolve image config for docker-image://)(\S+)")
_RESOLVED = re.compile(r"(?:\[[^\]]*\] FROM |docker-image://)(\S+)@(sha256:[0-9a-f]{64})")
# Of the frontend, of the exporters and of the caches.
_KNOWN = re.compile(r"\[|exporting |importing |resolve image config for |docker-image://\S+@sha256:")
# `ADD` from an address or a git repository, whose content may be another now.
# The first that the frontend does: without it the names are not all.
_DEFINITION = "[internal] load build definition from "
_ADDED = re.compile(r"\[[^\]]*\] ADD .*(?:://|git@)")


def fetched_images(names: Iterable[str]) -> dict[str, str] | None:
    """Return the digest that each image had which a build named by a tag, by that name.

    :param names: those of its vertices.
    :returns: None where the build may have taken something else from elsewhere.
    """
    asked_for: set[str] = set()
    resolved: dict[str, str] = {}
    is_whole = False
    for name in names:
        is_whole = is_whole or name.startswith(_DEFINITION)
        if not _KNOWN.match(name) or _ADDED.match(name):
            return None
        if match := _ASKED_FOR.fullmatch(name):
            asked_for.add(match[1])
        elif match := _RESOLVED.fullmatch(name):
            resolved[match[1]] = match[2]
    tags = {name for name in asked_for if "@" not in name}
    return {name: resolved[name] for name in sorted(tags)} if is_whole and tags <= resolved.keys() else None

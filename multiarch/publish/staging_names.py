"""Names of staging tags: which tags of a repository are some, whose build and platform they name."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.config.matrix import OF_ALL, OF_BUILDS
from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

    from multiarch.config.settings import Settings
    from multiarch.image.platform import Platform

_ANY = r"[\w.-]+"  # whatever a tag may hold (distribution-spec, "Pulling manifests")


class StagingName(Struct, frozen=True):
    """What a staging tag names.

    :ivar build: its build; empty where it names none, or not for certain.
    """

    platform: Platform
    build: str


class StagingNames(Struct, frozen=True):
    """The form of the staging tags of one target.

    :ivar templates: as ``arch_tag``; the first that fits counts.
    :ivar published: tags that are published, whatever they look like.
    :ivar build: the build whose tags are wanted; None for those of all builds.
    """

    templates: tuple[str, ...]
    platforms: tuple[Platform, ...]
    published: frozenset[str]
    build: str | None = None

    @classmethod
    def of(cls, settings: Settings, build: str | None = None) -> StagingNames:
        """Return the names of a target's staging tags. :raises ConfigurationError: they do not name builds."""
        publish = settings.publish
        templates: tuple[str, ...] = (publish.arch_tag,) if publish.arch_tag else (OF_BUILDS, OF_ALL)
        if build is not None:
            templates = tuple(template for template in templates if "{build}" in template)
            if not templates:
                problem = (
                    f"arch_tag {publish.arch_tag!r} has no {{build}}, so no tag names its build; leave out --build"
                )
                raise ConfigurationError("--build", problem)
        return cls(templates, settings.platforms, frozenset(publish.tags), build)

    def read(self, tags: Collection[str]) -> dict[str, StagingName]:
        """Return what each tag names that is a staging tag; of a build alone, where one is wanted.

        What stands around a build does not always tell it: in ``latest-1-2-amd64`` it may be ``1-2``, and ``2``. So
        ``{tag}`` has to be a tag that is there or is published; else the build is not known.
        """
        known = {*tags, *self.published}
        forms = [
            (platform, re.compile(_form(template, platform, self.build), re.ASCII))
            for template in self.templates
            for platform in self.platforms
        ]
        found: dict[str, StagingName] = {}
        for tag in (tag for tag in tags if tag not in self.published):
            for platform, form in forms:
                if not (match := form.fullmatch(tag)):
                    continue
                named = match.groupdict()
                is_certain = named.get("tag") is None or named["tag"] in known
                if is_certain or self.build is None:
                    found[tag] = StagingName(platform, named.get("build") or "" if is_certain else "")
                    break
        return found


def _form(template: str, platform: Platform, build: str | None) -> str:
    """Return the pattern of the staging tags of a platform. :param build: the one that is wanted; None for any."""
    forms = {
        "platform": re.escape(platform.slug),
        "architecture": re.escape(platform.architecture),
        "tag": f"(?P<tag>{_ANY}?)",  # the shortest: builds may have dashes, as branches and runs do
        "build": f"(?P<build>{_ANY if build is None else re.escape(build)})",
    }
    again = {"tag": "(?P=tag)", "build": "(?P=build)"}
    pattern = ""
    for literal, name, _, _ in string.Formatter().parse(template):
        pattern += re.escape(literal)
        if name:
            pattern += forms[name]
            forms |= {key: value for key, value in again.items() if key == name}
    return pattern

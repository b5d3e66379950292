"""``cleanup``: list, or remove, the staging tags that no release needs any more."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

from msgspec import Struct, field

from multiarch.errors import ConfigurationError, MultiarchError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.config.project import Project
    from multiarch.image.reference import ImageReference
    from multiarch.publish.leftovers import Leftover
    from multiarch.publish.staging_names import StagingNames
    from multiarch.registry.client import Registry
    from multiarch.run import Run

_VERSION = 1  # of the data; it counts up when a reader of the former one would misread it
_USUAL_AGE = "24h"  # longer than any build takes; CIs end theirs after 6 h (GitHub), or 24
_AGE = re.compile(r"([1-9][0-9]{0,5})([mhdw])", re.ASCII)
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}  # seconds


_KEEP, _UNTAG, _REMOVE = "keep", "untag", "remove"


class Cleanup(Struct):
    """The step with its options.

    :ivar older_than: how old a build is at least, such as ``7d``; None for a day, and with *build* for any age.
    :ivar build: whose staging tags are meant; None for those of all builds.
    :ivar deletes: whether they are removed; else they are listed.
    :ivar as_json: whether the result is one line of JSON.
    """

    older_than: str | None = None
    build: str | None = None
    deletes: bool = False
    as_json: bool = False
    _problems: list[MultiarchError] = field(default_factory=list)

    def run(self, run: Run) -> tuple[str, ...]:
        """Return what is to be done, or was done, with each staging tag; `check` says what went wrong.

        :raises ConfigurationError: an option says nothing.
        """
        found = self._find(run, deletes=self.deletes)
        if self.as_json:
            return (self._as_json(found),)
        now = time.time()
        return tuple(_line(one, now, is_done=self.deletes) for one in found)

    def check(self) -> None:
        """Check that every repository could be looked through. :raises MultiarchError: one could not."""
        if self._problems:
            raise MultiarchError("\n".join(map(str, self._problems)))

    def commands(self, run: Run) -> list[list[str]]:
        """Return the equivalent commands of what would be removed now; the registry is read for that."""
        lines: dict[tuple[str, ...], None] = {}
        for one in self._find(run, deletes=False):
            if not one.kept:
                # regctl's way to delete a tag leaves its manifest, also where the registry deletes manifests alone.
                whole, tag = str(one.reference.with_tag("").with_digest(one.reference.digest)), one.reference
                if one.is_reached:
                    lines["regctl", "tag", "delete", str(tag.with_digest(""))] = None
                else:
                    lines["regctl", "manifest", "delete", whole] = None
        return [list(line) for line in lines]

    def _find(self, run: Run, *, deletes: bool) -> list[Leftover]:
        """Return the leftovers of all repositories; one that cannot be read is a problem of its own."""
        before = self._before()
        found: list[Leftover] = []
        for place, names in self._places(run.project).items():
            try:
                self._look_through(run.registries[place.registry], place, names, before, found, deletes=deletes)
            except StoppedError:
                raise
            except MultiarchError as error:  # the other repositories have nothing to do with it
                self._problems.append(error)
        return sorted(found, key=lambda one: (one.reference.name, one.reference.tag))

    def _look_through(
        self,
        registry: Registry,
        place: ImageReference,
        forms: Sequence[StagingNames],
        before: float | None,
        found: list[Leftover],
        *,
        deletes: bool,
    ) -> None:
        """Add the staging tags of a repository to *found*, and remove those that go."""
        from multiarch.publish.leftovers import find_leftovers
        from multiarch.publish.reachable import Walk
        from multiarch.publish.removal import Removal

        walk = Walk(registry, place)
        tags = walk.look()
        published = {tag for form in forms for tag in form.published}
        names = {tag: name for form in forms for tag, name in form.read(tags).items() if tag not in published}
        leftovers = find_leftovers(walk, tags, names, before)
        if not deletes:
            found += leftovers
            return
        found += [one for one in leftovers if one.kept]
        removal = Removal(walk)
        try:
            removal.run([one for one in leftovers if not one.kept])
        finally:
            found += removal.done

    def _before(self) -> float | None:
        """Return when a build must have ended to be old enough; None where its age does not matter."""
        if self.build == "":
            raise ConfigurationError("--build", "it is empty; name the build whose staging tags are meant")
        if self.older_than is None and self.build is not None:
            return None
        text = _USUAL_AGE if self.older_than is None else self.older_than
        if not (match := _AGE.fullmatch(text)):
            problem = f"{text[:80]!r} is no age; write a number with m, h, d or w, such as 12h or 7d"
            raise ConfigurationError("--older-than", problem)
        return time.time() - int(match[1]) * _UNITS[match[2]]

    def _places(self, project: Project) -> dict[ImageReference, list[StagingNames]]:
        """Return each repository of the project with the forms of its staging tags."""
        from multiarch.publish.staging_names import StagingNames

        places: dict[ImageReference, list[StagingNames]] = {}
        for target in project:
            for image in target.settings.publish.images:
                places.setdefault(image, []).append(StagingNames.of(target.settings, self.build))
        return places

    def _as_json(self, found: list[Leftover]) -> str:
        """Return one line: ``version``, ``deleted`` (whether it is done), ``tags``, and ``problems``, in words."""
        tags = [
            {
                "reference": str(one.reference.with_digest("")),
                "digest": one.reference.digest,
                "platform": str(one.platform),
                "build": one.build,
                "built": None if one.ended is None else round(one.ended),
                "action": _action(one),
                "reason": one.kept,
            }
            for one in found
        ]
        problems = [str(problem) for problem in self._problems]
        return json.dumps({"version": _VERSION, "deleted": self.deletes, "tags": tags, "problems": problems})


def _action(one: Leftover) -> str:
    return _KEEP if one.kept else _UNTAG if one.is_reached else _REMOVE


def _line(one: Leftover, now: float, *, is_done: bool) -> str:
    verb = {_KEEP: "keep", _UNTAG: "untag", _REMOVE: "remove"}[_action(one)]
    done = {_KEEP: "kept", _UNTAG: "untagged", _REMOVE: "removed"}[_action(one)]
    age = "" if one.ended is None else f"{_age(now - one.ended)} old"
    why = one.kept or ("a tag that stays reaches its image" if one.is_reached else "")
    details = ", ".join(filter(None, [age, one.build and f"build {one.build}", why]))
    return f"{done if is_done else verb} {one.reference}" + (f": {details}" if details else "")


def _age(seconds: float) -> str:
    hours = max(0, int(seconds // 3600))
    return f"{hours // 24} d" if hours >= 48 else f"{hours} h"

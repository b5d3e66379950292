"""``manifest --replace`` and ``--remove``: images of some platforms under published tags; the others stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from multiarch.errors import ConfigurationError
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference
from multiarch.publish.replacement import Replacement
from multiarch.steps import manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multiarch.config.project import Target
    from multiarch.publish.repair import Repair
    from multiarch.publish.staged import StagedImage
    from multiarch.publish.tags import PublishedTag
    from multiarch.run import Run


class ManifestRepair(Struct, frozen=True):
    """The step with what is replaced and removed."""

    replacements: tuple[Replacement, ...]
    removed: tuple[Platform, ...]

    @classmethod
    def parse(cls, replaced: Iterable[str], removed: Iterable[str]) -> ManifestRepair:
        """Read the values of the flags.

        :raises ConfigurationError: one is malformed, or a platform is given twice.
        """
        replacements = tuple(map(_read_replacement, replaced))
        platforms = tuple(_read_platform("--remove", text) for text in removed)
        seen: set[Platform] = set()
        for platform in (*(one.platform for one in replacements), *platforms):
            if platform in seen:
                raise ConfigurationError("--replace, --remove", f"{platform} is given twice")
            seen.add(platform)
        return cls(replacements, platforms)

    def run(self, run: Run) -> tuple[PublishedTag, ...]:
        """Replace and remove, in all tags or in none; return the tags.

        :raises GateError: an image may not be published. :raises NotRepairedError: a tag cannot be repaired.
        :raises TagsNotMovedError: a tag could not be moved.
        """
        target = target_of(run, "--replace" if self.replacements else "--remove")
        run.start_embedded_registry()
        with run.progress.detached():
            return repair(run, target, self.replacements, self.removed)

    def planned(self, run: Run) -> list[list[str]]:
        """Return the commands that do the same, with the digests of today, which are read; nothing is written."""
        target = target_of(run, "--replace" if self.replacements else "--remove")
        return _repair_of(run, target, self.replacements, self.removed).commands()


def repair(
    run: Run,
    target: Target,
    replacements: Sequence[Replacement],
    removed: Sequence[Platform] = (),
    *,
    are_staged: bool = False,
) -> tuple[PublishedTag, ...]:
    """Repair the tags of a target, all or none; return them.

    :param are_staged: whether the replacements get the staging tags that their references have.
    """

    def try_images(images: Sequence[StagedImage]) -> None:
        if are_staged and target.settings.publish.digests is None:
            from multiarch.publish.publication import write_staging_tag

            for image in images:
                write_staging_tag(run.registries[image.reference.registry], image)
        entries = {entry.platform: entry for entry in target.settings.matrix}
        tried = [image for image in images if image.platform in entries]
        matrix = tuple(entries[image.platform] for image in tried)
        manifest.try_images(run, [replace(target, settings=replace(target.settings, matrix=matrix))], [tried])

    with run.signing(target.settings.publish.references) as sign:
        return _repair_of(run, target, replacements, removed).run(try_images, run.on_moved, sign)


def target_of(run: Run, flag: str) -> Target:
    """Return the one target whose tags are meant.

    :raises ConfigurationError: there are several, or it publishes nothing.
    """
    targets = manifest.published_targets(run.project)
    if len(targets) > 1:
        raise ConfigurationError(flag, f"with several targets say which: --target {targets[0].name}")
    if not targets:
        raise ConfigurationError(flag, f"nothing is published{run.settings.publish.push.reason}")
    targets[0].settings.publish.push.check()
    return targets[0]


def _repair_of(run: Run, target: Target, replacements: Sequence[Replacement], removed: Sequence[Platform]) -> Repair:
    from multiarch.publish.repair import Change, Repair

    others = {one.reference.registry for one in replacements} - run.registries.keys()
    registries = {**run.registries, **{name: run.registry(name) for name in others}}
    change = Change(tuple(replacements), tuple(removed))
    return Repair(change, target.settings, registries, run.progress.say, run.policy.stopped.wait)


def _read_replacement(text: str) -> Replacement:
    name, equals, place = text.partition("=")
    if not equals or not place:
        problem = f"{text!r} is no PLATFORM=REFERENCE, such as linux/arm64=ghcr.io/someone/app@sha256:…"
        raise ConfigurationError("--replace", problem)
    platform = _read_platform("--replace", name)
    try:
        reference = ImageReference.parse(place)
    except ValueError as error:
        raise ConfigurationError("--replace", str(error)) from None
    if not reference.tag and not reference.digest:
        raise ConfigurationError("--replace", f"{place!r} names no image; add its tag or its digest")
    return Replacement(platform, reference)


def _read_platform(flag: str, text: str) -> Platform:
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise ConfigurationError(flag, str(error)) from None

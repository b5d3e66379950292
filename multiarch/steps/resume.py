"""`--resume`: platforms whose staging image is of this commit and these inputs are taken, and the others built."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from multiarch.buildkit.bases import BuiltImage
from multiarch.buildkit.sent_files import SentFiles
from multiarch.concurrency import each
from multiarch.config.checkout import Checkout
from multiarch.config.load import working_directory
from multiarch.config.settings import OutputKind
from multiarch.errors import ConfigurationError, MultiarchError, RegistryError
from multiarch.image.platform import Leg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.buildkit.bases import Base
    from multiarch.buildkit.build import PushedImage
    from multiarch.config.project import Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.manifest import Manifest
    from multiarch.image.platform import Platform
    from multiarch.publish.inputs import KnownInputs
    from multiarch.publish.resumed import LeftImage
    from multiarch.registry.client import Registry
    from multiarch.run import Run

# Files, and their bytes, that a run reads for its records where nobody asked for them: 0.1 s of one core each.
_MOST_NAMES, _MOST_BYTES = 2000, 64 << 20


class Resumption:
    """What a run takes of an earlier one, and leaves for a later one: images under staging tags, with their records.

    :param run: whose project is still whole.
    :raises ConfigurationError: there is nothing to take, as images are handed over by digest alone.
    """

    def __init__(self, run: Run) -> None:
        settings = run.settings
        if settings.build.resume and settings.publish.digests is not None:
            problem = "with digests there are no staging tags to take; leave out one of both"
            raise ConfigurationError("multiarch.resume", problem)
        self._run, self._project = run, run.project
        self._is_asked_for = run.settings.build.resume
        names, size = (None, None) if self._is_asked_for else (_MOST_NAMES, _MOST_BYTES)
        # A failure of the publication stops its requests, and not what is written beside it for the next run.
        self._policy = replace(run.policy, stopped=run.aside.stopped)
        self._sent = SentFiles(most_names=names, most_bytes=size, stopped=run.aside.stopped)
        self._inputs: dict[Leg, dict[str, str] | str] = {}
        self._left: dict[Leg, LeftImage | str] = {}

    def look(self) -> None:
        """Read the inputs of each platform before it is built; with ``--resume``, look for what was built of them."""
        wanted = [
            (target, entry)
            for target in self._run.project
            if target.settings.build.output.kind is OutputKind.IMAGE and target.settings.publish.digests is None
            for entry in target.settings.matrix
        ]
        commit = Checkout(os.environ, working_directory()).revision if wanted else ""
        known: KnownInputs = {}
        self._inputs = {entry.leg: self._read(target, entry, commit, known) for target, entry in wanted}
        if self._is_asked_for:
            from multiarch.publish.built_from import BuiltFrom
            from multiarch.publish.resumed import reason_against

            self._run.start_embedded_registry()
            built_from = BuiltFrom(self._run.sources)

            def find(one: tuple[Target, MatrixEntry]) -> LeftImage | str:
                inputs = self._inputs[one[1].leg]
                return inputs if isinstance(inputs, str) else reason_against(*one, inputs, built_from)

            self._left = dict(zip(self._inputs, each(find, wanted), strict=True))

    def take(self) -> dict[Leg, str]:
        """Return the digest of what is taken for each platform that need not be built; tell of each platform."""
        run = self._run
        for target, entry in [(one, entry) for one in run.project for entry in one.settings.matrix]:
            left, leg = self._left.get(entry.leg), entry.leg
            if left is None:
                continue
            reason = left if isinstance(left, str) else self._reason_of_bases(target, entry, left)
            if reason or isinstance(left, str):
                run.progress.say(f"{leg}: built: {reason}")
                continue
            digest = left.index.digest
            run.taken[leg] = digest
            run.bases.built([entry], BuiltImage(run.handed_over(target, digest), target.settings.publish.images[0]))
            run.progress.say(f"{leg}: taken from the staging tag: {entry.staging.with_digest(digest)}")
        return run.taken

    def knows(self, entry: MatrixEntry) -> bool:
        """Whether the inputs of a platform are known."""
        return isinstance(self._inputs.get(entry.leg), dict)

    def remember(
        self, target: Target, group: Sequence[MatrixEntry], images: Sequence[PushedImage], bases: Sequence[Base]
    ) -> None:
        """Write the staging tags of what was just built, beside what follows (`Run.aside`).

        They may be written at the end too: no failure fails the run.

        :param images: of the platforms of the group, in its order.
        :param bases: what these are built on.
        """
        sent = SentFiles(self._sent)

        def write(entry: MatrixEntry, image: PushedImage) -> None:
            index = self._index(target, entry, image, bases, sent)
            if index is not None:
                self._put(entry, index)
                self._run.tagged.add(entry.leg)

        def write_all() -> None:
            try:
                each(lambda pair: write(*pair), list(zip(group, images, strict=False)))
            except MultiarchError as error:
                legs = tuple(entry.leg for entry in group)
                self._run.progress.say(f"--resume may not find what was built: {error}", legs)

        self._run.aside.begin(write_all)

    def stage(self, target: Target, entry: MatrixEntry, image: PushedImage, bases: Sequence[Base]) -> str:
        """Write the staging tag of one platform that was pushed by digest; return the digest of what is under it.

        :raises MultiarchError: the registry refuses it.
        """
        index = self._index(target, entry, image, bases, SentFiles(self._sent))
        if index is None:  # a file has changed meanwhile
            reference = image.reference
            index = self._registry(reference.registry).manifest(reference.repository, image.digest)
            if index is None:
                raise MultiarchError(f"{reference.with_digest(image.digest)} is gone; run it again")
        self._put(entry, index)
        return index.digest

    def _registry(self, name: str) -> Registry:
        return self._run.registries[name].apart(self._policy)

    def _put(self, entry: MatrixEntry, index: Manifest) -> None:
        """Write a staging tag. Some registries let one be set once: it may be what it is to be."""
        repository, tag = entry.staging.repository, entry.staging.tag
        registry = self._registry(entry.staging.registry)
        try:
            registry.put_manifest(repository, tag, index)
        except RegistryError:
            if registry.manifest(repository, tag) != index:
                raise

    def _read(self, target: Target, entry: MatrixEntry, commit: str, known: KnownInputs) -> dict[str, str] | str:
        """Return the inputs of a platform, or why they are not known."""
        from multiarch.publish.inputs import UnknownInputsError, inputs_of_platform

        try:
            return inputs_of_platform(self._project, target, entry.platform, commit, self._sent, known)
        except UnknownInputsError as error:
            return str(error)

    def _are_still(self, inputs: Mapping[str, str], target: Target, entry: MatrixEntry, sent: SentFiles) -> bool:
        from multiarch.publish.inputs import COMMIT, UnknownInputsError, are_own_inputs

        with suppress(UnknownInputsError):
            return are_own_inputs(inputs, target, entry.platform, inputs[COMMIT], sent)
        return False

    def _index(
        self, target: Target, entry: MatrixEntry, pushed: PushedImage, bases: Sequence[Base], sent: SentFiles
    ) -> Manifest | None:
        """Return what is to be under a staging tag; None where it is not known what the image was built from.

        :param sent: reads the files again: what the build has read of those that have changed nobody knows.
        """
        from multiarch.publish.resumed import image_of_platform, index_with_record

        inputs = self._inputs.get(entry.leg)
        if not isinstance(inputs, dict) or not self._are_still(inputs, target, entry, sent):
            return None
        registry = self._registry(pushed.reference.registry)
        own = image_of_platform(registry, pushed.reference.with_digest(pushed.digest), entry.platform)
        used = [base for base in bases if base.platform == entry.platform]
        built_on = {base.context: self._digest(base.image, target, base.target, base.platform) for base in used}
        if own is None or not all(built_on.values()):
            return None
        image, attestations = own
        if not attestations and not self._is_asked_for:
            # Its staging tag stays the image itself: `docker manifest create`, for one, takes no index.
            return None
        # Where there is provenance, that is what says it.
        fetched = None if attestations else self._fetched(entry)
        return index_with_record(image, attestations, inputs, built_on, fetched)

    def _fetched(self, entry: MatrixEntry) -> dict[str, str] | None:
        """Return what the build of a platform took from elsewhere; None where that is not known."""
        from multiarch.buildkit.fetched import fetched_images

        solve = next((solve for solve in reversed(self._run.solves) if entry.leg in solve.legs), None)
        return fetched_images(vertex.name for vertex in solve.vertices) if solve else None

    def _reason_of_bases(self, target: Target, entry: MatrixEntry, left: LeftImage) -> str:
        """Return why a platform is built anew with what it is built on; nothing where it is not."""
        for context, name in target.bases.items():
            leg = Leg(target.base_platform(self._project.target(name), entry.platform), name)
            image = self._run.bases.image(leg)
            if image is None:
                return f"{leg}, which it is built on, is built"
            try:
                digest = self._digest(image, target, name, entry.platform)
            except MultiarchError as error:
                return f"{leg}, which it is built on, cannot be read ({error})"
            if not digest or left.base(context) != digest:
                return f"{leg}, which it is built on, is another image now"
        return ""

    def _digest(self, image: BuiltImage, target: Target, name: str, platform: Platform) -> str:
        """Return the digest of a base's own image, as a platform of a target is built on it; empty without one."""
        from multiarch.publish.resumed import image_of_platform

        own = target.base_platform(self._project.target(name), platform)
        registry = self._registry(image.repository.registry)
        found = None if image.layout else image_of_platform(registry, image.reference, own)
        return found[0].digest if found else ""

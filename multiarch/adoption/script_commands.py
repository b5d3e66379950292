"""Commands of a CI that build platforms one by one with ``buildctl`` and join them with ``docker manifest``."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from msgspec import Struct, field

from multiarch.adoption import builds
from multiarch.adoption.builds import Text
from multiarch.adoption.findings import Doubt, Draft, FoundImage, Place
from multiarch.adoption.flags import flags_of, options_of
from multiarch.adoption.shell import Command, commands, is_sure
from multiarch.adoption.source_files import UnreadableError, source_text
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_WORKER = "--oci-worker-platform"
# Commands that publish images too, in words of their own.
_UNREAD = (("buildx", "build"), ("buildx", "bake"), ("buildx", "imagetools"))
_MOVES = frozenset({"cd", "pushd"})
_SHELLS = frozenset({"bash", "sh", "source", ".", "dash"})
_MOST_CALLS = 50  # of scripts, that are followed
_LONGEST = 100_000  # characters of a script


class _Build(Struct, frozen=True):
    """One ``buildctl build``. :ivar options: by name; those of the output are ``output.NAME``, as of ``--local``."""

    options: Mapping[str, str]
    place: Place


class _Index(Struct, frozen=True):
    """One ``docker manifest create``. :ivar is_conditional: whether it is not made each time."""

    place: Place
    is_conditional: bool


class Recipe(Struct):
    """Commands that a CI's file runs, with those of the scripts that it calls.

    :ivar file: the CI's file.
    """

    directory: Path
    file: str
    _workers: list[tuple[str, Place]] = field(default_factory=list)
    _builds: list[_Build] = field(default_factory=list)
    _created: dict[str, _Index] = field(default_factory=dict)
    _annotated: list[tuple[dict[str, str], Place]] = field(default_factory=list)
    _calls: int = 0
    _doubts: list[Doubt] = field(default_factory=list)

    def run(
        self,
        scripts: Sequence[Text],
        variables: Mapping[str, str],
        *,
        is_conditional: bool = False,
        is_elsewhere: bool = False,
    ) -> None:
        """Take in the commands of scripts that one shell runs.

        :param is_conditional: whether they are not run each time.
        :param is_elsewhere: whether they run in another directory than the project's.
        """
        for command in commands(scripts, variables):
            is_elsewhere |= command.words[0] in _MOVES
            is_unsure = is_conditional or command.is_conditional
            self._take(command, self.file, is_conditional=is_unsure, is_elsewhere=is_elsewhere)
            if not is_elsewhere:
                self._follow(command, variables, is_conditional=is_unsure)

    def _follow(self, command: Command, variables: Mapping[str, str], *, is_conditional: bool) -> None:
        """Take in the commands of a script of the project that a command calls, but not of scripts that they call.

        :param variables: those that the caller has set.
        :param is_conditional: whether the call is not made each time.
        """
        words = [word for word in command.words if not word.startswith("-")]
        if command.words[0] in _SHELLS and "-c" not in command.words:
            words = words[1:]
        if not words or not re.fullmatch(r"(?:\./)?[\w./-]+", words[0]) or self._calls >= _MOST_CALLS:
            return
        is_path = "/" in words[0] or words[0].endswith(".sh") or command.words[0] in _SHELLS
        path = posixpath.normpath(words[0])
        if not is_path or path.startswith(("/", "..")):
            return
        try:
            text = source_text(self.directory, path)
        except UnreadableError as error:
            self._doubts += error.evidence.doubts
            return
        if text is None:
            return
        if len(text) > _LONGEST:
            self._doubts.append(Doubt("", f"it has more than {_LONGEST:,} characters, and is not read", Place(path)))
            return
        self._calls += 1
        arguments = {str(number): word for number, word in enumerate(words) if number and is_sure(word)}
        settings = {name: value for name, value in command.settings.items() if is_sure(value)}
        is_elsewhere = False
        for inner in commands([Text(text, 1)], {**variables, **settings, **arguments}):
            is_elsewhere |= inner.words[0] in _MOVES
            is_unsure = is_conditional or inner.is_conditional
            self._take(inner, path, is_conditional=is_unsure, is_elsewhere=is_elsewhere)

    def _take(self, command: Command, file: str, *, is_conditional: bool, is_elsewhere: bool) -> None:
        """Note what a command says."""
        words, place = command.words, Place(file, command.line)
        for index, word in enumerate(words):
            name, equals, value = word.partition("=")
            if name == _WORKER:
                self._workers.append((value if equals else "".join(words[index + 1 : index + 2]), place))
        program = posixpath.basename(words[0])
        if program == "buildctl" and "build" in words:
            # A path from a directory that is not known is none that is sure.
            options = {"local.context": ".", "local.dockerfile": ".", **options_of(words)}
            moved = {name: f"$PWD/{value}" for name, value in options.items() if name.startswith("local.")}
            self._builds.append(_Build(options | moved if is_elsewhere else options, place))
        elif program == "docker" and words[1:3] == ("manifest", "create"):
            names = tuple(word for word in words[3:] if not word.startswith("-"))
            if names and names[0] not in self._created:
                self._created[names[0]] = _Index(place, is_conditional)
        elif program == "docker" and words[1:3] == ("manifest", "annotate"):
            self._annotated.append((flags_of(words[3:]), place))
        elif program == "docker" and words[1:3] in _UNREAD:
            self._doubts.append(Doubt("", f"docker {' '.join(words[1:3])} is not read; write what it says", place))

    def image(self) -> FoundImage | None:
        """Return the image that the commands make; None where they make none."""
        if not (self._workers or self._builds or self._created):
            return None
        draft = Draft("", self.file)
        self._put_references(draft)
        self._put_platforms(draft)
        self._put_build(draft)
        image = draft.image()
        return FoundImage(image.name, image.findings, image.doubts, image.is_built)

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What of the commands was not read."""
        return tuple(self._doubts)

    def _put_references(self, draft: Draft) -> None:
        """Set ``image`` and ``tags`` from the manifests; the image alone from what is pushed."""
        for name, index in self._created.items():
            if not is_sure(name):
                draft.file = index.place.file
                draft.doubt("tags", f"{name} has variables that are not sure", index.place.line)
        sure = [(name, index.place) for name, index in self._created.items() if is_sure(name)]
        if sure:
            draft.file = sure[0][1].file
            if len({re.sub(r":[^/]*$", "", name).rpartition("/")[2] for name, _ in sure}) > 1:
                draft.doubt("image", f"several are made: {', '.join(name for name, _ in sure)}", sure[0][1].line)
                return
            if len(sure) > 1 and any(index.is_conditional for index in self._created.values()):
                draft.doubt("tags", "which of them are moved depends on a condition", sure[0][1].line)
            elif len(sure) == len(self._created):
                builds.put_references(draft, [Text(name, place.line) for name, place in sure])
                return
        pushed = [(build.options.get("output.name", ""), build.place) for build in self._builds]
        repositories: dict[str, Place] = {}
        for name, place in [*sure, *pushed]:
            # A repository is literal where only the tag is not.
            repository, colon, tag = name.rpartition(":")
            repository = repository if colon and "/" not in tag else name
            if repository and is_sure(repository):
                try:
                    repositories.setdefault(ImageReference.parse(repository).name, place)
                except ValueError as error:
                    draft.file = place.file
                    draft.doubt("image", str(error), place.line)
            elif repository:
                draft.file = place.file
                draft.doubt("image", f"{name} has variables that are not sure", place.line)
        if len(repositories) == 1:
            name, place = next(iter(repositories.items()))
            draft.file = place.file
            draft.put("image", name, place.line)
        elif repositories:
            draft.doubt("image", f"several are pushed: {', '.join(repositories)}", 0)

    def _put_platforms(self, draft: Draft) -> None:
        """Set ``platforms``: those that are built or joined; and those of the server, where variables hide some."""
        entries: dict[Platform, dict[str, str]] = {}
        places: dict[Platform, Place] = {}
        hidden = not (self._builds or self._annotated)
        for text, dockerfile, place in [*self._built(), *self._joined()]:
            for one in text.split(",") if text else [""]:
                platform = _platform(one)
                if platform is None or not is_sure(dockerfile):
                    hidden = True
                    _doubt_build(draft, platform, one, dockerfile, place)
                elif dockerfile and entries.setdefault(platform, {}).setdefault("dockerfile", dockerfile) != dockerfile:
                    draft.file = place.file
                    draft.doubt("platforms", f"{platform} is built from several Dockerfiles", place.line)
                    return
                else:
                    entries.setdefault(platform, {})
                    places.setdefault(platform, place)
        for text, place in self._workers:
            platform = _platform(text)
            draft.file = place.file
            if platform is None:
                draft.doubt("platforms", f"{text} is not sure, or none", place.line)
            elif platform not in entries and not hidden:
                draft.doubt("platforms", f"the server is told of {platform}, and nothing is built for it", place.line)
            elif platform not in entries:
                entries[platform], places[platform] = {}, place
                if any("dockerfile" in entry for entry in entries.values()):
                    draft.doubt("platforms", f"it is not told from which Dockerfile {platform} is built", place.line)
        if entries:
            # In the order of the server, where it has one.
            ordered = [platform for text, _ in self._workers if (platform := _platform(text)) in entries]
            ordered = list(dict.fromkeys([*ordered, *entries]))
            place = places[ordered[0]]
            draft.file = place.file
            written = [{"platform": str(p), **entries[p]} if entries[p] else str(p) for p in ordered]
            draft.put("platforms", written, place.line)

    def _built(self) -> Iterator[tuple[str, str, Place]]:
        """Yield platform, Dockerfile and place of each build; no Dockerfile for the usual one."""
        for build in self._builds:
            options = build.options
            path = posixpath.join(options.get("local.dockerfile", "."), options.get("filename", "Dockerfile"))
            usual = posixpath.join(options.get("local.context", "."), "Dockerfile")
            path, usual = posixpath.normpath(path), posixpath.normpath(usual)
            yield options.get("platform", ""), "" if path == usual else path, build.place

    def _joined(self) -> Iterator[tuple[str, str, Place]]:
        """Yield the platform of each image that an index is annotated with."""
        for flags, place in self._annotated:
            if "--arch" in flags:
                parts = (flags.get("--os", "linux"), flags["--arch"], flags.get("--variant", ""))
                yield "/".join(filter(None, parts)), "", place

    def _put_build(self, draft: Draft) -> None:
        """Set what is the same in all builds; anything else is in doubt."""
        for option, setting in {"local.context": "context", "target": "target"}.items():
            values = {build.options.get(option, "") for build in self._builds}
            place = next((build.place for build in self._builds if option in build.options), None)
            if place is None:
                continue
            draft.file, value = place.file, next(iter(values))
            if len(values) > 1 or not is_sure(value):
                draft.doubt(setting, f"{' and '.join(sorted(values))} is not sure", place.line)
                draft.is_built = False
            elif setting == "target":
                draft.put("target", value, place.line)
            else:
                builds.put_context(draft, Text(value, place.line), None)
        names = {name for build in self._builds for name in build.options if name.startswith(("build-arg:", "label:"))}
        for name in sorted(names):
            setting = "build_args" if name.startswith("build-arg:") else "labels"
            written = {build.options.get(name) for build in self._builds}
            place = next(build.place for build in self._builds if name in build.options)
            draft.file, only = place.file, next(iter(written))
            if len(written) > 1 or only is None or not is_sure(only):
                draft.doubt(f"{setting}.{name.partition(':')[2]}", "its value is not sure", place.line)
                continue
            known = draft.findings[setting].value if setting in draft.findings else {}
            pairs = {key: Text(value, place.line) for key, value in [*known.items(), (name.partition(":")[2], only)]}
            builds.put_pairs(draft, setting, pairs)


def _doubt_build(draft: Draft, platform: Platform | None, text: str, dockerfile: str, place: Place) -> None:
    """Note a build whose platform, written as *text*, or whose Dockerfile is not sure."""
    draft.file = place.file
    what = text or "the platform" if platform is None else dockerfile
    draft.doubt("platforms", f"{what} is not sure, or none", place.line)
    if platform is None and not is_sure(dockerfile):
        draft.doubt("dockerfile", f"{dockerfile} is not sure", place.line)


def _platform(text: str) -> Platform | None:
    try:
        return Platform.parse(text) if is_sure(text) else None
    except ValueError:
        return None

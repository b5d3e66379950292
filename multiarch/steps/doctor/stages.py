"""Stages of a Dockerfile: which are built for a platform, and on which images (BuildKit, dockerfile2llb/convert.go)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct, field

from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference
from multiarch.steps.doctor.instructions import Dockerfile, UnreadableError, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])([^{}$]*))?\}")
_FROM = re.compile(r"(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_MOUNT = re.compile(r"--mount=(\S+)")
_IMAGE = "docker-image://"


class BaseImage(Struct, frozen=True):
    """An image that a stage is built on, or copies from. :ivar line: of the Dockerfile, that names it."""

    reference: ImageReference
    platform: Platform
    line: int


class Build(Struct, frozen=True):
    """What decides how a Dockerfile is read.

    :ivar platform: that is built for.
    :ivar build_platform: the builder's own, ``$BUILDPLATFORM``.
    :ivar stage: the name of the stage that is built; None for the last.
    :ivar contexts: by name, the addresses of what takes the place of stages and images; empty for what is no image.
    """

    platform: Platform
    build_platform: Platform
    stage: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)


class _Stage(Struct, frozen=True):
    """A stage. :ivar sources: names of stages or images that it takes files from, with their lines."""

    base: str
    name: str
    platform: Platform
    line: int
    sources: tuple[tuple[str, int], ...]


def base_images(dockerfile: Dockerfile, build: Build) -> tuple[BaseImage, ...]:
    """Return the images that the stages which are needed are built on, or copy from; each once.

    :raises UnreadableError: the Dockerfile says something that is not read here.
    """
    stages = list(_stages(dockerfile, build))
    if not stages:
        raise UnreadableError("it has no FROM")
    found: dict[BaseImage, None] = {}
    waiting, seen = [_index(stages, build.stage, len(stages))], set()
    while waiting:
        number = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        stage = stages[number]
        for name, line in ((stage.base, stage.line), *stage.sources):
            is_base = (name, line) == (stage.base, stage.line)
            # A base of a number is an image of that name; a copy from a number is from the stage.
            other = _find(stages, name, number, by_number=not is_base)
            if (place := _replacement(build, name)) is not None:
                found |= dict.fromkeys(_image(place, stage.platform, line))
            elif other is not None:
                waiting.append(other)
            else:
                found |= dict.fromkeys(_image(name, stage.platform if is_base else build.platform, line))
    return tuple(sorted(found, key=lambda image: image.line))


def _index(stages: list[_Stage], wanted: str | None, end: int) -> int:
    if wanted is None:
        return end - 1
    found = _find(stages, wanted, end, by_number=True)
    if found is None:
        raise UnreadableError(f"it has no stage {wanted!r}")
    return found


def _find(stages: list[_Stage], name: str, end: int, *, by_number: bool) -> int | None:
    """Return the last stage of a name before *end*."""
    alike = [number for number in range(end) if stages[number].name == name.lower() != ""]
    if alike:
        return alike[-1]
    return int(name) if by_number and name.isascii() and name.isdigit() and int(name) < end else None


def _replacement(build: Build, name: str) -> str | None:
    """Return the image in the place of a name, empty for another context; None where nothing takes its place."""
    for context, place in build.contexts.items():
        if context.lower() == name.lower() or _normal(context) == _normal(name) != "":
            return place.removeprefix(_IMAGE) if place.startswith(_IMAGE) else ""
    return None


def _normal(name: str) -> str:
    """Return an image's name as it is compared; empty for what is none."""
    try:
        reference = ImageReference.parse(name)
    except ValueError:
        return ""
    return str(reference if reference.tag or reference.digest else reference.with_tag("latest"))


def _image(name: str, platform: Platform, line: int) -> Iterator[BaseImage]:
    if name in ("", "scratch"):
        return
    try:
        yield BaseImage(ImageReference.parse(name), platform, line)
    except ValueError as error:
        raise UnreadableError(f"line {line}: {error}") from None


def _stages(dockerfile: Dockerfile, build: Build) -> Iterator[_Stage]:
    """Yield the stages of a Dockerfile, with the images that each reads."""
    variables, stage = _predefined(build), None
    for one in dockerfile.instructions:
        if one.name == "FROM":
            if stage:
                yield stage
            stage = _begin(one.rest, one.line, variables, build, dockerfile.escape)
        elif one.name == "ARG" and stage is None:
            for word in words_of(one.rest, dockerfile.escape):
                name, has_value, value = word.partition("=")
                if name in build.build_args:
                    variables[name] = build.build_args[name]
                elif has_value:
                    variables[name] = expand(value, variables, dockerfile.escape)
        elif stage and one.name in ("COPY", "RUN"):
            more = tuple((name, one.line) for name in _sources(one.name, one.rest, one.line))
            stage = _Stage(stage.base, stage.name, stage.platform, stage.line, stage.sources + more)
    if stage:
        yield stage


def _begin(rest: str, line: int, variables: Mapping[str, str], build: Build, escape: str) -> _Stage:
    """Return the stage that a FROM begins."""
    words = rest.split()
    flags = [word for word in words if word.startswith("--")]
    found = _FROM.fullmatch(" ".join(word for word in words if not word.startswith("--")))
    if not found or any(not flag.startswith("--platform=") for flag in flags):
        raise UnreadableError(f"line {line}: FROM {rest} is not read here")
    platform = build.platform
    for flag in flags:
        text = expand(flag.removeprefix("--platform="), variables, escape)
        try:
            platform = Platform.parse(text)
        except ValueError as error:
            raise UnreadableError(f"line {line}: {error}") from None
    base = expand(found[1], variables, escape)
    if not base:
        raise UnreadableError(f"line {line}: {found[1]} stands for nothing")
    return _Stage(base, (found[2] or "").lower(), platform, line, ())


def _sources(name: str, rest: str, line: int) -> Iterator[str]:
    """Yield what a COPY or a RUN takes files from, beside its context."""
    flags = []
    for word in rest.split():
        if not word.startswith("--"):
            break
        flags.append(word)
    if name == "COPY":
        found = [flag.removeprefix("--from=") for flag in flags if flag.startswith("--from=")]
    else:
        mounts = [match[1] for flag in flags if (match := _MOUNT.fullmatch(flag))]
        fields = [part.partition("=") for mount in mounts for part in mount.split(",")]
        found = [value for key, _, value in fields if key == "from"]
    for source in found:
        if "$" in source:
            raise UnreadableError(f"line {line}: from={source} is not read here")
        yield source.strip("\"'")


def _predefined(build: Build) -> dict[str, str]:
    """Return the arguments that BuildKit sets itself in front of the first FROM."""
    values: dict[str, str] = {}
    for prefix, platform in (("BUILD", build.build_platform), ("TARGET", build.platform)):
        values |= {f"{prefix}PLATFORM": str(platform), f"{prefix}OS": platform.os}
        values |= {f"{prefix}ARCH": platform.architecture, f"{prefix}VARIANT": platform.variant}
    values |= {"TARGETSTAGE": build.stage} if build.stage else {}
    return {name: build.build_args.get(name, value) for name, value in values.items()}


def expand(word: str, variables: Mapping[str, str], escape: str) -> str:
    """Return a word without its quotes and with the values of its variables (frontend/dockerfile/shell/lex.go).

    :raises UnreadableError: it has something else behind a dollar sign, or lacks what it asks for.
    """
    result, quote, at = "", "", 0
    while at < len(word):
        character = word[at]
        at += 1
        if character == "'" and quote != '"':
            quote = "" if quote else character
        elif quote == "'":
            result += character
        elif character == '"':
            quote = "" if quote else character
        elif character == escape:
            result += word[at : at + 1]
            at += 1
        elif character == "$":
            found = _NAME.match(word, at) or _BRACED.match(word, at)
            if not found:
                raise UnreadableError(f"{word} is not read here")
            result += variables.get(found[0], "") if found.re is _NAME else _value(found, variables)
            at = found.end()
        else:
            result += character
    return result


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    """Return the value of ``${NAME}``, ``${NAME:-WORD}`` and the like (POSIX shell, 2.6.2)."""
    name, operator, word = found[1], found[2] or "", found[3] or ""
    value = variables.get(name)
    is_set = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return word if is_set else ""
    if not is_set and operator.endswith("?"):
        raise UnreadableError(f"{name} is not set")
    return word if not is_set and operator else value or ""

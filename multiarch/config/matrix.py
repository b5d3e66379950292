"""The matrix of a run: its platforms, each with what is built for it and where its image is staged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from multiarch.config.builders import candidates, read_builders
from multiarch.config.contexts import Context, parse_context, parse_named_context
from multiarch.config.plain import check_pairs
from multiarch.config.schema import PREFIX, PlatformEntry
from multiarch.config.settings import CIS, MatrixEntry
from multiarch.config.tags import fields_of
from multiarch.errors import ConfigurationError
from multiarch.image.platform import Platform
from multiarch.image.reference import check_tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multiarch.config.build_values import ValueReader
    from multiarch.config.layers import Layers
    from multiarch.image.reference import ImageReference

# The labels of the four CIs are of these.
_LABEL = re.compile(r"[\w.:/+-]+( [\w.:/+-]+)*", re.ASCII)
_PLACEHOLDERS = ("tag", "platform", "architecture", "build")
# The usual forms of staging tags: in a CI, where builds must not mix, and elsewhere.
OF_BUILDS, OF_ALL = "{tag}-{build}-{platform}", "{tag}-{platform}"


class Staging(Struct, frozen=True):
    """How staging tags are made.

    :ivar image: the repository that the platforms' images are pushed to.
    :ivar template: ``arch_tag``, with *build* for its ``{build}``.
    :ivar tag: the template's ``{tag}``, one of those to publish.
    :ivar tags: those to publish.
    :ivar is_tagged: whether images wait under staging tags, and not by their digests alone.
    """

    image: ImageReference
    template: str
    tag: str
    tags: tuple[str, ...]
    build: str
    is_tagged: bool

    def reference(self, platform: Platform) -> ImageReference:
        """Return the staging tag of a platform (the document's ``latest-arm``)."""
        names = {"tag": self.tag, "platform": platform.slug, "architecture": platform.architecture}
        return self.image.with_tag(self.template.format(**names, build=self.build))

    def earlier(self, platform: Platform) -> ImageReference:
        """Return where the image of an earlier build is: a staging tag of this build alone is not there yet."""
        lasts = self.is_tagged and "{build}" not in self.template
        return self.reference(platform) if lasts else self.image.with_tag(self.tag)


def read_staging(layers: Layers, image: ImageReference, tag: str, tags: tuple[str, ...], build: str) -> Staging:
    """Read ``arch_tag``.

    :param tag: what ``{tag}`` stands for, one of *tags*.
    :param build: what tells the builds of a CI apart; empty outside of one.
    :raises ConfigurationError: the template is broken, or has a placeholder that stands for nothing.
    """
    template = layers.block.arch_tag or (OF_BUILDS if build else OF_ALL)
    try:
        names = fields_of(template)
    except ValueError as error:
        raise layers.error("arch_tag", f"{template!r}: {error}") from None
    if unknown := [name for name in names if name not in _PLACEHOLDERS]:
        problem = f"{template!r}: unknown {{{unknown[0]}}} (known: {', '.join(_PLACEHOLDERS)})"
        raise layers.error("arch_tag", problem)
    if "build" in names and not build:
        problem = f"{template!r} uses {{build}}, and multiarch.build ({PREFIX}BUILD) is not set"
        raise layers.error("arch_tag", problem)
    return Staging(image, template, tag, tags, build, is_tagged=not layers.block.digests)


def read_matrix(
    layers: Layers, staging: Staging, values: ValueReader, wanted: Iterable[str] | None, target: str = ""
) -> tuple[MatrixEntry, ...]:
    """Read ``platforms``.

    :param wanted: the platforms of ``--platform``, which narrow the matrix; None for all of it.
    :param target: the name of the target; empty where the project has none.
    :raises ConfigurationError: a platform that does not exist or is given twice; staging tags that are alike, or none.
    """
    check_pairs(layers.where("build_args"), layers.block.build_args, "a build argument")
    matrix = _narrow(_configured(layers, staging, values), layers, staging, values, wanted)
    matrix = tuple(replace(entry, target=target) for entry in matrix) if target else matrix
    holders = dict.fromkeys(staging.tags, "the published tag")
    for entry in matrix:
        tag = entry.staging.tag
        if tag in holders:
            problem = f"{staging.template!r} gives {entry.platform} the tag of {holders[tag]}: {tag}"
            raise layers.error("arch_tag", problem)
        layers.check("arch_tag", None, check_tag, tag)
        holders[tag] = str(entry.platform)
    return matrix


def _configured(layers: Layers, staging: Staging, values: ValueReader) -> tuple[MatrixEntry, ...]:
    """Return the matrix as it is configured."""
    matrix: dict[Platform, MatrixEntry] = {}
    spelled: dict[Platform, str] = {}
    for index, written in enumerate(layers.block.platforms):
        platform: Platform = layers.check("platforms", index, Platform.parse, written.platform)
        if platform in matrix:
            problem = f"{spelled[platform]!r} and {written.platform!r} are the same platform, {platform}"
            raise layers.error("platforms", problem, index)
        spelled[platform] = written.platform
        matrix[platform] = _entry(layers, staging, values, platform, written, index)
    return tuple(matrix.values())


def _entry(
    layers: Layers,
    staging: Staging,
    values: ValueReader,
    platform: Platform,
    written: PlatformEntry,
    index: int | None = None,
) -> MatrixEntry:
    """Return an entry with what stands at the top level where it does not say otherwise."""
    block = layers.block
    where = layers.where("platforms", index)
    own = (written.builder,) if isinstance(written.builder, str) else written.builder or ()
    builders = candidates(layers, index, tuple(filter(None, own)), read_builders(layers), platform)
    if platform.os != "linux" and not builders:
        problem = (
            f"{platform} is not built on Linux: name a builder for it, or carry its image over by its digest in add"
        )
        raise ConfigurationError(where, problem)
    check_pairs(where, written.build_args, "a build argument")
    check_pairs(where, written.annotations, "an annotation")
    return MatrixEntry(
        platform=platform,
        staging=staging.reference(platform),
        earlier=staging.earlier(platform),
        context=_context(layers, written, index),
        contexts=_named_contexts(layers, values, written, index),
        dockerfile=written.dockerfile or block.dockerfile,
        stage=written.target or block.target,
        build_args={
            **values.epoch,
            **values.read("build_args", "multiarch.build_args", {**block.build_args, **written.build_args}),
        },
        builders=builders,
        annotations=values.read("annotations", where, written.annotations),
        foreign=_foreign(layers, written.foreign, index),
        smoke=block.smoke if written.smoke is None else written.smoke,
        runners=_runners(layers, written.runner, index),
    )


def _foreign(layers: Layers, written: tuple[str, ...] | None, index: int | None) -> tuple[str, ...]:
    """Return the paths of ``foreign``, of an entry or of the top level."""
    paths = layers.block.foreign if written is None else written
    where = layers.where("foreign") if written is None else f"{layers.where('platforms', index)}.foreign"
    for path in paths:
        if not path.startswith("/") or path.strip("/") == "" or ".." in path.split("/"):
            raise ConfigurationError(where, f"{path!r} is no absolute path of a program or a directory below the root")
    return paths


def _narrow(
    matrix: tuple[MatrixEntry, ...],
    layers: Layers,
    staging: Staging,
    values: ValueReader,
    wanted: Iterable[str] | None,
) -> tuple[MatrixEntry, ...]:
    """Keep what ``--platform`` names; with an empty matrix, that is the matrix."""
    if wanted is None:
        return matrix
    known = {entry.platform: entry for entry in matrix}
    chosen: dict[Platform, MatrixEntry] = {}
    for text in wanted:
        try:
            platform = Platform.parse(text)
        except ValueError as error:
            raise ConfigurationError("--platform", str(error)) from None
        if platform in chosen:
            raise ConfigurationError("--platform", f"{platform} is given twice")
        if known and platform not in known:
            problem = f"{platform} is not in the matrix ({', '.join(map(str, known))})"
            raise ConfigurationError("--platform", problem)
        chosen[platform] = known.get(platform) or _entry(layers, staging, values, platform, PlatformEntry(text))
    return tuple(chosen.values())


def _context(layers: Layers, written: PlatformEntry, index: int | None) -> Context:
    """Return the context of a platform: its own, or the one for all."""
    if written.context is not None:
        return layers.check("platforms", index, parse_context, written.context)
    return layers.check("context", None, parse_context, layers.block.context)


def _named_contexts(
    layers: Layers, values: ValueReader, written: PlatformEntry, index: int | None
) -> dict[str, Context]:
    """Return the named contexts of a platform, by name."""
    check_pairs(layers.where("platforms", index), written.contexts, "a context")
    own = {name: layers.check("platforms", index, parse_named_context, text) for name, text in written.contexts.items()}
    check_pairs(layers.where("contexts"), layers.block.contexts, "a context")
    for_all = layers.block.contexts | dict(values.flags.get("contexts", {}))
    shared = {name: layers.check("contexts", None, parse_named_context, text) for name, text in for_all.items()}
    return shared | {name: context for name, context in own.items() if name not in values.flags.get("contexts", {})}


def _runners(layers: Layers, runner: str | dict[str, str] | None, index: int | None) -> dict[str, str]:
    """Return the label of a machine by CI, from one for all or one for each."""
    if isinstance(runner, dict):
        if unknown := [name for name in runner if name not in CIS]:
            raise layers.error("platforms", f"runner of {unknown[0]!r}: known are {', '.join(CIS)}", index)
        labels = runner
    else:
        labels = dict.fromkeys(CIS, runner) if runner else {}
    if bad := [label for label in labels.values() if not _LABEL.fullmatch(label)]:
        raise layers.error("platforms", f"runner {bad[0]!r} is no label of a machine, such as ubuntu-24.04-arm", index)
    return labels

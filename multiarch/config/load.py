"""From what was written to what holds: the joined layers of configuration become `Settings`, or an error.

Every error names the flag, variable or key, its value, and what is allowed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.config.checkout import Checkout
from multiarch.config.layers import Layers, join
from multiarch.config.schema import PREFIX, Block
from multiarch.config.settings import CIS, EMBEDDED_REGISTRY, Settings, Target, staging_tag
from multiarch.config.tags import check_template, expand, fields_of
from multiarch.config.values import read_address, read_attestations, read_output, read_secrets, read_ssh
from multiarch.errors import ConfigurationError
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference, check_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FRONTENDS = ("dockerfile.v0", "gateway.v0")
_BUILDER_SCHEMES = ("tcp", "unix", "docker-container", "ssh", "podman-container", "kube-pod", "npipe")
_CACHES = ("none", "registry", "local", "inline")
# The tag of what no tag applies to; it is not pushed.
_UNTAGGED = "untagged"
_PLACEHOLDERS = ("tag", "platform", "architecture", "build")


def load(
    configured: object, environ: Mapping[str, str], flags: Mapping[str, Any], *, directory: Path | None = None
) -> Settings:
    """Join the layers of configuration and validate the result.

    :param configured: the ``multiarch`` block of Invoke's configuration, plain data.
    :param environ: variables; those of other programs are ignored.
    :param flags: by setting name; None and empty lists were not given. ``platforms`` narrows the configured matrix.
    :param directory: whose name is the repository's when no image is configured; the working directory by default.
    :raises ConfigurationError: naming the flag, variable or key, its value, and what is allowed.
    """
    wanted = flags.get("platforms") or None
    layers = join(configured, environ, {name: value for name, value in flags.items() if name != "platforms"})
    checkout = Checkout(environ, directory or Path.cwd())
    return _Reader(layers, environ.get("BUILDKIT_HOST") or None, checkout).settings(wanted)


@dataclass(frozen=True)
class _Reader:
    """Turns the typed block into values, or into the error that names the setting."""

    layers: Layers
    buildkit_host: str | None
    checkout: Checkout

    @property
    def block(self) -> Block:
        return self.layers.block

    def settings(self, narrowed: Iterable[str] | None) -> Settings:
        block = self.block
        images = tuple(self._image(text, index) for index, text in enumerate(block.image))
        embedded = not images
        if embedded:
            name = re.sub(r"[^a-z0-9]+", "-", self.checkout.directory.name.lower()).strip("-") or "app"
            images = (ImageReference(EMBEDDED_REGISTRY, name),)
        self._unique("image", [str(image) for image in images])
        tags = self._tags()
        untagged = "" if tags else self._untagged()
        # What is not to be pushed has names too.
        withheld = "of a pull request" if self.checkout.is_pull_request else untagged if self.checkout.ci else ""
        tags = tags or (_UNTAGGED,)
        matrix = self._narrow(self._matrix(), narrowed)
        if block.frontend not in _FRONTENDS:
            raise self.layers.error("frontend", f"{block.frontend!r} is none of {', '.join(_FRONTENDS)}")
        if block.frontend == "gateway.v0" and not block.source:
            raise self.layers.error(
                "frontend", "gateway.v0 needs the image of a frontend: --source docker/dockerfile:1"
            )
        if block.source and block.frontend != "gateway.v0":
            raise self.layers.error("source", "only goes with --frontend gateway.v0")
        if not 0 <= block.retry_seconds < math.inf:
            raise self.layers.error("retry_seconds", f"expected seconds, 0 or more, got {block.retry_seconds}")
        if not 0 < block.smoke_seconds < math.inf:
            raise self.layers.error("smoke_seconds", f"expected seconds, more than 0, got {block.smoke_seconds}")
        if block.cache not in _CACHES:
            raise self.layers.error("cache", f"{block.cache!r} is none of {', '.join(_CACHES)}")
        if block.jobs < 0:
            raise self.layers.error("jobs", f"expected a number of slots, 1 or more, got {block.jobs}")
        build = block.build or self.checkout.build or None
        arch_tag = block.arch_tag or ("{tag}-{build}-{platform}" if build else "{tag}-{platform}")
        self._check_arch_tag(arch_tag, tags, build, matrix)
        return Settings(
            images=images,
            embedded=embedded,
            tags=tags,
            matrix=matrix,
            context=block.context,
            labels={**self.checkout.labels, **block.labels},
            secrets=read_secrets(self.layers),
            ssh=read_ssh(self.layers),
            cache=block.cache,
            no_cache=block.no_cache,
            pull=block.pull,
            frontend=block.frontend,
            source=block.source,
            output=read_output(self.layers, pushes=not withheld),
            attestations=read_attestations(self.layers),
            annotations={**self.checkout.labels, **block.annotations},
            allow_dropping=block.allow_dropping,
            smoke_seconds=block.smoke_seconds,
            insecure_registries=block.insecure_registries,
            untagged=untagged and f"{self.layers.where('tags')}: {untagged}; add one that does",
            withheld=withheld,
            arch_tag=arch_tag,
            build=build,
            buildkit_host=self._builder("BUILDKIT_HOST", self.buildkit_host),
            address=read_address(self.layers),
            recreate=block.recreate,
            dest=block.dest,
            installer=block.installer,
            buildkit_image=block.buildkit_image,
            retry_seconds=block.retry_seconds,
            jobs=block.jobs,
            keep_going=block.keep_going,
            branches=self._branches(),
            install=block.install,
        )

    def _matrix(self) -> tuple[Target, ...]:
        block = self.block
        matrix: dict[Platform, Target] = {}
        spelled: dict[Platform, str] = {}
        for index, entry in enumerate(block.platforms):
            platform = self._check("platforms", index, Platform.parse, entry.platform)
            if platform in matrix:
                raise self.layers.error(
                    "platforms",
                    f"{spelled[platform]!r} and {entry.platform!r} are the same platform, {platform}",
                    index,
                )
            spelled[platform] = entry.platform
            matrix[platform] = Target(
                platform=platform,
                dockerfile=entry.dockerfile or block.dockerfile,
                stage=entry.target or block.target,
                build_args={**block.build_args, **entry.build_args},
                builder=self._builder(self.layers.where("platforms", index), entry.builder),
                annotations=entry.annotations,
                smoke=block.smoke if entry.smoke is None else entry.smoke,
                runners=self._runners(index, entry.runner),
            )
        return tuple(matrix.values())

    def _narrow(self, matrix: tuple[Target, ...], wanted: Iterable[str] | None) -> tuple[Target, ...]:
        """Keep what ``--platform`` names; with an empty matrix, that is the matrix."""
        if wanted is None:
            return matrix
        chosen: list[Target] = []
        for text in wanted:
            try:
                platform = Platform.parse(text)
            except ValueError as error:
                raise ConfigurationError("--platform", str(error)) from None
            if platform in [target.platform for target in chosen]:
                raise ConfigurationError("--platform", f"{platform} is given twice")
            found = [target for target in matrix if target.platform == platform]
            if matrix and not found:
                known = ", ".join(str(target.platform) for target in matrix)
                raise ConfigurationError("--platform", f"{platform} is not in the matrix ({known})")
            block = self.block
            plain = Target(
                platform=platform,
                dockerfile=block.dockerfile,
                stage=block.target,
                build_args=block.build_args,
                smoke=block.smoke,
            )
            chosen.extend(found or [plain])
        return tuple(chosen)

    def _tags(self) -> tuple[str, ...]:
        """Return the tags to publish: those that apply to what is checked out, which may be none."""
        written = self.block.tags
        if not written:
            raise self.layers.error("tags", "needs at least one tag")
        for index, template in enumerate(written):
            self._check("tags", index, check_template, template)
        self._unique("tags", written)
        tags = expand(written, self.checkout)
        for tag in tags:
            self._check("tags", written.index(tag) if tag in written else None, check_tag, tag)
        return tags

    def _untagged(self) -> str:
        """Return why there is no tag to publish."""
        here = f"{self.checkout.branch or 'no branch'}, {self.checkout.tag or 'no tag'}"
        return f"none of {', '.join(self.block.tags)} applies to what is checked out ({here})"

    def _branches(self) -> tuple[str, ...]:
        """Return the branches to publish from; what a CI would take for a pattern is none that all of them know."""
        for index, name in enumerate(self.block.branches):
            if not re.fullmatch(r"[\w./-]+", name):
                raise self.layers.error("branches", f"{name!r} is no plain name of a branch, such as main", index)
        return self.block.branches

    def _runners(self, index: int, runner: str | dict[str, str] | None) -> dict[str, str]:
        """Read the name of a machine: one for all CIs, or one for each."""
        if isinstance(runner, dict):
            if unknown := [name for name in runner if name not in CIS]:
                raise self.layers.error("platforms", f"runner of {unknown[0]!r}: known are {', '.join(CIS)}", index)
            return runner
        return dict.fromkeys(CIS, runner) if runner else {}

    def _image(self, text: str, index: int) -> ImageReference:
        image: ImageReference = self._check("image", index, ImageReference.parse, text)
        if image.tag or image.digest:
            raise self.layers.error(
                "image", f"{text!r} must not have a tag or digest: tags go into multiarch.tags", index
            )
        return image

    def _builder(self, where: str, address: str | None) -> str | None:
        if address and address.partition("://")[0] not in _BUILDER_SCHEMES:
            schemes = ", ".join(f"{scheme}://" for scheme in _BUILDER_SCHEMES)
            raise ConfigurationError(where, f"builder {address!r} does not start with one of {schemes}")
        return address or None

    def _check_arch_tag(
        self, template: str, tags: tuple[str, ...], build: str | None, matrix: tuple[Target, ...]
    ) -> None:
        try:
            names = fields_of(template)
        except ValueError as error:
            raise self.layers.error("arch_tag", f"{template!r}: {error}") from None
        if unknown := [name for name in names if name not in _PLACEHOLDERS]:
            raise self.layers.error(
                "arch_tag", f"{template!r}: unknown {{{unknown[0]}}} (known: {', '.join(_PLACEHOLDERS)})"
            )
        if "build" in names and not build:
            raise self.layers.error(
                "arch_tag", f"{template!r} uses {{build}}, and multiarch.build ({PREFIX}BUILD) is not set"
            )
        seen: dict[str, str] = dict.fromkeys(tags, "the published tag")
        for target in matrix:
            tag = staging_tag(template, tags[0], target.platform, build)
            if tag in seen:
                raise self.layers.error(
                    "arch_tag", f"{template!r} gives {target.platform} the tag of {seen[tag]}: {tag}"
                )
            self._check("arch_tag", None, check_tag, tag)
            seen[tag] = str(target.platform)

    def _unique(self, name: str, values: Iterable[str]) -> None:
        values = list(values)
        for value in values:
            if values.count(value) > 1:
                raise self.layers.error(name, f"{value!r} is given twice")

    def _check(self, name: str, index: int | None, parse: Any, text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise self.layers.error(name, str(error), index) from None

"""From what was written to what holds: the joined layers of configuration become `Settings`, or an error.

Every error names the flag, variable or key, its value, and what is allowed.
"""

from __future__ import annotations

import math
import os
import re
import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.configuration import PREFIX, Block, Layers, join
from multiarch.errors import ConfigurationError
from multiarch.platforms import Platform
from multiarch.references import ImageReference, check_tag, is_loopback
from multiarch.settings import EMBEDDED_REGISTRY, Output, Settings, Target, staging_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FRONTENDS = ("dockerfile.v0", "gateway.v0")
_BUILDER_SCHEMES = ("tcp", "unix", "docker-container", "ssh", "podman-container", "kube-pod", "npipe")
_CACHES = ("none", "registry", "local", "inline")
_PLACEHOLDERS = ("tag", "platform", "architecture", "build")
# What BuildKit attests, and with which attributes where none are given.
_ATTESTATIONS = {"provenance": "mode=max", "sbom": ""}


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
    return _Reader(layers, environ.get("BUILDKIT_HOST") or None).settings(wanted, directory or Path.cwd())


@dataclass(frozen=True)
class _Reader:
    """Turns the typed block into values, or into the error that names the setting."""

    layers: Layers
    buildkit_host: str | None

    @property
    def block(self) -> Block:
        return self.layers.block

    def settings(self, narrowed: Iterable[str] | None, directory: Path) -> Settings:
        block = self.block
        images = tuple(self._image(text, index) for index, text in enumerate(block.image))
        embedded = not images
        if embedded:
            name = re.sub(r"[^a-z0-9]+", "-", directory.name.lower()).strip("-") or "app"
            images = (ImageReference(EMBEDDED_REGISTRY, name),)
        if not block.tags:
            raise self.layers.error("tags", "needs at least one tag")
        for index, tag in enumerate(block.tags):
            self._check("tags", index, check_tag, tag)
        self._unique("image", [str(image) for image in images])
        self._unique("tags", block.tags)
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
        self._check_arch_tag(matrix)
        return Settings(
            images=images,
            embedded=embedded,
            tags=block.tags,
            matrix=matrix,
            context=block.context,
            labels=block.labels,
            secrets=self._secrets(),
            ssh=self._ssh(),
            cache=block.cache,
            no_cache=block.no_cache,
            pull=block.pull,
            frontend=block.frontend,
            source=block.source,
            output=self._output(),
            attestations=self._attestations(),
            annotations=block.annotations,
            allow_dropping=block.allow_dropping,
            smoke_seconds=block.smoke_seconds,
            insecure_registries=block.insecure_registries,
            arch_tag=block.arch_tag,
            build=block.build,
            buildkit_host=self._builder("BUILDKIT_HOST", self.buildkit_host),
            address=self._address(),
            recreate=block.recreate,
            dest=block.dest,
            installer=block.installer,
            buildkit_image=block.buildkit_image,
            retry_seconds=block.retry_seconds,
            jobs=block.jobs,
            keep_going=block.keep_going,
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

    def _image(self, text: str, index: int) -> ImageReference:
        image: ImageReference = self._check("image", index, ImageReference.parse, text)
        if image.tag or image.digest:
            raise self.layers.error(
                "image", f"{text!r} must not have a tag or digest: tags go into multiarch.tags", index
            )
        return image

    def _output(self) -> Output:
        kind, comma, rest = self.block.output.partition(",")
        key, _, dest = rest.partition("=")
        if kind not in ("image", "oci", "local") or (comma and (key != "dest" or not dest)):
            raise self.layers.error("output", f"{self.block.output!r} is none of image, oci,dest=FILE, local,dest=DIR")
        if kind == "image" and dest:
            raise self.layers.error("output", "image is pushed to a registry and takes no dest")
        if kind != "image" and not dest:
            raise self.layers.error("output", f"{kind} needs a place to write to: {kind},dest=PATH")
        return Output(type=kind, dest=dest or None)

    def _attestations(self) -> dict[str, str]:
        """Read ``[provenance, sbom]``, where an item may also be a mapping of the type to BuildKit's attributes."""
        read: dict[str, str] = {}
        for index, item in enumerate(self.block.attestations):
            for kind, attributes in ({item: _ATTESTATIONS.get(item, "")} if isinstance(item, str) else item).items():
                if kind not in _ATTESTATIONS:
                    known = " and ".join(_ATTESTATIONS)
                    raise self.layers.error("attestations", f"{kind!r} is no attestation (known: {known})", index)
                if kind in read:
                    raise self.layers.error("attestations", f"{kind!r} is given twice", index)
                if wrong := [part for part in attributes.split(",") if attributes and not part.partition("=")[2]]:
                    problem = f"{wrong[0]!r} of {kind} is no name=value, such as mode=max"
                    raise self.layers.error("attestations", problem, index)
                read[kind] = attributes
        return read

    def _secrets(self) -> dict[str, tuple[str, str]]:
        """Read ``env:NAME`` and ``file:PATH``; what else stands there may be the secret itself, and is not shown."""
        read: dict[str, tuple[str, str]] = {}
        for name, text in self.block.secrets.items():
            kind, _, place = text.partition(":")
            if kind not in ("env", "file") or not place or not name:
                raise ConfigurationError(f"{self.layers.where('secrets')}.{name}", "expected env:NAME or file:PATH")
            read[name] = ("env", place) if kind == "env" else ("src", os.path.expanduser(place))  # noqa: PTH111 (it leaves ~nobody as it is)
        return read

    def _ssh(self) -> dict[str, str]:
        """Read ``default`` and ``ID=PATH``."""
        read: dict[str, str] = {}
        for index, text in enumerate(self.block.ssh):
            name, equals, path = text.partition("=")
            if (text != "default" and not (name and path)) or "," in path:
                raise self.layers.error("ssh", f"{text!r} is neither default nor ID=PATH, of a socket or a key", index)
            if name in read:
                raise self.layers.error("ssh", f"{name!r} is given twice", index)
            read[name] = os.path.expanduser(path) if equals else ""  # noqa: PTH111 (as above)
        return read

    def _address(self) -> str | None:
        """Check where the server may listen: an open BuildKit port is root for whoever reaches it."""
        address = self.block.address
        if not address:
            return None
        scheme, _, rest = address.partition("://")
        if scheme == "tcp":
            host, _, port = rest.rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise self.layers.error("address", f"{address!r} needs a host and a port: tcp://127.0.0.1:1234")
            if not is_loopback(host):
                raise self.layers.error(
                    "address", f"{address!r} would give root to whoever reaches it; use tcp://127.0.0.1:{port}"
                )
        elif address != "docker-container://buildkit" and not (
            scheme == "unix" and rest.startswith("/") and rest.endswith("/buildkitd.sock")
        ):
            allowed = "tcp://127.0.0.1:PORT, docker-container://buildkit, unix:///DIR/buildkitd.sock"
            raise self.layers.error("address", f"{address!r} is none of {allowed}")
        return address

    def _builder(self, where: str, address: str | None) -> str | None:
        if address and address.partition("://")[0] not in _BUILDER_SCHEMES:
            schemes = ", ".join(f"{scheme}://" for scheme in _BUILDER_SCHEMES)
            raise ConfigurationError(where, f"builder {address!r} does not start with one of {schemes}")
        return address or None

    def _check_arch_tag(self, matrix: tuple[Target, ...]) -> None:
        template = self.block.arch_tag
        try:
            fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
        except ValueError as error:
            raise self.layers.error("arch_tag", f"{template!r}: {error}") from None
        names = [f"{name}{'!' if how else ''}{how or ''}{':' if spec else ''}{spec}" for _, name, spec, how in fields]
        if unknown := [name for name in names if name not in _PLACEHOLDERS]:
            raise self.layers.error(
                "arch_tag", f"{template!r}: unknown {{{unknown[0]}}} (known: {', '.join(_PLACEHOLDERS)})"
            )
        if "build" in names and not self.block.build:
            raise self.layers.error(
                "arch_tag", f"{template!r} uses {{build}}, and multiarch.build ({PREFIX}BUILD) is not set"
            )
        seen: dict[str, str] = dict.fromkeys(self.block.tags, "the published tag")
        for target in matrix:
            tag = staging_tag(template, self.block.tags[0], target.platform, self.block.build)
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

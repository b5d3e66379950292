"""From what is written to what holds: the joined layers of configuration become `Settings`, or an error.

Every error names the flag, variable or key, its value, and what is allowed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.config.build_values import ValueReader, pairs_of_flags
from multiarch.config.builders import read_builders, read_host
from multiarch.config.checkout import Checkout
from multiarch.config.entitlements import read_entitlements
from multiarch.config.exporter import read_epoch, read_exporter
from multiarch.config.layers import Layers, join
from multiarch.config.matrix import read_matrix, read_staging
from multiarch.config.push import Push
from multiarch.config.server_settings import BuilderSettings, EmbeddedRegistry
from multiarch.config.servers import read_buildkitd, read_container_name
from multiarch.config.settings import (
    BuildSettings,
    CacheKind,
    CISettings,
    OutputKind,
    PublishSettings,
    Secret,
    SecretKind,
    Settings,
)
from multiarch.config.signing import read_signing
from multiarch.config.smoke import read_smoke
from multiarch.config.tag_settings import read_sources, read_tags
from multiarch.config.values import (
    cache_here,
    read_address,
    read_attestations,
    read_cache,
    read_output,
    read_secrets,
    read_ssh,
)
from multiarch.errors import ConfigurationError
from multiarch.image.reference import ImageReference, lower_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multiarch.config.schema import Block

_FRONTENDS = ("dockerfile.v0", "gateway.v0")


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
    wanted, pairs = flags.get("platforms") or None, pairs_of_flags(flags)
    layers = join(configured, environ, {n: value for n, value in flags.items() if n != "platforms" and n not in pairs})
    checkout = Checkout(environ, directory or working_directory())
    return read_settings(layers, environ, checkout, pairs, wanted)


def read_settings(
    layers: Layers,
    environ: Mapping[str, str],
    checkout: Checkout,
    pairs: Mapping[str, Mapping[str, str]],
    platforms: Iterable[str] | None,
    target: str = "",
) -> Settings:
    """Return the settings of one image.

    :param environ: variables.
    :param pairs: by setting, those of flags.
    :param platforms: those of ``--platform``, which narrow the matrix; None for all of it.
    :param target: its name, where the project has several; it may have no tags then.
    :raises ConfigurationError: naming the flag, variable or key, its value, and what is allowed.
    """
    return _Reader(layers, environ, checkout, pairs, target).settings(platforms)


def working_directory() -> Path:
    """Return the working directory. :raises ConfigurationError: it is gone."""
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigurationError("the working directory", f"{error.strerror}; change to another one") from None


@dataclass(frozen=True)
class _Reader:
    """Turns the typed block into values, or into the error that names the setting."""

    layers: Layers
    environ: Mapping[str, str] = field(repr=False)
    checkout: Checkout
    pairs: Mapping[str, Mapping[str, str]]
    target: str
    notes: list[str] = field(default_factory=list)

    @property
    def block(self) -> Block:
        return self.layers.block

    def settings(self, narrowed: Iterable[str] | None) -> Settings:
        """Return the settings. :param narrowed: the platforms of ``--platform``; None for all that are written."""
        images = self._images()
        sources, secrets = read_sources(self.layers, self.checkout), read_secrets(self.layers)
        tags = read_tags(self.layers, sources, self.target)
        hidden = frozenset(secret.place for secret in secrets.values() if secret.kind is SecretKind.VARIABLE)
        epoch, problem = read_epoch(self.layers, self.checkout)
        values = ValueReader(sources, self.environ, self.pairs, hidden, epoch)
        if problem:
            values.problems["build_args"] = problem
        build = self.block.build or self.checkout.build
        staging = read_staging(self.layers, images[0], tags.lasting, tags.names, build)
        matrix = read_matrix(self.layers, staging, values, narrowed, self.target)
        self._check_frontend()
        self._check_numbers()
        build_settings = self._build(secrets, values, pushes=not tags.withheld)
        push = Push(build_settings.output.kind is OutputKind.IMAGE, tags.withheld, tags.problem)
        return Settings(
            matrix=matrix,
            build=build_settings,
            publish=self._publish(images, tags.names, push, values),
            builder=self._builder_settings(),
            ci=CISettings(
                branches=self._branches(),
                cache=read_cache(self.layers),
                install=self._install(),
                dotenv=self.block.dotenv,
            ),
            retry_seconds=self.block.retry_seconds,
            variables=tuple(values.variables),
            notes=tuple(self.notes),
        )

    def _images(self) -> tuple[ImageReference, ...]:
        images = tuple(self._image("image", text, index) for index, text in enumerate(self.block.image))
        if not images:
            name = re.sub(r"[^a-z0-9]+", "-", self.checkout.directory.name.lower()).strip("-") or "app"
            name = f"{name}/{self.target.lower()}" if self.target else name
            images = (ImageReference(self._embedded().host, name),)
        self.layers.check_unique("image", [str(image) for image in images])
        return images

    def _embedded(self) -> EmbeddedRegistry:
        port = self.block.registry_port
        if not 0 < port < 65536:
            raise self.layers.error("registry_port", f"expected a port, 1 to 65535, got {port}")
        container = read_container_name(self.layers, "registry_container")
        return EmbeddedRegistry(container, port, self.block.registry_image)

    def _build(self, secrets: Mapping[str, Secret], values: ValueReader, *, pushes: bool) -> BuildSettings:
        block = self.block
        labels = values.read("labels", self.layers.where("labels"), block.labels)
        cache, note, problem = cache_here(self.layers, self.checkout)
        self.notes.extend([note] if note else [])
        output = read_output(self.layers, pushes=pushes)
        return BuildSettings(
            labels={**self.checkout.labels, **labels},
            secrets=secrets,
            ssh=read_ssh(self.layers),
            cache=cache,
            cache_image=self._cache_image(),
            no_cache=block.no_cache,
            pull=block.pull,
            frontend=block.frontend,
            source=block.source,
            output=output,
            exporter=read_exporter(self.layers),
            attestations=read_attestations(self.layers, output),
            keep_going=block.keep_going,
            only_changed=block.only_changed,
            resume=block.resume,
            problem=values.problems.get("build_args") or values.problems.get("labels") or problem,
        )

    def _publish(
        self, images: tuple[ImageReference, ...], tags: tuple[str, ...], push: Push, values: ValueReader
    ) -> PublishSettings:
        annotations = values.read("annotations", self.layers.where("annotations"), self.block.annotations)
        return PublishSettings(
            images=images,
            embedded=None if self.block.image else self._embedded(),
            tags=tags,
            push=push,
            annotations={**self.checkout.labels, **annotations},
            problem=values.problems.get("annotations", ""),
            # Each target hands over in a directory of its own.
            digests="/".join(filter(None, [self.block.digests, self.target])) if self.block.digests else None,
            arch_tag=self.block.arch_tag or "",
            keep_staging=self.block.keep_staging,
            add=self._added(),
            allow_dropping=self.block.allow_dropping,
            newer_wins=self.block.newer_wins,
            note_previous=self.block.note_previous,
            smoke=read_smoke(self.layers),
            sign=read_signing(self.layers),
            insecure_registries=self.block.insecure_registries,
        )

    def _builder_settings(self) -> BuilderSettings:
        return BuilderSettings(
            host=read_host("BUILDKIT_HOST", self.environ.get("BUILDKIT_HOST")),
            remote=tuple(read_builders(self.layers).values()),
            image=self.block.buildkit_image,
            container=read_container_name(self.layers, "buildkit_container"),
            buildkitd=read_buildkitd(self.layers),
            address=read_address(self.layers),
            recreate=self.block.recreate,
            dest=self.block.dest,
            installer=self.block.installer,
            entitlements=read_entitlements(self.layers),
            # An installer on the command line is meant to be used, whatever is registered.
            reinstall=self.block.reinstall or self.layers.origin.get("installer") == "--installer",
            probe_image=self.block.probe_image,
            emulate=self.block.emulate,
            jobs=self.block.jobs,
        )

    def _check_frontend(self) -> None:
        block = self.block
        if block.frontend not in _FRONTENDS:
            raise self.layers.error("frontend", f"{block.frontend!r} is none of {', '.join(_FRONTENDS)}")
        if block.frontend == "gateway.v0" and not block.source:
            raise self.layers.error(
                "frontend", "gateway.v0 needs the image of a frontend: --source docker/dockerfile:1"
            )
        if block.source and block.frontend != "gateway.v0":
            raise self.layers.error("source", "only goes with --frontend gateway.v0")

    def _check_numbers(self) -> None:
        block = self.block
        if not 0 <= block.retry_seconds < math.inf:
            raise self.layers.error("retry_seconds", f"expected seconds, 0 or more, got {block.retry_seconds}")
        if block.jobs < 0:
            raise self.layers.error("jobs", f"expected a number of slots, 1 or more, got {block.jobs}")

    def _cache_image(self) -> ImageReference | None:
        text = self.block.cache_image
        if not text:
            return None
        if self.block.cache != CacheKind.REGISTRY.value:
            raise self.layers.error("cache_image", f"only goes with cache: registry, not with {self.block.cache}")
        return self._image("cache_image", text)

    def _install(self) -> str | None:
        """Return the command that installs the tasks, which a pipeline's file holds; it may have several lines."""
        install = self.block.install
        if install and any(not line.isprintable() for line in install.split("\n")):
            raise self.layers.error("install", f"{install!r} holds control characters")
        return install

    def _branches(self) -> tuple[str, ...]:
        """Return the branches to publish from; what a CI would take for a pattern is none that all of them know."""
        for index, name in enumerate(self.block.branches):
            if not re.fullmatch(r"[\w./-]+", name):
                raise self.layers.error("branches", f"{name!r} is no plain name of a branch, such as main", index)
        return self.block.branches

    def _added(self) -> tuple[ImageReference, ...]:
        """Return the images of ``add``: a tag may point to another image tomorrow, so each has a digest."""
        added = []
        for index, text in enumerate(self.block.add):
            image: ImageReference = self.layers.check("add", index, ImageReference.parse, text)
            if not image.digest:
                raise self.layers.error("add", f"{text!r} must have a digest: IMAGE@sha256:…", index)
            added.append(image)
        self.layers.check_unique("add", [str(image) for image in added])
        return tuple(added)

    def _image(self, setting: str, text: str, index: int | None = None) -> ImageReference:
        lower = lower_case(text)
        if lower != text:
            self.notes.append(f"{self.layers.where(setting, index)}: {text} is {lower}: repositories are lower-case")
        image: ImageReference = self.layers.check(setting, index, ImageReference.parse, lower)
        if image.tag or image.digest:
            remedy = "tags go into multiarch.tags" if setting == "image" else "each platform's has its own tag"
            raise self.layers.error(setting, f"{text!r} must not have a tag or digest: {remedy}", index)
        return image

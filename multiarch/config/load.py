"""From what is written to what holds: the joined layers of configuration become `Settings`, or an error.

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
from multiarch.config.matrix import read_matrix, read_staging
from multiarch.config.plain import check_pairs
from multiarch.config.servers import EmbeddedRegistry, read_buildkitd, read_container_name
from multiarch.config.settings import (
    BuilderSettings,
    BuildSettings,
    CacheKind,
    CISettings,
    OutputKind,
    PublishSettings,
    Push,
    Settings,
)
from multiarch.config.tags import check_template, expand
from multiarch.config.values import read_address, read_attestations, read_builder, read_output, read_secrets, read_ssh
from multiarch.errors import ConfigurationError
from multiarch.image.reference import ImageReference, check_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multiarch.config.schema import Block

_FRONTENDS = ("dockerfile.v0", "gateway.v0")
# The tag where none applies; it is not pushed.
_UNTAGGED = "untagged"


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
    checkout = Checkout(environ, directory or _working_directory())
    return _Reader(layers, environ.get("BUILDKIT_HOST") or None, checkout).settings(wanted)


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigurationError("the working directory", f"{error.strerror}; change to another one") from None


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
        images = self._images()
        tags = self._tags()
        untagged = "" if tags else self._untagged()
        staging = read_staging(self.layers, images[0], tags or (_UNTAGGED,), self.block.build or self.checkout.build)
        matrix = read_matrix(self.layers, staging, narrowed)
        self._check_names()
        self._check_frontend()
        self._check_numbers()
        in_ci = self.checkout.ci is not None
        withheld = "of a pull request" if self.checkout.is_pull_request else untagged if in_ci else ""
        build = self._build(pushes=not withheld)
        problem = f"{self.layers.where('tags')}: {untagged}; add one that does" if untagged else ""
        push = Push(build.output.kind is OutputKind.IMAGE, withheld, problem)
        return Settings(
            matrix=matrix,
            build=build,
            publish=self._publish(images, tags or (_UNTAGGED,), push),
            builder=self._builder_settings(),
            ci=CISettings(branches=self._branches(), install=self._install()),
            retry_seconds=self.block.retry_seconds,
        )

    def _images(self) -> tuple[ImageReference, ...]:
        images = tuple(self._image("image", text, index) for index, text in enumerate(self.block.image))
        if not images:
            name = re.sub(r"[^a-z0-9]+", "-", self.checkout.directory.name.lower()).strip("-") or "app"
            images = (ImageReference(self._embedded().host, name),)
        self.layers.check_unique("image", [str(image) for image in images])
        return images

    def _embedded(self) -> EmbeddedRegistry:
        port = self.block.registry_port
        if not 0 < port < 65536:
            raise self.layers.error("registry_port", f"expected a port, 1 to 65535, got {port}")
        container = read_container_name(self.layers, "registry_container")
        return EmbeddedRegistry(container, port, self.block.registry_image)

    def _build(self, *, pushes: bool) -> BuildSettings:
        block = self.block
        return BuildSettings(
            context=block.context,
            labels={**self.checkout.labels, **block.labels},
            secrets=read_secrets(self.layers),
            ssh=read_ssh(self.layers),
            cache=self._cache(),
            cache_image=self._cache_image(),
            no_cache=block.no_cache,
            pull=block.pull,
            frontend=block.frontend,
            source=block.source,
            output=read_output(self.layers, pushes=pushes),
            attestations=read_attestations(self.layers),
            keep_going=block.keep_going,
        )

    def _publish(self, images: tuple[ImageReference, ...], tags: tuple[str, ...], push: Push) -> PublishSettings:
        return PublishSettings(
            images=images,
            embedded=None if self.block.image else self._embedded(),
            tags=tags,
            push=push,
            annotations={**self.checkout.labels, **self.block.annotations},
            allow_dropping=self.block.allow_dropping,
            smoke_seconds=self.block.smoke_seconds,
            insecure_registries=self.block.insecure_registries,
        )

    def _builder_settings(self) -> BuilderSettings:
        return BuilderSettings(
            host=read_builder("BUILDKIT_HOST", self.buildkit_host),
            image=self.block.buildkit_image,
            container=read_container_name(self.layers, "buildkit_container"),
            buildkitd=read_buildkitd(self.layers),
            address=read_address(self.layers),
            recreate=self.block.recreate,
            dest=self.block.dest,
            installer=self.block.installer,
            # An installer on the command line is meant to be used, whatever is registered.
            reinstall=self.block.reinstall or self.layers.origin.get("installer") == "--installer",
            probe_image=self.block.probe_image,
            jobs=self.block.jobs,
        )

    def _check_names(self) -> None:
        block, where = self.block, self.layers.where
        check_pairs(where("build_args"), block.build_args, "a build argument")
        check_pairs(where("labels"), block.labels, "a label")
        check_pairs(where("annotations"), block.annotations, "an annotation")

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
        if not 0 < block.smoke_seconds < math.inf:
            raise self.layers.error("smoke_seconds", f"expected seconds, more than 0, got {block.smoke_seconds}")
        if block.jobs < 0:
            raise self.layers.error("jobs", f"expected a number of slots, 1 or more, got {block.jobs}")

    def _cache(self) -> CacheKind:
        try:
            return CacheKind(self.block.cache)
        except ValueError:
            known = ", ".join(kind.value for kind in CacheKind)
            raise self.layers.error("cache", f"{self.block.cache!r} is none of {known}") from None

    def _cache_image(self) -> ImageReference | None:
        text = self.block.cache_image
        if not text:
            return None
        if self._cache() is not CacheKind.REGISTRY:
            raise self.layers.error("cache_image", f"only goes with cache: registry, not with {self.block.cache}")
        return self._image("cache_image", text)

    def _tags(self) -> tuple[str, ...]:
        """Return the tags to publish: those that apply to what is checked out, which may be none."""
        written = self.block.tags
        if not written:
            raise self.layers.error("tags", "needs at least one tag")
        for index, template in enumerate(written):
            self.layers.check("tags", index, check_template, template)
        self.layers.check_unique("tags", written)
        tags = expand(written, self.checkout)
        for tag in tags:
            self.layers.check("tags", written.index(tag) if tag in written else None, check_tag, tag)
        return tags

    def _untagged(self) -> str:
        """Return why there is no tag to publish."""
        here = f"{self.checkout.branch or 'no branch'}, {self.checkout.tag or 'no tag'}"
        return f"none of {', '.join(self.block.tags)} applies to what is checked out ({here})"

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

    def _image(self, setting: str, text: str, index: int | None = None) -> ImageReference:
        image: ImageReference = self.layers.check(setting, index, ImageReference.parse, text)
        if image.tag or image.digest:
            remedy = "tags go into multiarch.tags" if setting == "image" else "each platform's has its own tag"
            raise self.layers.error(setting, f"{text!r} must not have a tag or digest: {remedy}", index)
        return image

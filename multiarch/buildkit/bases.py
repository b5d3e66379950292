"""Bases: images of this project that others are built on, handed to their solves by digest.

A context ``base: target:base`` makes BuildKit's frontend take this very image where the Dockerfile says ``FROM base``
(BuildKit, frontend/dockerui/namedcontext.go), from the registry that it was pushed to, or where nothing is pushed from
a directory (OCI image-spec, image-layout.md). Each platform waits for its own platform of a base, and for no more.
"""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.config.settings import OutputKind
from multiarch.errors import BuildFailedError, ConfigurationError
from multiarch.paths import make_temporary_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from tempfile import TemporaryDirectory

    from multiarch.buildkit.status import Vertex
    from multiarch.config.project import Project, Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.platform import Leg, Platform
    from multiarch.image.reference import ImageReference

_LOADED = "load metadata for "  # in the name of the vertex that asks for a base image's config
_POLL = 0.2  # seconds between two looks at whether the run was stopped


class BuiltImage(Struct, frozen=True):
    """What was built for one platform: pushed to *repository*, or where nothing is pushed put into *layout*.

    Platforms that were built together have one digest: that of an index of all of them.
    """

    digest: str
    repository: ImageReference
    layout: Path | None = None

    def address(self, store: str) -> str:
        """Return what a named context takes. *store* is the name of the layout in the command."""
        return f"oci-layout://{store}@{self.digest}" if self.layout else f"docker-image://{self.reference}"

    @property
    def reference(self) -> ImageReference:
        """The image in its repository."""
        return self.repository.with_digest(self.digest) if self.digest else self.repository


class Base(Struct, frozen=True):
    """A base, as one platform of an image is built on it.

    :ivar context: what the Dockerfile calls it.
    :ivar target: its name in the project.
    :ivar platform: that of the image that is built on it.
    """

    context: str
    target: str
    platform: Platform
    image: BuiltImage


def words(bases: Sequence[Base]) -> list[str]:
    """Return the words of ``buildctl build`` that hand bases to it."""
    command: list[str] = []
    layouts: dict[Path, str] = {}
    for context in dict.fromkeys(base.context for base in bases):
        addresses = {}
        for base in (base for base in bases if base.context == context):
            store = ""
            if base.image.layout:
                store = layouts.setdefault(base.image.layout, f"base{len(layouts)}")
            addresses[base.platform] = base.image.address(store)
        if len(set(addresses.values())) > 1:
            for platform, address in addresses.items():
                command += ["--opt", f"context:{context}::{platform}={address}"]
        # Also for a stage of the builder's own platform, which has no entry of its own.
        command += ["--opt", f"context:{context}={next(iter(addresses.values()))}"]
    for layout, store in layouts.items():
        command += ["--oci-layout", f"{store}={layout}"]
    return command


def check_used(bases: Sequence[Base], entry: MatrixEntry, dockerfile: Path, vertices: Iterable[Vertex]) -> None:
    """Check that a solve that ended well has taken its bases from us, and from nowhere else.

    :param dockerfile: its path, for the error.
    :param vertices: those of the solve.
    :raises ConfigurationError: a context of the settings is none of the Dockerfile's names.
    """
    names = [vertex.name for vertex in vertices]
    for context in dict.fromkeys(base.context for base in bases):
        if any(name.startswith((f"[context {context}]", f"[context {context}::")) for name in names):
            continue
        loaded = [name.partition(_LOADED)[2] for name in names if _LOADED in name and "[context " not in name]
        instead = f"; it would be built on {', '.join(dict.fromkeys(loaded))}" if loaded else ""
        problem = f"nothing in {dockerfile} names {context}{instead}"
        raise ConfigurationError(f"multiarch.targets.{entry.target}.contexts.{context}", problem)


class Bases:
    """What is built of a project, for what is built on it. Safe to use from several threads.

    :param stopped: ends all waiting.
    """

    def __init__(self, project: Project, stopped: threading.Event) -> None:
        self._project = project
        self._stopped = stopped
        self._changed = threading.Condition()
        self._built: dict[Leg, BuiltImage | None] = {}
        self._bases = {name for target in project for name in target.bases.values()}

    def layout(self, target: Target, entries: Sequence[MatrixEntry]) -> Path | None:
        """Return the directory for an image that others are built on, and that is not pushed; None for all others."""
        if target.name not in self._bases or target.settings.build.output.kind is OutputKind.IMAGE:
            return None
        return Path(self._directory.name) / "-".join([target.name, *(entry.platform.slug for entry in entries)])

    @cached_property
    def _directory(self) -> TemporaryDirectory[str]:
        """Where images that are not pushed wait; it goes with this object."""
        return make_temporary_directory()

    def built(self, entries: Sequence[MatrixEntry], image: BuiltImage | None) -> None:
        """Note what was built for some platforms of a target; None where that failed."""
        with self._changed:
            self._built |= dict.fromkeys((entry.leg for entry in entries), image)
            self._changed.notify_all()

    def image(self, leg: Leg) -> BuiltImage | None:
        """Return what was built for a leg; None where nothing was so far."""
        with self._changed:
            return self._built.get(leg)

    def needed(self, target: Target, entries: Sequence[MatrixEntry]) -> tuple[Base, ...]:
        """Return what these platforms are built on, as soon as it is built.

        :raises BuildFailedError: it failed, or the run was stopped.
        """
        return tuple(
            Base(context, name, entry.platform, self._wait_for(target, entry, self._project.target(name)))
            for context, name in target.bases.items()
            for entry in entries
        )

    def _wait_for(self, target: Target, entry: MatrixEntry, base: Target) -> BuiltImage:
        """Return the image of a base when it is built. :raises BuildFailedError: it failed, or the run was stopped."""
        wanted = target.base_platform(base, entry.platform)
        leg = next(one.leg for one in base.settings.matrix if one.platform == wanted)
        with self._changed:
            while leg not in self._built:
                if self._stopped.is_set():
                    raise BuildFailedError(str(entry.leg), "stopped")
                self._changed.wait(_POLL)
            image = self._built[leg]
        if image is None:
            raise BuildFailedError(str(entry.leg), f"not built, because {leg} failed, which it is built on")
        return image

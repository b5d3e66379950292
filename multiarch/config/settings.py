"""The settings of a run: frozen, and valid, because `multiarch.config.load` alone makes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from multiarch.errors import EmptyMatrixError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference

# The CIs that a pipeline is written for.
CIS = ("travis", "github", "gitlab", "circleci")
# The document's name for the container of the server.
BUILDKIT_CONTAINER = "buildkit"
EMBEDDED_REGISTRY = "127.0.0.1:5001"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One platform of the matrix, with what is built for it.

    :ivar dockerfile: relative to the working directory; None means ``Dockerfile`` in the context (as docker build's).
    :ivar stage: the stage of the Dockerfile to build (``target``), None for the last.
    :ivar builder: a BuildKit that is used as it is, None for the local one.
    :ivar annotations: those of its entry in the index.
    :ivar smoke: what its image is tried with before a tag moves: the words after ``docker run IMAGE``; may be none.
    :ivar runners: by CI, what it calls a native machine for this platform.
    """

    platform: Platform
    dockerfile: str | None = None
    stage: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    builder: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    smoke: tuple[str, ...] = ()
    runners: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where a build goes: ``image`` (push), ``none``, ``oci`` (a tar file) or ``local`` (a directory)."""

    type: str = "image"
    dest: str | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a step may want to know.

    :ivar images: repositories to publish to, without tag; the platforms' images are pushed to the first.
    :ivar embedded: whether *images* is the registry we start ourselves, because none was configured.
    :ivar matrix: the platforms of this run.
    :ivar labels: those of the images' configs.
    :ivar secrets: by id, where BuildKit's client reads it: (``env``, a variable) or (``src``, a file).
    :ivar ssh: by id, a socket of an agent or a private key; empty for the agent of ``SSH_AUTH_SOCK``.
    :ivar cache: where the build cache is kept between builders: ``none``, ``registry``, ``local`` or ``inline``.
    :ivar no_cache: whether every step runs again.
    :ivar pull: whether base images are looked for at their registry also where the builder has them.
    :ivar attestations: by type (``provenance``, ``sbom``), their attributes as BuildKit takes them.
    :ivar annotations: those of the index.
    :ivar allow_dropping: whether a published tag may lose platforms.
    :ivar smoke_seconds: how long a smoke command may run.
    :ivar insecure_registries: hosts whose TLS may go unverified, or be missing.
    :ivar untagged: the error of tags of which none applies; they are a placeholder then.
    :ivar withheld: why a CI pushes nothing by default; empty where it does.
    :ivar build: what tells the builds of a CI apart.
    :ivar branches: from which a CI publishes, as it does from tags.
    :ivar install: the command by which a CI's job installs the tasks; None where it is not written.
    :ivar jobs: how many slots the builder has (`multiarch.buildkit.schedule`), 0 for as many as its host is large.
    :ivar keep_going: whether the other platforms are built to their end when one has failed.
    :ivar retry_seconds: how long one operation may be retried, in seconds.
    """

    images: tuple[ImageReference, ...]
    embedded: bool
    tags: tuple[str, ...]
    matrix: tuple[Target, ...]
    context: str
    labels: Mapping[str, str]
    secrets: Mapping[str, tuple[str, str]]
    ssh: Mapping[str, str]
    cache: str
    no_cache: bool
    pull: bool
    frontend: str
    source: str | None
    output: Output
    attestations: Mapping[str, str]
    annotations: Mapping[str, str]
    allow_dropping: bool
    smoke_seconds: float
    insecure_registries: tuple[str, ...]
    untagged: str
    withheld: str
    arch_tag: str
    build: str | None
    buildkit_host: str | None
    address: str | None
    recreate: bool
    dest: str | None
    installer: str
    buildkit_image: str
    retry_seconds: float
    jobs: int
    keep_going: bool
    branches: tuple[str, ...]
    install: str | None

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms of the matrix. :raises EmptyMatrixError: there are none."""
        if not self.matrix:
            raise EmptyMatrixError
        return tuple(target.platform for target in self.matrix)

    @property
    def pushes(self) -> bool:
        """Whether images go to a registry."""
        return self.output.type == "image"

    @property
    def local_platforms(self) -> tuple[Platform, ...]:
        """Those of the platforms that the local BuildKit builds: they have no builder of their own."""
        return tuple(p for p, target in zip(self.platforms, self.matrix, strict=True) if target.builder is None)

    @property
    def run_platforms(self) -> tuple[Platform, ...]:
        """Those whose programs the Docker host runs, because it builds them or tries their images."""
        matrix = zip(self.platforms, self.matrix, strict=True)
        return tuple(p for p, target in matrix if target.builder is None or target.smoke)

    @property
    def starts_buildkit(self) -> bool:
        """Whether something is built on the BuildKit that we start on the Docker host."""
        return bool(self.local_platforms) and not self.buildkit_host

    def staging(self, image: ImageReference, platform: Platform) -> ImageReference:
        """Return where *platform*'s image waits until the index is composed (the document's ``latest-arm``)."""
        return image.with_tag(staging_tag(self.arch_tag, self.tags[0], platform, self.build))


def staging_tag(template: str, tag: str, platform: Platform, build: str | None) -> str:
    """Fill in an ``arch_tag``."""
    return template.format(tag=tag, platform=platform.slug, architecture=platform.architecture, build=build)


def insecure_flag(settings: Settings, image: ImageReference) -> list[str]:
    """Return what docker's commands need for a registry without TLS."""
    return ["--insecure"] if image.is_loopback or image.registry in settings.insecure_registries else []

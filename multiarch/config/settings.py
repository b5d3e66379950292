"""The settings of a run: frozen, and valid, because `multiarch.config.load` alone makes them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct, field

from multiarch.ci import CIKind
from multiarch.errors import EmptyMatrixError, MultiarchError
from multiarch.image.platform import Leg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.builders import RemoteBuilder
    from multiarch.config.contexts import Context
    from multiarch.config.push import Push
    from multiarch.config.server_settings import BuilderSettings, EmbeddedRegistry
    from multiarch.config.signing import Signing
    from multiarch.config.smoke import SmokeSettings
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference

# The CIs that a pipeline is written for.
CIS = tuple(kind.value for kind in (CIKind.TRAVIS, CIKind.GITHUB, CIKind.GITLAB, CIKind.CIRCLECI))
BUILDKIT_CONTAINER = "buildkit"  # the document's name for the container of the server


class OutputKind(Enum):
    """Where a build goes."""

    IMAGE = "image"  # pushed to a registry
    NONE = "none"  # nowhere; built, and kept in the builder's cache alone
    DOCKER = "docker"  # loaded into the Docker host
    OCI = "oci"  # a tar file
    LOCAL = "local"  # a directory


class CacheKind(Enum):
    """Where the build cache is kept between builders (BuildKit, README, "Cache")."""

    NONE = "none"
    REGISTRY = "registry"
    LOCAL = "local"
    INLINE = "inline"
    GITHUB = "gha"  # the cache service of GitHub Actions, in its jobs alone


class SecretKind(Enum):
    """Where BuildKit's client reads a secret; the values are the keys of ``buildctl build --secret``."""

    VARIABLE = "env"
    FILE = "src"


class Output(Struct, frozen=True):
    """The output of a build. *dest* is the path to write to, None for the kinds that write none."""

    kind: OutputKind = OutputKind.IMAGE
    dest: str | None = None


class Secret(Struct, frozen=True):
    """A build secret: the name of a variable, or the path of a file; never the secret itself."""

    kind: SecretKind
    place: str


class MatrixEntry(Struct, frozen=True, kw_only=True):
    """One platform of the matrix, with what is built for it.

    :ivar staging: where its image waits until the index is composed (the document's ``latest-arm``).
    :ivar earlier: where the image of an earlier build is, for its inline cache: the staging tag, or the published tag
        where each build has staging tags of its own.
    :ivar context: what the Dockerfile copies from.
    :ivar contexts: named ones, in the place of images and stages of these names.
    :ivar dockerfile: relative to the working directory, or to a remote context; None means the context's own.
    :ivar stage: the stage of the Dockerfile to build (``target``), None for the last.
    :ivar builders: those elsewhere that may build it, the preferred first; none for the local one.
    :ivar annotations: those of its descriptor in the index.
    :ivar target: the name of the target; empty where the project has none.
    :ivar foreign: paths of programs in its image, or of directories of them, that are for another platform on purpose.
    :ivar smoke: the words after ``docker run IMAGE`` that its image is tried with; empty for no trial.
    :ivar runners: by CI, the label of a native machine for this platform.
    """

    platform: Platform
    staging: ImageReference
    earlier: ImageReference
    context: Context
    contexts: Mapping[str, Context] = field(default_factory=dict)
    dockerfile: str | None = None
    stage: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    builders: tuple[RemoteBuilder, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()
    smoke: tuple[str, ...] = ()
    runners: Mapping[str, str] = field(default_factory=dict)
    target: str = ""

    @property
    def leg(self) -> Leg:
        """The platform with the name of its target."""
        return Leg(self.platform, self.target)

    @property
    def is_local(self) -> bool:
        """Whether the local BuildKit builds it, as far as is known before builders are asked what they have."""
        return not any(self.platform in builder.platforms for builder in self.builders)


class _Checked(Struct, frozen=True, kw_only=True):
    """Settings with values that may be missing. :ivar problem: the error of one that is; empty where none is."""

    problem: str = ""

    def check(self) -> None:
        """Check that all values are known. :raises MultiarchError: a variable is not set."""
        if self.problem:
            raise MultiarchError(self.problem)


class BuildSettings(_Checked, frozen=True, kw_only=True):
    """What is built, alike for all platforms.

    :ivar labels: those of the images' configs.
    :ivar secrets: by id.
    :ivar ssh: by id, a socket of an agent or a private key; empty for the agent of ``SSH_AUTH_SOCK``.
    :ivar cache_image: the repository of a cache at a registry, None for the first that is published to.
    :ivar no_cache: whether every vertex runs again.
    :ivar pull: whether base images are resolved at their registry also where the builder has them.
    :ivar source: the image of the frontend, None for one that BuildKit has built in.
    :ivar exporter: attributes of an image's output, as BuildKit's exporters take them.
    :ivar attestations: by type (``provenance``, ``sbom``), their attributes as BuildKit takes them.
    :ivar keep_going: whether the other platforms are built to their end when one has failed.
    :ivar only_changed: whether targets are left out that are published as they would be built now.
    :ivar resume: whether platforms are taken from their staging tags that were built from what is here now.
    """

    labels: Mapping[str, str]
    secrets: Mapping[str, Secret]
    ssh: Mapping[str, str]
    cache: CacheKind
    cache_image: ImageReference | None
    no_cache: bool
    pull: bool
    frontend: str
    source: str | None
    output: Output
    exporter: tuple[str, ...]
    attestations: Mapping[str, str]
    keep_going: bool
    only_changed: bool
    resume: bool


class PublishSettings(_Checked, frozen=True, kw_only=True):
    """What is published, and where.

    :ivar images: repositories to publish to, without tag; the platforms' images are pushed to the first.
    :ivar embedded: the registry of *images* that we start ourselves, because none was configured; None with another.
    :ivar tags: those to move; one placeholder where none applies.
    :ivar annotations: those of the index.
    :ivar digests: the directory in which jobs hand over digests; None where they do it under staging tags.
    :ivar arch_tag: how staging tags are made, empty for the usual ways; *keep_staging*: whether they stay at the end.
    :ivar add: images that were built elsewhere, by digest, which the index lists too.
    :ivar allow_dropping: whether a published tag may lose platforms.
    :ivar newer_wins: whether a tag stays that is of a newer commit.
    :ivar note_previous: whether an index names what its tags were before. :ivar sign: who signs; None for nobody.
    :ivar insecure_registries: hosts whose TLS may go unverified, or be missing.
    """

    images: tuple[ImageReference, ...]
    embedded: EmbeddedRegistry | None
    tags: tuple[str, ...]
    push: Push
    annotations: Mapping[str, str]
    digests: str | None
    arch_tag: str
    keep_staging: bool
    add: tuple[ImageReference, ...]
    allow_dropping: bool
    newer_wins: bool
    note_previous: bool
    smoke: SmokeSettings
    sign: Signing | None
    insecure_registries: tuple[str, ...]

    @property
    def registries(self) -> list[str]:
        """The registry of each repository."""
        return [image.registry for image in self.images]

    @property
    def references(self) -> tuple[ImageReference, ...]:
        """Each tag of each repository."""
        return tuple(image.with_tag(tag) for image in self.images for tag in self.tags)

    def insecure_flag(self, image: ImageReference) -> list[str]:
        """Return the flag that docker's commands need for a registry without TLS."""
        return ["--insecure"] if image.is_loopback or image.registry in self.insecure_registries else []


class CISettings(Struct, frozen=True, kw_only=True):
    """The CI, and the pipeline that is written for it.

    :ivar branches: from which a CI publishes, as it does from tags.
    :ivar cache: the cache that the settings ask for; here there may be none of that kind.
    :ivar install: the command by which a job of the CI installs the tasks; None where none is written.
    :ivar dotenv: the file of variables that a job of GitLab hands on; None for none.
    """

    branches: tuple[str, ...]
    cache: CacheKind
    install: str | None
    dotenv: str | None


class Settings(Struct, frozen=True, kw_only=True):
    """Everything a step may want to know.

    :ivar matrix: the platforms of this run.
    :ivar retry_seconds: how long one operation may be retried, in seconds.
    :ivar variables: those that build arguments, labels and annotations are taken from.
    :ivar notes: what was taken otherwise than it is written.
    """

    matrix: tuple[MatrixEntry, ...]
    build: BuildSettings
    publish: PublishSettings
    builder: BuilderSettings
    ci: CISettings
    retry_seconds: float
    variables: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def registries(self) -> tuple[str, ...]:
        """The hosts that something is pushed to, that of the first repository first."""
        cache = self.build.cache_image
        return tuple(dict.fromkeys(image.registry for image in (*self.publish.images, *([cache] if cache else []))))

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms of the matrix. :raises EmptyMatrixError: there are none."""
        if not self.matrix:
            raise EmptyMatrixError
        return tuple(entry.platform for entry in self.matrix)

    @property
    def staging(self) -> dict[Platform, ImageReference]:
        """The staging tag of each platform. :raises EmptyMatrixError: there is no platform."""
        self.platforms  # noqa: B018 (an empty matrix is an error)
        return {entry.platform: entry.staging for entry in self.matrix}

    @property
    def local_platforms(self) -> tuple[Platform, ...]:
        """The platforms that the local BuildKit builds: no builder elsewhere has them."""
        self.platforms  # noqa: B018 (an empty matrix is an error)
        return tuple(entry.platform for entry in self.matrix if entry.is_local)

    @property
    def starts_buildkit(self) -> bool:
        """Whether something is built on the BuildKit that we start on the Docker host."""
        return bool(self.local_platforms) and not self.builder.host

    @property
    def tries_images(self) -> bool:
        """Whether any of the images is run on the Docker host before it is published."""
        return any(entry.smoke for entry in self.matrix if entry.is_local)

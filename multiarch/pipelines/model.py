"""A release cut into the jobs of a CI: one model, from which a writer for each CI makes its file.

Stage *build* has a job for each platform (steps 1 to 4), stage *publish* one (step 5). Each job is a machine of its
own; nothing passes between them but what is in the registry, under staging tags with the number of the build.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from multiarch.config.schema import PREFIX
from multiarch.config.settings import CacheKind, SecretKind
from multiarch.errors import EmptyMatrixError
from multiarch.image.platform import runs_natively
from multiarch.registry.credentials import variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.settings import MatrixEntry, Settings

# The repository, where the settings leave it to the CI.
IMAGE = f"{PREFIX}IMAGE"
# What the machines of all four CIs are where nothing else is said.
_MACHINE = "x86_64"


@dataclass(frozen=True, kw_only=True)
class Build:
    """The job that builds one platform.

    :ivar platform: as Docker writes it; the name of the job too.
    :ivar runner: what the CI calls the machine that it runs on; None for its usual one.
    :ivar emulated: whether that machine needs an emulator.
    :ivar builder: whether a BuildKit elsewhere builds it, so that none is started here.
    """

    platform: str
    runner: str | None
    emulated: bool
    builder: bool


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What the jobs do, for any CI.

    :ivar program: by which the tasks are run: ``invoke``, or ``multiarch`` where there is no tasks.py.
    :ivar install: the command that installs them.
    :ivar branches: from which is published, as it is from tags.
    :ivar tried: the platforms whose images are run before they are published, and need an emulator there.
    :ivar logins: by registry, that of the first repository first, the variables of its user and its password.
    :ivar build_secrets: the variables that the builds take secrets from.
    :ivar needs_image: whether the repository is left to the CI's settings, as a variable.
    :ivar variables: settings that hold for a CI, whose machines begin with nothing.
    """

    program: str
    install: str
    builds: tuple[Build, ...]
    branches: tuple[str, ...]
    tried: tuple[str, ...]
    logins: Mapping[str, tuple[str, str]]
    build_secrets: tuple[str, ...]
    needs_image: bool
    variables: Mapping[str, str]

    def prepare(self, build: Build, platform: str) -> list[str]:
        """Return the commands before a build: an emulator where one is needed, a server where none is elsewhere.

        :param platform: how the job calls its platform: by its name, or by a variable.
        """
        emulate = [f"{self.program} setup-binfmt --platform {platform}"] if build.emulated else []
        start = [] if build.builder else [f"{self.program} start-buildkit --platform {platform}"]
        return [*emulate, *start, f"{self.program} copy-buildctl"]

    def build(self, platform: str) -> str:
        """Return the command that builds, and pushes under the staging tag."""
        return f"{self.program} build-arch --platform {platform}"

    @property
    def most(self) -> Build:
        """A build that needs all the commands that any of them needs."""
        return max(self.builds, key=lambda build: (build.emulated, not build.builder))

    @property
    def some_elsewhere(self) -> bool:
        """Whether some are built here, and some elsewhere."""
        return len({build.builder for build in self.builds}) > 1

    @property
    def try_out(self) -> list[str]:
        """What the publishing job needs to run the images: commands."""
        words = " ".join(f"--platform {platform}" for platform in self.tried)
        return [f"{self.program} setup-binfmt {words}"] if self.tried else []

    @property
    def publish(self) -> str:
        """The command that publishes."""
        return f"{self.program} manifest"

    def secrets(self, *, given: str = "") -> list[str]:
        """Return the names of the secrets that a CI is to be told.

        :param given: a registry whose credentials the CI gives to its jobs by itself.
        """
        logins = [name for registry, names in self.logins.items() if registry != given for name in names]
        return [*logins, *self.build_secrets]

    def told(self, *, given: str = "") -> str:
        """Return what is to be set at a CI that has secrets and other variables in one place."""
        return ", ".join([*([IMAGE] if self.needs_image else []), *self.secrets(given=given)])


def plan(settings: Settings, ci: str, *, program: str) -> Pipeline:
    """Return the jobs of a release on a CI, one of `multiarch.config.settings.CIS`.

    :param program: by which the tasks are run.
    :raises EmptyMatrixError: there is nothing to build.
    """
    if not settings.matrix:
        raise EmptyMatrixError
    builds = []
    for entry in settings.matrix:
        runner = entry.runners.get(ci)
        here = entry.builder is None and runner is None
        emulated = here and _is_foreign(entry)
        builds.append(
            Build(platform=str(entry.platform), runner=runner, emulated=emulated, builder=entry.builder is not None)
        )
    publish = settings.publish
    registries = ["docker.io"] if publish.embedded else [image.registry for image in publish.images]
    return Pipeline(
        program=program,
        install=settings.ci.install,
        builds=tuple(builds),
        branches=settings.ci.branches,
        tried=tuple(str(entry.platform) for entry in settings.matrix if entry.smoke and _is_foreign(entry)),
        logins=variables(registries),
        build_secrets=tuple(s.place for s in settings.build.secrets.values() if s.kind is SecretKind.VARIABLE),
        needs_image=settings.publish.embedded,
        # A cache of this machine would be gone with it.
        variables={f"{PREFIX}CACHE": "registry"} if settings.build.cache in (CacheKind.NONE, CacheKind.LOCAL) else {},
    )


def _is_foreign(entry: MatrixEntry) -> bool:
    return not runs_natively(entry.platform, _MACHINE)

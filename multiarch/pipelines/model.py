"""Model of a release that is cut into the jobs of a CI; a writer for each CI makes its file from it.

Stage *build* has a job for each platform (steps 1 to 4), stage *publish* one (step 5). Each job has a machine of its
own; they share only the registry, where images wait under staging tags with the number of the build.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from multiarch.ci import CIKind
from multiarch.config.schema import PREFIX
from multiarch.config.settings import CacheKind, SecretKind
from multiarch.errors import EmptyMatrixError
from multiarch.image.platform import runs_natively
from multiarch.pipelines.install import pinned_install
from multiarch.registry.credentials import variables as login_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.settings import MatrixEntry, Settings

# The variable that names the repository, where the settings leave it to the CI.
IMAGE = f"{PREFIX}IMAGE"
# The CIs whose jobs hand over files by what the file says; on the others the images wait under staging tags.
_WITH_ARTIFACTS = (CIKind.GITHUB.value, CIKind.GITLAB.value)
# The architecture of the usual machine of all four CIs.
_MACHINE = "x86_64"


class Purpose(Enum):
    """Reason for a command before a build, by which a CI's file may make it conditional."""

    EMULATOR = "emulator"
    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True)
class Command:
    """Command before a build. :ivar text: as a shell takes it."""

    purpose: Purpose
    text: str


@dataclass(frozen=True)
class Login:
    """Variables in which a CI has the credentials of a registry."""

    registry: str
    username: str
    password: str


@dataclass(frozen=True, kw_only=True)
class Build:
    """Job that builds one platform.

    :ivar platform: as Docker writes it; the name of the job too.
    :ivar runner: the CI's label of the machine that it runs on; None for its usual one.
    :ivar emulated: whether that machine needs an emulator.
    :ivar has_builder: whether a BuildKit elsewhere builds it, so that none is started here.
    """

    platform: str
    runner: str | None
    emulated: bool
    has_builder: bool


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Jobs of a release on one CI.

    :ivar ci: its name, as ``--ci`` takes it.
    :ivar program: the program that runs the tasks: ``invoke``, or ``multiarch`` where there is no tasks.py.
    :ivar install: the command that installs them.
    :ivar branches: from which is published, as it is from tags.
    :ivar emulated_trials: the platforms whose images are tried before they are published, by an emulator.
    :ivar logins: one for each registry, that of the first repository first.
    :ivar build_secrets: the variables that the builds take secrets from.
    :ivar build_variables: the variables that build arguments, labels and annotations are taken from.
    :ivar needs_image: whether the repository is left to the CI's settings, as a variable.
    :ivar variables: settings that hold for a CI, whose machines begin with nothing.
    :ivar digests: the directory that the builds hand over to the job that publishes; None where they use staging tags.
    :ivar uses_github_cache: whether builds keep their cache in GitHub's own service.
    """

    ci: str
    program: str
    install: str
    builds: tuple[Build, ...]
    branches: tuple[str, ...]
    emulated_trials: tuple[str, ...]
    logins: tuple[Login, ...]
    build_secrets: tuple[str, ...]
    build_variables: tuple[str, ...]
    needs_image: bool
    variables: Mapping[str, str]
    uses_github_cache: bool
    digests: str | None

    @property
    def command(self) -> str:
        """The command that writes the file."""
        return f"{self.program} pipeline --ci {self.ci}"

    def prepare(self, build: Build, platform: str) -> list[Command]:
        """Return the commands before a build: an emulator where one is needed, a server where none is elsewhere.

        :param platform: its name, or the expression that stands for it in the file.
        """
        emulator = Command(Purpose.EMULATOR, f"{self.program} setup-binfmt --platform {platform}")
        server = Command(Purpose.SERVER, f"{self.program} start-buildkit --platform {platform}")
        client = Command(Purpose.CLIENT, f"{self.program} copy-buildctl")
        return [*([emulator] if build.emulated else []), *([] if build.has_builder else [server]), client]

    def build(self, platform: str) -> str:
        """Return the command that builds a platform, and pushes it under the staging tag.

        :param platform: as for `prepare`.
        """
        return f"{self.program} build-arch --platform {platform}"

    @property
    def fullest_build(self) -> Build:
        """A build that needs the commands of all others."""
        return max(self.builds, key=lambda build: (build.emulated, not build.has_builder))

    @property
    def has_mixed_builders(self) -> bool:
        """Whether some platforms are built by a BuildKit elsewhere, and others are not."""
        return len({build.has_builder for build in self.builds}) > 1

    @property
    def prepare_trials(self) -> list[str]:
        """The commands by which the publishing job can run the images."""
        flags = " ".join(f"--platform {platform}" for platform in self.emulated_trials)
        return [f"{self.program} setup-binfmt {flags}"] if self.emulated_trials else []

    @property
    def publish(self) -> str:
        """The command that publishes."""
        return f"{self.program} manifest"

    @property
    def public_variables(self) -> list[str]:
        """The names of the variables to set at the CI that are no secrets."""
        return [*([IMAGE] if self.needs_image else []), *self.build_variables]

    def secrets(self, *, provided: str = "") -> list[str]:
        """Return the names of the secrets to set at the CI.

        :param provided: a registry whose credentials the CI gives to its jobs by itself.
        """
        logins = [login for login in self.logins if login.registry != provided]
        return [*(name for login in logins for name in (login.username, login.password)), *self.build_secrets]

    def variables_to_set(self, *, provided: str = "") -> str:
        """Return the names to set at a CI that has secrets and other variables in one place.

        :param provided: as for `secrets`.
        """
        return ", ".join(
            [*([IMAGE] if self.needs_image else []), *self.build_variables, *self.secrets(provided=provided)]
        )


def plan(settings: Settings, ci: str, *, program: str) -> Pipeline:
    """Return the jobs of a release on a CI.

    :param ci: one of `multiarch.config.settings.CIS`.
    :param program: the program that runs the tasks.
    :raises EmptyMatrixError: there is nothing to build.
    :raises ConfigurationError: no command is known that installs the tasks.
    """
    if not settings.matrix:
        raise EmptyMatrixError
    uses_github_cache = settings.ci.cache is CacheKind.GITHUB and ci == CIKind.GITHUB.value
    is_shared = settings.ci.cache in (CacheKind.REGISTRY, CacheKind.INLINE)
    publish = settings.publish
    digests = publish.digests if ci in _WITH_ARTIFACTS else None
    variables = {} if uses_github_cache or is_shared else {f"{PREFIX}CACHE": "registry"}
    if publish.digests and not digests:
        variables[f"{PREFIX}DIGESTS"] = ""
    registries = ["docker.io"] if publish.embedded else list(settings.registries)
    return Pipeline(
        ci=ci,
        program=program,
        install=pinned_install() if settings.ci.install is None else settings.ci.install,
        builds=tuple(_build(entry, ci) for entry in settings.matrix),
        branches=settings.ci.branches,
        emulated_trials=tuple(str(entry.platform) for entry in settings.matrix if entry.smoke and _is_foreign(entry)),
        logins=tuple(Login(registry, *names) for registry, names in login_variables(registries).items()),
        build_secrets=tuple(s.place for s in settings.build.secrets.values() if s.kind is SecretKind.VARIABLE),
        build_variables=settings.variables,
        needs_image=settings.publish.embedded is not None,
        # A cache of this machine would be gone with it, and GitHub's is there alone.
        variables=variables,
        digests=digests,
        uses_github_cache=uses_github_cache,
    )


def _build(entry: MatrixEntry, ci: str) -> Build:
    """Return the job of a platform on a CI."""
    runner, has_builder = entry.runners.get(ci), not entry.is_local
    emulated = not has_builder and runner is None and _is_foreign(entry)
    return Build(platform=str(entry.platform), runner=runner, emulated=emulated, has_builder=has_builder)


def _is_foreign(entry: MatrixEntry) -> bool:
    """Whether the usual machine of a CI needs an emulator for a platform."""
    return not runs_natively(entry.platform, _MACHINE)

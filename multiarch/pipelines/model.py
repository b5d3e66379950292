"""Model of a release that is cut into the jobs of a CI; a writer for each CI makes its file from it.

Stage *build* has a job for each component, which is a platform of one image, or of targets that are built on each other
(steps 1 to 4), stage *publish* one for all of them (step 5). Each job has a machine of its own; they share only the
registry, where images wait under staging tags with the number of the build.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.ci import CIKind
from multiarch.config.components import components
from multiarch.config.schema import PREFIX
from multiarch.config.settings import CacheKind, SecretKind
from multiarch.errors import ConfigurationError, EmptyMatrixError
from multiarch.image.platform import runs_natively
from multiarch.pipelines.builder_secrets import check_directories, secrets_of
from multiarch.pipelines.component import Build
from multiarch.pipelines.install import pinned_install
from multiarch.registry.credentials import variables as login_variables

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from multiarch.config.project import Project
    from multiarch.config.settings import MatrixEntry, Settings

# The variable that names the repository, where the settings leave it to the CI.
IMAGE = f"{PREFIX}IMAGE"
# The CIs whose jobs hand over files by what the file says; on the others the images wait under staging tags.
_WITH_ARTIFACTS = (CIKind.GITHUB.value, CIKind.GITLAB.value)
# The architecture of the usual machine of all four CIs.
_MACHINE = "x86_64"
# The most jobs that build, by CI: of a matrix (docs.github.com, "Running variations of jobs in a workflow"), and of a
# build, with the job that publishes (docs.travis-ci.com, "Build Matrix"). A project of GitLab's free plan may have 500
# jobs in all pipelines that run (docs.gitlab.com, "GitLab.com settings"), here two of them. CircleCI tells of no limit.
_MOST_JOBS = {
    CIKind.GITHUB.value: 256,
    CIKind.TRAVIS.value: 199,
    CIKind.GITLAB.value: 200,
    CIKind.CIRCLECI.value: 256,
}


class Purpose(Enum):
    """Reason for a command before a build, by which a CI's file may make it conditional."""

    EMULATOR = "emulator"
    SERVER = "server"
    CLIENT = "client"


class Command(Struct, frozen=True):
    """Command before a build. :ivar text: as a shell takes it."""

    purpose: Purpose
    text: str


@dataclass(frozen=True)
class Login:
    """Variables in which a CI has the credentials of a registry."""

    registry: str
    username: str
    password: str


class Pipeline(Struct, frozen=True, kw_only=True):
    """Jobs of a release on one CI.

    :ivar ci: its name, as ``--ci`` takes it.
    :ivar program: the program that runs the tasks: ``invoke``, or ``multiarch`` where there is no tasks.py.
    :ivar install: the command that installs them.
    :ivar branches: from which is published, as it is from tags.
    :ivar emulated_trials: the platforms whose images are tried before they are published, by an emulator.
    :ivar trial_secrets: the variables of the builders elsewhere, where they try images before they are published.
    :ivar has_trials_elsewhere: whether they do.
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
    trial_secrets: tuple[str, ...]
    has_trials_elsewhere: bool
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

    def prepare(self, build: Build, flags: str) -> list[Command]:
        """Return the commands before a build: an emulator where one is needed, a server where none is elsewhere.

        :param flags: those of the build, or the expression that stands for them in the file.
        """
        emulator = Command(Purpose.EMULATOR, f"{self.program} setup-binfmt {flags}")
        server = Command(Purpose.SERVER, f"{self.program} start-buildkit {flags}")
        client = Command(Purpose.CLIENT, f"{self.program} copy-buildctl")
        return [*([emulator] if build.emulated else []), *([] if build.has_builder else [server]), client]

    def build(self, flags: str) -> str:
        """Return the command that builds a component, and pushes it under staging tags.

        :param flags: as for `prepare`.
        """
        return f"{self.program} build-arch {flags}"

    @property
    def has_targets(self) -> bool:
        """Whether the project has several images, so that each job says which are its."""
        return any(build.targets for build in self.builds)

    @property
    def fullest_build(self) -> Build:
        """A build that needs the commands of all others."""
        return max(self.builds, key=lambda build: (build.emulated, not build.has_builder))

    @property
    def has_mixed_builders(self) -> bool:
        """Whether some jobs have a BuildKit elsewhere, and others do not."""
        return len({build.has_builder for build in self.builds}) > 1

    @property
    def prepare_trials(self) -> list[str]:
        """The commands by which the publishing job can run the images, here or on builders elsewhere."""
        flags = " ".join(f"--platform {platform}" for platform in self.emulated_trials)
        emulator = [f"{self.program} setup-binfmt {flags}"] if self.emulated_trials else []
        return [*emulator, *([f"{self.program} copy-buildctl"] if self.has_trials_elsewhere else [])]

    @property
    def builder_secrets(self) -> tuple[str, ...]:
        """The variables of all builders elsewhere, each once."""
        return tuple(dict.fromkeys(name for build in self.builds for name in build.secrets))

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
        pairs = (name for login in logins for name in (login.username, login.password))
        return list(dict.fromkeys([*pairs, *self.build_secrets, *self.builder_secrets]))

    def variables_to_set(self, *, provided: str = "") -> str:
        """Return the names to set at a CI that has secrets and other variables in one place.

        :param provided: as for `secrets`.
        """
        return ", ".join(
            [*([IMAGE] if self.needs_image else []), *self.build_variables, *self.secrets(provided=provided)]
        )


def plan(project: Project, ci: str, *, program: str) -> Pipeline:
    """Return the jobs of a release on a CI.

    :param ci: one of `multiarch.config.settings.CIS`.
    :param program: the program that runs the tasks.
    :raises EmptyMatrixError: there is nothing to build.
    :raises ConfigurationError: no command is known that installs the tasks, or the CI does not take so many jobs.
    """
    settings = project.settings
    if not all(target.settings.matrix for target in project):
        raise EmptyMatrixError
    caches = [target.settings.ci.cache for target in project]
    uses_github_cache = CacheKind.GITHUB in caches and ci == CIKind.GITHUB.value
    is_shared = settings.ci.cache in (CacheKind.REGISTRY, CacheKind.INLINE)
    publish = settings.publish
    digests = publish.digests if ci in _WITH_ARTIFACTS else None
    variables = {} if uses_github_cache or is_shared else {f"{PREFIX}CACHE": "registry"}
    if publish.digests and not digests:
        variables[f"{PREFIX}DIGESTS"] = ""
    trials = [entry for target in project.asked_for for entry in target.settings.matrix if entry.smoke]
    check_directories(elsewhere := [entry for entry in trials if entry.builders])
    return Pipeline(
        ci=ci,
        program=program,
        install=pinned_install() if settings.ci.install is None else settings.ci.install,
        builds=_builds(project, ci),
        branches=settings.ci.branches,
        emulated_trials=tuple(dict.fromkeys(str(e.platform) for e in trials if e.is_local and _is_foreign(e))),
        # Which of them is there is asked of all that the project has.
        trial_secrets=secrets_of(project.matrix) if elsewhere else (),
        has_trials_elsewhere=bool(elsewhere),
        logins=_logins(settings),
        build_secrets=tuple(s.place for s in settings.build.secrets.values() if s.kind is SecretKind.VARIABLE),
        build_variables=settings.variables,
        needs_image=settings.publish.embedded is not None,
        # A cache of this machine would be gone with it, and GitHub's is there alone.
        variables=variables,
        digests=digests,
        uses_github_cache=uses_github_cache,
    )


def _logins(settings: Settings) -> tuple[Login, ...]:
    registries = ["docker.io"] if settings.publish.embedded else list(settings.registries)
    return tuple(Login(registry, *names) for registry, names in login_variables(registries).items())


def _builds(project: Project, ci: str) -> tuple[Build, ...]:
    """Return the jobs that build. :raises ConfigurationError: there are more than the CI takes."""
    asked_for = {target.name for target in project.asked_for}
    builds = tuple(_build(component, asked_for, ci) for component in components(project))
    if len(builds) > _MOST_JOBS[ci]:
        problem = f"{len(builds)} jobs would build them, a platform each, and {ci} takes {_MOST_JOBS[ci]}"
        remedy = "divide the project, or name fewer of them in groups.default"
        raise ConfigurationError("multiarch.targets", f"{problem}; {remedy}")
    return builds


def _build(component: Sequence[MatrixEntry], asked_for: Container[str], ci: str) -> Build:
    """Return the job of a component on a CI."""
    wanted = [entry for entry in component if entry.target in asked_for]
    platforms = dict.fromkeys(str(entry.platform) for entry in wanted)
    local = [entry for entry in component if entry.is_local]
    # A native machine is one for a platform, and is that for all targets.
    runners = [entry.runners[ci] for entry in (*wanted, *component) if ci in entry.runners]
    runner = runners[0] if runners and len({entry.platform for entry in component}) == 1 else None
    if runner is None:
        check_directories(component)
    return Build(
        platforms=tuple(platforms),
        targets=tuple(dict.fromkeys(entry.target for entry in wanted if entry.target)),
        runner=runner,
        emulated=runner is None and any(map(_is_foreign, local)),
        has_builder=not local,
        secrets=secrets_of(component),
    )


def _is_foreign(entry: MatrixEntry) -> bool:
    """Whether the usual machine of a CI needs an emulator for a platform."""
    return not runs_natively(entry.platform, _MACHINE)

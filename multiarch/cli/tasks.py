"""The Invoke face of the steps: each a task with its flags. No logic."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.program import Program
from invoke.tasks import Task, task

from multiarch.cli.entry import VARIABLES, results, run_of, show
from multiarch.errors import ConfigurationError
from multiarch.version import __version__

if TYPE_CHECKING:
    from invoke.context import Context


_HELP = {
    "allow-dropping": "let the tag lose platforms that it has today",
    "address": "where the server listens: tcp://127.0.0.1:1234, docker-container://buildkit (default: private socket)",
    "context": "directory with what the Dockerfile copies (default: .)",
    "dest": "directory to put buildctl into (default: the user's cache)",
    "dockerfile": "path of the Dockerfile (default: Dockerfile in the context)",
    "frontend": "dockerfile.v0 or gateway.v0",
    "image": "repository to publish to, without tag; repeatable",
    "keep-going": "build the other platforms to their end when one has failed, and tell of all",
    "installer": "image that registers the emulators",
    "no-cache": "run every step again",
    "output": "image (push), none, oci,dest=FILE or local,dest=DIR",
    "platform": "platform of the matrix, such as linux/arm64; repeatable",
    "pull": "look for the base images at their registry, also where the builder has them",
    "quiet": "say nothing but what fails",
    "recreate": "replace a running server",
    "report": "write what happened when to FILE.html, a page, or FILE.json",
    "shell": "where a RUN fails, open a shell in the state before it; needs a terminal",
    "source": "image of the frontend, for gateway.v0",
    "tag": "tag to publish; repeatable",
    "verbose": "show each command and each request as it happens, with its time",
}


class _Task(Task[Any]):
    """Takes ``-h`` for no flag of its own: it is Invoke's, for help."""

    def arg_opts(self, name: str, default: str, taken_names: set[str]) -> dict[str, Any]:
        return super().arg_opts(name, default, taken_names | {"h"})


def _help(*names: str) -> dict[str, str]:
    return {name: _HELP[name] for name in names}


@task(iterable=["platform"], help=_help("platform", "installer", "verbose"))
def setup_binfmt(
    c: Context, platform: list[str] | None = None, installer: str | None = None, verbose: bool = False
) -> None:
    """Register emulators for the platforms that the Docker host cannot run itself (step 1)."""
    from multiarch.steps import setup_binfmt as binfmt

    with run_of(c, verbose=verbose, platforms=platform, installer=installer) as run:
        if c.config.run.dry:
            show(binfmt.commands(run.settings, os.uname().machine))
        else:
            results(binfmt.setup_binfmt(run.settings, run.host))


@task(iterable=["platform"], help=_help("platform", "address", "recreate", "verbose"))
def start_buildkit(
    c: Context,
    platform: list[str] | None = None,
    address: str | None = None,
    recreate: bool = False,
    verbose: bool = False,
) -> None:
    """Start the BuildKit server in a container, and print its address (step 2)."""
    from multiarch.steps import start_buildkit as buildkit

    with run_of(c, verbose=verbose, platforms=platform, address=address, recreate=recreate) as run:
        if c.config.run.dry:
            show(buildkit.commands(run.settings, os.uname().machine))
        else:
            results([buildkit.start_buildkit(run.settings, run.host)])


@task(help=_help("dest", "verbose"))
def copy_buildctl(c: Context, dest: str | None = None, verbose: bool = False) -> None:
    """Copy the BuildKit client out of the server's container, and print its path (step 3)."""
    from multiarch.steps import copy_buildctl as buildctl

    with run_of(c, verbose=verbose, dest=dest) as run:
        if c.config.run.dry:
            show(buildctl.commands(run.settings))
        else:
            results([buildctl.copy_buildctl(run.settings, run.host)])


@task(
    klass=_Task,
    iterable=["image", "tag"],
    help=_help("image", "tag", "context", "dockerfile", "output", "frontend", "source")
    | _help("no-cache", "pull", "report", "quiet", "verbose", "shell")
    | {"platform": "the platform to build, such as linux/arm64"},
)
def build_arch(
    c: Context,
    platform: str | None = None,
    image: list[str] | None = None,
    tag: list[str] | None = None,
    context: str | None = None,
    dockerfile: str | None = None,
    output: str | None = None,
    frontend: str | None = None,
    source: str | None = None,
    no_cache: bool = False,
    pull: bool = False,
    report: str | None = None,
    quiet: bool = False,
    verbose: bool = False,
    shell: bool = False,
) -> None:
    """Build and push the image of one platform, and print its digest (step 4)."""

    from multiarch.steps import build_arch as step

    where: dict[str, Any] = {"platforms": [platform] if platform else None, "image": image, "tags": tag}
    what = {"context": context, "dockerfile": dockerfile, "output": output, "frontend": frontend, "source": source}
    flags = where | what | {"no_cache": no_cache, "pull": pull}
    with run_of(c, task="build-arch", pushes=True, report=report, quiet=quiet, verbose=verbose, **flags) as run:
        settings = run.settings
        if len(settings.platforms) > 1:
            known = ", ".join(map(str, settings.platforms))
            raise ConfigurationError("--platform", f"build-arch builds one platform; pass one of {known}")
        target = settings.matrix[0]
        if c.config.run.dry:
            show(step.build_commands(settings, target))
        elif shell:
            from multiarch.steps.debug_shell import build_or_enter

            built = build_or_enter(run, target)
            results([built] if built else [])
        else:
            built = step.build_one(run, target)
            results([built] if built else [])


@task(
    iterable=["platform", "image", "tag"],
    help=_help("platform", "image", "tag", "allow-dropping", "quiet", "verbose")
    | {"inspect": "show what is published under the tag as a table, and write nothing"},
)
def manifest(
    c: Context,
    platform: list[str] | None = None,
    image: list[str] | None = None,
    tag: list[str] | None = None,
    allow_dropping: bool = False,
    inspect: bool = False,
    quiet: bool = False,
    verbose: bool = False,
) -> None:
    """Publish one tag over the images that build-arch pushed, and print its digest (step 5)."""
    where: dict[str, Any] = {"platforms": platform, "image": image, "tags": tag, "allow_dropping": allow_dropping}
    with run_of(c, pushes=not inspect, quiet=quiet, verbose=verbose, **where) as run:
        from multiarch.steps import manifest as publishing

        if c.config.run.dry:
            show(publishing.commands(run.settings, inspect=inspect))
        elif inspect:
            results(publishing.inspect(run))
        else:
            results(publishing.publish_staged(run))


@task(
    name="release",
    iterable=["platform", "image", "tag"],
    help=_help("platform", "image", "tag", "context", "dockerfile", "frontend", "source")
    | _help("no-cache", "pull", "keep-going", "allow-dropping", "report", "quiet", "verbose"),
)
def release_(
    c: Context,
    platform: list[str] | None = None,
    image: list[str] | None = None,
    tag: list[str] | None = None,
    context: str | None = None,
    dockerfile: str | None = None,
    frontend: str | None = None,
    source: str | None = None,
    no_cache: bool = False,
    pull: bool = False,
    keep_going: bool = False,
    allow_dropping: bool = False,
    report: str | None = None,
    quiet: bool = False,
    verbose: bool = False,
) -> None:
    """Do all of it: build every platform of the matrix, and publish one tag over them (steps 1 to 6)."""
    from multiarch.steps import release

    where: dict[str, Any] = {"platforms": platform, "image": image, "tags": tag}
    what = {"context": context, "dockerfile": dockerfile, "frontend": frontend, "source": source}
    flags = where | what | {"no_cache": no_cache, "pull": pull}
    flags |= {"keep_going": keep_going, "allow_dropping": allow_dropping}
    with run_of(c, task="release", pushes=True, report=report, quiet=quiet, verbose=verbose, **flags) as run:
        if c.config.run.dry:
            show(release.commands(run.settings))
            return
        published = release.release(run)
        for tag_ in published[:1]:
            for platform_ in run.settings.platforms:
                run.progress.say(f"run it: docker run --rm --platform {platform_} {tag_.reference}")
        results(published)


@task(
    klass=_Task,
    help={
        "ci": "travis, github, gitlab or circleci",
        "check": "only see whether the file is as it would be written; for Travis, whether it holds mistakes too",
    },
)
def pipeline(c: Context, ci: str = "", check: bool = False) -> None:
    """Write the file by which a CI runs the steps in jobs of its own, and print its path."""
    from multiarch.pipelines import update as pipeline_file

    with run_of(c) as run:
        here = Path.cwd()
        program = "invoke" if (here / "tasks.py").is_file() else "multiarch"
        if c.config.run.dry:
            results(pipeline_file.pipeline_text(run.settings, ci, here, program=program)[2].splitlines())
            return
        act = pipeline_file.check_pipeline if check else pipeline_file.write_pipeline
        path = act(run.settings, ci, here, program=program)
        results([path.relative_to(here)])


ns = Collection(setup_binfmt, start_buildkit, copy_buildctl, build_arch, manifest, release_, pipeline)
ns.configure({"run": {"env": dict(VARIABLES)}})


class _Program(Program):
    """The console script, for projects without a tasks.py: its configuration is the working directory's."""

    def parse_collection(self) -> None:
        super().parse_collection()
        self.config.set_project_location(str(Path.cwd()))
        self.config.load_project()


program = _Program(name="multiarch", binary="multiarch", namespace=ns, version=__version__)

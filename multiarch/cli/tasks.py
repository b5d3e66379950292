"""The Invoke face of the steps: each a task with its flags. No logic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.program import Program
from invoke.tasks import Task, task

from multiarch.cli.entry import perform, prepare, print_results, run_of
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
    "installer": "image that registers the emulators, in place of those that are registered",
    "no-cache": "run every step again",
    "output": "image (push), none, oci,dest=FILE or local,dest=DIR",
    "platform": "platform of the matrix, such as linux/arm64; repeatable",
    "pull": "look for the base images at their registry, also where the builder has them",
    "quiet": "say nothing but what fails",
    "recreate": "replace a running server",
    "reinstall": "replace emulators that are registered, such as old ones",
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


@task(iterable=["platform"], help=_help("platform", "installer", "reinstall", "verbose"))
def setup_binfmt(
    c: Context,
    platform: list[str] | None = None,
    installer: str | None = None,
    reinstall: bool = False,
    verbose: bool = False,
) -> None:
    """Register emulators for the platforms that the Docker host cannot run itself (step 1)."""
    from multiarch.steps import setup_binfmt as step

    perform(c, step, verbose=verbose, platforms=platform, installer=installer, reinstall=reinstall)


@task(iterable=["platform"], help=_help("platform", "address", "recreate", "verbose"))
def start_buildkit(
    c: Context,
    platform: list[str] | None = None,
    address: str | None = None,
    recreate: bool = False,
    verbose: bool = False,
) -> None:
    """Start the BuildKit server in a container, and print its address (step 2)."""
    from multiarch.steps import start_buildkit as step

    perform(c, step, verbose=verbose, platforms=platform, address=address, recreate=recreate)


@task(help=_help("dest", "verbose"))
def copy_buildctl(c: Context, dest: str | None = None, verbose: bool = False) -> None:
    """Copy the BuildKit client out of the server's container, and print its path (step 3)."""
    from multiarch.steps import copy_buildctl as step

    perform(c, step, verbose=verbose, dest=dest)


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
    from multiarch.steps import build_arch, debug_shell

    where: dict[str, Any] = {"platforms": [platform] if platform else None, "image": image, "tags": tag}
    what = {"context": context, "dockerfile": dockerfile, "output": output, "frontend": frontend, "source": source}
    flags = where | what | {"no_cache": no_cache, "pull": pull}
    how = {"task": "build-arch", "pushes": True, "report": report, "quiet": quiet, "verbose": verbose}
    perform(c, debug_shell if shell else build_arch, **how, **flags)


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
    from multiarch.steps import manifest, manifest_inspect

    where: dict[str, Any] = {"platforms": platform, "image": image, "tags": tag, "allow_dropping": allow_dropping}
    how = {"pushes": not inspect, "quiet": quiet, "verbose": verbose}
    perform(c, manifest_inspect if inspect else manifest, **how, **where)


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
    perform(c, release, task="release", pushes=True, report=report, quiet=quiet, verbose=verbose, **flags)


@task(
    help={
        "all": "also what BuildKit keeps for itself, such as frontends",
        "keep-duration": "keep what was used within it, such as 48h",
        "keep-storage": "keep so many MB",
    }
    | _help("verbose")
)
def prune(
    c: Context,
    all: bool = False,  # noqa: A002 (called as buildctl calls it)
    keep_storage: str | None = None,
    keep_duration: str | None = None,
    verbose: bool = False,
) -> None:
    """Free the disk of the local builder from its cache, and print how much."""
    from multiarch.steps.prune import Prune

    perform(c, Prune(all, keep_storage, keep_duration), verbose=verbose)


@task(
    klass=_Task,
    help={
        "ci": "travis, github, gitlab or circleci",
        "check": "only see whether the file is as it would be written; for Travis, whether it holds mistakes too",
    },
)
def pipeline(c: Context, ci: str = "", check: bool = False) -> None:
    """Write the file by which a CI runs the steps in jobs of its own, and print its path."""
    from multiarch.pipelines import update

    with run_of(c) as run:
        here = Path.cwd()
        program = "invoke" if (here / "tasks.py").is_file() else "multiarch"
        if c.config.run.dry:
            print_results(update.pipeline_file(run.settings, ci, here, program=program).wanted.splitlines())
            return
        act = update.check_pipeline if check else update.write_pipeline
        path = act(run.settings, ci, here, program=program)
        print_results([path.relative_to(here)])


ns = Collection(setup_binfmt, start_buildkit, copy_buildctl, build_arch, manifest, release_, prune, pipeline)


class _Program(Program):
    """The console script, for projects without a tasks.py: its configuration is the working directory's."""

    def parse_collection(self) -> None:
        super().parse_collection()
        self.config.set_project_location(str(Path.cwd()))
        self.config.load_project()


program = _Program(name="multiarch", binary="multiarch", namespace=ns, version=__version__)


def main() -> None:
    """Run the console script."""
    prepare(ns)
    program.run()

"""The Invoke face of the steps: each a task with its flags. No logic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.program import Program

from multiarch.cli import repair
from multiarch.cli.entry import perform, prepare, print_results, run_of
from multiarch.cli.flags import helps, step_task
from multiarch.cli.fleet import fleet, fleet_certs, fleet_pods
from multiarch.cli.upkeep import cleanup, doctor, log
from multiarch.version import __version__

if TYPE_CHECKING:
    from invoke.context import Context


@step_task(
    iterable=["platform", "target"],
    help=helps("platform", "target", "installer", "reinstall", "json", "verbose"),
)
def setup_binfmt(
    c: Context,
    platform: list[str] | None = None,
    target: list[str] | None = None,
    installer: str | None = None,
    reinstall: bool = False,
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Register emulators for the platforms that the Docker host cannot run itself (step 1)."""
    from multiarch.steps import setup_binfmt as step

    flags = {"platforms": platform, "targets": target, "installer": installer, "reinstall": reinstall}
    perform(c, step, task="setup-binfmt", json=json, verbose=verbose, **flags)


@step_task(iterable=["platform", "target"], help=helps("platform", "target", "address", "recreate", "json", "verbose"))
def start_buildkit(
    c: Context,
    platform: list[str] | None = None,
    target: list[str] | None = None,
    address: str | None = None,
    recreate: bool = False,
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Start the BuildKit server in a container, and print its address (step 2)."""
    from multiarch.steps import start_buildkit as step

    flags: dict[str, Any] = {"platforms": platform, "targets": target, "address": address, "recreate": recreate}
    perform(c, step, task="start-buildkit", json=json, verbose=verbose, **flags)


@step_task(help=helps("dest", "json", "verbose"))
def copy_buildctl(c: Context, dest: str | None = None, json: bool = False, verbose: bool = False) -> None:
    """Copy the BuildKit client out of the server's container, and print its path (step 3)."""
    from multiarch.steps import copy_buildctl as step

    perform(c, step, task="copy-buildctl", json=json, verbose=verbose, dest=dest)


@step_task(
    iterable=["platform", "image", "tag", "build_arg", "build_context", "label", "target"],
    help=helps("image", "target", "tag", "context", "dockerfile", "build-arg", "build-context", "label")
    | helps("output", "digests", "frontend", "source")
    | helps("no-cache", "pull", "resume", "report", "json", "quiet", "verbose", "shell")
    | {"platform": "the platform to build, such as linux/arm64; several where a base of one platform serves them"},
)
def build_arch(
    c: Context,
    platform: list[str] | None = None,
    target: list[str] | None = None,
    image: list[str] | None = None,
    tag: list[str] | None = None,
    context: str | None = None,
    dockerfile: str | None = None,
    build_arg: list[str] | None = None,
    build_context: list[str] | None = None,
    label: list[str] | None = None,
    output: str | None = None,
    digests: str | None = None,
    frontend: str | None = None,
    source: str | None = None,
    no_cache: bool = False,
    pull: bool = False,
    resume: bool = False,
    report: str | None = None,
    json: bool = False,
    quiet: bool = False,
    verbose: bool = False,
    shell: bool = False,
) -> None:
    """Build and push the image of one platform, and print its digest (step 4)."""
    from multiarch.steps import build_arch, debug_shell

    where: dict[str, Any] = {"platforms": platform, "targets": target, "image": image, "tags": tag}
    what = {"context": context, "dockerfile": dockerfile, "output": output, "frontend": frontend, "source": source}
    what["digests"] = digests
    flags = (
        where
        | what
        | {"build_args": build_arg, "contexts": build_context, "labels": label, "no_cache": no_cache, "pull": pull}
        | {"resume": resume}
    )
    how: dict[str, Any] = {"pushes": True, "report": report, "quiet": quiet, "verbose": verbose}
    perform(c, debug_shell if shell else build_arch, task="build-arch", json=json, **how, **flags)


@step_task(
    iterable=["platform", "image", "tag", "annotation", "target", "replace", "remove"],
    help=helps("platform", "target", "image", "tag", "annotation", "digests", "allow-dropping", "json")
    | helps("replace", "remove", "rollback", "to", "quiet", "verbose")
    | {"inspect": "show what is published under the tag as a table, and write nothing"},
)
def manifest(
    c: Context,
    platform: list[str] | None = None,
    target: list[str] | None = None,
    image: list[str] | None = None,
    tag: list[str] | None = None,
    annotation: list[str] | None = None,
    digests: str | None = None,
    allow_dropping: bool = False,
    inspect: bool = False,
    replace: list[str] | None = None,
    remove: list[str] | None = None,
    rollback: bool = False,
    to: str | None = None,
    json: bool = False,
    quiet: bool = False,
    verbose: bool = False,
) -> None:
    """Publish one tag over the images that build-arch pushed, and print its digest (step 5)."""
    from multiarch.steps import manifest, manifest_inspect

    where: dict[str, Any] = {
        "platforms": platform,
        "targets": target,
        "image": image,
        "tags": tag,
        "allow_dropping": allow_dropping,
    }
    where |= {"annotations": annotation, "digests": digests}
    mended = {"replace": replace, "remove": remove, "rollback": rollback, "to": to}
    if replace or remove or rollback or to is not None:
        repair.mend(c, mended, inspect=inspect, json=json, quiet=quiet, verbose=verbose, **where)
        return
    how = {"pushes": not inspect, "json": json, "quiet": quiet, "verbose": verbose}
    perform(c, manifest_inspect if inspect else manifest, task="manifest", **how, **where)


@step_task(
    name="release",
    iterable=["platform", "image", "tag", "build_arg", "build_context", "label", "annotation", "target", "into"],
    help=helps("platform", "target", "image", "tag", "context", "dockerfile", "build-arg", "build-context")
    | helps("label", "annotation", "output", "into")
    | helps("frontend", "source")
    | helps("no-cache", "pull", "keep-going", "only-changed", "resume", "allow-dropping", "report", "json")
    | helps("quiet", "verbose"),
)
def release_(
    c: Context,
    platform: list[str] | None = None,
    target: list[str] | None = None,
    image: list[str] | None = None,
    tag: list[str] | None = None,
    context: str | None = None,
    dockerfile: str | None = None,
    build_arg: list[str] | None = None,
    build_context: list[str] | None = None,
    label: list[str] | None = None,
    annotation: list[str] | None = None,
    output: str | None = None,
    frontend: str | None = None,
    source: str | None = None,
    no_cache: bool = False,
    pull: bool = False,
    keep_going: bool = False,
    only_changed: bool = False,
    resume: bool = False,
    allow_dropping: bool = False,
    into: list[str] | None = None,
    report: str | None = None,
    json: bool = False,
    quiet: bool = False,
    verbose: bool = False,
) -> None:
    """Do all of it: build every platform of the matrix, and publish one tag over them (steps 1 to 5)."""
    from multiarch.steps.release import step as release

    where: dict[str, Any] = {"platforms": platform, "targets": target, "image": image, "tags": into or tag}
    what = {"context": context, "dockerfile": dockerfile, "output": output, "frontend": frontend, "source": source}
    flags = where | what | {"no_cache": no_cache, "pull": pull}
    flags |= {"build_args": build_arg, "contexts": build_context, "labels": label, "annotations": annotation}
    flags |= {"keep_going": keep_going, "only_changed": only_changed, "resume": resume}
    flags["allow_dropping"] = allow_dropping
    how: dict[str, Any] = {"pushes": True, "report": report, "json": json, "quiet": quiet, "verbose": verbose}
    perform(c, repair.release_into(tag, flags) if into else release, task="release", **how, **flags)


@step_task(
    help={
        "all": "also what BuildKit keeps for itself, such as frontends",
        "keep-duration": "keep what was used within it, such as 48h",
        "keep-storage": "keep so many MB",
    }
    | helps("json", "verbose")
)
def prune(
    c: Context,
    all: bool = False,  # noqa: A002 (called as buildctl calls it)
    keep_storage: str | None = None,
    keep_duration: str | None = None,
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Free the disk of the local builder from its cache, and print how much."""
    from multiarch.steps.prune import Prune

    perform(c, Prune(all, keep_storage, keep_duration), task="prune", json=json, verbose=verbose)


@step_task(
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
            print_results(update.pipeline_file(run.project, ci, here, program=program).wanted.splitlines())
            return
        act = update.check_pipeline if check else update.write_pipeline
        path = act(run.project, ci, here, program=program)
        print_results([path.relative_to(here)])


@step_task(help={"check": "only see whether the files are as they would be written"})
def init(c: Context, check: bool = False) -> None:
    """Write invoke.yaml from what the project has for bake, compose, Travis or GitHub, and print its path."""
    from multiarch.adoption import project as adoption

    with run_of(c) as run:
        here = Path.cwd()
        plan = adoption.plan_adoption(here)
        for line in plan.lines:
            run.progress.say(line)
        if c.config.run.dry:
            # Without a byte order mark, which is no text.
            print_results(plan.files[0].wanted.removeprefix("\ufeff").splitlines())
            return
        if check:
            adoption.check_adoption(plan, "invoke init" if (here / "tasks.py").is_file() else "multiarch init")
        else:
            adoption.adopt(plan, here)
        print_results(file.name for file in plan.files)


_STEPS = (setup_binfmt, start_buildkit, copy_buildctl, build_arch, manifest, release_)
ns = Collection(*_STEPS, prune, pipeline, init, fleet, fleet_certs, fleet_pods, doctor, cleanup, log)


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

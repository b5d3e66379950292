"""The Invoke face of the steps before and after a release: each a task with its flags. No logic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.cli.entry import print_results, run_of
from multiarch.cli.flags import helps, step_task
from multiarch.formatting import shell_line

if TYPE_CHECKING:
    from invoke.context import Context


@step_task(
    iterable=["platform", "target"],
    help=helps("platform", "target", "verbose") | {"json": "print the findings as one line of JSON"},
)
def doctor(
    c: Context,
    platform: list[str] | None = None,
    target: list[str] | None = None,
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Check all that a release needs before it builds, and print a line for each with its remedy."""
    from multiarch.steps.doctor.step import Doctor

    step = Doctor(as_json=json)
    with run_of(c, verbose=verbose, load=step.load, platforms=platform, targets=target) as run:
        if c.config.run.dry:
            print_results(shell_line(command) for command in step.commands(run.project))
            return
        print_results(step.run(run))
        step.check()


@step_task(
    help={
        "older-than": "only builds that ended so long ago: 12h, 7d, 2w (default: 24h; with --build, of any age)",
        "build": "only staging tags of this build, whatever its age",
        "delete": "remove them; else they are listed",
        "json": "print the list as one line of JSON",
    }
    | helps("verbose")
)
def cleanup(
    c: Context,
    older_than: str | None = None,
    build: str | None = None,
    delete: bool = False,
    json: bool = False,
    verbose: bool = False,
) -> None:
    """List, or remove, the staging tags that nothing published needs."""
    from multiarch.steps.cleanup import Cleanup

    step = Cleanup(older_than, build, delete, json)
    with run_of(c, verbose=verbose, build=build) as run:
        if c.config.run.dry:
            print_results(shell_line(command) for command in step.commands(run))
        else:
            print_results(step.run(run))
        step.check()


@step_task(
    iterable=["target"],
    help=helps("target", "verbose") | {"json": "print the releases as one line of JSON"},
)
def log(c: Context, target: list[str] | None = None, json: bool = False, verbose: bool = False) -> None:
    """Show what the tags point to, and the last releases from this machine with their times."""
    from multiarch.steps.log import Log

    step = Log(json)
    with run_of(c, verbose=verbose, targets=target) as run:
        if c.config.run.dry:
            print_results(shell_line(command) for command in step.commands(run.project))
        else:
            print_results(step.run(run))

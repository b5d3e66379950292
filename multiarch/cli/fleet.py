"""The tasks about builders elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.cli.entry import print_results, run_of
from multiarch.cli.flags import helps, step_task
from multiarch.formatting import shell_line

if TYPE_CHECKING:
    from invoke.context import Context


@step_task(help=helps("verbose"))
def fleet(c: Context, verbose: bool = False) -> None:
    """Ask each builder elsewhere what it has, and see whether each platform has one that builds it."""
    from multiarch.steps import fleet as step

    with run_of(c, verbose=verbose) as run:
        if c.config.run.dry:
            print_results(shell_line(command) for command in step.commands(run.project))
            return
        state = step.ask(run)
        print_results(state.lines)
        state.check()

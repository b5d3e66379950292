"""Tells programs and CIs what came out of a step."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from multiarch.cli.entry import print_results, words_of
from multiarch.cli.reporting import rows_of
from multiarch.display import ci_files
from multiarch.display.outcome import Outcome, fields_of, notes_of
from multiarch.errors import OutputError
from multiarch.formatting import clean_lines

if TYPE_CHECKING:
    from multiarch.cli.entry import Step
    from multiarch.run import Run


def perform(run: Run, step: Step, task: str, *, as_json: bool) -> None:
    """Run a step, tell the CI what came out of it, and print its results; of one that was interrupted nothing.

    :param task: its name.
    :param as_json: whether what came out is printed, as one line of JSON, also where the step fails.
    """
    started = time.time()
    try:
        results = step.run(run)
    except Exception as error:
        if getattr(error, "cause", None) == "stopped":  # nobody waits for more
            raise
        words = "\n".join(clean_lines(words_of(error)))
        # Why the step failed is what is to be known, also where it cannot be told here.
        with suppress(Exception):
            _tell(run, Outcome(task, started, time.time(), words, ()), as_json=as_json)
        raise
    try:
        # The head of a table has none.
        fields = tuple(filter(None, (fields_of(task, result) for result in results)))
        built = [leg for solve in run.solves for leg in solve.legs]
        rows, _ = rows_of(run, [*built, *run.images])
        known = {(leg.target, leg.platform) for leg in (*built, *run.taken)}
        unbuilt = frozenset(row for row in rows if (row.target, row.platform) not in known)
        outcome = Outcome(task, started, time.time(), "", fields, rows, notes_of(rows, run.findings), unbuilt)
        _tell(run, outcome, as_json=as_json)
    except OutputError:
        raise
    except Exception as error:  # the step is done; that does not depend on its being told
        raise OutputError(f"what came out cannot be told ({type(error).__name__})") from error
    if not as_json:
        print_results(results)


def _tell(run: Run, outcome: Outcome, *, as_json: bool) -> None:
    ci_files.write(outcome, os.environ, run.settings.ci.dotenv, run.progress.say)
    if as_json:
        print_results([outcome.json])

"""The report of a run, written whatever way it ends."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from multiarch.display import report
from multiarch.display.history import trends_of
from multiarch.display.summary import summarise
from multiarch.errors import MultiarchError, OutputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from multiarch.display.reported import Report
    from multiarch.display.summary import Summary
    from multiarch.image.platform import Leg
    from multiarch.run import Run


@contextmanager
def reporting(run: Run, task: str, file: str, *, dry: bool) -> Iterator[None]:
    """Write a report of the with block to *file*, also when it fails.

    :param dry: whether nothing is written.
    :raises ConfigurationError: no report can be written there; at the start, before anything is done.
    """
    path = report.check_name(file)
    if dry:
        yield
        return
    report.check_writable(path)
    started, problem = time.time(), ""
    try:
        yield
    except OutputError:  # the step is done; its results only could not be printed
        raise
    except BaseException as error:
        problem = _words(error)
        raise
    finally:
        try:
            report.write(_report_of(run, task, started, problem), path)
            run.progress.say(f"report: {path}")
        except OSError as error:
            run.progress.say(f"--report: cannot write to {path}: {error.strerror}")
        except Exception as error:  # noqa: BLE001 (the run is over, and its outcome does not depend on its report)
            run.progress.say(f"--report: cannot write to {path}: {type(error).__name__}: {error}")


def rows_of(run: Run, legs: Collection[Leg] | None = None) -> tuple[tuple[Summary, ...], str]:
    """Return the results of the platforms, as far as the run has come, and the name of the local builder's kernel.

    :param legs: those that count; None for the whole matrix.
    """
    try:
        machine = run.machine if run.solves else os.uname().machine
    except MultiarchError:  # the Docker host is gone
        machine = os.uname().machine
    matrix = [entry for entry in run.project.matrix if legs is None or entry.leg in legs]
    return summarise(matrix, run.solves, run.images, machine, run.findings, run.taken), machine


def _report_of(run: Run, task: str, started: float, problem: str) -> Report:
    rows, machine = rows_of(run)
    whole = report.report_of(
        run.project, run.solves, rows, machine, task=task, started=started, finished=time.time(), error=problem
    )
    return replace(whole, trends=trends_of(run.project))


def _words(error: BaseException) -> str:
    """Return the outcome of a run in words."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "interrupted"
    return str(error) or type(error).__name__

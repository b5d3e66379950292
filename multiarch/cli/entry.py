"""Between Invoke and the steps: flags become settings, results become lines, errors become exits."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections import ChainMap
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from invoke.exceptions import Exit

from multiarch.ci import running_in
from multiarch.config.load import load
from multiarch.config.schema import PREFIX
from multiarch.display.console import progress_for
from multiarch.display.lines import LineWriter
from multiarch.display.outlet import drain
from multiarch.errors import MultiarchError, OutputError
from multiarch.formatting import clean_lines, is_clean, one_line, shell_line, without_commands
from multiarch.registry.credentials import logged_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from invoke.collection import Collection
    from invoke.context import Context

    from multiarch.config.settings import Settings
    from multiarch.run import Run

# Our variables, once `prepare` has taken them out of the environment.
_variables: dict[str, str] = {}


class Step(Protocol):
    """A module of `multiarch.steps`."""

    def run(self, run: Run, /) -> tuple[object, ...]:
        """Do the step; return its results."""

    def commands(self, settings: Settings, /) -> list[list[str]]:
        """Return the equivalent commands."""


def prepare(ns: Collection) -> None:
    """Prepare this process for Invoke and our tasks; called when `multiarch.ns` is asked for, and nothing else is.

    Invoke would read our variables too, and end in a traceback where invoke.yaml has a list in their place: they are
    taken out of its sight. Commands of other tasks (``c.run``) still get them. Errors of the YAML parser, which Invoke
    lets pass, become one line. The collection of garbage at the interpreter's end is spared: it takes a fifth of a
    short run's time, and the memory is returned to the system anyway.
    """
    atexit.register(gc.freeze)
    _variables.update({name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)})
    ns.configure({"run": {"env": dict(_variables)}})
    sys.excepthook = _show_yaml_error


def perform(c: Context, step: Step, **flags: Any) -> None:
    """Run a step and print its results; with ``--dry`` print its commands in their place. *flags* as in `run_of`."""
    with run_of(c, **flags) as run:
        if c.config.run.dry:
            print_results(shell_line(command) for command in step.commands(run.settings))
        else:
            print_results(step.run(run))


@contextmanager
def run_of(
    c: Context,
    *,
    task: str = "",
    pushes: bool = False,
    report: str | None = None,
    quiet: bool = False,
    verbose: bool = False,
    **flags: Any,
) -> Iterator[Run]:
    """Turn flags into a run, and errors into exits.

    :param task: the name of the task, for its report.
    :param pushes: whether the task pushes, unless its output is another.
    :param report: the file of a report, None for no report.
    :param flags: by setting name.
    """
    from multiarch.run import Run

    with _errors_as_exits(), _signals_as_exits():
        settings = load(_plain(c.config.get("multiarch")), ChainMap(_variables, dict(os.environ)), flags)
        run = Run(settings, progress_for(sys.stderr, os.environ, quiet=quiet, verbose=verbose))
        pushes = pushes and settings.publish.push.wanted
        if pushes:
            settings.publish.push.check()
        registries = [image.registry for image in settings.publish.images]
        with logged_in(registries, os.environ, needed=pushes), _reported(run, task, report, dry=c.config.run.dry):
            yield run


def print_results(results: Iterable[object]) -> None:
    """Print results, one a line. :raises OutputError: one is no single line, or standard output does not take it."""
    in_ci = running_in(os.environ) is not None
    for line in [str(result) for result in results]:
        if not is_clean(line):
            raise OutputError(f"a result is no plain line of text: {one_line(line)}")
        if sys.stdout is None:  # the process was begun with a closed one
            raise OutputError("it is closed, so that the results cannot be printed")
        try:
            print(without_commands(line) if in_ci else line, flush=True)  # noqa: T201 (it is for results alone)
        except (OSError, ValueError) as error:
            drain(sys.stdout)
            if isinstance(error, BrokenPipeError):
                raise OutputError from None
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"the results cannot be printed: {reason}") from None


def _reported(run: Run, task: str, report: str | None, *, dry: bool) -> Any:
    if not report:
        return nullcontext()
    from multiarch.cli.reporting import reporting

    return reporting(run, task, report, dry=dry)


@contextmanager
def _errors_as_exits() -> Iterator[None]:
    try:
        yield
    except MultiarchError as error:
        raise _exit(str(error), 1) from None
    except KeyboardInterrupt:
        raise _exit("interrupted", 128 + signal.SIGINT) from None


def _exit(text: str, code: int) -> Exit:
    """Write why the run ends, and return its end without the text.

    Invoke would print the text as it is, in a traceback where standard error is broken, and on standard output where
    it is closed.
    """
    writer = LineWriter(sys.stderr, in_ci=running_in(os.environ) is not None)
    for line in clean_lines(text) if text else ():
        writer.lines(line)
    return Exit(code=code)


@contextmanager
def _signals_as_exits() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the run in order, as an interrupt does."""
    ends = (signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.signal(number, lambda number, _: sys.exit(128 + number)) for number in ends}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _plain(value: Any) -> Any:
    """Undo Invoke's wrapping of mappings."""
    return {key: _plain(value[key]) for key in value} if hasattr(value, "keys") else value


def _show_yaml_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show the error of a file that is no YAML in one line; fits ``sys.excepthook``, and passes on all others."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        sys.__excepthook__(kind, error, trace)
    else:
        problem = getattr(error, "problem", None) or "it cannot be read"
        sys.stderr.write(f"{mark.name}: line {mark.line + 1}: this is not YAML: {problem}; correct the file\n")

"""Between Invoke and the steps: flags become settings, results become lines, errors become exits."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import sys
import traceback
import weakref
from collections import ChainMap
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from invoke.exceptions import Exit

from multiarch import interrupts
from multiarch.ci import running_in
from multiarch.cli.invoke_files import check_project_file, hide_block, show_error
from multiarch.config.schema import PREFIX
from multiarch.errors import MultiarchError, OutputError, without_secrets
from multiarch.formatting import clean_lines, is_clean, one_line, shell_line, without_commands
from multiarch.interrupts import DeferringStack, Interrupts
from multiarch.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from invoke.collection import Collection
    from invoke.context import Context

    from multiarch.config.project import Project
    from multiarch.run import Run

    Loader = Callable[[object, Mapping[str, str], Mapping[str, Any]], Project]

_EX_SOFTWARE = 70  # exit status of an internal error (sysexits.h)
_INTERRUPTED = 128  # exit status of a signal, without its number
_LONGEST_WORDS = 300  # characters of an error that is not ours
# Faults of the machine, or of its permissions, that are nobody's in particular.
_REFUSALS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EAGAIN}
    | {errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR}
)
_IGNORED = "ending in order: other signals are ignored until then; kill -9 leaves behind what is not yet put back"
_LATE = "the interrupt came when all tags had moved: they are published"
_FILES_OF_CI = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")  # which take what came out of a step
# Our variables, once `prepare` has taken them out of the environment.
_variables: dict[str, str] = {}


class Step(Protocol):
    """A module of `multiarch.steps`."""

    def run(self, run: Run, /) -> tuple[object, ...]:
        """Do the step; return its results."""

    def commands(self, project: Project, /) -> list[list[str]]:
        """Return the equivalent commands."""


def prepare(ns: Collection) -> None:
    """Prepare this process for Invoke and our tasks; called when `multiarch.ns` is asked for, and nothing else is.

    Invoke would read our variables too, and end in a traceback where invoke.yaml has a list in their place: they are
    taken out of its sight. Commands of other tasks (``c.run``) still get them. What is wrong with Invoke's files
    becomes one line. The collection of garbage at the interpreter's end is spared: it takes a fifth of a short run's
    time, and the memory is returned to the system anyway.
    """
    # What weakref does at the exit is registered by its first finalizer, and the last that is registered comes first:
    # signals are ignored before temporary directories go.
    weakref.finalize(ns, interrupts.nothing).detach()
    atexit.register(gc.freeze)
    atexit.register(interrupts.ignore)
    _variables.update({name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)})
    ns.configure({"run": {"env": dict(_variables)}})
    sys.excepthook = show_error
    hide_block("multiarch")
    check_project_file()


def perform(c: Context, step: Step, *, task: str, json: bool = False, **flags: Any) -> None:
    """Run a step and print its results; with ``--dry`` print its commands in their place.

    :param json: whether what came out is printed as one line of JSON. *flags* as in `run_of`.
    """
    with run_of(c, task=task, **flags) as run:
        run.say_notes()
        if c.config.run.dry:
            print_results(shell_line(command) for command in step.commands(run.project))
        elif json or run.settings.ci.dotenv or any(map(os.environ.get, _FILES_OF_CI)):
            from multiarch.cli import outcomes

            outcomes.perform(run, step, task, as_json=json)
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
    load: Loader | None = None,
    **flags: Any,
) -> Iterator[Run]:
    """Turn flags, by the names of settings, into a run, and errors into exits.

    :param task: its name, for its report, whose file is *report*; None for no report.
    :param pushes: whether the task pushes, unless its output is another. :param load: as of `_project_of`.
    """
    from multiarch.cli.standard_input import dockerfile_read
    from multiarch.display.console import progress_for
    from multiarch.registry.credentials import logged_in
    from multiarch.run import Run

    signals = Interrupts()
    with _errors_as_exits(signals, verbose=verbose), signals.handled():
        stack = DeferringStack()
        try:
            with stack:
                flags = stack.enter_context(dockerfile_read(flags, dry=c.config.run.dry))
                project = _project_of(c, flags, load)
                run = Run(project, progress_for(sys.stderr, os.environ, quiet=quiet, verbose=verbose))
                _connect(signals, run)
                if pushes := pushes and project.settings.publish.push.wanted:
                    project.check_pushes()
                stack.enter_context(logged_in(project.settings.registries, os.environ, needed=pushes))
                stack.enter_context(_without_keys(project))
                stack.enter_context(_reported(run, task, report, dry=c.config.run.dry))
                yield run
        finally:
            # Does nothing, unless the one signal that is raised came just before the stack began to end itself.
            stack.close()
        _end(run, signals)


def _project_of(c: Context, flags: Mapping[str, Any], load: Loader | None) -> Project:
    """Return the project of the settings. :param load: reads it, None for ``load_project``."""
    from multiarch.config.project import load_project

    return (load or load_project)(_plain(c.config.get("multiarch")), ChainMap(_variables, dict(os.environ)), flags)


def _end(run: Run, signals: Interrupts) -> None:
    """End a run that went well, and with it all others where a signal came too late to end this one."""
    run.close()  # what a failed run holds ends with the process
    if signals.late:
        run.progress.say(_LATE)
        raise Exit(code=0)


def _connect(signals: Interrupts, run: Run) -> None:
    """Let signals end a run, until it is settled."""
    signals.stop, signals.ignored = partial(_stop, run), partial(run.progress.say, _IGNORED)
    run.on_moved = signals.settle


def _stop(run: Run) -> None:
    """End a run soon, also where nobody reads what it shows."""
    run.stop()
    run.aside.stopped.set()
    run.progress.hurry()


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
        except (OSError, ValueError, KeyboardInterrupt) as error:
            from multiarch.display.outlet import drain

            drain(sys.stdout)
            if isinstance(error, KeyboardInterrupt):  # a reader that has stopped would hold the interpreter's end too
                raise
            if isinstance(error, BrokenPipeError):
                raise OutputError from None
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"the results cannot be printed: {reason}") from None


def _without_keys(project: Project) -> Any:
    """Return a context that leaves no certificates and keys of builders behind that were out of variables."""
    if not project.settings.builder.remote and not any(entry.builders for entry in project.matrix):
        return nullcontext()
    from multiarch.registry.login_files import removing

    return removing()


def _reported(run: Run, task: str, report: str | None, *, dry: bool) -> Any:
    if not report:
        return nullcontext()
    from multiarch.cli.reporting import reporting

    return reporting(run, task, report, dry=dry)


@contextmanager
def _errors_as_exits(signals: Interrupts, *, verbose: bool) -> Iterator[None]:
    """Turn every error into an exit with one line."""
    try:
        yield
    except Exit:
        raise
    except KeyboardInterrupt:
        words = "interrupted; all tags had moved before" if signals.is_settled else "interrupted"
        raise _exit(words, _INTERRUPTED + (signals.number or signal.SIGINT)) from None
    except Exception as error:  # noqa: BLE001 (the last net: no run ends in a traceback)
        raise _exit_for(error, signals.number, verbose=verbose) from None


def _exit_for(error: Exception, interrupt: int, *, verbose: bool) -> Exit:
    """Return the exit for an error.

    :param interrupt: the signal that ended the run before, 0 for none.
    """
    is_ours = isinstance(error, MultiarchError)
    if interrupt and (not is_ours or getattr(error, "cause", None) == "stopped"):
        return _exit("interrupted", _INTERRUPTED + interrupt)
    words = words_of(error)
    if is_ours:
        return _exit(words, _INTERRUPTED + interrupt if interrupt else 1)
    if _is_refusal(error):
        return _exit(words, 1)
    return _exit("\n".join([words, *(_trace(error) if verbose else ())]), _EX_SOFTWARE)


def words_of(error: Exception) -> str:
    """Return what a run that ends with an error says of it."""
    if isinstance(error, MultiarchError):
        return str(error)
    if isinstance(error, OSError) and _is_refusal(error):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}the system refuses it: {error.strerror}"
    return _our_fault(error)


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _REFUSALS


def _our_fault(error: Exception) -> str:
    """Return the line for an error that no code of ours has foreseen; of its words nothing that may be a secret."""
    try:
        words = one_line(without_secrets(str(error)[:_LONGEST_WORDS]))
    except Exception:  # noqa: BLE001 (an error that cannot even be shown)
        words = ""
    name = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return (
        f"internal error: {name}; this is a fault of multiarch {__version__} itself:"
        " report it in the project's issue tracker, with this line and what --verbose shows"
    )


def _trace(error: Exception) -> list[str]:
    """Return where an error was raised: files, lines and source, no values."""
    entries = "".join(traceback.format_tb(error.__traceback__)).splitlines()
    return [f"  | {entry}" for entry in entries]


def _exit(text: str, code: int) -> Exit:
    """Write why the run ends, and return its end without the text.

    Invoke would print the text as it is, in a traceback where standard error is broken, and on standard output where
    it is closed.
    """
    from multiarch.display.lines import LineWriter

    writer = LineWriter(sys.stderr, in_ci=running_in(os.environ) is not None)
    if code > _INTERRUPTED:
        writer.outlet.hurry()
    for line in clean_lines(text) if text else ():
        writer.lines(line)
    return Exit(code=code)


def _plain(value: Any) -> Any:
    """Undo Invoke's wrapping of mappings."""
    return {key: _plain(value[key]) for key in value} if hasattr(value, "keys") else value

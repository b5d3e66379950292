"""Between Invoke and the steps: flags become settings, results become lines, errors become exits."""

from __future__ import annotations

import atexit
import gc
import os
import shlex
import signal
import sys
from collections import ChainMap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from multiarch.config.layers import tell_of_yaml
from multiarch.config.load import load
from multiarch.config.schema import PREFIX
from multiarch.display.console import progress_for
from multiarch.errors import MultiarchError
from multiarch.registry.credentials import logged_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from invoke.context import Context

    from multiarch.run import Run

# Invoke would read these too, and end in a traceback where invoke.yaml has a list in their place; so they are taken out
# of its sight before it looks. What other tasks run with c.run still gets them.
VARIABLES = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
# Invoke, which reads invoke.yaml, lets the parser's error pass.
sys.excepthook = tell_of_yaml


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
    """Turn flags into a run, and errors into exits; with a *report* of the *task* if there is to be one.

    :param pushes: whether the task pushes, unless its output is another.
    """
    # A run is short and leaves few cycles: to look for them, and once more at the end, takes a tenth of its time.
    gc.disable()
    atexit.register(gc.freeze)
    from multiarch.run import Run

    ends = (signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.signal(number, lambda number, _: sys.exit(128 + number)) for number in ends}
    try:
        settings = load(_plain(c.config.get("multiarch")), ChainMap(VARIABLES, dict(os.environ)), flags)
        run = Run(settings, progress_for(sys.stderr, os.environ, quiet=quiet, verbose=verbose))
        pushes = pushes and settings.pushes
        if pushes and settings.untagged:
            raise MultiarchError(settings.untagged)
        with logged_in([image.registry for image in settings.images], os.environ, needed=pushes):
            if report:
                from multiarch.cli.reporting import reporting

                with reporting(run, task, report, dry=bool(c.config.run.dry)):
                    yield run
            else:
                yield run
    except MultiarchError as error:
        raise Exit(str(error), code=1) from None
    except BrokenPipeError:
        # Whoever read the results has left; what the interpreter still has for them must not end in a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Exit(code=1) from None
    except KeyboardInterrupt:
        raise Exit("interrupted", code=128 + signal.SIGINT) from None
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        gc.enable()


def _plain(value: Any) -> Any:
    """Undo Invoke's wrapping of mappings."""
    return {key: _plain(value[key]) for key in value} if hasattr(value, "keys") else value


def show(commands: Iterable[list[str]]) -> None:
    """Print commands as a shell takes them."""
    results(shlex.join(command) for command in commands)


def results(found: Iterable[object]) -> None:
    """Print results, one a line."""
    for result in found:
        print(result, flush=True)  # noqa: T201 (standard output is the results' alone)

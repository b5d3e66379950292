"""Who reads what is shown: a person at a terminal, or a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from multiarch.display.progress import Folds, Progress
from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


def progress_for(stream: TextIO, environ: Mapping[str, str], *, quiet: bool, verbose: bool = False) -> Progress:
    """Return live rows for a terminal that a person sits at, and lines for everything else.

    :raises ConfigurationError: it cannot be both *quiet* and *verbose*.
    """
    if quiet and verbose:
        raise ConfigurationError("--verbose", "it shows more and --quiet shows nothing; pass one of them")
    progress = _progress(stream, environ, quiet=quiet)
    if verbose:
        from multiarch.trace import Trace

        progress.trace = Trace(progress.say)
    return progress


def has_person(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether somebody sits at a stream; not so in a CI, of which Travis gives its jobs a terminal."""
    in_ci = Folds.of_ci(environ) != Folds() or environ.get("CI", "").lower() not in ("", "0", "false")
    return stream.isatty() and not in_ci


def _progress(stream: TextIO, environ: Mapping[str, str], *, quiet: bool) -> Progress:
    can_redraw = environ.get("TERM", "") not in ("", "dumb", "unknown")
    if can_redraw and has_person(stream, environ) and not quiet:
        from multiarch.display.live import LiveProgress

        return LiveProgress(stream)
    return Progress(stream, quiet=quiet, folds=Folds.of_ci(environ))

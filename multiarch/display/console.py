"""The display that fits a stream: rows for a person at a terminal, lines for a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from multiarch.ci import running_in
from multiarch.display.folds import folds_of
from multiarch.display.outlet import Outlet
from multiarch.display.progress import Progress
from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


def progress_for(stream: TextIO | None, environ: Mapping[str, str], *, quiet: bool, verbose: bool = False) -> Progress:
    """Return live rows for a person at a terminal, and lines for everything else.

    :raises ConfigurationError: both *quiet* and *verbose* are asked for.
    """
    if quiet and verbose:
        raise ConfigurationError("--verbose", "it shows more and --quiet shows nothing; pass one of them")
    progress = _progress(stream, environ, quiet=quiet)
    if verbose:
        from multiarch.trace import Trace

        progress.trace = Trace(progress.say)
    return progress


def has_person(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Return whether a person sits at a stream: a terminal outside of CIs, because Travis gives its jobs one too."""
    return Outlet(stream).isatty() and running_in(environ) is None


def _progress(stream: TextIO | None, environ: Mapping[str, str], *, quiet: bool) -> Progress:
    can_redraw = environ.get("TERM", "") not in ("", "dumb", "unknown")
    if can_redraw and has_person(stream, environ) and not quiet:
        from multiarch.display.live import LiveProgress

        return LiveProgress(stream)
    ci = running_in(environ)
    return Progress(stream, quiet=quiet, folds=folds_of(ci), in_ci=ci is not None)

"""Who reads what is shown: a person at a terminal, or a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from multiarch.progress import Folds, Progress

if TYPE_CHECKING:
    from collections.abc import Mapping


def progress_for(stream: TextIO, environ: Mapping[str, str], *, quiet: bool) -> Progress:
    """Return live rows for a terminal that a person sits at, and lines for everything else."""
    folds = Folds.of_ci(environ)
    # Travis gives its jobs a terminal.
    in_ci = folds != Folds() or environ.get("CI", "").lower() not in ("", "0", "false")
    can_redraw = stream.isatty() and environ.get("TERM", "") not in ("", "dumb", "unknown")
    if can_redraw and not in_ci and not quiet:
        from multiarch.live import LiveProgress

        return LiveProgress(stream)
    return Progress(stream, quiet=quiet, folds=folds)

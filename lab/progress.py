"""What a person sees while the lab works: plain lines on standard error."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Print one line of progress."""
    # One write, so that lines of parallel jobs do not mix.
    sys.stderr.write(f"lab: {text}\n")
    sys.stderr.flush()


def duration(seconds: float) -> str:
    """Return a number of seconds for people: 0.4 s, 12 s, 3 min 05 s."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

"""What a person sees while it runs: lines on standard error; results go to standard output, which is not written here.

`Progress` writes plain lines, for logs and pipes; `multiarch.live` shows rows on a terminal. Both are told the same.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from multiarch.text import columns, duration, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multiarch.platforms import Platform
    from multiarch.steps import Step

# CIs end a job that is silent for ten minutes; a person wonders after one.
_HEARTBEAT = 60.0


@dataclass(frozen=True)
class Summary:
    """What became of a platform: a row of the table at the end.

    :ivar size: of its image as it travels, in bytes.
    :ivar seconds: from the start of the first of its steps to the end of the last.
    :ivar steps: how many instructions it has, *cached* how many of them did not run.
    """

    platform: Platform
    digest: str
    size: int
    seconds: float
    steps: int
    cached: int
    emulated: bool


class Progress:
    """Writes whole lines, also when several platforms write at once.

    :param stream: where to; by default standard error.
    :param quiet: say nothing but what is worth knowing afterwards.
    :param folds: how this CI folds sections of its log.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False, folds: Folds | None = None) -> None:
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.folds = folds or Folds()
        self._lock = threading.RLock()
        self._width = 0
        self._said = time.monotonic()
        self._running: dict[int, tuple[Step, tuple[Platform, ...]]] = {}
        self._over = threading.Event()

    # What the steps tell.

    def say(self, text: str, platforms: Sequence[Platform] = ()) -> None:
        """Write *text*, each of its lines behind the platform that it is about."""
        if not self.quiet:
            self._lines(text, str(platforms[0]) if len(platforms) == 1 else "")

    def changed(self, step: Step, platforms: Sequence[Platform]) -> None:
        """A step of a solve of *platforms* began or ended."""
        with self._lock:
            if step.completed is None:
                self._running[id(step)] = step, tuple(platforms)
            else:
                self._running.pop(id(step), None)
        if step.completed is not None and not step.is_internal and not self.quiet:
            result = "CACHED" if step.cached else "ERROR" if step.error else duration(step.seconds)
            self._lines(f"{_short(step, platforms)}  {result}", self._prefix(step, platforms))

    def said(self, step: Step, line: str, platforms: Sequence[Platform]) -> None:
        """A step wrote a line."""
        if not self.quiet:
            self._lines(f"  {line}", self._prefix(step, platforms))

    # What the release tells.

    def begin(self, platforms: Mapping[Platform, bool]) -> None:
        """These platforms are going to be built; the values tell which are emulated."""
        self._width = max((len(str(platform)) for platform in platforms), default=0)
        threading.Thread(target=self._beat, daemon=True).start()

    def end(self) -> None:
        """The building is over."""
        self._over.set()
        self._width = 0

    def table(self, rows: Sequence[Summary]) -> None:
        """Show what became of the platforms."""
        if not self.quiet:
            self._lines("\n".join(summary_lines(rows)), None)

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Fold what is written meanwhile, where the CI can."""
        with self._lock:
            self.stream.write(self.folds.begin(title))
        try:
            yield
        finally:
            with self._lock:
                self.stream.write(self.folds.end(title))
                self.stream.flush()

    def _prefix(self, step: Step, platforms: Sequence[Platform]) -> str:
        return step.target or step.platform or (str(platforms[0]) if len(platforms) == 1 else "")

    def _lines(self, text: str, prefix: str | None) -> None:
        """Write lines behind a prefix, which is none of ours outside of a release."""
        with self._lock:
            behind = f"{prefix:<{self._width}} │ " if prefix or (self._width and prefix is not None) else ""
            for line in text.splitlines() or [""]:
                self.stream.write(f"{behind}{line}\n")
            self.stream.flush()
            self._said = time.monotonic()

    def _beat(self) -> None:
        """Say what takes so long, lest somebody thinks that nothing happens."""
        while not self._over.wait(_HEARTBEAT / 4):
            with self._lock:
                silent = time.monotonic() - self._said
                running = [(s, p) for s, p in self._running.values() if not s.is_internal]
            if silent >= _HEARTBEAT * 3 / 4:
                now = time.time()
                for step, platforms in running[:8]:
                    since = duration(now - step.started) if step.started else ""
                    self._lines(f"still at {_short(step, platforms)} ({since})", self._prefix(step, platforms))
                if not running:
                    self._lines("still at work", None)


@dataclass(frozen=True)
class Folds:
    """How a CI folds sections of its log; by default none does."""

    begins: str = ""
    ends: str = ""

    @classmethod
    def of_ci(cls, environ: Mapping[str, str]) -> Folds:
        """Return those of the CI that this runs in, after its documentation."""
        if environ.get("GITHUB_ACTIONS") == "true":
            return cls("::group::{title}\n", "::endgroup::\n")
        if environ.get("TRAVIS") == "true":
            return cls("travis_fold:start:{name}\r\033[0K{title}\n", "travis_fold:end:{name}\r\033[0K")
        if environ.get("GITLAB_CI") == "true":
            start, end = (
                "\033[0Ksection_start:{now}:{name}\r\033[0K{title}\n",
                "\033[0Ksection_end:{now}:{name}\r\033[0K\n",
            )
            return cls(start, end)
        return cls()

    def begin(self, title: str) -> str:
        """Return what begins a section."""
        return self.begins.format(title=title, name=_slug(title), now=int(time.time()))

    def end(self, title: str) -> str:
        """Return what ends it."""
        return self.ends.format(title=title, name=_slug(title), now=int(time.time()))


def progress_for(stream: TextIO, environ: Mapping[str, str], *, quiet: bool) -> Progress:
    """Return live rows for a terminal, and lines for everything else."""
    in_ci = bool(environ.get("CI")) or environ.get("TERM") == "dumb"
    if stream.isatty() and not in_ci and not quiet:
        from multiarch.live import LiveProgress

        return LiveProgress(stream)
    return Progress(stream, quiet=quiet, folds=Folds.of_ci(environ))


def summary_lines(rows: Sequence[Summary]) -> list[str]:
    """Return the table at the end as lines."""
    cells = [("PLATFORM", "DIGEST", "SIZE", "TIME", "CACHED", "BUILT")]
    cells += [
        (
            str(row.platform),
            row.digest,
            size(row.size),
            duration(row.seconds),
            f"{row.cached} of {row.steps}",
            "emulated" if row.emulated else "natively",
        )
        for row in rows
    ]
    return columns(cells)


def _short(step: Step, platforms: Sequence[Platform]) -> str:
    """Return a step's name without the platform, which stands before it."""
    if not step.platform or (step.target and len(platforms) > 1):
        return step.name
    return step.name.replace(f"[{step.platform} ", "[", 1).replace(f"[{step.platform}] ", "", 1)


def _slug(title: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in title.lower())

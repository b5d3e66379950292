"""Programs that the lab runs: captured, stoppable, and retried where they download."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.progress import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ATTEMPTS = 5
_LAST_LINES = 15

_running: set[subprocess.Popen[str]] = set()
_guard = threading.Lock()
_stopping = threading.Event()


def run(argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program to its end and return what it printed.

    :raises LabError: it failed; with its last lines.
    """
    process = _start(argv, env, cwd)
    try:
        output, _ = process.communicate()
    finally:
        with _guard:
            _running.discard(process)
    if process.returncode != 0:
        raise LabError(f"{_words(argv)} failed (exit {process.returncode}):\n{last_lines(output)}")
    return output


def _start(argv: Sequence[str | Path], env: Mapping[str, str] | None, cwd: Path | None) -> subprocess.Popen[str]:
    # Under the guard, so that `stop_all` finds every program that was allowed to start.
    with _guard:
        if _stopping.is_set():
            raise LabError(f"{_words(argv)}: not started, the lab is being stopped")
        try:
            process = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env={**os.environ, **(env or {})},
                cwd=cwd,
                # A session of its own: its children can be ended with it, and Ctrl-C reaches them through us alone.
                start_new_session=True,
            )
        except OSError as error:
            raise LabError(f"cannot run {argv[0]}: {error.strerror}") from error
        _running.add(process)
    return process


def run_retried(argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program that downloads; when it fails, run it again after a pause."""
    from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
    from tenacity.nap import sleep_using_event

    def show(state: RetryCallState) -> None:
        cause = str(state.outcome.exception()).splitlines()[-1].strip() if state.outcome else ""
        say(f"{_words(argv)}: attempt {state.attempt_number} of {ATTEMPTS} failed, again soon: {cause}")

    policy = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, LabError) and not _stopping.is_set()),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=1, max=20),
        before_sleep=show,
        sleep=sleep_using_event(_stopping),
        reraise=True,
    )
    return policy(run, argv, env=env, cwd=cwd)


def stop_all() -> None:
    """End every program that `run` is waiting for, with its children; start no more until `resume`."""
    import signal

    with _guard:
        _stopping.set()
        processes = list(_running)
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGTERM)
        except ProcessLookupError:
            continue


def resume() -> None:
    """Allow programs again. Call only when all that `stop_all` ended are gone."""
    _stopping.clear()


def last_lines(text: str) -> str:
    """Return the end of a program's output, indented to stand below a message."""
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-_LAST_LINES:])


def _words(argv: Sequence[str | Path]) -> str:
    program = Path(argv[0]).name
    verbs = [str(word) for word in argv[1:] if not str(word).startswith("-")]
    return " ".join([program, *verbs[:1]])

"""Asking a builder: short runs of ``buildctl debug``, with a time limit of our own.

That of buildctl is 20 seconds, whatever is asked.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.concurrency import each
from multiarch.errors import BuildctlNotExecutableError, StoppedError
from multiarch.fleet.answers import LONGEST, Health, read_version, read_workers
from multiarch.fleet.errors import BuilderFaultError
from multiarch.fleet.faults import fault_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from multiarch.buildkit.builder import Builder
    from multiarch.docker_host import DockerHost
    from multiarch.trace import Trace

_PAUSE = 0.05  # seconds between two looks at a program that runs
_JSON = ("--format", "{{json .}}")


class Asking(Struct, frozen=True):
    """How builders are asked.

    :ivar host: the Docker host whose containers an address may name.
    :ivar stopped: ends all asking.
    :ivar seconds: how long a builder may take for its answer.
    """

    buildctl: Path
    host: DockerHost
    stopped: threading.Event
    trace: Trace | None = None
    seconds: float = 10.0

    def health(self, builder: Builder) -> Health:
        """Return what a builder says of itself.

        :raises BuilderFaultError: it does not answer, refuses us, or its answer cannot be read.
        """
        began = time.monotonic()
        questions = (("workers", *_JSON), ("info", *_JSON))
        workers, info = each(lambda words: self.ask(builder, words), questions)
        try:
            platforms = read_workers(workers)
        except ValueError as error:
            problem = f"{error}; is it BuildKit, and as new as 0.12?"
            raise BuilderFaultError(builder, problem, "says nothing that can be read") from None
        return Health(platforms, read_version(info), time.monotonic() - began)

    def ask(self, builder: Builder, words: Sequence[str], given_up: Callable[[], bool] = lambda: False) -> bytes:
        """Return what ``buildctl debug`` prints.

        :param given_up: whether the answer is of no use any more.
        :raises BuilderFaultError: there is no answer in time, or an error.
        """
        return self.run([str(self.buildctl), *builder.flags(), "debug", *words], builder, given_up=given_up)

    def run(
        self,
        command: Sequence[str],
        builder: Builder,
        *,
        longest: int = LONGEST,
        given_up: Callable[[], bool] = lambda: False,
    ) -> bytes:
        """Return what a program prints about a builder, as far as one byte beyond the *longest*. :raises: as `ask`."""
        ended = self.trace.command(command) if self.trace else None
        environ = builder.environ(self.host)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            status = _run(command, environ, (output.fileno(), errors.fileno()), self._until(given_up))
            if ended:
                ended(status)
            if self.stopped.is_set():
                raise StoppedError(f"asking {builder}")
            if status is None:
                problem = f"does not answer within {self.seconds:g} s; is it running, and its address right?"
                raise BuilderFaultError(builder, problem, "does not answer", lasts=False, colon=False)
            # The end of its words says what is wrong; ssh and kubectl say why before that.
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - LONGEST))
            if status:
                raise fault_of(builder, errors.read().decode(errors="replace"))
            output.seek(0)
            return output.read(longest + 1)

    def _until(self, given_up: Callable[[], bool]) -> Callable[[], bool]:
        deadline = time.monotonic() + self.seconds
        return lambda: time.monotonic() > deadline or self.stopped.is_set() or given_up()


def _run(
    command: Sequence[str], environ: dict[str, str] | None, outputs: tuple[int, int], is_over: Callable[[], bool]
) -> int | None:
    """Run a program; return its exit status, None where it was ended because *is_over*."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=outputs[0],
            stderr=outputs[1],
            env=environ,
            start_new_session=True,
        )
    except OSError as error:
        raise BuildctlNotExecutableError(command[0], error.strerror or str(error)) from None
    try:
        while not is_over():
            try:
                return process.wait(_PAUSE)
            except subprocess.TimeoutExpired:
                continue
        return None
    finally:
        if process.poll() is None:
            # What buildctl dials through (ssh, kubectl) is killed with it, by the system (docker/cli, commandconn).
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

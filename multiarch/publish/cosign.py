"""The program cosign: found, run with the logins that it needs and no others, and ended when a run is stopped."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.errors import StoppedError, without_secrets
from multiarch.formatting import one_line
from multiarch.publish.errors import CosignMissingError, CosignVersionError
from multiarch.registry.docker_config import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from multiarch.trace import Trace

# The first version whose signatures are bundles that refer to their image, and its words for that.
_OLDEST = 3
_VERSION = re.compile(r"^GitVersion:\s*v?((\d{1,4})\.\d{1,4}\.\d{1,4}\S{0,40})", re.MULTILINE)
_SECONDS = 300.0  # seconds; cosign itself ends after 180, beside what it waits for before
_END = 5.0  # seconds for its end, once it is asked for
_POLL = 100  # milliseconds within which a stop is noticed
_MOST = 1 << 16  # bytes of its output that are kept, the last ones
_LONGEST_WORDS = 600  # characters of its own words that are shown
# Values that are no other program's or person's to see, should cosign ever print one.
_SECRETS = ("COSIGN_PASSWORD", "COSIGN_PKCS11_PIN", "COSIGN_PRIVATE_KEY", "SIGSTORE_ID_TOKEN")
_SHORTEST_SECRET = 4  # characters; shorter ones are in many words


@dataclass(frozen=True)
class Ended:
    """How cosign ended. :ivar text: the end of what it printed."""

    status: int
    text: str = field(repr=False)

    @property
    def words(self) -> str:
        """Its reason in one line, without secrets."""
        said, error, reason = self.text.partition("Error: ")
        # What follows says it once more.
        text = reason.partition("\nerror during command execution")[0] if error else said[-_LONGEST_WORDS:]
        for name in _SECRETS:
            if len(value := os.environ.get(name, "")) >= _SHORTEST_SECRET:
                text = text.replace(value, "***")
        return one_line(without_secrets(text), _LONGEST_WORDS) or f"cosign ended with status {self.status}"


class Cosign:
    """The program, for one run. Safe to use from several threads.

    :param environ: its variables beyond the environment of this process, without those of Docker's logins.
    :param trace: shows the commands, where that is asked for.
    :ivar version: as it says itself, without a v in front.
    :raises CosignMissingError: it is not there. :raises CosignVersionError: it is too old, or does not say its version.
    """

    def __init__(self, environ: Mapping[str, str], trace: Trace | None = None) -> None:
        self._program = find_cosign()
        self._environ = {name: value for name, value in os.environ.items() if name != VARIABLE} | dict(environ)
        self._trace = trace
        self._stopped = threading.Event()
        self.version = self._read_version()

    def stop(self) -> None:
        """End what runs, and start nothing more."""
        self._stopped.set()

    def run(self, words: Sequence[str], say: Callable[[str], object] | None = None) -> Ended:
        """Run cosign to its end; a failure is in its status, and in the end of what it has printed.

        :param words: its arguments. :param say: takes its lines while it runs; None where nobody is to see them.
        :raises CosignMissingError: cosign cannot be started. :raises StoppedError: the run was stopped.
        """
        if self._stopped.is_set():
            raise StoppedError("cosign")
        command = [str(self._program), *words]
        ended = self._trace.command(command) if self._trace else None
        process = self._start(command)
        try:
            text = b"".join(_last(self._chunks(process), say)).decode(errors="replace")
            if not self._stopped.is_set():
                process.wait(_END)
        except subprocess.TimeoutExpired:
            text = f"Error: it has not ended within {_SECONDS:.0f} s"
        finally:
            _end(process)
            if ended:
                ended(process.returncode)
        if self._stopped.is_set():
            raise StoppedError("cosign")
        return Ended(process.returncode, text)

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        try:
            # In a session of its own: an interrupt of the keyboard does not reach it, and it cannot ask at a terminal.
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environ,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise CosignMissingError(getattr(error, "strerror", None) or str(error), self._program) from None

    def _chunks(self, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
        """Yield its output until it ends, takes too long, or is stopped."""
        if process.stdout is None:
            return
        descriptor, deadline = process.stdout.fileno(), time.monotonic() + _SECONDS
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        has_ended = False
        while not self._stopped.is_set() and time.monotonic() < deadline:
            if poll.poll(_POLL):
                chunk = os.read(descriptor, _MOST)
                if not chunk:
                    return
                yield chunk
            elif has_ended:  # and somebody whom it has started holds the pipe
                return
            else:
                # It may write its last words between the two: so they are looked for once more.
                has_ended = process.poll() is not None

    def _read_version(self) -> str:
        ended = self.run(["version"])
        found = _VERSION.search(ended.text)
        if found is None or int(found[2]) < _OLDEST:
            raise CosignVersionError(self._program, found[1] if found else "", _OLDEST)
        return found[1]


def find_cosign() -> Path:
    """Return the program. :raises CosignMissingError: it is not on PATH."""
    found = shutil.which("cosign")
    if found is None:
        raise CosignMissingError("it is not on PATH")
    return Path(found)


def _last(chunks: Iterator[bytes], say: Callable[[str], object] | None) -> list[bytes]:
    """Return the last bytes of an output."""
    kept: list[bytes] = []
    for chunk in chunks:
        kept.append(chunk)
        while sum(map(len, kept[1:])) > _MOST:
            del kept[0]
        if say:
            for line in chunk.decode(errors="replace").splitlines():
                say(f"cosign: {one_line(line)}")
    return kept


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process where it still runs, with what it has started."""
    if process.poll() is None:
        process.terminate()
        deadline = time.monotonic() + _END
        # Not taken leave of yet, it keeps its number, which is that of its group.
        while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL / 10_000)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout:
        process.stdout.close()

"""Questions to a BuildKit server through its client, each with an end."""

from __future__ import annotations

import re
import subprocess
import tempfile
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.errors import BuildctlNotExecutableError, MultiarchError
from multiarch.formatting import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.run import Run

_SECONDS = 8.0  # seconds; a server answers at once, and is asked within a check's time
_MOST = 1 << 20  # bytes of an answer that are read
_PRINTED = re.compile(r"^BuildKit:\s+\S+\s+(\S+)", re.MULTILINE)
_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})")

INFO = ("debug", "info")


class ClientError(MultiarchError):
    """The client could not do it: its last line."""

    def __init__(self, output: str, status: int) -> None:
        lines = output.strip().splitlines() or [f"exit status {status}"]
        super().__init__(one_line(re.sub(r"^error: ", "", lines[-1])))


class LateError(MultiarchError):
    """The client did not end in time."""

    def __init__(self) -> None:
        super().__init__(f"no answer within {_SECONDS:.0f} s")


class Version(Struct, frozen=True):
    """A version of BuildKit."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def is_before(self, major: int, minor: int) -> bool:
        """Whether it is older than a minor version."""
        return (self.major, self.minor) < (major, minor)


def ask(run: Run, command: Sequence[str], environ: Mapping[str, str] | None) -> str:
    """Return what a command of the client prints.

    :raises ClientError: it fails. :raises LateError: it does not end in time.
    :raises BuildctlNotExecutableError: it cannot be started.
    """
    trace = run.progress.trace
    ended = trace.command(list(command)) if trace else None
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as words:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=words,
                env=environ,
                timeout=_SECONDS,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LateError from None
        except OSError as error:
            raise BuildctlNotExecutableError(command[0], error.strerror or str(error)) from None
        if ended:
            ended(done.returncode)
        if done.returncode:
            words.seek(0)
            raise ClientError(words.read(_MOST).decode(errors="replace"), done.returncode)
        output.seek(0)
        return output.read(_MOST).decode(errors="replace")


def read_version(text: str) -> Version | None:
    """Return the version in what ``buildctl debug info`` prints; None without one."""
    found = _PRINTED.search(text)
    return parse_version(found[1]) if found else None


def parse_version(text: str) -> Version | None:
    """Return the version of BuildKit that a text begins with, such as ``v0.32.2``; None where it begins with none."""
    found = _VERSION.match(text)
    return Version(*(int(part) for part in found.groups())) if found else None

"""Questions to a BuildKit server through its client, each with an end."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from multiarch.errors import BuildctlNotExecutableError, MultiarchError
from multiarch.formatting import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.run import Run

_SECONDS = 8.0  # seconds; a server answers at once, and is asked within a check's time
_MOST = 1 << 20  # bytes of an answer that are read
_VERSION = re.compile(r"^BuildKit:\s+\S+\s+v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})", re.MULTILINE)

INFO = ("debug", "info")
WORKERS = ("debug", "workers", "--format", "{{json .}}")


class ClientError(MultiarchError):
    """The client could not do it: its last line."""

    def __init__(self, output: str, status: int) -> None:
        lines = output.strip().splitlines() or [f"exit status {status}"]
        super().__init__(one_line(re.sub(r"^error: ", "", lines[-1])))


class LateError(MultiarchError):
    """The client did not end in time."""

    def __init__(self) -> None:
        super().__init__(f"no answer within {_SECONDS:.0f} s")


@dataclass(frozen=True)
class Version:
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
    found = _VERSION.search(text)
    return Version(*(int(part) for part in found.groups())) if found else None


def read_platforms(text: str) -> set[str] | None:
    """Return the platforms of a server's workers (``buildctl debug workers``); None where it does not list them."""
    with suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):
        found = set()
        for worker in json.loads(text):
            for platform in worker["platforms"]:
                parts = (platform["os"], platform["architecture"], platform.get("variant", ""))
                found.add("/".join(filter(None, parts)))
        return found
    return None

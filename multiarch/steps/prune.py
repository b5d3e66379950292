"""``prune``: free the disk of the local builder from its cache (``buildctl prune``)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.buildkit.address import dry_address, running_address
from multiarch.buildkit.buildctl import default_path, find_buildctl
from multiarch.buildkit.builder import Builder
from multiarch.errors import BuildctlNotExecutableError, ConfigurationError, MultiarchError, StoppedError, unbroken
from multiarch.formatting import is_amount, size

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.config.project import Project
    from multiarch.run import Run

_LONGEST_ERROR = 4096  # bytes of buildctl's words, at their end
_PAUSE = 0.05  # seconds


class Freed(Struct, frozen=True):
    """What was removed: how many records of the cache, and their size in bytes."""

    records: int
    bytes: float

    def __str__(self) -> str:
        return f"freed {size(self.bytes)}, {self.records} records"

    @property
    def json(self) -> dict[str, float]:
        """Its fields for programs."""
        return {"records": self.records, "bytes": self.bytes}


class Prune(Struct, frozen=True):
    """The step with its options, which are named and read as those of ``buildctl prune``.

    :ivar everything: whether also what BuildKit keeps for itself goes, such as frontends.
    :ivar keep_storage: MB of the cache that stay; None for none.
    :ivar keep_duration: what was used within it stays, such as ``48h``; None for no such time.
    """

    everything: bool = False
    keep_storage: str | None = None
    keep_duration: str | None = None

    def run(self, run: Run) -> tuple[Freed]:
        """Remove what nothing uses from the cache of the local builder; a build in progress keeps what it needs.

        :raises NoBuilderError: there is no server. :raises BuildctlMissingError: there is no client.
        :raises MultiarchError: BuildKit does not do it.
        """
        flags, settings = self._flags(), run.settings
        buildctl = find_buildctl(settings)
        builder = Builder(running_address(settings, run.host))
        builder.check(run.host)
        command = [str(buildctl), *builder.flags(), "prune", *flags, "--format", "{{json .}}"]
        with tempfile.TemporaryFile() as output:
            _run(command, builder.environ(run.host), output.fileno(), run)
            output.seek(0)
            sizes = [_size(line) for line in output]
        return (Freed(len(sizes), sum(sizes)),)

    def commands(self, project: Project) -> list[list[str]]:
        """Return the equivalent command."""
        settings = project.settings
        return [_command(default_path(settings), dry_address(settings), self._flags())]

    def _flags(self) -> list[str]:
        """Return the words of buildctl. :raises ConfigurationError: an amount or a time is none."""
        flags = ["--all"] if self.everything else []
        if self.keep_storage is not None:
            if not self.keep_storage.isascii() or not self.keep_storage.isdigit():
                raise ConfigurationError("--keep-storage", f"{self.keep_storage!r} is no number of MB, such as 2000")
            flags += ["--keep-storage", self.keep_storage]
        if self.keep_duration is not None:
            flags += ["--keep-duration", self.keep_duration]
        return flags


def _command(buildctl: Path, address: str, flags: list[str]) -> list[str]:
    return [str(buildctl), *Builder(address).flags(), "prune", *flags]


def _run(command: list[str], environ: dict[str, str] | None, output: int, run: Run) -> None:
    """Run buildctl until it ends or the run is stopped. :param output: file descriptor of what it prints.

    :raises StoppedError: the run was stopped. :raises MultiarchError: buildctl failed.
    """
    trace = run.progress.trace
    ended = trace.command(command) if trace else None
    with tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=words,
                env=environ,
                start_new_session=True,
            )
        except OSError as error:
            raise BuildctlNotExecutableError(command[0], error.strerror or str(error)) from None
        while process.poll() is None and not run.policy.stopped.wait(_PAUSE):
            pass
        if process.poll() is None:
            process.kill()
        status = process.wait()
        if ended:
            ended(status)
        if run.policy.stopped.is_set():
            raise StoppedError("prune")
        if status:
            words.seek(max(0, words.seek(0, 2) - _LONGEST_ERROR))
            lines = words.read().decode(errors="replace").strip().splitlines() or [f"exit status {status}"]
            raise MultiarchError(f"prune: BuildKit could not: {unbroken(lines[-1]).removeprefix('error: ')}")


def _size(line: bytes) -> float:
    """Return the size of a removed record (BuildKit, client/diskusage.go). :raises MultiarchError: it is none."""
    try:
        value = json.loads(line)["size"]
    except (ValueError, LookupError, TypeError, RecursionError):
        value = None
    if not is_amount(value):
        raise MultiarchError("prune: it is done, but what buildctl says of it cannot be read; look with buildctl du")
    return value

"""Running the tasks: in this process through Invoke's Program, or in one of their own through ``python -m invoke``."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.cli.tasks import program

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
NO_DOCKER = "unix:///nowhere/docker.sock"


@dataclass(frozen=True)
class Result:
    """What a run did: *out* and *err* are the lines of its two outputs."""

    status: int
    out: list[str]
    err: list[str]


@dataclass(frozen=True)
class Project:
    """A directory with a tasks.py of three words, as an adopter has it."""

    path: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def write(self, **files: str) -> None:
        """Write files; ``invoke_yaml`` is invoke.yaml."""
        for name, text in files.items():
            (self.path / name.replace("_", ".")).write_text(text)

    def run(self, *words: str) -> Result:
        """Run the console script in this process; its working directory is the project's."""
        out, err, status = StringIO(), StringIO(), 0
        with redirect_stdout(out), redirect_stderr(err):
            former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
            try:
                program.run(["multiarch", *words])
            except SystemExit as end:
                status = int(end.code or 0)
            finally:
                # A run that a signal ended ignores all others, as its process would end.
                for number, handler in former.items():
                    signal.signal(number, handler)
        return Result(status, out.getvalue().splitlines(), err.getvalue().splitlines())

    def command(self, *words: str, program: str = "") -> list[str]:
        """Return the command of an invoke run, or of a Python *program* in its place."""
        return [sys.executable, *(["-c", program] if program else ["-m", "invoke"]), *words]

    def env(self, **more: str) -> dict[str, str]:
        """Return the environment of an invoke run."""
        return {**os.environ, **_found(), **more}

    def invoke(self, *words: str, program: str = "", **environ: str) -> Result:
        """Run invoke in a process of its own."""
        done = subprocess.run(
            self.command(*words, program=program),
            cwd=self.path,
            env=self.env(**environ),
            capture_output=True,
            text=True,
            timeout=30,
        )
        return Result(done.returncode, done.stdout.splitlines(), done.stderr.splitlines())


def _found() -> dict[str, str]:
    """Let a process find the package where it is not installed."""
    try:
        importlib.metadata.distribution("invoke-multiarch")
    except importlib.metadata.PackageNotFoundError:
        return {"PYTHONPATH": str(ROOT)}
    return {}

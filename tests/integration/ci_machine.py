"""Machine of a job in a pipeline: in a CI each job has one of its own, here they take turns on this one."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Both runners start bash for what a job does, and bash reads the file BASH_ENV first: so each job gets a home of its
# own, however its pipeline is written. act always runs the jobs of a matrix side by side, so a job waits for its turn,
# which `Turns.end` ends. A bash that the job's own bash started changes nothing.
_SCRIPT = """\
_machine=${{GITHUB_WORKSPACE:-}}
_machine=${{_machine%/*}}
_machine=${{CI_JOB_ID:-${{_machine##*/}}}}
if [ -n "$_machine" ] && [ "${{CI_MACHINE:-}}" != "$_machine" ]; then
    if [ -n "${{GITHUB_WORKSPACE:-}}" ]; then
        until [ "$(readlink {turn})" = "$_machine/$GITHUB_JOB" ] || ln -s "$_machine/$GITHUB_JOB" {turn} 2>/dev/null; do
            while [ -L {turn} ]; do sleep 0.3; done
        done
    else
        # gitlab-ci-local says false, GitLab says true.
        export GITLAB_CI=true
    fi
    export CI_MACHINE="$_machine" HOME={folder}/"$_machine"
    unset XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR XDG_STATE_HOME
    {exports}
    if mkdir "$HOME" 2>/dev/null; then
        bash {begin} </dev/null || exit 1
    fi
fi
unset _machine
"""


@dataclass(frozen=True)
class Machine:
    """The environment of every job of a pipeline, beside a home and a working directory of its own.

    :ivar path: its PATH.
    :ivar env: variables that hold whatever the pipeline says, such as DOCKER_HOST.
    :ivar begin: shell commands that each job begins with, such as those that bring back the state of a new machine.
    """

    path: str
    env: Mapping[str, str] = field(default_factory=dict)
    begin: str = ""

    def install(self, folder: Path) -> dict[str, str]:
        """Write the scripts that jobs begin with into a folder; return the environment for a runner."""
        home, machines = folder / "home", folder / "machines"
        home.mkdir()
        machines.mkdir()
        begin = folder / "begin.sh"
        begin.write_text(f"set -eu\n{self.begin}\n")
        exports = "\n    ".join(f"export {name}={shlex.quote(value)}" for name, value in self.env.items())
        values = {"folder": machines, "turn": Turns(folder).file, "begin": begin}
        quoted = {name: shlex.quote(str(path)) for name, path in values.items()}
        script = folder / "machine.sh"
        script.write_text(_SCRIPT.format(exports=exports or ":", **quoted))
        # act gives its jobs a terminal, which no CI has; a dumb one makes programs write as into a log.
        return {"PATH": self.path, "HOME": str(home), "BASH_ENV": str(script), "LANG": "C.UTF-8", "TERM": "dumb"}


@dataclass
class Turns:
    """The turns of jobs on the machine, and how long each took."""

    folder: Path
    _last_end: float = 0.0

    @property
    def file(self) -> Path:
        """A symbolic link to nowhere, which names the machine and job whose turn it is; making one is atomic."""
        return self.folder / "machines" / "turn"

    def end(self, job: str, began: float, now: float) -> float:
        """End the turn of a job if it has it; return how many seconds its turn took."""
        with contextlib.suppress(FileNotFoundError):
            if self.file.readlink().name == job:
                self.file.unlink()
        seconds = now - max(began, self._last_end)
        self._last_end = now
        return seconds


def follow(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float, read: Callable[[float, str], None]
) -> int:
    """Run a program, call `read` with each line of its output and its time, and return the exit status.

    :raises AssertionError: it did not end in time.
    """
    late = threading.Event()
    # A session of its own, so that the programs of its jobs end with it.
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:

        def end() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            # act gives each step a session of its own; its processes have the same BASH_ENV.
            while pids := _begun_with(env["BASH_ENV"]):
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.05)

        def give_up() -> None:
            late.set()
            end()

        timer = threading.Timer(timeout, give_up)
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                read(time.monotonic(), line.rstrip("\n"))
        except BaseException:
            end()
            raise
        finally:
            process.wait()
            timer.cancel()
    assert not late.is_set(), f"{Path(argv[0]).name} did not end within {timeout:.0f} s"
    return process.returncode


def _begun_with(script: str) -> list[int]:
    """Return the running processes that have a script for their BASH_ENV."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"BASH_ENV={script}".encode() in path.read_bytes().split(b"\0"):
                pids.append(int(path.parent.name))
    return pids

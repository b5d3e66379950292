"""The tasks of the lab: up, down, status."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.exceptions import Exit
from invoke.tasks import Task

from lab.errors import LabError
from lab.progress import duration, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoke.context import Context


def _task(body: Callable[[Context], None]) -> Task[Callable[[Context], None]]:
    """Return a task whose errors are shown as one message, without a traceback."""

    @functools.wraps(body)
    def wrapped(context: Context) -> None:
        try:
            body(context)
        except LabError as error:
            raise Exit(f"lab: {error}", code=1) from error
        except KeyboardInterrupt as error:
            raise Exit("lab: interrupted", code=130) from error

    return Task(wrapped)


@_task
def up(_: Context) -> None:
    """Make this machine (Debian 12, root) a Docker host with an offline mirror of Docker Hub."""
    from lab import engine
    from lab.jobs import run_jobs
    from lab.lock import alone
    from lab.plan import jobs

    host = engine.find()
    if host and not (host.is_labs and os.geteuid() == 0):
        cause = host.cannot_pull()
        if cause is None:
            say(f"nothing to do: the Docker host at {host.address} answers and can pull")
            return
        if not host.is_labs:
            raise LabError(
                f"the Docker host at {host.address} is not the lab's and cannot pull ({cause}): "
                "give it a way to Docker Hub, or stop it so that the lab can start its own"
            )
    _check_machine()
    start = time.monotonic()
    with alone():
        jobs_done = run_jobs(jobs())
    if jobs_done:
        say(f"up after {duration(time.monotonic() - start)}")
    else:
        say("up already, and everything in place")


@_task
def down(_: Context) -> None:
    """Stop and remove what the lab started; keep its cache."""
    from lab import cluster, daemons, hosts
    from lab.changes import Changes
    from lab.lock import alone
    from lab.paths import LOGS, RUN, STATE

    _check_root()
    with alone():
        cluster.stop()
        hosts.stop_all()
        stopped = daemons.stop_all()
        Changes().undo()
        for folder in (STATE, RUN, LOGS):
            if folder.exists():
                shutil.rmtree(folder)
    say(f"down: stopped {' and '.join(stopped)}" if stopped else "down: nothing of it ran")


@_task
def kubernetes(_: Context) -> None:
    """Make the Kubernetes that fleet-test needs: some minutes, once."""
    from lab import cluster
    from lab.jobs import run_jobs
    from lab.lock import alone
    from lab.plan import jobs_of

    _check_machine()
    with alone():
        if not run_jobs(jobs_of(cluster.PARTS)):
            say("Kubernetes is there already")


@_task
def status(_: Context) -> None:
    """Show the daemons and the parts of the lab; exit 0 when it is up, else 1."""
    from lab import daemons, mirror
    from lab.plan import PARTS

    states = [
        ("dockerd", "up" if daemons.DOCKERD.up() else "down", f"unix://{daemons.SOCKET}"),
        ("mirror", "up" if daemons.MIRROR.up() else "down", mirror.ADDRESS),
    ]
    running = all(state == "up" for _, state, _ in states)
    for part in PARTS:
        version = part.version()
        state = "missing" if version is None else "present" if part.fresh() else "stale"
        states.append((part.name, state, version or ""))
    for name, state, note in states:
        sys.stdout.write(f"{name:<20}{state:<9}{note}".rstrip() + "\n")
    if not running:
        raise Exit(code=1)


def _check_root() -> None:
    if os.geteuid() != 0:
        raise LabError(
            "the lab starts a Docker host, for which it must be root: use sudo, or a Docker host of your own"
        )


def _check_machine() -> None:
    _check_root()
    release = Path("/etc/os-release")
    text = release.read_text() if release.exists() else ""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    system = fields.get("ID", "").strip('"'), fields.get("VERSION_ID", "").strip('"')
    if system != ("debian", "12"):
        name = fields.get("PRETTY_NAME", "this system").strip('"')
        raise LabError(f"the lab is made of Debian 12's packages and cannot use {name}: start a Docker host yourself")

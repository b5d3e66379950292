"""The two daemons of the lab: dockerd, and the registry that mirrors Docker Hub."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import mirror, processes, runtime
from lab.changes import Changes
from lab.commands import last_lines, run
from lab.errors import LabError
from lab.paths import DATA_ROOT, EXEC_ROOT, LOGS, MIRROR_STORAGE, RUN

if TYPE_CHECKING:
    from collections.abc import Callable

SOCKET = Path("/var/run/docker.sock")
BINFMT = Path("/proc/sys/fs/binfmt_misc")
CGROUP = Path("/sys/fs/cgroup")
_CGROUPS = ("docker", "buildkit")  # of containers, and of what buildkitd runs in one of them

_GRACE = 20.0  # seconds; dockerd stops its containers before it ends


@dataclass(frozen=True)
class Daemon:
    """A process that outlives its command, known by its program and one argument that only the lab gives it."""

    program: str
    mark: str
    answers: Callable[[], bool]
    # What its log is called; by default as the program.
    name: str = ""

    @property
    def log(self) -> Path:
        """The file that its output goes to."""
        return LOGS / f"{self.name or self.program}.log"

    def pids(self) -> list[int]:
        """Return the processes of this daemon."""
        return processes.find(self.program, self.mark)

    def up(self) -> bool:
        """Whether it runs and answers."""
        return bool(self.pids()) and self.answers()

    def start(self, argv: list[str], timeout: float, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start it and wait until it answers; return its process.

        :param timeout: seconds.
        :param env: its variables beyond the environment of this process.
        :raises LabError: it does not; with the last lines of its log.
        """
        LOGS.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            # A session of its own: neither Ctrl-C nor the end of the terminal reaches it.
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        end = time.monotonic() + timeout
        while process.poll() is None and time.monotonic() < end:
            if self.answers():
                return process
            time.sleep(0.05)
        processes.stop([process.pid], 5)
        text = last_lines(self.log.read_text(errors="replace"))
        raise LabError(f"{self.program} does not come up ({self.log}):\n{text}")


def answers(family: int, address: str | tuple[str, int]) -> bool:
    """Whether somebody answers HTTP at an address."""
    with socket.socket(family) as client:
        client.settimeout(30)  # seconds; a busy daemon must not be taken for one that hangs, and restarted
        try:
            client.connect(address)
            client.sendall(b"GET /_ping HTTP/1.0\r\nHost: lab\r\n\r\n")
            return client.recv(5).startswith(b"HTTP/")
        except PermissionError:
            # It listens; the status may be asked for by a user who may not connect.
            return True
        except OSError:
            return False


DOCKERD = Daemon("dockerd", str(EXEC_ROOT), lambda: answers(socket.AF_UNIX, str(SOCKET)))
MIRROR = Daemon("docker-registry", str(mirror.CONFIG_FILE), lambda: answers(socket.AF_INET, ("127.0.0.1", mirror.PORT)))


def start_mirror() -> str:
    """Start the mirror; replace one that hangs."""
    processes.stop(MIRROR.pids(), 5)
    if MIRROR.answers():
        raise LabError(f"port {mirror.PORT} of 127.0.0.1, the mirror's, is taken by another program: stop that first")
    mirror.CONFIG_FILE.parent.mkdir(parents=True, exist_ok=True)
    mirror.CONFIG_FILE.write_text(mirror.CONFIG)
    MIRROR_STORAGE.mkdir(parents=True, exist_ok=True)
    MIRROR.start(["docker-registry", "serve", str(mirror.CONFIG_FILE)], timeout=20)
    return f"listens on {mirror.ADDRESS}"


def start_dockerd() -> str:
    """Start dockerd, after removing what an earlier one left; replace one that hangs."""
    _clear_dockerd()
    _prepare_kernel()
    EXEC_ROOT.mkdir(parents=True, exist_ok=True)
    DATA_ROOT.mkdir(parents=True, exist_ok=True)
    # An empty file of its own: settings in /etc/docker/daemon.json may contradict the flags, which dockerd refuses.
    config = RUN / "daemon.json"
    config.write_text("{}\n")
    Changes().bridge("docker0")
    argv = ["dockerd", "--config-file", str(config), "--host", f"unix://{SOCKET}"]
    argv += ["--data-root", str(DATA_ROOT), "--exec-root", str(EXEC_ROOT), "--pidfile", str(RUN / "docker.pid")]
    argv += ["--storage-driver", "overlay2", "--registry-mirror", mirror.ADDRESS, *runtime.arguments()]
    DOCKERD.start(argv, timeout=60)
    return f"listens on unix://{SOCKET}"


def stop_all() -> list[str]:
    """Stop what the lab started, containers included, and return the names of the daemons that ran."""
    stopped = [daemon.program for daemon in (DOCKERD, MIRROR) if daemon.pids()]
    _clear_dockerd()
    processes.stop(MIRROR.pids(), 5)
    return stopped


def _clear_dockerd() -> None:
    """End dockerd, and remove what it or an earlier one left: containerd, shims, containers, mounts, sockets."""
    is_running = bool(DOCKERD.pids())
    processes.stop(DOCKERD.pids(), _GRACE)
    processes.stop(processes.find("containerd", str(EXEC_ROOT)), 5)
    processes.stop(processes.find("containerd-shim-runc-v2", str(EXEC_ROOT)), 0)
    processes.stop(processes.rooted_in(DATA_ROOT), 0)
    for folder in (EXEC_ROOT, DATA_ROOT):
        for point in processes.mounts_in(folder):
            run(["umount", "--lazy", point])
    shutil.rmtree(RUN, ignore_errors=True)
    if is_running or not DOCKERD.answers():
        SOCKET.unlink(missing_ok=True)
        for name in _CGROUPS:
            remove_cgroups(name)


def remove_cgroups(name: str) -> None:
    """Remove the control groups of a name, and those below them, in each hierarchy, as far as nothing runs in them."""
    for hierarchy in CGROUP.glob(f"**/{name}"):
        for below in sorted(hierarchy.glob("**/"), key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):
                below.rmdir()


def _prepare_kernel() -> None:
    """Mount the file systems that systemd mounts, where they are missing."""
    changes = Changes()
    if not processes.mounts_in(CGROUP):
        changes.mount("cgroup2", CGROUP)
    # Linux from 6.7 on forgets all emulators with the last mount, which may be that of a container that ends.
    if not processes.mounted(BINFMT):
        if not BINFMT.is_dir():
            _quietly_load("binfmt_misc")
        changes.mount("binfmt_misc", BINFMT)


def _quietly_load(module: str) -> None:
    if shutil.which("modprobe") and Path("/lib/modules").is_dir():
        # It may be built in; where it is not, the mount that follows fails and says why.
        with contextlib.suppress(LabError):
            run(["modprobe", module])

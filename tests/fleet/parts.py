"""The real parts of a fleet on this machine: buildkitd, a registry, sshd, another machine's network; none in Docker."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab import processes
from lab.buildkit import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BUILDCTL = PROGRAMS.folder / "buildctl"
MIRROR = "127.0.0.1:5055"  # the lab's mirror of Docker Hub
_START_SECONDS = 30.0


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def wait_until(is_true: Callable[[], bool], what: str, seconds: float = _START_SECONDS) -> None:
    """Wait until something holds. :raises AssertionError: it does not, for so long."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.05)


def listens(address: str, port: int) -> bool:
    """Whether somebody listens."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


@dataclass
class Daemon:
    """A program that runs until it is stopped, with its log in a file."""

    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it, by a signal; what does not end by that is killed."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass
class Builder:
    """A buildkitd of a test, with a cache of its own.

    :ivar address: as buildctl takes it.
    :ivar certificates: of its server (ca.pem, cert.pem, key.pem); None for plain text.
    :ivar mirror: of Docker Hub, as it can be reached from there.
    :ivar inside: the words before its command, where it is to run elsewhere.
    """

    folder: Path
    address: str
    certificates: Path | None = None
    mirror: str = MIRROR
    inside: tuple[str, ...] = ()
    plain_registries: tuple[str, ...] = ()
    daemon: Daemon = field(init=False)

    def start(self) -> Builder:
        """Start it, and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        toml = self.folder / "buildkitd.toml"
        toml.write_text(self._toml())
        command = [*self.inside, str(PROGRAMS.folder / "buildkitd"), "--config", str(toml)]
        self.daemon = Daemon(command, self.folder / "log")
        self.daemon.start()
        wait_until(lambda: "running server on" in self.log, f"the start of {self.address}: {self.log[-2000:]}")
        return self

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.folder / "log").read_text(errors="replace")

    def _toml(self) -> str:
        lines = [f'root = "{self.folder}/root"', "[grpc]", f'address = ["{self.address}"]']
        if self.certificates:
            lines += ["[grpc.tls]", *(f'{n} = "{self.certificates}/{n}.pem"' for n in ("ca", "cert", "key"))]
        lines += ["[worker.containerd]", "enabled = false", '[registry."docker.io"]', f'mirrors = ["{self.mirror}"]']
        for name in (self.mirror, *self.plain_registries):
            lines += [f'[registry."{name}"]', "http = true"]
        return "\n".join(lines) + "\n"

    def kill(self) -> None:
        """Kill it, as a machine that fails does."""
        self.daemon.end(signal.SIGKILL)

    def end(self) -> None:
        """End it, and what it left mounted."""
        self.daemon.end()
        processes.stop(processes.rooted_in(self.folder), 0)
        for point in processes.mounts_in(self.folder):
            subprocess.run(["umount", "--lazy", point], check=True)
        shutil.rmtree(self.folder / "root", ignore_errors=True)


@dataclass
class Registry:
    """A registry of a test, over plain HTTP."""

    folder: Path
    address: str = "127.0.0.1"
    port: int = 0
    daemon: Daemon = field(init=False)

    def start(self) -> Registry:
        """Start it, and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port(self.address)
        config = self.folder / "config.yml"
        config.write_text(
            "version: 0.1\nlog: {accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}\nhttp: {{addr: '{self.host}'}}\n"
        )
        self.daemon = Daemon(["docker-registry", "serve", str(config)], self.folder / "log")
        self.daemon.start()
        wait_until(lambda: listens(self.address, self.port), "the start of the registry")
        return self

    @property
    def host(self) -> str:
        """``host:port``, as in the names of images."""
        return f"{self.address}:{self.port}"


class Forwarder:
    """Hands connections on to another address, and keeps what passed."""

    def __init__(self, to: tuple[str, int], address: str = "127.0.0.1") -> None:
        self.passed: list[bytes] = []
        self._to = to
        self._open: list[socket.socket] = []
        self._server = socket.create_server((address, 0))
        self.address = f"{address}:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(self._to)
                self._open += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 16):
                self.passed.append(chunk)
                sink.sendall(chunk)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    @property
    def text(self) -> bytes:
        """All that passed."""
        return b"".join(self.passed)

    def end(self) -> None:
        """Take no more connections, and close those that there are."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        for one in (self._server, *self._open):
            one.close()


@dataclass(frozen=True)
class Result:
    """Result of a command; *out* are the lines of its standard output."""

    status: int
    out: list[str]
    err: str


@dataclass
class Project:
    """A project whose builders are elsewhere, on a machine without Docker."""

    path: Path
    image: str
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, dockerfile: str, settings: str) -> None:
        """Write the Dockerfile, and the settings beside those of every test."""
        (self.path / "Dockerfile").write_text(dockerfile)
        head = (
            f"multiarch:\n  image: {self.image}\n  dest: {BUILDCTL.parent}\n  attestations: []\n  retry_seconds: 30\n"
        )
        (self.path / "invoke.yaml").write_text(head + settings)
        (self.path / "tasks.py").write_text("from multiarch import ns\n")

    def env(self, **more: str) -> dict[str, str]:
        """Return the environment of a run."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("INVOKE_") and k != "BUILDKIT_HOST"}
        return {**clean, "DOCKER_HOST": "unix:///nowhere/docker.sock", **self.environ, **more}

    def begin(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        """Begin a run of tasks."""
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", *words],
            cwd=self.path,
            env=self.env(**environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, process: subprocess.Popen[str], seconds: float = 120) -> Result:
        """Return the result of a run, at its end."""
        out, err = process.communicate(timeout=seconds)
        return Result(process.returncode, out.splitlines(), err)

    def run(self, *words: str, seconds: float = 120, **environ: str) -> Result:
        """Run tasks to their end."""
        return self.end(self.begin(*words, **environ), seconds)


def published(project: Project, tag: str = "latest") -> str:
    """Return the digest under a tag; empty where there is none."""
    host, _, name = project.image.partition("/")
    request = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{tag}", method="HEAD")
    request.add_header("Accept", "application/vnd.oci.image.index.v1+json")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers["Docker-Content-Digest"])
    except urllib.error.HTTPError:
        return ""


def processes_of(word: str) -> list[str]:
    """Return the command lines of buildctl, ssh and kubectl that have a word in them."""
    names = ("buildctl", "ssh", "kubectl")
    return [words for words in command_lines() if Path(words.split(" ")[0]).name in names and word in words]


def commands_of(word: str) -> list[str]:
    """Return the shells of RUNs that have a word in their command."""
    return [words for words in command_lines() if words.startswith("/bin/sh -c ") and word in words]


def command_lines() -> list[str]:
    """Return the command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().decode(errors="replace").rstrip("\0").replace("\0", " "))
    return found

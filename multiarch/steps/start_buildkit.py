"""Step 2, ``start-buildkit``: the BuildKit server in a container on the Docker host.

The document: "Using Buildkit for building docker images". Beyond its one command the server gets a volume for its
cache, the Docker daemon's registry mirrors and insecure registries (docs/buildkitd.toml.md of BuildKit), and an address
that only this user can reach.
"""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from multiarch.buildkit.address import container_address
from multiarch.buildkit.builder import Builder
from multiarch.buildkit.server import Server, wanted
from multiarch.buildkit.socket_directory import make_private
from multiarch.certificates import CertificateFile
from multiarch.config.settings import BUILDKIT_CONTAINER
from multiarch.docker_info import HostInfo
from multiarch.errors import (
    ConfigurationError,
    DockerError,
    DockerNotFoundError,
    EmptyMatrixError,
    MultiarchError,
    NotReadyError,
    PortTakenError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docker.models.containers import Container

    from multiarch.config.settings import Settings
    from multiarch.docker_host import DockerHost
    from multiarch.run import Run

_READY_SECONDS = 60.0  # a server with a large cache takes some seconds to open it
_MOST_LINES = 400  # lines of its log that are searched for the cause; a trace of Go's stack may follow that
_SHOWN_LINES = 20
_STOP_SECONDS = 10  # seconds, Docker's own default
# What buildkitd says where its image has no bridge for a RUN: it is too old, or lacks CNI's plug-ins or iptables.
_NO_BRIDGE = ('invalid network mode: "bridge"', "failed to find CNI bridge", "failed to locate iptables")


def run(run: Run) -> tuple[str]:
    """Run a server that fits the settings; return its address, as BUILDKIT_HOST takes it.

    A server that a set BUILDKIT_HOST names is taken as it is; nothing is started then.

    :raises ForeignContainerError: somebody else's container has the name.
    :raises PortTakenError: somebody else listens on the address.
    :raises NotReadyError: the server does not answer; with its last log lines.
    :raises ConfigurationError: the directory of its socket must not be shared, or the image cannot isolate a ``RUN``.
    :raises BuilderUnreachableError: BUILDKIT_HOST leads nowhere.
    """
    settings, host = run.settings, run.host
    if settings.builder.host:
        Builder(settings.builder.host).check(host)
        return (settings.builder.host,)
    if not settings.matrix:
        raise EmptyMatrixError
    existing = host.find(BUILDKIT_CONTAINER)
    image_id = host.need_image(settings.builder.image, "buildkit_image")
    server = wanted(settings, host.info, local=host.is_local)
    started = time.monotonic()
    if existing is None:
        container = _create(server, image_id, host)
    elif settings.builder.recreate or not server.serves(existing.labels, image_id):
        why = "as asked" if settings.builder.recreate else "its configuration differs"
        host.say(f"{BUILDKIT_CONTAINER}: recreating the container, {why}; its cache is kept")
        _check_directory(server)
        _stop(existing, host)
        container = _create(server if settings.builder.recreate else server.replacing(existing.labels), image_id, host)
    else:
        container = existing
        if container.status != "running":
            _start(container, server, host)
    _wait_until_ready(container, server, host)
    host.say(f"{BUILDKIT_CONTAINER}: {settings.builder.image} is ready ({time.monotonic() - started:.1f} s)")
    address = settings.builder.address or container_address(container)
    Builder(address).check(host)
    return (address,)


def commands(settings: Settings) -> list[list[str]]:
    """Return the document's command for this step, for a Docker host like this machine."""
    if settings.builder.host:
        return []
    server = wanted(settings, HostInfo(os.uname().machine), local=True)
    command = ["docker", "run", "-d", "--privileged", "--restart", "unless-stopped", "--name", BUILDKIT_CONTAINER]
    if server.host_network:
        command += ["--network", "host"]
    for volume in server.volumes():
        command += ["-v", volume]
    ready = ["docker", "exec", BUILDKIT_CONTAINER, "sh", "-c", "until buildctl debug workers; do sleep 1; done"]
    prepare = [["mkdir", "-p", "-m", "700", str(server.sockets)]] if server.sockets else []
    return [*prepare, [*command, settings.builder.image, *server.command()], ready]


def _check_directory(server: Server) -> None:
    if server.sockets is not None:
        make_private(server.sockets, "--address" if server.sockets_asked else "XDG_STATE_HOME")


def _stop(container: Container, host: DockerHost) -> None:
    """Stop and remove a server; one that is killed leaves its bridge on the host's network."""
    with contextlib.suppress(DockerNotFoundError):
        host.run(f"stop container {BUILDKIT_CONTAINER}", lambda: container.stop(timeout=_STOP_SECONDS))
    host.remove(container)


def _create(server: Server, image_id: str, host: DockerHost) -> Container:
    _check_directory(server)
    container = host.create(
        f"create container {BUILDKIT_CONTAINER}",
        server.image,
        server.command(),
        name=BUILDKIT_CONTAINER,
        privileged=True,
        volumes=server.volumes(),
        labels=server.labels(image_id),
        restart_policy={"Name": "unless-stopped"},
        **({"network_mode": "host"} if server.host_network else {}),
    )
    if server.toml or server.certificates:
        host.run(f"configure container {BUILDKIT_CONTAINER}", lambda: container.put_archive("/", _archive(server)))
    _start(container, server, host)
    return container


def _archive(server: Server) -> bytes:
    """Return a tar of the configuration and of its directories, which the image may lack."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in _folders(["/etc/buildkit/buildkitd.toml", *(file.path for file in server.certificates)]):
            directory = tarfile.TarInfo(folder[1:])
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(directory)
        toml = CertificateFile("/etc/buildkit/buildkitd.toml", server.toml.encode())
        for copy in (toml, *server.certificates):
            file = tarfile.TarInfo(copy.path[1:])
            file.size, file.mode = len(copy.content), 0o600 if copy.is_key else 0o644
            tar.addfile(file, io.BytesIO(copy.content))
    return buffer.getvalue()


def _folders(paths: Iterable[str]) -> list[str]:
    """Return the directories that files are in, below /etc, each after the one that it is in."""
    parents = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    return sorted(parents - {"/", "/etc"})


def port_taken(address: str) -> PortTakenError:
    """Return the error of an address, ``host:port``, on which somebody else listens."""
    return PortTakenError(f"tcp://{address}", _remedy(address))


def _remedy(address: str) -> str:
    return f"choose another port: --address tcp://127.0.0.1:{int(address.rpartition(':')[2]) + 1}"


def _start(container: Container, server: Server, host: DockerHost) -> None:
    host.say(f"{BUILDKIT_CONTAINER}: starting {server.image}")
    host.start(container, f"tcp://{server.tcp}", _remedy(server.tcp or ":1234"))


def _wait_until_ready(container: Container, server: Server, host: DockerHost) -> None:
    """Wait until a client inside the container gets an answer; its socket is there whatever the address.

    :raises NotReadyError: there is none in time; the container is removed.
    :raises DockerNotFoundError: another process has removed the container meanwhile.
    """
    deadline = time.monotonic() + _READY_SECONDS
    reason = ""
    # Restarts of before count no more: Docker may have restarted it after a crash, or with itself.
    restarts = container.attrs["RestartCount"]
    while True:
        host.reload(container)
        if container.attrs["RestartCount"] > restarts or container.status in ("exited", "dead"):
            reason = "the server ends as soon as it starts"
            break
        if container.status == "running":
            try:
                code, output = host.execute(container, ["buildctl", "debug", "workers"])
            except DockerError as error:  # it has just gone down
                code, output = 1, str(error)
            if code == 0:
                return
            reason = output.strip()
        if time.monotonic() > deadline:
            break
        host.policy.stopped.wait(0.1)
    log = host.last_lines(container, _MOST_LINES)
    host.remove(container)
    raise _failure(server, reason, log)


def _failure(server: Server, reason: str, log: list[str]) -> MultiarchError:
    """Return why a server did not start, by its log."""
    if server.tcp and any("address already in use" in line for line in log):
        return port_taken(server.tcp)
    if any(sign in line for line in log for sign in _NO_BRIDGE):
        problem = f"{server.image} cannot keep a RUN from the loopback interface of the Docker host"
        remedy = "it is too old, or lacks CNI's plug-ins or iptables; name another, such as moby/buildkit:v0.32.2"
        return ConfigurationError("multiarch.buildkit_image", f"{problem}: {remedy}")
    return NotReadyError(f"{BUILDKIT_CONTAINER} ({server.image})", reason, log[-_SHOWN_LINES:])

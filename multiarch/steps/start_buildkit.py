"""Step 2, ``start-buildkit``: the BuildKit server in a container on the Docker host.

The document: "Using Buildkit for building docker images". Beyond its one command the server gets a volume for its
cache, the Docker daemon's registry mirrors and insecure registries (docs/buildkitd.toml.md of BuildKit), and an address
that only this user can reach.
"""

from __future__ import annotations

import io
import os
import tarfile
import time
from typing import TYPE_CHECKING, Any

from multiarch.buildkit.address import container_address
from multiarch.buildkit.builder import Builder
from multiarch.buildkit.server import Server, wanted
from multiarch.config.settings import BUILDKIT_CONTAINER
from multiarch.errors import (
    DockerError,
    EmptyMatrixError,
    NotReadyError,
    PortTakenError,
)

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.config.settings import Settings
    from multiarch.docker_host import DockerHost
    from multiarch.run import Run

_READY_SECONDS = 60.0  # a server with a large cache takes some seconds to open it


def run(run: Run) -> tuple[str]:
    """Run a server that fits the settings; return its address, as BUILDKIT_HOST takes it.

    A server that a set BUILDKIT_HOST names is taken as it is; nothing is started then.

    :raises ForeignContainerError: somebody else's container has the name.
    :raises PortTakenError: somebody else listens on the address.
    :raises NotReadyError: the server does not answer; with its last log lines.
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
        host.remove(existing)
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
    server = wanted(settings, {"Architecture": os.uname().machine}, local=True)
    command = ["docker", "run", "-d", "--privileged", "--restart", "unless-stopped", "--name", BUILDKIT_CONTAINER]
    if server.host_network:
        command += ["--network", "host"]
    for inner, (ip, port) in server.ports().items():
        command += ["-p", f"{ip}:{port}:{inner.removesuffix('/tcp')}"]
    for volume in server.volumes():
        command += ["-v", volume]
    ready = ["docker", "exec", BUILDKIT_CONTAINER, "sh", "-c", "until buildctl debug workers; do sleep 1; done"]
    prepare = [["mkdir", "-p", "-m", "700", str(server.sockets)]] if server.sockets else []
    return [*prepare, [*command, settings.builder.image, *server.command()], ready]


def _create(server: Server, image_id: str, host: DockerHost) -> Container:
    options: dict[str, Any] = {"network_mode": "host"} if server.host_network else {"ports": server.ports()}
    options["restart_policy"] = {"Name": "unless-stopped"}
    if server.sockets is not None:
        server.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        server.sockets.chmod(0o700)
    container: Container = host.run(
        f"create container {BUILDKIT_CONTAINER}",
        lambda: host.client.containers.create(
            server.image,
            server.command(),
            name=BUILDKIT_CONTAINER,
            privileged=True,
            volumes=server.volumes(),
            labels=server.labels(image_id),
            **options,
        ),
    )
    if server.toml:
        host.run(f"configure container {BUILDKIT_CONTAINER}", lambda: container.put_archive("/", _archive(server.toml)))
    _start(container, server, host)
    return container


def _archive(toml: str) -> bytes:
    """Return a tar of the configuration and of its directory, which the image may lack."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        directory = tarfile.TarInfo("etc/buildkit")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(directory)
        file = tarfile.TarInfo("etc/buildkit/buildkitd.toml")
        file.size, file.mode = len(toml.encode()), 0o644
        tar.addfile(file, io.BytesIO(toml.encode()))
    return buffer.getvalue()


def _remedy(server: Server) -> str:
    port = int((server.tcp or ":1234").rpartition(":")[2])
    return f"choose another port: --address tcp://127.0.0.1:{port + 1}"


def _start(container: Container, server: Server, host: DockerHost) -> None:
    host.say(f"{BUILDKIT_CONTAINER}: starting {server.image}")
    host.start(container, f"tcp://{server.tcp}", _remedy(server))


def _wait_until_ready(container: Container, server: Server, host: DockerHost) -> None:
    """Wait until a client inside the container gets an answer; its socket is there whatever the address.

    :raises NotReadyError: there is none in time; the container is removed.
    """
    deadline = time.monotonic() + _READY_SECONDS
    reason = ""
    # Restarts of before count no more: Docker may have restarted it after a crash, or with itself.
    restarts = int(container.attrs.get("RestartCount") or 0)
    while True:
        host.run(f"look at container {BUILDKIT_CONTAINER}", container.reload)
        if int(container.attrs.get("RestartCount") or 0) > restarts or container.status in ("exited", "dead"):
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
    log = container.logs(tail=20).decode(errors="replace").splitlines()
    host.remove(container)
    if server.tcp and any("address already in use" in line for line in log):
        raise PortTakenError(f"tcp://{server.tcp}", _remedy(server))
    raise NotReadyError(f"{BUILDKIT_CONTAINER} ({server.image})", reason, log)

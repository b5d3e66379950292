"""Step 2, ``start-buildkit``: the BuildKit server in a container on the Docker host.

The document: "Using Buildkit for building docker images". Beyond its one command the server gets a volume for its
cache, the Docker daemon's registry mirrors and insecure registries (docs/buildkitd.toml.md of BuildKit), and an address
that only this user can reach.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from multiarch.buildkit.address import asked_address, container_address
from multiarch.buildkit.builder import Builder, answers
from multiarch.buildkit.container import certificates, check_directory, discard, make, restart
from multiarch.buildkit.server import SOCKET, Server, wanted
from multiarch.buildkit.use import is_idle, wait_until_idle
from multiarch.docker_info import HostInfo
from multiarch.errors import (
    ConfigurationError,
    DockerConflictError,
    DockerError,
    DockerNotFoundError,
    EmptyMatrixError,
    MultiarchError,
    NotReadyError,
    PortTakenError,
    StoppedError,
    listed,
)

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.config.project import Project
    from multiarch.config.settings import Settings
    from multiarch.docker_host import DockerHost
    from multiarch.run import Run

_READY_SECONDS = 60.0  # a server with a large cache takes some seconds to open it
_ANSWER_SECONDS = 20.0  # one that runs answers within a second, and a loaded machine takes some
_MOST_LINES = 400  # lines of its log that are searched for the cause; a trace of Go's stack may follow that
_SHOWN_LINES = 20
_MOST_ATTEMPTS = 10  # of those that another run can upset, by being faster or by removing the container
_PAUSE = 0.2  # seconds
_DIFFERS = "its configuration differs"
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
    started = time.monotonic()
    container = _ensure(settings, host)
    run.hold(container)
    host.say(f"{container.name}: {settings.builder.image} is ready ({time.monotonic() - started:.1f} s)")
    address = asked_address(settings, container) or container_address(container, host)
    Builder(address).check(host)
    return (address,)


def commands(project: Project) -> list[list[str]]:
    """Return the document's command for this step, for a Docker host like this machine."""
    settings = project.settings
    if settings.builder.host:
        return []
    settings.platforms  # noqa: B018 (an empty matrix is an error)
    server = wanted(settings, HostInfo(os.uname().machine), local=True)
    command = ["docker", "run", "-d", "--privileged", "--restart", "unless-stopped", "--name", server.name]
    if server.host_network:
        command += ["--network", "host"]
    for volume in server.volumes():
        command += ["-v", volume]
    # docker's command adds the proxies of its configuration by itself.
    for name, value in settings.builder.buildkitd.environment.items():
        command += ["-e", name if "@" in value else f"{name}={value}"]
    for address in server.nameservers:
        command += ["--dns", address]
    ready = ["docker", "exec", server.name, "sh", "-c", "until buildctl debug workers; do sleep 1; done"]
    prepare = [["mkdir", "-p", "-m", "700", str(server.sockets)]] if server.sockets else []
    return [*prepare, [*command, settings.builder.image, *server.command()], ready]


def _ensure(settings: Settings, host: DockerHost) -> Container:
    """Return a server that runs and fits, whatever other runs do to it meanwhile.

    :raises DockerNotFoundError: somebody removes it each time.
    """
    recreate = settings.builder.recreate
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        try:
            existing = host.find(settings.builder.container, again=True)
            image_id = host.need_image(settings.builder.image, "buildkit_image")
            server = wanted(settings, host.info, local=host.is_local)
            if recreate and existing is not None:
                check_directory(server)
                wait_until_idle(existing, host)
                recreate = False
                container = _replace(existing, server, image_id, b"", "as asked", host)
            else:
                container = _choose(existing, server, image_id, host)
            if container is not None:
                return container
        except (DockerNotFoundError, DockerConflictError):
            if attempt == _MOST_ATTEMPTS:
                raise
        if host.policy.stopped.wait(_PAUSE):
            raise StoppedError(f"start of {settings.builder.container}")
    raise DockerConflictError(f"start {settings.builder.container}", "other runs keep replacing it; run this again")


def _choose(existing: Container | None, server: Server, image_id: str, host: DockerHost) -> Container | None:
    """Return the server that is to serve, and answers; None where another run was faster in making it.

    One that fits is used; one that nobody uses is recreated, with what it had for others too; beside one that is in use
    a server is started apart, or, where both would have one address, its builds are waited for.
    """
    if existing is None:
        return _launch(server, image_id, host)
    if server.serves(existing.labels, image_id):
        return _use(existing, server, host)
    apart = server.apart()
    own = host.find(apart.name, again=True)
    if own is not None and apart.serves(own.labels, image_id):
        return _use(own, apart, host)
    check_directory(server)
    # Taken before the look at who uses the server, so that it is recreated right after that.
    carried = certificates(existing, host)
    if is_idle(existing, host):
        return _replace(existing, server.replacing(existing.labels), image_id, carried, _DIFFERS, host)
    if own is None and not server.meets(existing.labels):
        host.say(f"{server.name}: it is in use, and its configuration differs; starting {apart.name} beside it")
        return _launch(apart, image_id, host)
    # An own one differs as well where its image's tag has another image since.
    stale, fitting = (existing, server.replacing(existing.labels)) if own is None else (own, apart)
    wait_until_idle(stale, host)
    return _replace(stale, fitting, image_id, carried if own is None else b"", _DIFFERS, host)


def _replace(
    old: Container, server: Server, image_id: str, carried: bytes, why: str, host: DockerHost
) -> Container | None:
    """Recreate a server that nobody uses; None where another run was faster in making it."""
    host.say(f"{old.name}: recreating the container, {why}; its cache is kept")
    discard(old, host)
    return _launch(server, image_id, host, carried)


def _launch(server: Server, image_id: str, host: DockerHost, carried: bytes = b"") -> Container | None:
    """Make a server that answers; None where another run was faster in making it.

    It is without its directory where Docker cannot mount that, or no socket can be in it.
    """
    try:
        container = make(server, image_id, host, carried)
        if container is not None:
            _start(container, server, host)
            _wait_until_ready(container, server, host)
        return container
    except (DockerError, NotReadyError) as error:
        places = (str(server.sockets), f"/run/buildkit/{SOCKET}")
        if server.sockets is None or server.sockets_asked or not any(place in str(error) for place in places):
            raise
        reason = str(error).splitlines()[-1].strip(" |")
        host.say(f"{server.name}: {server.sockets} cannot be shared with it ({reason}); it is reached by Docker")
    return _launch(replace(server, sockets=None), image_id, host, carried)


def _use(container: Container, server: Server, host: DockerHost) -> Container:
    """Return a server that is there when it answers; one that runs and does not is restarted, once."""
    if container.status != "running":
        _start(container, server, host)
    elif _answers_here(container, host) or _fault(container, _ANSWER_SECONDS, host) is None:
        return container
    else:
        _revive(container, host)
    _wait_until_ready(container, server, host)
    return container


def _answers_here(container: Container, host: DockerHost) -> bool:
    """Whether a server answers on a socket of this machine; to ask it in its container takes a tenth of a second."""
    scheme, _, path = container_address(container, host).partition("://")
    return scheme == "unix" and answers(path)


def port_taken(address: str) -> PortTakenError:
    """Return the error of an address, ``host:port``, on which somebody else listens."""
    return PortTakenError(f"tcp://{address}", _remedy(address))


def _remedy(address: str) -> str:
    return f"choose another port: --address tcp://127.0.0.1:{int(address.rpartition(':')[2]) + 1}"


def _start(container: Container, server: Server, host: DockerHost) -> None:
    host.say(f"{container.name}: starting {server.image}")
    host.start(container, f"tcp://{listed(server.tcp)}", _remedy(server.tcp[0] if server.tcp else ":1234"))


def _revive(container: Container, host: DockerHost) -> None:
    """Restart a server that runs and does not answer; its log is shown first.

    It may have builds of others, and be slow: as long as it lists them, they are waited for.
    """
    started = container.attrs["State"]["StartedAt"]
    wait_until_idle(container, host)
    reason = _fault(container, 0.0, host)
    if reason is None:  # it was slow, or another run has restarted it
        return
    lines = host.last_lines(container, _SHOWN_LINES)
    host.reload(container)
    # A client may take 20 seconds to say that there is no answer, and another run has restarted it meanwhile.
    if container.attrs["State"]["StartedAt"] != started:
        return
    host.say(f"{container.name}: it does not answer ({reason}) and is restarted; its last log lines:")
    for line in lines:
        host.say(f"  | {line}")
    restart(container, host)


def _wait_until_ready(container: Container, server: Server, host: DockerHost) -> None:
    """Wait until the server answers.

    :raises NotReadyError: it does not in time; the container is removed.
    :raises DockerNotFoundError: another process has removed the container meanwhile.
    """
    reason = _fault(container, _READY_SECONDS, host)
    if reason is not None:
        log = host.last_lines(container, _MOST_LINES)
        host.remove(container)
        raise _failure(server, reason, log)


def _fault(container: Container, seconds: float, host: DockerHost) -> str | None:
    """Return why no client inside the container gets an answer in time, None where one does.

    The server's socket is there, whatever the address.
    """
    deadline = time.monotonic() + seconds
    reason = ""
    # Restarts of before count no more: Docker may have restarted it after a crash, or with itself.
    restarts = container.attrs["RestartCount"]
    while True:
        host.reload(container)
        if container.attrs["RestartCount"] > restarts or container.status in ("exited", "dead"):
            return "the server ends as soon as it starts"
        if container.status == "running":
            try:
                code, output = host.execute(container, ["buildctl", "debug", "workers"])
            except DockerError as error:  # it has just gone down
                code, output = 1, str(error)
            if code == 0:
                return None
            reason = output.strip()
        if time.monotonic() > deadline:
            return reason
        host.policy.stopped.wait(0.1)


def _failure(server: Server, reason: str, log: list[str]) -> MultiarchError:
    """Return why a server did not start, by its log."""
    if server.tcp and any("address already in use" in line for line in log):
        taken = next((a for a in server.tcp if any(a in line for line in log)), server.tcp[0])
        return port_taken(taken)
    if any(sign in line for line in log for sign in _NO_BRIDGE):
        problem = f"{server.image} cannot keep a RUN from the loopback interface of the Docker host"
        remedy = "it is too old, or lacks CNI's plug-ins or iptables; name another, such as moby/buildkit:v0.32.2"
        return ConfigurationError("multiarch.buildkit_image", f"{problem}: {remedy}")
    return NotReadyError(f"{server.name} ({server.image})", reason, log[-_SHOWN_LINES:])

"""The embedded registry: the destination when none is configured, on the Docker host's loopback interface."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from multiarch.docker_info import OWNER
from multiarch.errors import (
    ConfigurationError,
    DockerConflictError,
    DockerNotFoundError,
    InvalidAnswerError,
    NotReadyError,
    RegistryError,
    RegistryUnreachableError,
    StoppedError,
)

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.config.server_settings import EmbeddedRegistry
    from multiarch.docker_host import DockerHost

_READY_SECONDS = 30.0  # seconds, for a busy machine; usually it answers within one
_ANSWER_SECONDS = 5.0  # for one answer; it is on this machine
_MOST_ATTEMPTS = 10  # of those that another run can upset, by being faster or by removing the container
_PAUSE = 0.2  # seconds


def start_registry(registry: EmbeddedRegistry, host: DockerHost) -> None:
    """Start the embedded registry unless it is running, and wait until it answers; several runs may do so at once.

    :raises ConfigurationError: the Docker host is another machine, whose loopback interface is not ours.
    :raises PortTakenError: another program listens on the port.
    :raises NotReadyError: it does not answer; with its last log lines.
    """
    if not host.shares_loopback:
        problem = "not set, and the embedded registry only serves a Docker host on this machine; name a repository"
        raise ConfigurationError("multiarch.image", problem)
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        try:
            container = host.find(registry.container) or _create(registry, host)
            if container.status != "running":
                host.say(f"{registry.container}: starting the embedded registry on {registry.host}")
                host.start(container, registry.host, "choose another registry_port, or name a repository with --image")
            # Another run may have started it a moment ago.
            return _wait_until_ready(registry, container, host)
        except (DockerNotFoundError, DockerConflictError):
            if attempt == _MOST_ATTEMPTS:
                raise
        if host.policy.stopped.wait(_PAUSE):
            break
    raise StoppedError(f"start of {registry.container}")


def commands(registry: EmbeddedRegistry) -> list[list[str]]:
    """Return the equivalent command."""
    options = ["--name", registry.container, "--restart", "unless-stopped", "-p", f"{registry.host}:5000"]
    options += ["-v", f"{registry.container}:/var/lib/registry", "-e", "REGISTRY_STORAGE_DELETE_ENABLED=true"]
    return [["docker", "run", "-d", *options, registry.image]]


def _create(registry: EmbeddedRegistry, host: DockerHost) -> Container:
    """Create its container. :raises DockerConflictError: another run has done so meanwhile."""
    host.need_image(registry.image, "registry_image")
    return host.create(
        f"create container {registry.container}",
        registry.image,
        name=registry.container,
        ports={"5000/tcp": ("127.0.0.1", registry.port)},
        volumes=[f"{registry.container}:/var/lib/registry"],
        environment={"REGISTRY_STORAGE_DELETE_ENABLED": "true"},
        labels={OWNER: registry.host},
        restart_policy={"Name": "unless-stopped"},
    )


def _wait_until_ready(registry: EmbeddedRegistry, container: Container, host: DockerHost) -> None:
    """Wait until the registry answers. :raises NotReadyError: it does not. :raises StoppedError: the run is over."""
    from multiarch.registry.connections import Connections
    from multiarch.registry.transport import refusal
    from multiarch.retry import describe

    connections, name = Connections(registry.host, trace=host.trace), f"GET {registry.host}/v2/"
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            answer = connections.send(name, "GET", connections.base(), seconds=_ANSWER_SECONDS)
            if answer.status >= 400:
                raise refusal(name, answer)
        except (RegistryError, RegistryUnreachableError, InvalidAnswerError) as error:
            if time.monotonic() > deadline:
                log = host.last_lines(container, 20)
                raise NotReadyError(f"{registry.container} ({registry.image})", describe(error), log) from None
            if host.policy.stopped.wait(0.1):
                raise StoppedError(name) from None
        else:
            return

"""The embedded registry: the destination when none is configured, on the Docker host's loopback interface."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from multiarch.config.settings import EMBEDDED_REGISTRY
from multiarch.docker_info import OWNER
from multiarch.errors import (
    ConfigurationError,
    InvalidAnswerError,
    NotReadyError,
    RegistryError,
    RegistryUnreachableError,
)

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.docker_host import DockerHost

CONTAINER = "multiarch-registry"
VOLUME = "multiarch-registry"
_READY_SECONDS = 30.0  # seconds, for a busy machine; usually it answers within one
_HOST, _, _PORT = EMBEDDED_REGISTRY.rpartition(":")
_CREATE: dict[str, Any] = {
    "name": CONTAINER,
    "ports": {"5000/tcp": (_HOST, int(_PORT))},
    "volumes": [f"{VOLUME}:/var/lib/registry"],
    "environment": {"REGISTRY_STORAGE_DELETE_ENABLED": "true"},
    "labels": {OWNER: EMBEDDED_REGISTRY},
}


def start_registry(host: DockerHost, image: str) -> None:
    """Start the embedded registry unless it is running, and wait until it answers.

    :param image: that of the distribution project, or another that takes the same options.
    :raises ConfigurationError: the Docker host is another machine, whose loopback interface is not ours.
    :raises PortTakenError: another program listens on the port.
    :raises NotReadyError: it does not answer; with its last log lines.
    """
    if not host.shares_loopback:
        problem = "not set, and the embedded registry only serves a Docker host on this machine; name a repository"
        raise ConfigurationError("multiarch.image", problem)
    container = host.find(CONTAINER)
    if container is None:
        host.need_image(image, "registry_image")
        options = {**_CREATE, "restart_policy": {"Name": "unless-stopped"}}
        container = host.run(f"create container {CONTAINER}", lambda: host.client.containers.create(image, **options))
    if container.status != "running":
        host.say(f"{CONTAINER}: starting the embedded registry on {EMBEDDED_REGISTRY}")
        host.start(container, EMBEDDED_REGISTRY, "stop what listens there, or name a repository with --image")
        _wait_until_ready(container, host, image)


def commands(image: str) -> list[list[str]]:
    """Return the equivalent command."""
    options = ["--name", CONTAINER, "--restart", "unless-stopped", "-p", f"{EMBEDDED_REGISTRY}:5000"]
    options += ["-v", f"{VOLUME}:/var/lib/registry", "-e", "REGISTRY_STORAGE_DELETE_ENABLED=true"]
    return [["docker", "run", "-d", *options, image]]


def _wait_until_ready(container: Container, host: DockerHost, image: str) -> None:
    from multiarch.registry.connections import Connections
    from multiarch.registry.transport import refusal
    from multiarch.retry import describe

    connections, name = Connections(EMBEDDED_REGISTRY, trace=host.trace), f"GET {EMBEDDED_REGISTRY}/v2/"
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            answer = connections.send(name, "GET", connections.base(), timeout=5)
            if answer.status >= 400:
                raise refusal(name, answer)
        except (RegistryError, RegistryUnreachableError, InvalidAnswerError) as error:
            if time.monotonic() > deadline:
                log = container.logs(tail=20).decode(errors="replace").splitlines()
                raise NotReadyError(f"{CONTAINER} ({image})", describe(error), log) from None
            host.policy.stopped.wait(0.1)
        else:
            return

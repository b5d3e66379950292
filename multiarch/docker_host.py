"""The Docker host: the connection, and what several steps ask of it.

It may be this machine or another (``DOCKER_HOST``, the current Docker context); nothing here looks at this machine's
own kernel or files in its place.
"""

from __future__ import annotations

import contextlib
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from multiarch.errors import (
    DockerError,
    DockerPermissionError,
    ForeignContainerError,
    ImageNotFoundError,
    NoDockerError,
    PortTakenError,
)
from multiarch.image.platform import Platform
from multiarch.retry import Policy, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker
    from docker.models.containers import Container

    from multiarch.trace import Trace

OWNER = "multiarch.configuration"
_TAKEN = ("port is already allocated", "address already in use", "ports are not available")


class DockerHost:
    """A connection to the Docker host, made on first use.

    :param policy: how pulls and starts are retried.
    :param say: takes one line of progress.
    :param trace: shows the requests to it, where that is asked for.
    """

    def __init__(self, policy: Policy, say: Callable[[str], None], trace: Trace | None = None) -> None:
        self.policy = policy
        self.say = say
        self.trace = trace

    @cached_property
    def client(self) -> docker.DockerClient:
        """The SDK's client. :raises NoDockerError: nothing answers. :raises DockerPermissionError: we may not ask."""
        import docker
        import docker.errors
        import requests

        address = os.environ.get("DOCKER_HOST", "its context")
        try:
            address, options = _endpoint()
            client = self.trace.docker_client(options) if self.trace else docker.DockerClient(**options)
            try:
                client.ping()
            except BaseException:
                client.close()
                raise
        except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as error:
            if "PermissionError" in repr(error) or "Permission denied" in str(error):
                raise DockerPermissionError(address) from None
            raise NoDockerError(address, _reason(error)) from None
        return client

    @cached_property
    def info(self) -> dict[str, Any]:
        """What ``docker info`` says: Architecture, RegistryConfig, SecurityOptions, …"""
        result: dict[str, Any] = self.run("tell about itself", lambda: self.client.info())
        return result

    @property
    def machine(self) -> str:
        """The name of its kernel, as ``uname -m`` gives it."""
        return str(self.info["Architecture"])

    @property
    def is_local(self) -> bool:
        """Whether the daemon shares this machine's kernel and file system, as far as it can be told from here."""
        import sys

        local = str(self.client.api.base_url).startswith(("http+docker://", "http+unix://", "unix://"))
        in_a_vm = "Docker Desktop" in str(self.info.get("OperatingSystem", ""))
        return local and not in_a_vm and sys.platform == "linux"

    def run(self, action: str, function: Callable[[], Any]) -> Any:
        """Call the SDK with retries; *action* completes "Docker could not …".

        :raises DockerError: it refused for good.
        """
        import docker.errors
        import requests

        try:
            return self.policy.call(f"docker: {action}", function, show=self.say)
        except docker.errors.NotFound:
            raise
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise DockerError(action, describe(error)) from None

    def need_image(self, image: str, setting: str) -> str:
        """Pull *image* for the host's own platform unless it is there; return its id.

        A tag may stand for another platform's image, left by somebody's ``docker pull --platform``; that is replaced.

        :raises ImageNotFoundError: no registry has it; *setting* is where to name another.
        """
        import docker.errors

        native = Platform.parse(str(self.info["Architecture"]))

        def present() -> str | None:
            try:
                found = self.client.images.get(image)
            except docker.errors.ImageNotFound:
                return None
            return str(found.id) if found.attrs.get("Architecture") == native.architecture else None

        if found := self.run(f"look for image {image}", present):
            return str(found)
        self.say(f"pulling {image}")
        try:
            self.run(f"pull {image}", lambda: self.client.images.pull(image, platform=str(native)))
        except docker.errors.NotFound:
            raise ImageNotFoundError(image, setting) from None
        found = self.run(f"look for image {image}", present)
        if not found:
            raise DockerError(f"pull {image}", f"the registry has it for another platform than {native}")
        return str(found)

    def run_once(self, image: str, command: list[str], *, privileged: bool = False) -> str:
        """Run a container to its end, remove it, and return what it wrote to both of its outputs.

        :raises DockerError: it ended with another status than 0; the error has its last line.
        """

        def run() -> tuple[int, str]:
            container = self.client.containers.create(image, command, privileged=privileged)
            try:
                container.start()
                return int(container.wait()["StatusCode"]), _text(container.logs())
            finally:
                self.remove(container)

        status, output = self.run(f"run {image}", run)
        if status:
            last = output.strip().splitlines()[-1:] or ["no output"]
            raise DockerError(f"run {image}", f"exit status {status}: {last[0]}")
        return str(output)

    def find(self, name: str) -> Container | None:
        """Return our container *name*, None when there is none.

        :raises ForeignContainerError: there is one that no step of ours started.
        """
        import docker.errors

        try:
            container: Container = self.run(f"look for container {name}", lambda: self.client.containers.get(name))
        except docker.errors.NotFound:
            return None
        if OWNER not in container.labels:
            raise ForeignContainerError(name)
        return container

    def execute(self, container: Container, command: list[str]) -> tuple[int, str]:
        """Run a command in a running container; return its exit status and what it wrote. Not retried.

        :raises DockerError: the container, or Docker, has just gone down.
        """
        import docker.errors
        import requests

        try:
            status, output = container.exec_run(command)
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise DockerError(f"run {command[0]} in {container.name}", describe(error)) from None
        return int(status or 0), _text(output)

    def remove(self, container: Container) -> None:
        """Remove a container, running or not, with its anonymous volumes; its named volumes stay."""
        import docker.errors

        with contextlib.suppress(docker.errors.NotFound):
            self.run(f"remove container {container.name}", lambda: container.remove(v=True, force=True))

    def is_running(self, name: str) -> bool:
        """Tell whether any container of that name, ours or not, is running."""
        import docker.errors

        try:
            return bool(
                self.run(f"look for container {name}", lambda: self.client.containers.get(name)).status == "running"
            )
        except docker.errors.NotFound:
            return False

    def start(self, container: Container, address: str, remedy: str) -> None:
        """Start a created container; remove it again when it cannot run.

        :param address: what it publishes, for the error.
        :raises PortTakenError: somebody else listens on that address; *remedy* says what to do.
        """
        try:
            self.run(f"start container {container.name}", container.start)
        except BaseException as error:
            self.remove(container)
            if any(part in str(error) for part in _TAKEN):
                raise PortTakenError(address, remedy) from None
            raise


def _endpoint() -> tuple[str, dict[str, Any]]:
    """Return where the Docker host is, as the docker command line decides it: DOCKER_HOST, else the current context."""
    import docker.context
    import docker.utils

    options: dict[str, Any] = {"version": "auto", "timeout": 120}
    if os.environ.get("DOCKER_HOST"):
        options |= docker.utils.kwargs_from_env()
    else:
        context = docker.context.ContextAPI.get_current_context()
        if context is not None and context.name != "default" and context.Host:
            options["base_url"] = context.Host
            if context.TLSConfig:
                options["tls"] = context.TLSConfig
    address = str(options.get("base_url") or "unix:///var/run/docker.sock")
    if address.startswith("ssh://"):
        options["use_ssh_client"] = True
    return address, options


def _reason(error: BaseException) -> str:
    """Return why nothing answers, without the layers of HTTP libraries around it."""
    for sign, reason in {
        "FileNotFoundError": "no such socket",
        "ConnectionRefused": "connection refused",
        "Connection refused": "connection refused",
        "NameResolution": "unknown host",
        "timed out": "timed out",
    }.items():
        if sign in repr(error) or sign in str(error):
            return reason
    return describe(error)


def _text(output: object) -> str:
    """The SDK types what it returns as bytes, text or a stream, by its arguments."""
    return output.decode(errors="replace") if isinstance(output, bytes) else str(output or "")

"""The Docker host: the connection to it, and the operations that several steps need.

It may be this machine or another (``DOCKER_HOST``, the current Docker context); nothing here reads this machine's own
kernel or files in its place.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
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
_SOCKET = "http+docker://localhost"  # what the SDK calls a host that is reached by a Unix socket (ssh: …//ssh)
_TAKEN = ("port is already allocated", "address already in use", "ports are not available")


class DockerHost:
    """A connection to the Docker host, made on first use. Safe to use from several threads.

    Each question about the host or a container is sent once; other threads that ask it meanwhile wait for the answer.

    :param policy: how pulls and starts are retried.
    :param say: takes one line of progress.
    :param trace: shows the requests to it, where that is asked for.
    :param login: returns the SDK's ``auth_config`` for an image.
    """

    def __init__(
        self, policy: Policy, say: Callable[[str], None], trace: Trace | None = None, login: Any = lambda _: None
    ) -> None:
        self.policy, self.say, self.trace, self._login = policy, say, trace, login
        self._connecting, self._asking = threading.Lock(), threading.Lock()
        self._client: docker.DockerClient | None = None
        self._info: dict[str, Any] | None = None
        self._containers: dict[str, Container] = {}

    @property
    def client(self) -> docker.DockerClient:
        """The SDK's client. :raises NoDockerError: nothing answers. :raises DockerPermissionError: we may not ask."""
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    @property
    def info(self) -> dict[str, Any]:
        """The output of ``docker info``: Architecture, RegistryConfig, SecurityOptions, …"""
        with self._asking:
            if self._info is None:
                self._info = self.run("tell about itself", lambda: self.client.info())
            return self._info

    @property
    def machine(self) -> str:
        """What the host's kernel calls its architecture (``uname -m``)."""
        return str(self.info["Architecture"])

    @cached_property
    def platform(self) -> Platform:
        """The platform that the host runs natively. :raises ValueError: it is none that images can be built for."""
        return Platform.parse(self.machine)

    @property
    def shares_loopback(self) -> bool:
        """Whether what the daemon publishes on its loopback interface is reached over this machine's."""
        return str(self.client.api.base_url).startswith((_SOCKET, "http://127.", "http://localhost"))

    @property
    def is_local(self) -> bool:
        """Whether the daemon shares this machine's kernel and file system, as far as can be told from here."""
        in_a_vm = "Docker Desktop" in str(self.info.get("OperatingSystem", ""))
        return str(self.client.api.base_url).startswith(_SOCKET) and not in_a_vm and sys.platform == "linux"

    def run(self, action: str, function: Callable[[], Any]) -> Any:
        """Return what a function of the SDK returns, with retries; *action* completes "Docker could not …".

        :raises DockerError: it failed for good. :raises docker.errors.NotFound: what it is about does not exist.
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
        """Pull an image for the host's own platform unless it has it; return the image's id.

        A tag may name another platform's image, left by a ``docker pull --platform``; that is replaced.

        :param setting: the setting that names another image, for the error.
        :raises ImageNotFoundError: no registry has it.
        """
        import docker.errors

        native = self.platform

        def present() -> str | None:
            try:
                local = self.client.images.get(image)
            except docker.errors.ImageNotFound:
                return None
            return str(local.id) if local.attrs.get("Architecture") == native.architecture else None

        if image_id := self.run(f"look for image {image}", present):
            return str(image_id)
        self.say(f"pulling {image}")
        try:
            self.pull(image, str(native))
        except docker.errors.NotFound:
            raise ImageNotFoundError(image, setting) from None
        image_id = self.run(f"look for image {image}", present)
        if not image_id:
            raise DockerError(f"pull {image}", f"the registry has it for another platform than {native}")
        return str(image_id)

    def pull(self, image: str, platform: str) -> None:
        """Pull an image. :raises docker.errors.NotFound: there is none."""
        pull, login = self.client.images.pull, self._login(image)
        self.run(f"pull {image}", lambda: pull(image, platform=platform, auth_config=login))

    def run_once(self, image: str, command: list[str], *, privileged: bool = False) -> str:
        """Run a container to its end, remove it, and return what it wrote to both of its outputs.

        :raises DockerError: its exit status is not 0; the error has its last line.
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

    def find(self, name: str, *, again: bool = False) -> Container | None:
        """Return our container of a name, None without one; asked for once, until `start` or `remove` changes it.

        :param again: whether to ask again, because much time may have passed.
        :raises ForeignContainerError: another program made it.
        """
        container = self._look_up(name, again=again)
        if container is not None and OWNER not in container.labels:
            raise ForeignContainerError(name)
        return container

    def is_running(self, name: str) -> bool:
        """Whether a container of a name, ours or not, is running; asked for once, like `find`."""
        container = self._look_up(name)
        return container is not None and container.status == "running"

    def execute(self, container: Container, command: list[str]) -> tuple[int, str]:
        """Run a command in a running container; return its exit status and output. Not retried.

        :raises DockerError: the container, or Docker, has just ended.
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

        try:
            with contextlib.suppress(docker.errors.NotFound):
                self.run(f"remove container {container.name}", lambda: container.remove(v=True, force=True))
        finally:
            self._forget(container)

    def start(self, container: Container, address: str, remedy: str) -> None:
        """Start a created container; remove it when it cannot start.

        :param address: what it publishes, for the error.
        :param remedy: what to do about another program there, for the error.
        :raises PortTakenError: another program listens on that address.
        """
        try:
            self.run(f"start container {container.name}", container.start)
        except BaseException as error:
            self.remove(container)
            if any(part in str(error) for part in _TAKEN):
                raise PortTakenError(address, remedy) from None
            raise
        self._forget(container)

    def _connect(self) -> docker.DockerClient:
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

    def _look_up(self, name: str, *, again: bool = False) -> Container | None:
        import docker.errors

        with self._asking:
            if again or name not in self._containers:
                self._containers.pop(name, None)
                try:
                    self._containers[name] = self.run(
                        f"look for container {name}", lambda: self.client.containers.get(name)
                    )
                except docker.errors.NotFound:
                    return None  # not remembered: the step creates it next, or another process does
            return self._containers[name]

    def _forget(self, container: Container) -> None:
        """Forget the state of a container that has changed."""
        with self._asking:
            self._containers.pop(str(container.name), None)


def _endpoint() -> tuple[str, dict[str, Any]]:
    """Return the host's address and the SDK's options, as the docker command decides: DOCKER_HOST, else its context."""
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
    """Return why nothing answers, without the errors of HTTP libraries around it."""
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
    """Return output as text; the SDK types it as bytes, text or a stream, by its arguments."""
    return output.decode(errors="replace") if isinstance(output, bytes) else str(output or "")

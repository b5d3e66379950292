"""The Docker host: the connection to it, and the operations that several steps need.

It may be this machine or another (`multiarch.docker_endpoint`); nothing here reads this machine's own kernel or files
in its place.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from multiarch.docker_client import connect
from multiarch.docker_endpoint import Endpoint, resolve
from multiarch.docker_info import OWNER, HostInfo, read_container, read_info
from multiarch.errors import (
    DockerConflictError,
    DockerError,
    DockerNotFoundError,
    ForeignContainerError,
    ImageUnavailableError,
    MultiarchError,
    PortTakenError,
)
from multiarch.image.platform import Platform
from multiarch.retry import Policy, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import docker
    from docker.models.containers import Container

    from multiarch.trace import Trace

_TAKEN = ("port is already allocated", "address already in use", "ports are not available")


class DockerHost:
    """A connection to the Docker host, made on first use. Safe to use from several threads.

    It is the one that the environment names at the beginning: a run may give its programs another Docker configuration.
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
        self._environ = dict(os.environ)
        self._connecting, self._asking = threading.Lock(), threading.Lock()
        self._client: docker.DockerClient | None = None
        self._info: HostInfo | None = None
        self._containers: dict[str, Container] = {}

    @cached_property
    def endpoint(self) -> Endpoint:
        """Where it is. :raises ConfigurationError: it cannot be known, such as by a context that does not exist."""
        return resolve(self._environ)

    @property
    def client(self) -> docker.DockerClient:
        """The SDK's client. :raises NoDockerError: nothing answers. :raises DockerPermissionError: we may not ask."""
        with self._connecting:
            if self._client is None:
                self._client = connect(self.endpoint, self.trace)
            return self._client

    @property
    def info(self) -> HostInfo:
        """The output of ``docker info``."""
        with self._asking:
            if self._info is None:
                self._info = self.run("tell about itself", lambda: read_info(self.client.info()))
            return self._info

    @property
    def machine(self) -> str:
        """What the host's kernel calls its architecture (``uname -m``)."""
        return self.info.machine

    @cached_property
    def platform(self) -> Platform:
        """The platform that the host runs natively. :raises DockerError: it is none that images can be built for."""
        try:
            return Platform.parse(self.machine)
        except ValueError as error:
            raise DockerError("name its platform", str(error)) from None

    @property
    def shares_loopback(self) -> bool:
        """Whether a port that the daemon publishes on 127.0.0.1 can be reached on this machine's 127.0.0.1."""
        return self.endpoint.has_our_loopback

    @property
    def is_local(self) -> bool:
        """Whether the daemon shares this machine's kernel and file system, as far as can be told from here."""
        return self.endpoint.has_socket and not self.info.is_in_a_vm and sys.platform == "linux"

    @property
    def privileged(self) -> dict[str, Any]:
        """The options of a privileged container, which must have the host's users where the daemon remaps them."""
        return {"privileged": True} | ({"userns_mode": "host"} if self.info.remaps_users else {})

    def run(self, action: str, function: Callable[[], Any]) -> Any:
        """Return what a function of the SDK returns, with retries; *action* completes "Docker could not …".

        :raises DockerNotFoundError: what it is about does not exist.
        :raises DockerError: it failed for good, or the answer is not what the Engine API says.
        """
        with _errors_of(action):
            return self.policy.call(f"docker: {action}", function, show=self.say, place="docker")

    def need_image(self, image: str, setting: str) -> str:
        """Pull an image for the host's own platform unless it has it; return the image's id.

        A tag may name another platform's image, left by a ``docker pull --platform``; that is replaced.

        :param setting: the setting that names another image, for the error.
        :raises ImageUnavailableError: it cannot be pulled; with the daemon's own words.
        """
        import docker.errors

        native = self.platform

        def present() -> str | None:
            try:
                local = self.client.images.get(image)
            except docker.errors.ImageNotFound:
                return None
            return str(local.attrs["Id"]) if local.attrs.get("Architecture") == native.architecture else None

        if image_id := self.run(f"look for image {image}", present):
            return str(image_id)
        self.say(f"pulling {image}")
        try:
            self.pull(image, str(native))
        except DockerError as error:
            raise ImageUnavailableError(image, setting, error.reason) from None
        image_id = self.run(f"look for image {image}", present)
        if not image_id:
            raise DockerError(f"pull {image}", f"the registry has it for another platform than {native}")
        return str(image_id)

    def pull(self, image: str, platform: str) -> None:
        """Pull an image. :raises DockerNotFoundError: no registry has it."""
        pull, login = self.client.images.pull, self._login(image)
        self.run(f"pull {image}", lambda: pull(image, platform=platform, auth_config=login))

    def run_once(self, image: str, command: list[str], *, privileged: bool = False, name: str = "") -> str:
        """Run a container to its end, remove it, and return what it wrote to both of its outputs.

        :param name: what the image is called in errors, where *image* is its id.
        :raises DockerError: its exit status is not 0; the error has its last line.
        """

        def run() -> tuple[int, str]:
            container = self.client.containers.create(image, command, **(self.privileged if privileged else {}))
            try:
                container.start()
                return int(container.wait()["StatusCode"]), _text(container.logs())
            finally:
                self.remove(container)

        action = f"run {name or image}"
        status, output = self.run(action, run)
        if status:
            last = output.strip().splitlines()[-1:] or ["no output"]
            raise DockerError(action, f"exit status {status}: {last[0]}")
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
        return (container := self._look_up(name)) is not None and container.status == "running"

    def execute(self, container: Container, command: list[str]) -> tuple[int, str]:
        """Run a command in a running container; return its exit status and output. Not retried.

        :raises DockerError: the container, or Docker, has just ended.
        """
        with _errors_of(f"run {command[0]} in {container.name}"):
            status, output = container.exec_run(command)
            return int(status or 0), _text(output)

    def create(self, action: str, image: str, command: Sequence[str] = (), **options: Any) -> Container:
        """Create a container, which does not run yet; *action* and errors as in `run`."""

        def create() -> Container:
            container = self.client.containers.create(image, list(command) or None, **options)
            container.attrs = read_container(container.attrs)
            return container

        container: Container = self.run(action, create)
        return container

    def reload(self, container: Container) -> None:
        """Ask for a container's state again, into its ``attrs``, which `read_container` has checked.

        :raises DockerNotFoundError: it is gone.
        """

        def reload() -> None:
            container.reload()
            container.attrs = read_container(container.attrs)

        self.run(f"look at container {container.name}", reload)

    def last_lines(self, container: Container, count: int) -> list[str]:
        """Return the last lines that a container wrote. :raises DockerNotFoundError: it is gone."""
        log = self.run(f"read the log of container {container.name}", lambda: container.logs(tail=count))
        return _text(log).splitlines()[-count:]

    def remove(self, container: Container) -> None:
        """Remove a container, running or not, with its anonymous volumes; its named volumes stay."""
        try:
            # A conflict: another process is removing it.
            with contextlib.suppress(DockerNotFoundError, DockerConflictError):
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

    def _look_up(self, name: str, *, again: bool = False) -> Container | None:
        def get() -> Container:
            container = self.client.containers.get(name)
            container.attrs = read_container(container.attrs)
            return container

        with self._asking:
            if again or name not in self._containers:
                self._containers.pop(name, None)
                try:
                    self._containers[name] = self.run(f"look for container {name}", get)
                except DockerNotFoundError:
                    return None  # not remembered: the step creates it next, or another process does
            return self._containers[name]

    def _forget(self, container: Container) -> None:
        """Forget the state of a container that has changed."""
        with self._asking:
            self._containers.pop(str(container.name), None)


@contextlib.contextmanager
def _errors_of(action: str) -> Iterator[None]:
    """Raise an error of ours for whatever the SDK raises; it reads answers unchecked, so that may be of any class."""
    import docker.errors
    import requests

    try:
        yield
    except MultiarchError:
        raise
    except docker.errors.NotFound as error:
        raise DockerNotFoundError(action, describe(error)) from None
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        kind = DockerConflictError if getattr(error, "status_code", None) == 409 else DockerError
        raise kind(action, describe(error)) from None
    except Exception as error:  # noqa: BLE001 (see above)
        reason = f"its answer is malformed ({type(error).__name__}: {describe(error)})"
        raise DockerError(action, reason) from None


def _text(output: object) -> str:
    """Return output as text; the SDK types it as bytes, text or a stream, by its arguments."""
    return output.decode(errors="replace") if isinstance(output, bytes) else str(output or "")

"""Who uses a running server: builds in progress, and runs that hold it.

BuildKit lists its builds (``buildctl debug histories``), whoever began them. A run also uses the server between its
builds: it holds the server by a process inside the container that lives as long as its standard input, a connection of
the run to the Docker host. Docker lists such processes (``ExecIDs``), and ends them however the run ended.
"""

from __future__ import annotations

import contextlib
import time
from enum import Enum
from typing import TYPE_CHECKING, Any

from multiarch.errors import DockerError, DockerNotFoundError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker.models.containers import Container

    from multiarch.docker_host import DockerHost

# A process that copies its standard input, here an empty one, to the server; each image of BuildKit has it.
_HOLD = ["buildctl", "dial-stdio"]
_STARTING_SECONDS = 3.0  # seconds for which a server that has just been started may not answer
_NO_SOCKET = "connect: no such file or directory"  # in buildctl's words
_UNSEEN_SECONDS = 60.0  # seconds for which a server that does not say what it builds is taken for busy
_PAUSE = 0.1  # seconds between two looks, at first
_LONGEST_PAUSE = 2.0  # seconds; Podman keeps a process for each look


class Use(Enum):
    """The use of a server."""

    NONE = "none"
    BUILDS = "builds"
    UNSEEN = "unseen"
    UNREACHABLE = "unreachable"  # it has no socket, and no run holds it


def is_idle(container: Container, host: DockerHost) -> bool:
    """Whether nobody uses a server; one that cannot be asked is taken to be in use.

    :raises DockerNotFoundError: the container is gone.
    """
    deadline = time.monotonic() + _STARTING_SECONDS
    # A server has no socket at first either.
    while (use := _use_of(container, host)) in (Use.UNSEEN, Use.UNREACHABLE):
        if time.monotonic() > deadline or host.policy.stopped.wait(_PAUSE):
            break
    return use in (Use.NONE, Use.UNREACHABLE)


def wait_until_idle(container: Container, host: DockerHost) -> None:
    """Wait until nobody uses a server, however long its builds take; for one that cannot be asked, a limited time.

    :raises DockerNotFoundError: the container is gone. :raises StoppedError: the run was stopped.
    """
    if is_idle(container, host):
        return
    host.say(f"{container.name}: it is in use; waiting until its builds have ended")
    unseen_since: float | None = None
    pause = _PAUSE
    while (use := _use_of(container, host)) not in (Use.NONE, Use.UNREACHABLE):
        if use is Use.BUILDS:
            unseen_since = None
        elif unseen_since is None:
            unseen_since = time.monotonic()
            host.say(f"{container.name}: it does not say what it builds; waiting for {_UNSEEN_SECONDS:.0f} s")
        elif time.monotonic() - unseen_since > _UNSEEN_SECONDS:
            return
        if host.policy.stopped.wait(pause):
            raise StoppedError(f"waiting for {container.name}")
        pause = min(2 * pause, _LONGEST_PAUSE)


@contextlib.contextmanager
def held(container: Container, host: DockerHost) -> Iterator[None]:
    """Hold a server during the with block, so that nobody recreates it; where that fails, its builds hold it alone."""
    connection: Any = None
    with contextlib.suppress(DockerError):
        api = host.client.api
        action = f"hold container {container.name}"
        process = host.run(action, lambda: api.exec_create(container.id, _HOLD, stdin=True))
        connection = host.run(action, lambda: api.exec_start(process["Id"], socket=True))
    try:
        yield
    finally:
        if connection is not None:
            with contextlib.suppress(OSError):
                # The SDK hands out a reader, which does not close the socket below it.
                getattr(connection, "_sock", connection).close()
                connection.close()


def _use_of(container: Container, host: DockerHost) -> Use:
    """Return the use of a server, by BuildKit's list of builds and by connections from inside its container."""
    host.reload(container)
    if container.status != "running":
        return Use.NONE
    try:
        status, output = host.execute(container, ["buildctl", "debug", "histories"])
    except DockerError:
        return Use.UNSEEN
    # The directory of its socket may have been removed, with somebody's home: only a run that holds it still uses it.
    is_reachable = not (status and _NO_SOCKET in output)
    # A list without its heading is none: the SDK loses what comes together with the head of Docker's answer.
    if is_reachable and (status or not output.startswith("TYPE")):
        return Use.UNSEEN
    if is_reachable and any(line.startswith("STARTED") for line in output.splitlines()):
        return Use.BUILDS
    # Last, so that the least time passes between the look and what follows from it.
    host.reload(container)
    if any(_holds(process, host) for process in container.attrs["ExecIDs"]):
        return Use.BUILDS
    return Use.NONE if is_reachable else Use.UNREACHABLE


def _holds(process: str, host: DockerHost) -> bool:
    """Whether a process inside the container is a connection to its server: of a run, or of docker-container://."""
    try:
        answer: Any = host.run("look at a process", lambda: host.client.api.exec_inspect(process))
        # Podman lists processes for five minutes after their end.
        return answer["Running"] is not False and "dial-stdio" in answer["ProcessConfig"]["arguments"]
    except DockerNotFoundError:
        return False
    except (LookupError, TypeError):
        return True  # what is not known is taken for a use

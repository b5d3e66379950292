"""The last gate: each platform's image runs on the Docker host before a tag moves.

The image that was pushed runs, by its digest and under its platform, without a network, capabilities or mounts, and for
a limited time. Its root file system may be written to, as many programs need it, and goes with the container. Memory is
not limited: how much a program needs under an emulator is not known before.
"""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

from multiarch.errors import DockerError
from multiarch.image.platform import runs_natively
from multiarch.publish.errors import SmokeError

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.docker_host import DockerHost
    from multiarch.publish.staged import StagedImage

# Lines of its output in the error of an image.
_LOG_LINES = 20
# Processes of a container; enough for servers, and no fork bomb.
_PIDS = 512
_CONFINED: dict[str, Any] = {
    "network_mode": "none",
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": _PIDS,
    # Whatever the host's driver is, this one can be read back, and does not fill the disk.
    "log_config": {"Type": "json-file", "Config": {"max-size": "1m"}},
    "labels": {"multiarch.smoke": ""},
}


def check_runs(entry: MatrixEntry, image: StagedImage, seconds: float, host: DockerHost) -> None:
    """Run the smoke command of a platform in its image; the container is removed.

    :param seconds: how long it may run.
    :raises SmokeError: it did not begin, or not end in time, or ended with another status than 0.
    """
    command, platform = shlex.join(entry.smoke), str(entry.platform)
    reference = f"{image.reference.name}@{image.manifest.digest}"
    host.say(f"{entry.leg}: running {command}")
    try:
        host.pull(reference, platform)
        container = host.create(
            f"create a container of {reference}", reference, entry.smoke, platform=platform, **_CONFINED
        )
        try:
            host.run("start it", container.start)
            status = _wait(container, seconds, host)
            log = host.last_lines(container, _LOG_LINES)
        finally:
            host.remove(container)
    except DockerError as error:
        raise SmokeError(platform, command, f"{error}{_hint(entry, str(error), host)}") from None
    if status is None:
        raise SmokeError(platform, command, f"no end after {seconds:g} s", log)
    if status:
        raise SmokeError(platform, command, f"exit status {status}{_hint(entry, ' '.join(log), host)}", log)


def commands(settings: Settings) -> list[list[str]]:
    """Return the equivalent commands, with the staging tags in the place of digests, which are not known before."""
    confined = ["--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    confined += ["--pids-limit", str(_PIDS)]
    lines = []
    for entry in settings.matrix:
        staged = str(entry.staging)
        words = ["--pull", "always", "--platform", str(entry.platform), *confined, staged, *entry.smoke]
        lines += [["docker", "run", "--rm", *words]] if entry.smoke else []
    return lines


def _wait(container: Container, seconds: float, host: DockerHost) -> int | None:
    """Return the exit status, None where there is none in time, or the run is stopped."""
    deadline = time.monotonic() + seconds
    while True:
        host.reload(container)
        if container.status in ("exited", "dead"):
            return int(container.attrs["State"]["ExitCode"])
        if time.monotonic() > deadline or host.policy.stopped.wait(0.1):
            return None


def _hint(entry: MatrixEntry, output: str, host: DockerHost) -> str:
    """Return what to do about a program that the Docker host cannot run; nothing where it can."""
    foreign = not runs_natively(entry.platform, host.machine)
    if foreign and "exec format error" in output:
        return f"; the Docker host cannot run it: run setup-binfmt --platform {entry.platform} first"
    return ""

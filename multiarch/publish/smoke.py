"""The last gate: each platform's image runs on the Docker host before a tag moves.

The image that was pushed runs, by its digest and under its platform, without a network, capabilities or mounts unless
the settings give it some, and for a limited time. Its root file system may be written to, as many programs need it, and
goes with the container. Memory is not limited: how much a program needs under an emulator is not known before.
"""

from __future__ import annotations

import re
import shlex
import time
from typing import TYPE_CHECKING, Any

from multiarch.errors import DockerError
from multiarch.image.platform import runs_natively
from multiarch.publish.errors import SmokeError

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.config.smoke import SmokeSettings
    from multiarch.docker_host import DockerHost
    from multiarch.publish.staged import StagedImage

# Lines of its output in the error of an image.
_LOG_LINES = 20
# Processes of a container; enough for servers, and no fork bomb.
_PIDS = 512
# What programs say where they lack something, and which restriction that may be; the first that fits is told.
_RESTRICTIONS = tuple(
    (re.compile(words, re.IGNORECASE), restriction)
    for words, restriction in (
        (r"new privileges|setuid root|effective uid is not 0", "it gets no new privileges, so setuid does nothing"),
        (
            r"network is unreachable|name resolution|could not resolve|bad address|no such host|not known",
            "it has no network",
        ),
        (r"can't fork|cannot fork|resource temporarily unavailable|pthread_create", f"it may have {_PIDS} processes"),
        (r"mlock|cannot allocate memory", "it has no capabilities; give it IPC_LOCK in smoke_capabilities"),
        (r"bind.*permission denied", "it has no capabilities; give it NET_BIND_SERVICE in smoke_capabilities"),
        (r"read-only file system|no such file or directory.*/(run|tmp)", "it has no mounts; name some in smoke_tmpfs"),
        (
            r"operation not permitted|permission denied|must be (run as )?root",
            "it has no capabilities; name what it needs in smoke_capabilities, or another user in smoke_user",
        ),
    )
)
_CONFINED: dict[str, Any] = {
    "network_mode": "none",
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": _PIDS,
    # Whatever the host's driver is, this one can be read back, and does not fill the disk.
    "log_config": {"Type": "json-file", "Config": {"max-size": "1m"}},
    "labels": {"multiarch.smoke": ""},
}


def check_runs(entry: MatrixEntry, image: StagedImage, given: SmokeSettings, host: DockerHost) -> None:
    """Run the smoke command of a platform in its image; the container is removed.

    :param given: how long it may run, and what it is given.
    :raises SmokeError: it did not begin, or not end in time, or ended with another status than 0.
    """
    command, platform = shlex.join(entry.smoke), str(entry.platform)
    reference = f"{image.reference.name}@{image.manifest.digest}"
    host.say(f"{entry.leg}: running {command}")
    try:
        host.pull(reference, platform)
        options = {**_CONFINED, **_options(given)}
        container = host.create(
            f"create a container of {reference}", reference, entry.smoke, platform=platform, **options
        )
        try:
            host.run("start it", container.start)
            status = _wait(container, given.seconds, host)
            log = host.last_lines(container, _LOG_LINES)
        finally:
            host.remove(container)
    except DockerError as error:
        raise SmokeError(platform, command, f"{error}{_hint(entry, str(error), host)}") from None
    if status is None:
        raise SmokeError(platform, command, f"no end after {given.seconds:g} s{_hint(entry, ' '.join(log), host)}", log)
    if status:
        raise SmokeError(platform, command, f"exit status {status}{_hint(entry, ' '.join(log), host)}", log)


def commands(settings: Settings) -> list[list[str]]:
    """Return the equivalent commands, with the staging tags in the place of digests, which are not known before."""
    confined = ["--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    confined += ["--pids-limit", str(_PIDS), *_flags(settings.publish.smoke)]
    lines = []
    for entry in settings.matrix:
        staged = str(entry.staging)
        words = ["--pull", "always", "--platform", str(entry.platform), *confined, staged, *entry.smoke]
        lines += [["docker", "run", "--rm", *words]] if entry.smoke and entry.is_local else []
    return lines


def _options(given: SmokeSettings) -> dict[str, Any]:
    """Return the options of a container for what it is given."""
    options: dict[str, Any] = {"tmpfs": dict.fromkeys(given.tmpfs, ""), "cap_add": [*given.capabilities]}
    options |= {"user": given.user, "environment": {**given.environment}}
    return {name: value for name, value in options.items() if value}


def _flags(given: SmokeSettings) -> list[str]:
    """Return the flags of ``docker run`` for the same."""
    flags = [word for path in given.tmpfs for word in ("--tmpfs", path)]
    flags += [word for name in given.capabilities for word in ("--cap-add", name)]
    flags += ["--user", given.user] if given.user else []
    return flags + [word for name, value in given.environment.items() for word in ("--env", f"{name}={value}")]


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
    """Return what may be the cause of a failure, by its output: the Docker host, or a restriction; else nothing."""
    foreign = not runs_natively(entry.platform, host.machine)
    if foreign and "exec format error" in output:
        return f"; the Docker host cannot run it: run setup-binfmt --platform {entry.platform} first"
    restrictions = [restriction for words, restriction in _RESTRICTIONS if words.search(output)]
    return f"; perhaps because {restrictions[0]}" if restrictions else ""

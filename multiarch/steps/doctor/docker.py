"""The Docker host: whether it answers, and its version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError, MultiarchError
from multiarch.formatting import one_line, size
from multiarch.steps.doctor.finding import Finding, failure, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.docker_info import HostInfo
    from multiarch.run import Run

NAME = "docker"
# Docker 20.10, of 2020, is the oldest that the tests of this package run on.
_OLDEST = (20, 10)
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\b")


def examine(run: Run) -> Iterator[Finding]:
    """Yield what the Docker host is, or why there is none."""
    if not run.settings.starts_buildkit and not run.settings.tries_images and not run.settings.publish.embedded:
        yield ok(NAME, "not needed: nothing is built or tried there")
        return
    try:
        info = run.host.info
    except ConfigurationError as error:
        yield failure(NAME, one_line(str(error)), "correct DOCKER_HOST, DOCKER_CONTEXT or docker context use")
    except MultiarchError as error:
        yield failure(NAME, one_line(str(error)))
    else:
        yield of_info(info)


def of_info(info: HostInfo) -> Finding:
    """Return the finding about a host that answers."""
    kind = "Podman" if info.is_podman else "Docker"
    rootless = ", rootless" if info.is_rootless else ""
    text = f"{kind} {info.version or 'of unknown version'} on {info.machine}{rootless}, {info.cpus} CPUs"
    text = f"{text}, {size(info.memory)} of memory" if info.memory else text
    found = _VERSION.match(info.version)
    if info.is_podman:
        return ok(NAME, text)
    if not found:
        return unknown(NAME, f"{text}: it does not tell its version", "update it where a step fails")
    if (int(found[1]), int(found[2])) < _OLDEST:
        return warning(NAME, f"{text}: it is older than 20.10, and not known to work", "update Docker")
    return ok(NAME, text)

"""The rate limit of Docker Hub: what is left of it, told by a request that does not count.

docs.docker.com, "Docker Hub pull usage and limits": a HEAD of ratelimitpreview/test.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multiarch.errors import MultiarchError, RegistryError
from multiarch.formatting import one_line
from multiarch.image.reference import DOCKER_HUB
from multiarch.steps.doctor.base_images import needed_images
from multiarch.steps.doctor.finding import Finding, failure, ok, unknown, warning
from multiarch.steps.doctor.remote_images import RemoteImages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.registry.client import Registry
    from multiarch.run import Run

NAME = "rate-limit"
_REPOSITORY, _TAG = "ratelimitpreview/test", "latest"
_VALUE = re.compile(r"(\d{1,9})(?:;w=(\d{1,9}))?")
_FEW = 20  # pulls; a release in a shared network takes them from others
_REMEDY = "log in with docker login, or give the Docker daemon a mirror (registry-mirrors)"


def examine(run: Run) -> Iterator[Finding]:
    """Yield how many pulls Docker Hub has left for us; nothing where no image comes from there without a mirror."""
    from_hub = [image for image, _ in needed_images(run) if image.registry == DOCKER_HUB]
    if from_hub and not RemoteImages(run).mirrors(DOCKER_HUB):
        yield of_registry(run.registry(DOCKER_HUB), len(from_hub))


def of_registry(registry: Registry, needed: int) -> Finding:
    """Return the finding about a registry's limit. :param needed: how many pulls a release with a cold cache does."""
    try:
        answer = registry.manifest_head(_REPOSITORY, _TAG)
    except RegistryError as error:
        if error.status == 429:
            return failure(NAME, f"{registry.host} allows no more pulls for now", _REMEDY)
        return unknown(NAME, one_line(str(error)))
    except MultiarchError as error:
        return unknown(NAME, one_line(str(error)))
    text = answer.header("ratelimit-remaining")
    found = _VALUE.fullmatch(text)
    if not text:
        return ok(NAME, f"{registry.host} tells of no limit")
    if not found:
        return unknown(NAME, f"{registry.host} does not say how many pulls are left")
    left = int(found[1])
    hours = f" within {int(found[2]) // 3600} h" if found[2] else ""
    message = f"{left} pulls are left at {registry.host}{hours}, and base images need {needed}"
    if left < needed:
        return failure(NAME, message, _REMEDY)
    return warning(NAME, message, _REMEDY) if left < _FEW else ok(NAME, message)

"""The BuildKit that a release starts, or that runs already: its version against what is needed, or its image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multiarch.buildkit.address import running_server
from multiarch.steps.doctor.client import INFO, Version, read_version
from multiarch.steps.doctor.finding import Finding, failure, ok, unknown
from multiarch.steps.doctor.remote_images import RemoteImages, Whereabouts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.run import Run

NAME = "buildkit"
# Its bridge, which keeps a RUN from the host's loopback interface (moby/buildkit#4352).
_OLDEST = (0, 13)
_TAG = re.compile(r":v(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:-rootless)?(?:@|$)")
_REMEDY = "name another with multiarch.buildkit_image, such as moby/buildkit:v0.32.2"


def examine(run: Run) -> Iterator[Finding]:
    """Yield the state of our server on the Docker host; nothing where another one builds."""
    if not run.settings.starts_buildkit:
        return
    host, image = run.host, run.settings.builder.image
    server = running_server(run.settings, host)
    if server is not None:
        status, text = host.execute(server, ["buildctl", *INFO])
        yield of_version(f"{server.name} runs", None if status else read_version(text))
        return
    tagged = _TAG.search(image)
    if tagged and (version := Version(*map(int, tagged.groups()))).is_before(*_OLDEST):
        yield of_version(image, version)
        return
    yield of_image(run, image, "buildkit_image", "release starts it")


def of_version(what: str, version: Version | None) -> Finding:
    """Return the finding about a server. :param version: None where it does not say, as before BuildKit 0.11."""
    if version is None:
        return failure(NAME, f"{what}, and does not tell its version: it is too old, or does not answer", _REMEDY)
    if version.is_before(*_OLDEST):
        return failure(NAME, f"{what}: BuildKit {version} is older than 0.13, and cannot isolate a RUN", _REMEDY)
    return ok(NAME, f"{what}: BuildKit {version}")


def of_image(run: Run, image: str, setting: str, use: str, name: str = NAME) -> Finding:
    """Return whether the Docker host has an image, or can pull it.

    :param setting: the setting that names another.
    :param use: what becomes of it.
    """
    if _is_there(run, image):
        return ok(name, f"{use} from {image}, which the Docker host has")
    place = RemoteImages(run).find_image(image)
    if place.state is Whereabouts.THERE:
        return ok(name, f"{use} from {image}, which the Docker host will pull")
    if place.state is Whereabouts.MISSING:
        return failure(name, f"no registry has {image}", f"name another with multiarch.{setting}")
    return unknown(name, f"the Docker host lacks {image}, and it is not known whether it can pull it: {place.problem}")


def _is_there(run: Run, image: str) -> bool:
    """Whether the Docker host has an image."""
    import docker.errors

    def look() -> bool:
        try:
            run.host.client.images.get(image)
        except docker.errors.ImageNotFound:
            return False
        return True

    return bool(run.host.run(f"look for image {image}", look))

"""The Docker host of the tests: its command line, its content, and the removal of what tests made there."""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What the tests make, and the steps that they run. Nothing else is removed.
_CONTAINERS = re.compile(
    r"buildkit(-[0-9a-f]{8})?|multiarch-registry|(test-registry|multiarch-shell)-[0-9a-f]+|test-buildkit-[0-9a-f]+"
)
_VOLUMES = re.compile(
    r"buildkit(-[0-9a-f]{8})?-state|multiarch-registry|test-registry-[0-9a-f]+|test-buildkit-[0-9a-f]+(-state)?"
)
_IMAGES = re.compile(
    r"((127\.0\.0\.1|172\.\d+\.\d+\.\d+):\d+/.+|multiarch-shell|(arm32v7/)?busybox|registry|moby/buildkit|(tonistiigi|linuxkit)/binfmt"
    r"|test-buildkit-[0-9a-f]+)[:@].+"
)


def docker(*words: str) -> str:
    """Run the docker command line; return what it printed."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=300)
    assert (0, words) == (done.returncode, words), done.stderr
    return done.stdout.strip()


def bridge_address() -> str:
    """Return the address of this machine on Docker's bridge, which is no loopback address.

    The daemon that has made the bridge does not name it until its next start: it is the first one of the network then.
    """
    (config,) = json.loads(docker("network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}"))
    return str(config.get("Gateway") or ipaddress.ip_network(config["Subnet"])[1])


@dataclass(frozen=True)
class DockerState:
    """Content of a Docker host, by name.

    :ivar images: their ids.
    :ivar tags: the id of the image under each.
    """

    containers: frozenset[str]
    volumes: frozenset[str]
    networks: frozenset[str]
    images: frozenset[str]
    tags: Mapping[str, str]

    @classmethod
    def read(cls) -> DockerState:
        """Return what the Docker host has now."""
        references = _references()
        tags = {name: image for image, names in references.items() for name in names if "@" not in name}
        return cls(
            containers=frozenset(docker("ps", "--all", "--format", "{{.Names}}").splitlines()),
            volumes=frozenset(docker("volume", "ls", "--quiet").splitlines()),
            networks=frozenset(docker("network", "ls", "--format", "{{.Name}}").splitlines()),
            images=frozenset(references),
            tags=tags,
        )

    def restore(self) -> None:
        """Remove what the tests have made since, and give back the tags that they moved; leave everything else.

        Images without a name are of the tests too: `docker pull` takes the name of one platform's image for another's.
        """
        now = DockerState.read()
        _remove("rm", "--force", "--volumes", names=filter(_CONTAINERS.fullmatch, now.containers - self.containers))
        _remove("volume", "rm", names=filter(_VOLUMES.fullmatch, now.volumes - self.volumes))
        for tag, image in self.tags.items():
            if image in now.images and image != now.tags.get(tag):
                docker("tag", image, tag)
        new_tags = (tag for tag in now.tags.keys() - self.tags.keys() if now.tags[tag] in self.tags.values())
        _remove("image", "rm", names=filter(_IMAGES.fullmatch, new_tags))
        # A container that Docker is about to remove holds its image for a moment more.
        deadline = time.monotonic() + 30
        while of_tests := self._images_of_tests():
            _remove("image", "rm", "--force", names=of_tests)
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)

    def _images_of_tests(self) -> list[str]:
        new_images = {image: names for image, names in _references().items() if image not in self.images}
        return [image for image, names in new_images.items() if all(map(_IMAGES.fullmatch, names))]

    def differences(self, other: DockerState) -> list[str]:
        """Return what another state has beyond this one (``+``), and lacks (``-``)."""
        lines = []
        for field in fields(self):
            before, after = (set(_items(getattr(state, field.name))) for state in (self, other))
            lines += [f"+ {field.name}: {name}" for name in sorted(after - before)]
            lines += [f"- {field.name}: {name}" for name in sorted(before - after)]
        return lines


def _references() -> dict[str, list[str]]:
    """Return the names of each image, by tag and by digest, by its id."""
    ids = sorted(set(docker("image", "ls", "--all", "--quiet", "--no-trunc").splitlines()))
    inspected = json.loads(docker("image", "inspect", *ids)) if ids else []
    return {image["Id"]: [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())] for image in inspected}


def _remove(*words: str, names: Iterable[str]) -> None:
    """Remove things of one kind; what cannot be removed is found when the states are compared."""
    if arguments := sorted(names):
        subprocess.run(["docker", *words, *arguments], capture_output=True, timeout=300)


def _items(value: frozenset[str] | Mapping[str, str]) -> Iterable[str]:
    return value if isinstance(value, frozenset) else (f"{name} is {image}" for name, image in value.items())

"""Image references: ``registry/repository[:tag][@digest]``, after the grammar of the distribution project.

``someone/app`` means ``docker.io/someone/app`` and ``busybox`` means ``docker.io/library/busybox``, as in Docker.
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

DOCKER_HUB = "docker.io"
DOCKER_HUB_API = "registry-1.docker.io"  # the API of Docker Hub has a host of its own
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_REGISTRY = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# digits of the digest at the end of a tag that is made of a longer or an unsafe name
_DIGITS = 8
# x, as dates and hashes of commits end in digits too
_MADE = re.compile(rf"(^|-)x[0-9a-f]{{{_DIGITS}}}$")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImageReference(Struct, frozen=True):
    """A repository, or one image of it with a tag or a digest."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Parse a reference.

        :raises ValueError: it does not follow the grammar; the message says which part.
        """
        rest, at, digest = text.partition("@")
        if at and not _DIGEST.fullmatch(digest):
            raise ValueError(f"invalid digest in image reference {text!r} (expected sha256: and 64 hex digits)")
        head, slash, tail = rest.partition("/")
        # As Docker does: the first part is a registry when it cannot be the name of a user.
        if slash and ("." in head or ":" in head or head == "localhost"):
            registry, rest = (DOCKER_HUB if head == "index.docker.io" else head), tail
        else:
            registry = DOCKER_HUB
        repository, colon, tag = rest.partition(":")
        if registry == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        if not _REGISTRY.fullmatch(registry):
            raise ValueError(f"invalid registry {registry!r} in image reference {text!r} (expected host[:port])")
        if len(repository) > 255 or not _REPOSITORY.fullmatch(repository):
            raise ValueError(
                f"invalid repository in image reference {text!r} (lower-case letters, digits, '.', '_', '-', '/')"
            )
        if colon:
            check_tag(tag)
        return cls(registry, repository, tag, digest)

    @property
    def name(self) -> str:
        """The repository with its registry: ``docker.io/someone/app``."""
        return f"{self.registry}/{self.repository}"

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on this machine, where Docker and BuildKit use plain HTTP."""
        return is_loopback(self.registry)

    def with_tag(self, tag: str) -> ImageReference:
        """Return the same repository under *tag*, without a digest."""
        return replace(self, tag=tag, digest="")

    def with_digest(self, digest: str) -> ImageReference:
        """Return the same reference, pinned to *digest*."""
        return replace(self, digest=digest)

    def __str__(self) -> str:
        return f"{self.name}{':' if self.tag else ''}{self.tag}{'@' if self.digest else ''}{self.digest}"


def check_tag(tag: str) -> str:
    """Return *tag*, which is valid.

    :raises ValueError: it is not (distribution spec, "Pulling manifests").
    """
    if not _TAG.fullmatch(tag):
        raise ValueError(f"invalid tag {tag!r} (1 to 128 letters, digits, '_', '.', '-', not starting with '.' or '-')")
    return tag


def lower_case(text: str) -> str:
    """Return a reference with its repository in lower case: owners' names on forges may have upper-case letters."""
    first, slash, _ = text.partition("/")
    host = f"{first}/" if slash and ("." in first or ":" in first or first == "localhost") else ""
    repository, colon, tag = text.removeprefix(host).partition(":")
    return f"{host}{repository.lower()}{colon}{tag}"


def safe_tag(name: str, longest: int) -> str:
    """Return a name as a tag, or as a part of one: itself, or, where it is none or too long, one made of it.

    That has dashes for what no tag can hold, and ends in a digest of the name, so that two names never become one.

    :param longest: characters of the result, more than those of the digest.
    """
    clean = re.sub(r"[^a-zA-Z0-9._-]+", "-", name).lstrip("-.")
    # What looks like a name that was made of another gets a digest too.
    if clean == name and len(name) <= longest and not _MADE.search(name):
        return name
    from hashlib import sha256

    digest = sha256(name.encode(errors="surrogateescape")).hexdigest()[:_DIGITS]
    return f"{clean[: longest - _DIGITS - 2].rstrip('-.')}-x{digest}".lstrip("-")


def is_loopback(host: str) -> bool:
    """Whether ``host[:port]`` names this machine's loopback interface."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if name == "localhost":
        return True
    for address in (host, name):  # an IPv6 address without brackets may end as a port does
        with suppress(ValueError):
            if ipaddress.ip_address(address.strip("[]")).is_loopback:
                return True
    return False

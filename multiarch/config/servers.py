"""The settings of the servers that we start: names of containers, and what buildkitd is told."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from multiarch.config.plain import check_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.layers import Layers

# Docker's names (daemon/names); shorter, as what is derived from them is longer.
_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,63}")
# An amount of BuildKit's (cmd/buildkitd/config/gcpolicy.go): bytes, with a unit, or a part of the disk.
_SPACE = re.compile(r"[0-9]+(\.[0-9]+)? ?([kmgtp]i?)?b?|[0-9]{1,2}%|100%", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class EmbeddedRegistry:
    """The registry that we start where no image is configured: its container, and its port on the loopback interface.

    The volume of what it holds is named after the container.

    :ivar image: that of the distribution project, or another that takes the same options.
    """

    container: str
    port: int
    image: str

    @property
    def host(self) -> str:
        """``host:port``, as in the names of images."""
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True, kw_only=True)
class BuildkitdSettings:
    """What the server is told (BuildKit, docs/buildkitd.toml.md).

    :ivar config: the path of the user's own buildkitd.toml, None for none.
    :ivar environment: variables of the server.
    :ivar nameservers: addresses that a ``RUN`` and the server resolve names with; none for the Docker host's.
    :ivar max_used_space: the most disk space of its cache, as BuildKit reads it; None for BuildKit's default.
    :ivar max_parallelism: the most steps that run at a time, 0 for no limit.
    """

    config: str | None
    environment: Mapping[str, str]
    nameservers: tuple[str, ...]
    max_used_space: str | None
    max_parallelism: int


def read_container_name(layers: Layers, setting: str) -> str:
    """Return the name of a container, which the names of its volume and of others begin with."""
    name: str = getattr(layers.block, setting)
    if not _CONTAINER.fullmatch(name):
        problem = f"{name!r} is no name of a container: 2 to 64 letters, digits, '_', '.' and '-'"
        raise layers.error(setting, f"{problem}, a letter or digit first")
    return name


def read_buildkitd(layers: Layers) -> BuildkitdSettings:
    """Return what the server is told; the values of its environment are never shown."""
    block = layers.block
    check_pairs(layers.where("buildkitd_env"), block.buildkitd_env, "a variable")
    for index, address in enumerate(block.nameservers):
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise layers.error("nameservers", f"{address!r} is no address of IP, such as 10.0.0.53", index) from None
    if block.max_used_space is not None and not _SPACE.fullmatch(block.max_used_space):
        problem = f"{block.max_used_space!r} is no disk space as BuildKit has it, such as 20GB or 60%"
        raise layers.error("max_used_space", problem)
    if block.max_parallelism < 0:
        raise layers.error("max_parallelism", f"expected a number of steps, 1 or more, got {block.max_parallelism}")
    return BuildkitdSettings(
        # ~nobody stays as it is.
        config=os.path.expanduser(block.buildkitd_config) if block.buildkitd_config else None,  # noqa: PTH111
        environment=block.buildkitd_env,
        nameservers=block.nameservers,
        max_used_space=block.max_used_space,
        max_parallelism=block.max_parallelism,
    )

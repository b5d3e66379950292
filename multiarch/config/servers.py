"""The settings of the servers that we start: names of containers, and what buildkitd is told."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import TYPE_CHECKING

from multiarch.config.plain import check_pairs
from multiarch.config.settings import BuildkitdSettings

if TYPE_CHECKING:
    from multiarch.config.layers import Layers

# Docker's names (daemon/names); shorter, as what is derived from them is longer.
_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,63}")
# An amount of BuildKit's (cmd/buildkitd/config/gcpolicy.go): bytes, with a unit, or a part of the disk.
_SPACE = re.compile(r"[0-9]+(\.[0-9]+)? ?([kmgtp]i?)?b?|[0-9]{1,2}%|100%", re.IGNORECASE | re.ASCII)


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

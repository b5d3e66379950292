"""What the containers that try images are given."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from msgspec import Struct, field

from multiarch.config.plain import check_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.layers import Layers

# capabilities(7), without the prefix; ALL is Docker's.
_CAPABILITY = re.compile(r"[A-Z][A-Z0-9_]{1,40}")
_USER = re.compile(r"[A-Za-z0-9_.-]{1,64}(:[A-Za-z0-9_.-]{1,64})?")


class SmokeSettings(Struct, frozen=True, kw_only=True):
    """What the containers that try images are given; without it they get nothing.

    :ivar seconds: how long a command may run.
    :ivar tmpfs: directories with an empty file system in memory.
    :ivar capabilities: as Docker names them, without ``CAP_``.
    :ivar user: who the command runs as; None for the image's user.
    """

    seconds: float
    tmpfs: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    user: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def read_smoke(layers: Layers) -> SmokeSettings:
    """Read the settings that begin with ``smoke_``."""
    block = layers.block
    if not 0 < block.smoke_seconds < math.inf:
        raise layers.error("smoke_seconds", f"expected seconds, more than 0, got {block.smoke_seconds}")
    for index, path in enumerate(block.smoke_tmpfs):
        if not path.startswith("/") or ":" in path or ".." in path.split("/") or not path.strip("/"):
            raise layers.error("smoke_tmpfs", f"{path!r} is no absolute path of a directory below the root", index)
    capabilities = tuple(name.upper().removeprefix("CAP_") for name in block.smoke_capabilities)
    for index, name in enumerate(capabilities):
        if not _CAPABILITY.fullmatch(name):
            raise layers.error("smoke_capabilities", f"{name!r} is no capability, such as NET_BIND_SERVICE", index)
    if block.smoke_user and not _USER.fullmatch(block.smoke_user):
        raise layers.error("smoke_user", f"{block.smoke_user!r} is no user, such as 1000 or 1000:1000")
    check_pairs(layers.where("smoke_env"), block.smoke_env, "a variable")
    return SmokeSettings(
        seconds=block.smoke_seconds,
        tmpfs=block.smoke_tmpfs,
        capabilities=capabilities,
        user=block.smoke_user or None,
        environment=block.smoke_env,
    )

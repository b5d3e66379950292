"""Entitlements: what builds may be allowed."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiarch.config.layers import Layers


class Entitlement(Enum):
    """What a ``RUN`` may be allowed beyond the usual (BuildKit, util/entitlements)."""

    INSECURE = "security.insecure"  # all of the host's privileges
    HOST_NETWORK = "network.host"  # the network of the server


def read_entitlements(layers: Layers) -> tuple[Entitlement, ...]:
    """Read what builds may be allowed."""
    known = {kind.value: kind for kind in Entitlement}
    for index, text in enumerate(layers.block.entitlements):
        if text not in known:
            raise layers.error("entitlements", f"{text!r} is none of {', '.join(known)}", index)
    layers.check_unique("entitlements", layers.block.entitlements)
    return tuple(known[text] for text in layers.block.entitlements)

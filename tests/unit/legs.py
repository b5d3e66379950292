"""Legs of a matrix, by the names of their platforms."""

from __future__ import annotations

from multiarch.image.platform import Leg, Platform


def leg(platform: str, target: str = "") -> Leg:
    """Return the leg of a platform."""
    return Leg(Platform.parse(platform), target)

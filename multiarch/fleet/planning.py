"""Builders elsewhere in commands that are only shown: nobody is asked which of them has room, or what it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.buildkit.builder import Builder
from multiarch.fleet.pods import address, command
from multiarch.fleet.tls_files import planned_directory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multiarch.config.settings import MatrixEntry


def planned_builder(entry: MatrixEntry) -> Builder | None:
    """Return the builder that a platform is built on if all are well and free; None for the local one."""
    for builder in entry.builders:
        if entry.platform in builder.platforms:
            place = address("POD", builder.pods) if builder.pods else builder.address
            name = builder.tls.name if builder.tls else None
            return Builder(place, name=builder.name, tls=planned_directory(builder), tls_name=name)
    return None


def commands(entries: Iterable[MatrixEntry]) -> list[list[str]]:
    """Return the commands that find the pods of platforms."""
    pools = {b.name: b.pods for entry in entries for b in entry.builders if b.pods and entry.platform in b.platforms}
    return [command(pods) for pods in pools.values()]

"""Builders elsewhere in commands that are only shown: nobody is asked which of them has room, or what it has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit.builder import Builder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multiarch.config.builders import Pods, RemoteBuilder
    from multiarch.config.settings import MatrixEntry


def planned_builder(entry: MatrixEntry) -> Builder | None:
    """Return the builder that a platform is built on if all are well and free; None for the local one."""
    return next((planned(builder) for builder in entry.builders if entry.platform in builder.platforms), None)


def planned(builder: RemoteBuilder) -> Builder:
    """Return a builder with the flags that buildctl is given; any pod of a pool is called POD."""
    place = _pod(builder.pods) if builder.pods else builder.address
    if builder.tls is None:
        return Builder(place, name=builder.name)
    # Variables become a directory for the run alone, which is called after them here.
    certificates = Path(builder.tls.directory or f"${builder.tls.variables}")
    return Builder(place, name=builder.name, tls=certificates, tls_name=builder.tls.name)


def commands(entries: Iterable[MatrixEntry]) -> list[list[str]]:
    """Return the commands that find the pods of platforms."""
    return pods_commands({b.name: b for e in entries for b in e.builders if e.platform in b.platforms}.values())


def pods_commands(builders: Iterable[RemoteBuilder]) -> list[list[str]]:
    """Return the commands that find the pods of builders."""
    pools = [builder.pods for builder in builders if builder.pods]
    if not pools:
        return []
    from multiarch.fleet.pods import command

    return [command(pods) for pods in pools]


def _pod(pods: Pods) -> str:
    from multiarch.fleet.pods import address

    return address("POD", pods)

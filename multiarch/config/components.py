"""Components of a project: what one machine builds, because some of it is built on the rest.

Targets that are joined by bases are one component on each platform, so that a base is built once for each. A base of
one platform serves others: then all platforms are one component, so that it is built once too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiarch.config.project import Project
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.platform import Platform


def components(project: Project) -> tuple[tuple[MatrixEntry, ...], ...]:
    """Return the matrix of a project, divided into components, in the order of the first entry of each.

    :raises EmptyMatrixError: something is built on a target without platforms.
    """
    targets = {target.name: target for target in project}
    parents = {name: name for name in targets}

    def root(name: str) -> str:
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    crossing = set()
    for target in project:
        for base in target.bases.values():
            parents[root(target.name)] = root(base)
            if any(target.base_platform(targets[base], e.platform) != e.platform for e in target.settings.matrix):
                crossing.add(base)
    whole = {root(name) for name in crossing}
    found: dict[tuple[str, Platform | None], list[MatrixEntry]] = {}
    for entry in project.matrix:
        name = root(entry.target)
        found.setdefault((name, None if name in whole else entry.platform), []).append(entry)
    return tuple(map(tuple, found.values()))

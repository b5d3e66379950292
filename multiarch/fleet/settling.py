"""What is built where: the matrix, once the builders elsewhere have said what they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from multiarch.errors import (
    ConfigurationError,
    DockerError,
    DockerPermissionError,
    MultiarchError,
    NoDockerError,
    listed,
)
from multiarch.fleet.errors import NoBuilderLeftError
from multiarch.image.platform import runs_natively

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from multiarch.config.builders import RemoteBuilder
    from multiarch.config.project import Project, Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.fleet.fleet import Fleet
    from multiarch.image.platform import Platform


def builders_of(project: Project, all_of: Iterable[RemoteBuilder] = ()) -> tuple[RemoteBuilder, ...]:
    """Return the builders elsewhere that a run may need, each once, with all platforms that it must have.

    :param all_of: those of the settings, where also the others are asked for.
    """
    found: dict[str, RemoteBuilder] = {builder.name: builder for builder in all_of}
    for builder in (builder for entry in project.matrix for builder in entry.builders):
        known = found.setdefault(builder.name, builder)
        platforms = tuple(dict.fromkeys([*known.platforms, *builder.platforms]))
        found[builder.name] = replace(known, platforms=platforms)
    return tuple(found.values())


def check_reach(project: Project) -> None:
    """Check that builders elsewhere can push.

    :raises ConfigurationError: an image goes to this machine's loopback interface.
    """
    for target in project:
        settings = target.settings
        for entry in settings.matrix if settings.publish.push.wanted else ():
            image = settings.publish.images[0]
            far = [b for b in entry.builders if not b.is_here and entry.platform in b.platforms]
            if far and image.is_loopback:
                where = "this machine's loopback, which builder"
                remedy = "cannot reach; name another registry"
                raise MultiarchError(f"{image.name} is on {where} {far[0].name} {remedy}")


def check_emulation(project: Project, machine: Callable[[], str]) -> None:
    """Check that nothing is to be emulated on the local builder where that is not wanted.

    :param machine: returns the name of its kernel (``uname -m``).
    :raises ConfigurationError: a platform has no native builder.
    """
    if project.settings.builder.emulate:
        return
    local = dict.fromkeys(entry.platform for entry in project.matrix if entry.is_local)
    if missing := [platform for platform in local if not runs_natively(platform, machine())]:
        problem = f"no builder runs {listed(missing)} natively, and nothing is to be emulated; nothing was built"
        raise ConfigurationError("multiarch.emulate", problem)


def settle(project: Project, fleet: Fleet, machine: Callable[[], str], say: Callable[[str], None]) -> Project:
    """Return the project in which each platform has the builders that have it; what none has is built locally.

    :param machine: returns the name of the local builder's kernel (``uname -m``).
    :param say: takes a line about each builder that is left out.
    :raises BuilderFaultError: the only builder of a platform cannot be used.
    :raises NoBuilderLeftError: none of its builders can.
    """
    try:
        targets = _settled(project, fleet, machine)
    except NoBuilderLeftError:
        for member in fleet.members:
            if member.fault is not None:
                say(str(member.fault))
        raise
    for member in fleet.members:
        if member.fault is not None:
            say(f"{member.fault}; it is left out")
    if len(targets) == 1:
        return replace(project, targets=targets, settings=targets[0].settings)
    entries = [entry for target in targets for entry in target.settings.matrix]
    whole = tuple(_joined(entry, entries) for entry in project.settings.matrix)
    return replace(project, targets=targets, settings=replace(project.settings, matrix=whole))


def _settled(project: Project, fleet: Fleet, machine: Callable[[], str]) -> tuple[Target, ...]:
    settled = _settler(fleet, machine)
    return tuple(
        replace(target, settings=replace(target.settings, matrix=tuple(map(settled, target.settings.matrix))))
        for target in project.targets
    )


def _joined(known: MatrixEntry, entries: list[MatrixEntry]) -> MatrixEntry:
    """Return an entry of all targets together: local where it is so for any of them."""
    alike = [entry for entry in entries if entry.platform == known.platform]
    is_local = any(entry.is_local for entry in alike)
    return replace(known, builders=() if is_local or not alike else alike[0].builders)


def _settler(fleet: Fleet, machine: Callable[[], str]) -> Callable[[MatrixEntry], MatrixEntry]:
    """Return the function that leaves a platform those of its builders that have it, none where this machine builds it.

    It raises what keeps all of them from building the platform.
    """

    def settled(entry: MatrixEntry) -> MatrixEntry:
        if not entry.builders:
            return entry
        candidates = fleet.candidates(entry)
        if any(member.has(entry.platform) for member in candidates):
            pools = {member.pool for member in candidates}
            return replace(entry, builders=tuple(_for(b, entry.platform) for b in entry.builders if b.name in pools))
        # A builder that did not answer may have it; what this machine runs itself does not wait for that.
        if entry.is_local and (not candidates or _runs_here(entry.platform, machine)):
            return replace(entry, builders=())
        faults = {member.name: member.fault for member in candidates if member.fault}
        if len(faults) == 1:
            (fault,) = faults.values()
            raise fault
        if faults:
            raise NoBuilderLeftError([entry.leg], faults)
        names = listed(builder.name for builder in entry.builders)
        problem = f"{names} would only emulate {entry.platform}, and nothing is to be emulated; nothing was built"
        raise ConfigurationError("multiarch.emulate", problem)

    return settled


def _runs_here(platform: Platform, machine: Callable[[], str]) -> bool:
    """Whether the local builder runs a platform itself; not where nothing answers that it could be on."""
    try:
        return runs_natively(platform, machine())
    except (NoDockerError, DockerPermissionError, DockerError):
        return False


def _for(builder: RemoteBuilder, platform: Platform) -> RemoteBuilder:
    return replace(builder, platforms=tuple(dict.fromkeys([*builder.platforms, platform])))

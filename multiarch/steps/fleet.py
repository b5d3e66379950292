"""``fleet``: what each builder elsewhere has, whether it answers, and whether each platform has one that builds it."""

from __future__ import annotations

import datetime
import os
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.buildkit.buildctl import default_path, find_buildctl
from multiarch.errors import ConfigurationError, MultiarchError, listed
from multiarch.fleet import planning, settling
from multiarch.fleet.asking import Asking
from multiarch.fleet.fleet import Fleet
from multiarch.fleet.handshake import certificate_of
from multiarch.fleet.tls_files import days_left, own_certificate
from multiarch.formatting import columns

if TYPE_CHECKING:
    from multiarch.buildkit.builder import Builder
    from multiarch.config.project import Project
    from multiarch.fleet.member import Member
    from multiarch.image.platform import Platform
    from multiarch.run import Run

_NOTHING = "-"  # in a cell of the table


class FleetState(Struct, frozen=True):
    """The state of all builders elsewhere.

    :ivar lines: a table, with a line for each builder below its head.
    :ivar problem: the platforms of the matrix that nobody builds; empty where each has somebody.
    """

    lines: tuple[str, ...]
    problem: str

    def check(self) -> None:
        """Check that each platform has somebody. :raises MultiarchError: one has nobody."""
        if self.problem:
            raise MultiarchError(self.problem)


def ask(run: Run) -> FleetState:
    """Ask all builders of the settings at once.

    :raises ConfigurationError: there is none, or its certificates are missing.
    :raises BuildctlMissingError: there is no client.
    """
    builders = settling.builders_of(run.project, run.settings.builder.remote)
    if not builders:
        raise ConfigurationError("multiarch.builders", "there is none; see docs/fleet.md")
    asking = Asking(find_buildctl(run.settings), run.host, run.policy.stopped, run.progress.trace)
    fleet = Fleet(asking, run.policy, run.progress, emulate=run.settings.builder.emulate)
    fleet.ask_all(builders, run.project.matrix)
    now = datetime.datetime.now(datetime.timezone.utc)
    head = ("BUILDER", "PLATFORMS", "BUILT", "BUILDKIT", "ANSWERED", "CERTIFICATE")
    lines = columns([head, *(_cells(member, now) for member in fleet.members)])
    for member in fleet.members:
        if member.fault:
            run.progress.say(str(member.fault))
    return FleetState(tuple(lines), problem_of(run, fleet))


def commands(project: Project) -> list[list[str]]:
    """Return the equivalent commands."""
    settings = project.settings
    builders = settling.builders_of(project, settings.builder.remote)
    lines = planning.pods_commands(builders)
    for builder in builders:
        flags = planning.planned(builder).flags()
        lines.append([str(default_path(settings)), *flags, "debug", "workers"])
    return lines


def problem_of(run: Run, fleet: Fleet) -> str:
    """Return the error of the platforms that nobody builds; empty where each has somebody."""
    missing = []
    for entry in run.project.matrix:
        candidates = fleet.candidates(entry)
        has_builder = any(member.has(entry.platform) for member in candidates)
        # What is nobody's is built on the local BuildKit, if need be under an emulator.
        if not has_builder and (candidates or not _is_built_here(entry.platform, emulate=run.settings.builder.emulate)):
            missing.append(entry.leg)
    return f"{listed(missing)}: no builder has it, or the one that has it cannot be used" if missing else ""


def _is_built_here(platform: Platform, *, emulate: bool) -> bool:
    from multiarch.image.platform import runs_natively

    return emulate or runs_natively(platform, os.uname().machine)


def _cells(member: Member, now: datetime.datetime) -> tuple[str, ...]:
    """Return the cells of the table about a builder."""
    health = member.health
    if health is None or (member.fault and not member.remote.platforms):
        brief = member.fault.brief if member.fault else _NOTHING
        platforms = ",".join(map(str, member.remote.platforms)) or _NOTHING
        return (member.name, platforms, brief, _NOTHING, _NOTHING, _days(member.builder, now, answered=False))
    platforms_ = member.remote.platforms or health.native
    words = dict.fromkeys("natively" if health.is_native(p) else "emulated" for p in platforms_ if p in health.listed)
    built = member.fault.brief if member.fault else " and ".join(words)
    names = ",".join(f"{p}{'' if health.is_native(p) or len(words) < 2 else ' (emulated)'}" for p in platforms_)
    return (
        member.name,
        names,
        built,
        health.version,
        f"{health.seconds:.1f}s",
        _days(member.builder, now, answered=True),
    )


def _days(builder: Builder, now: datetime.datetime, *, answered: bool) -> str:
    """Return how many days the first of both certificates to end has left."""
    if builder.tls is None:
        return _NOTHING
    theirs = certificate_of(builder) if answered else None
    both = (own_certificate(builder.tls), theirs)
    days = [left for der in both if (left := days_left(der, now)) is not None]
    return f"{int(min(days))} days" if days else "unknown"

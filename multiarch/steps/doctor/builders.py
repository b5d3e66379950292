"""Builders that are used as they are: those elsewhere (``builders``, ``builder``), and that of ``BUILDKIT_HOST``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.buildkit.buildctl import find_buildctl
from multiarch.buildkit.builder import Builder
from multiarch.errors import BuildctlMissingError, BuilderUnreachableError, MultiarchError, shown_address
from multiarch.fleet import settling
from multiarch.fleet.asking import Asking
from multiarch.fleet.fleet import Fleet
from multiarch.formatting import one_line
from multiarch.steps import fleet as fleet_step
from multiarch.steps.doctor.client import parse_version
from multiarch.steps.doctor.finding import Finding, failure, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multiarch.config.builders import RemoteBuilder
    from multiarch.fleet.answers import Health
    from multiarch.fleet.member import Member
    from multiarch.image.platform import Platform
    from multiarch.run import Run

NAME = "builders"
# Attestations, and the answer to which version it is.
_OLDEST = (0, 11)
_SECONDS = 8.0  # seconds for an answer; a builder has a check's time, which is more


def examine(run: Run) -> Iterator[Finding]:
    """Yield a finding for each builder, and for the platforms that nobody builds; all are asked side by side."""
    builders = settling.builders_of(run.project, run.settings.builder.remote)
    host = run.settings.builder.host if run.settings.local_platforms else None
    if not builders and not host:
        return
    try:
        buildctl = find_buildctl(run.settings)
    except BuildctlMissingError:
        yield from _without_client(run, builders, host)
        return
    asking = Asking(buildctl, run.host, run.policy.stopped, run.progress.trace, _SECONDS)
    if host:
        yield _of_host(run, asking, host)
    if builders:
        fleet = Fleet(asking, run.policy, run.progress, emulate=run.settings.builder.emulate)
        fleet.ask_all(builders, run.project.matrix)
        yield from map(_of_member, fleet.members)
        if problem := fleet_step.problem_of(run, fleet):
            yield failure(NAME, problem, "see invoke fleet")


def _without_client(run: Run, builders: Sequence[RemoteBuilder], host: str | None) -> Iterator[Finding]:
    """Yield whether each builder can be reached; what it has, its client alone can ask."""
    for address in filter(None, [host, *(builder.address for builder in builders)]):
        try:
            Builder(address).check(run.host)
        except BuilderUnreachableError as error:
            yield failure(NAME, one_line(str(error)))
        except MultiarchError as error:
            yield unknown(NAME, one_line(str(error)))
        else:
            shown = shown_address(address)
            yield unknown(NAME, f"what {shown} has is not known without buildctl", "invoke copy-buildctl")


def _of_host(run: Run, asking: Asking, address: str) -> Finding:
    """Return the finding about the builder of ``BUILDKIT_HOST``, which builds all that no other builder has."""
    platforms, shown = run.settings.local_platforms, shown_address(address)
    try:
        Builder(address).check(run.host)
        health = asking.health(Builder(address))
    except MultiarchError as error:
        return failure(NAME, one_line(str(error)))
    answers = {platform: offers(health.listed, platform) for platform in platforms}
    if missing := [platform for platform, answer in answers.items() if answer is False]:
        known = ", ".join(map(str, health.listed))
        remedy = "register emulators on its machine, or name another builder"
        return failure(NAME, f"{shown} does not build {_listed(missing)}, but {known}", remedy)
    if unsure := [platform for platform, answer in answers.items() if answer is None]:
        return unknown(NAME, f"{shown} does not tell whether it builds {_listed(unsure)}", "try it: invoke build-arch")
    return _of_version(shown, health, platforms)


def _of_member(member: Member) -> Finding:
    """Return the finding about a builder elsewhere, in whose place there may be another."""
    if member.fault or member.health is None:
        problem = one_line(str(member.fault)) if member.fault else f"{member.name} was not asked"
        return warning(NAME, problem, "see docs/fleet.md")
    return _of_version(member.name, member.health, member.remote.platforms or member.health.native)


def _of_version(name: str, health: Health, platforms: Sequence[Platform]) -> Finding:
    version = parse_version(health.version)
    if version is None:
        text = f"{name} builds {_listed(platforms)}; it does not tell its version"
        return unknown(NAME, text, "update it where a build fails")
    if version.is_before(*_OLDEST):
        return warning(NAME, f"{name} is BuildKit {version}, older than 0.11", "update it")
    return ok(NAME, f"{name} is BuildKit {version}, and builds {_listed(platforms)}")


def offers(offered: Sequence[Platform], platform: Platform) -> bool | None:
    """Return whether a builder's list has a platform, or one that does for it; None where it does not tell.

    BuildKit leaves out what a platform in it may stand for (worker/base, Platforms; containerd, platforms.Only): arm
    beside arm64, and 386 beside amd64.
    """
    architectures = {one.architecture for one in offered if one.os == platform.os}
    if platform.architecture == "arm":
        if any(one.variant >= platform.variant for one in offered if one.architecture == "arm"):
            return True
        return None if "arm64" in architectures else False
    if platform.architecture == "386" and "amd64" in architectures:
        return True
    return platform.architecture in architectures


def _listed(platforms: Sequence[Platform]) -> str:
    return ", ".join(map(str, platforms))

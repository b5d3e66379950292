"""The checks of ``doctor``, in the order in which a release needs what they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.errors import MultiarchError
from multiarch.steps.doctor import clock, disk, docker, proxies
from multiarch.steps.doctor.examination import Check, outcome
from multiarch.steps.doctor.finding import State

if TYPE_CHECKING:
    from multiarch.run import Run

# What costs a release nothing that it does not do anyway.
FREE = (
    Check(docker.NAME, docker.examine, needs_settings=False),
    Check("disk", disk.of_host, needs_settings=False),
    Check("clock", clock.examine, needs_settings=False),
)


def all_checks() -> tuple[Check, ...]:
    """Return all checks. Those that ask others need packages that a release needs later, or never."""
    from multiarch.steps.doctor import (
        base_images,
        builders,
        buildkit,
        ci_file,
        emulators,
        lint,
        rate_limit,
        registry,
        settings,
        signing,
    )

    return (
        Check(settings.NAME, settings.examine),
        Check(ci_file.NAME, ci_file.examine),
        Check(docker.NAME, docker.examine, needs_settings=False),
        Check("disk", disk.examine, needs_settings=False),
        Check("clock", clock.examine, needs_settings=False),
        Check(proxies.NAME, proxies.examine, needs_settings=False),
        Check(buildkit.NAME, buildkit.examine, needs_settings=False),
        Check(emulators.NAME, emulators.examine, seconds=20.0),
        Check(builders.NAME, builders.examine, seconds=20.0),
        Check("registry", registry.examine, seconds=15.0),
        Check(signing.NAME, signing.examine, seconds=20.0),
        Check(rate_limit.NAME, rate_limit.examine),
        Check(base_images.NAME, base_images.examine, seconds=15.0),
        Check(lint.NAME, lint.examine, seconds=20.0),
    )


def check_host(run: Run) -> None:
    """Tell before a build what is odd about its Docker host, by the checks that cost a release nothing.

    :raises MultiarchError: no build can succeed there.
    """
    for finding in [finding for check in FREE for finding in outcome(check, run)]:
        if finding.state is State.FAILURE:
            raise MultiarchError(finding.text)
        if finding.state is State.WARNING:
            run.progress.say(f"warning: {finding.text}")

"""Clocks: of this machine against those of the Docker host and of registries.

A token that is issued for five minutes, or a certificate, is not valid by a wrong clock.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from multiarch.formatting import duration
from multiarch.steps.doctor.finding import Finding, failure, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.run import Run

_WARNED = 60.0  # seconds; the leeway of distribution's tokens (registry/auth/token, Leeway)
_FAILED = 300.0  # seconds; what tokens of registries are usually valid
_REMEDY = "set the clock: timedatectl set-ntp true"
_FRACTION = re.compile(r"(\.\d{6})\d+")  # Go writes nanoseconds, which Python before 3.11 does not read


def examine(run: Run) -> Iterator[Finding]:
    """Yield the difference to the clock of the Docker host; those of registries are known when they are asked."""
    if run.settings.starts_buildkit:
        yield of_host(run.host.info.time)


def of_host(text: str) -> Finding:
    """Return the finding about the Docker host's clock. :param text: what it says the time is (RFC 3339)."""
    try:
        there = datetime.fromisoformat(_FRACTION.sub(r"\1", text).replace("Z", "+00:00"))
        difference = there.astimezone(timezone.utc).timestamp() - time.time()
    except (ValueError, OverflowError):
        return unknown("clock", "the Docker host does not tell the time")
    # The host was asked when the run began, so its time is some seconds old by now.
    return _finding("the Docker host's", difference)


def of_registry(host: str, date: str) -> Finding:
    """Return the finding about a registry's clock. :param date: of its answer (RFC 9110, 6.6.1); empty without."""
    try:
        difference = parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return unknown("clock", f"{host} does not tell the time")
    return _finding(f"that of {host}", difference)


def _finding(whose: str, difference: float) -> Finding:
    seconds = abs(difference)
    text = f"this machine's is {duration(seconds)} {'behind' if difference > 0 else 'ahead of'} {whose}"
    if seconds > _FAILED:
        return failure("clock", f"{text}: tokens and certificates are not valid by it", _REMEDY)
    return warning("clock", text, _REMEDY) if seconds > _WARNED else ok("clock", f"this machine's agrees with {whose}")

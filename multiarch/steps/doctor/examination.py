"""All checks side by side, each within its own time: what hangs in one is not waited for, and hides no other."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.concurrency import together
from multiarch.errors import ConfigurationError, DockerPermissionError, MultiarchError, NoDockerError, StoppedError
from multiarch.formatting import one_line
from multiarch.steps.doctor.finding import Finding, State, failure, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from multiarch.run import Run

_POLL = 0.1  # seconds
_GRACE = 1.0  # seconds in which an interrupted check may remove what it has made


class Check(Struct, frozen=True):
    """A check.

    :ivar examine: returns what it finds; nothing where there is nothing to check.
    :ivar seconds: how long it may take; none takes half of it where nothing hangs.
    :ivar needs_settings: whether it is about settings, and pointless with those by default.
    """

    name: str
    examine: Callable[[Run], Iterable[Finding]]
    seconds: float = 10.0
    needs_settings: bool = True


def examine(run: Run, checks: Sequence[Check]) -> tuple[Finding, ...]:
    """Do all checks side by side; return what they find, in the order of the checks.

    A check that fails, or exceeds its time, is a finding. :raises StoppedError: the run was stopped.
    """
    found = together([partial(_limited, check, run) for check in checks], on_failure=run.stop, limit=len(checks))
    return tuple(finding for findings in found for finding in findings)


def _limited(check: Check, run: Run) -> list[Finding]:
    """Return what a check finds within its time. :raises StoppedError: the run was stopped."""
    found: list[list[Finding]] = []
    # A daemon: a system call that hangs would hold the end of this process up else.
    thread = threading.Thread(target=lambda: found.append(outcome(check, run)), daemon=True)
    thread.start()
    deadline = time.monotonic() + check.seconds
    while thread.is_alive() and time.monotonic() < deadline:
        thread.join(_POLL)
        if run.policy.stopped.is_set():
            thread.join(_GRACE)
            raise StoppedError(check.name)
    if found:
        return found[0]
    return [unknown(check.name, f"not known: there was no answer within {check.seconds:.0f} s", "look at what hangs")]


def outcome(check: Check, run: Run) -> list[Finding]:
    """Return what a check finds; what keeps it from being done is a finding too."""
    try:
        return list(check.examine(run))
    except (NoDockerError, DockerPermissionError):
        return [unknown(check.name, "not checked: it needs the Docker host")]
    except ConfigurationError as error:
        return [failure(check.name, one_line(str(error)))]
    except MultiarchError as error:
        return [unknown(check.name, f"not checked: {one_line(str(error))}")]
    except Exception as error:  # noqa: BLE001 (a fault of one check must not hide the findings of the others)
        problem = f"not checked: internal error: {type(error).__name__}"
        return [unknown(check.name, problem, "report it in the project's issue tracker")]


def failures(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that make a release fail."""
    return [finding for finding in findings if finding.state is State.FAILURE]

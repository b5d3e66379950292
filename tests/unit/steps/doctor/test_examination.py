"""The runner of the checks: side by side, each within its time, and nothing that is not known passes for fine."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from multiarch.config.load import load
from multiarch.config.project import Project
from multiarch.display.progress import Progress
from multiarch.errors import ConfigurationError, DockerError, NoDockerError, StoppedError
from multiarch.run import Run
from multiarch.steps.doctor.examination import Check, examine
from multiarch.steps.doctor.finding import Finding, failure, ok, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def run() -> Run:
    """A run of no particular settings."""
    return Run(Project.of(load({"platforms": ["linux/amd64"]}, {}, {})), Progress())


def raising(error: Exception) -> Check:
    """Return a check that ends with an error, after it has found something."""

    def check(_: Run) -> Iterator[Finding]:
        yield ok("broken", "so far")
        raise error

    return Check("broken", check)


def test_findings_are_in_the_order_of_the_checks(run: Run) -> None:
    """Each waits for the other: they can only end if they run at the same time."""
    barrier = threading.Barrier(2, timeout=20)

    def check(name: str) -> Check:
        def wait(_: Run) -> list[Finding]:
            barrier.wait()
            return [ok(name, "there")]

        return Check(name, wait, seconds=20)

    assert (ok("a", "there"), ok("b", "there")) == examine(run, [check("a"), check("b")])


def test_what_hangs_is_unknown_and_hides_nothing(run: Run) -> None:
    """The end of a check's time is a finding of its own."""
    release = threading.Event()
    checks = [
        Check("hangs", lambda _: [ok("hangs", "no")] * release.wait(30), seconds=0.3),
        Check("b", lambda _: [ok("b", "x")]),
    ]
    found = examine(run, checks)
    release.set()
    problem = unknown("hangs", "not known: there was no answer within 0 s", "look at what hangs")
    assert (problem, ok("b", "x")) == found


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NoDockerError("unix:///x", "no such socket"), unknown("broken", "not checked: it needs the Docker host")),
        (ConfigurationError("multiarch.x", "is wrong"), failure("broken", "multiarch.x: is wrong")),
        (DockerError("do it", "no"), unknown("broken", "not checked: Docker could not do it: no")),
        (
            ValueError("a secret"),
            unknown("broken", "not checked: internal error: ValueError", "report it in the project's issue tracker"),
        ),
    ],
)
def test_an_error_is_a_finding(run: Run, error: Exception, expected: Finding) -> None:
    """What was found before is not told as if it were all; an error that nobody has foreseen shows no values."""
    assert (expected,) == examine(run, [raising(error)])


def test_an_interrupt_ends_it(run: Run) -> None:
    """A check that waits is not waited for."""
    run.stop()
    with pytest.raises(StoppedError):
        examine(run, [Check("waits", lambda _: [ok("waits", "no")] * threading.Event().wait(30), seconds=30)])

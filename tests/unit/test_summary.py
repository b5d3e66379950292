"""What became of each platform, out of what its solves told."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from multiarch.buildkit.solve import Solve
from multiarch.config.load import load
from multiarch.display.progress import Progress, Summary
from multiarch.display.summary import summarise
from multiarch.image.platform import Platform
from tests.unit.rawjson import vertex

AMD64, ARM64, ARM = (Platform.parse(name) for name in ("amd64", "arm64", "arm/v7"))


def solve(platforms: tuple[Platform, ...], *states: str) -> Solve:
    """Return an attempt that told these states."""
    attempt = Solve(platforms, Progress(io.StringIO(), quiet=True))
    for state in states:
        told: dict[str, Any] = json.loads(state)
        list(attempt.vertices.vertexes(told))
        list(attempt.vertices.logs(told))
    return attempt


if TYPE_CHECKING:
    from multiarch.config.settings import MatrixEntry


def matrix(*platforms: object) -> tuple[MatrixEntry, ...]:
    """Return the matrix that is configured so."""
    return load({"platforms": list(platforms)}, {}, {}).matrix


def test_a_solve_of_several_platforms_is_told_apart() -> None:
    """Each has the steps that bear its name, and those that others run for it; what is of all counts for none."""
    both = solve(
        (AMD64, ARM64),
        vertex("a", "[internal] load build definition", seconds=50),
        vertex("b", "[linux/amd64 1/2] FROM busybox", seconds=1, cached=True),
        vertex("c", "[linux/amd64 2/2] RUN true", seconds=3),
        vertex("d", "[linux/amd64->arm64 build 1/1] RUN make", seconds=4),
        vertex("e", "[linux/arm64 internal] load metadata", seconds=7),
    )
    rows = summarise(matrix("amd64", "arm64"), [both], {AMD64: ("sha256:1", 7)}, "x86_64")
    assert [(AMD64, "sha256:1", 7, 3.0, 2, 1, False), (ARM64, "", 0, 7.0, 1, 0, True)] == [
        (r.platform, r.digest, r.size, round(r.seconds, 3), r.steps, r.cached, r.emulated) for r in rows
    ]


def test_retries_take_time_and_are_counted_once() -> None:
    """The time goes from the first attempt to the last, whose instructions count; a failed step has its end too."""
    first = solve(
        (ARM,), vertex("a", "[1/2] FROM busybox", seconds=1), vertex("b", "[2/2] RUN x", seconds=2, error="no")
    )
    again = solve(
        (ARM,), vertex("a", "[1/2] FROM busybox", seconds=8, cached=True), vertex("b", "[2/2] RUN x", seconds=9)
    )
    (row,) = summarise(matrix("arm"), [first, again], {}, "x86_64")
    assert (9.0, 2, 1) == (round(row.seconds, 3), row.steps, row.cached)


def test_what_was_not_built_has_its_row() -> None:
    """A release that fails early has nothing to tell of a platform."""
    native = matrix({"platform": "arm64", "builder": "tcp://arm:1234"})
    assert (Summary(ARM64, "", 0, 0.0, 0, 0, emulated=False),) == summarise(native, [], {}, "x86_64")

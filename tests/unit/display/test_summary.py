"""The result of each platform, computed from its solves."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from multiarch.buildkit.rawjson import read_state
from multiarch.buildkit.solve import Solve
from multiarch.config.load import load
from multiarch.display.progress import Progress
from multiarch.display.summary import Summary, summarise
from tests.unit.legs import leg
from tests.unit.rawjson import vertex

if TYPE_CHECKING:
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.platform import Leg

AMD64, ARM64, ARM = (leg(name) for name in ("amd64", "arm64", "arm/v7"))


def solve(platforms: tuple[Leg, ...], *lines: str) -> Solve:
    """Return an attempt in which BuildKit reported these states."""
    attempt = Solve(platforms, Progress(io.StringIO(), quiet=True))
    for line in lines:
        state = read_state(line.encode())
        assert state
        list(attempt.vertices.vertexes(state))
        list(attempt.vertices.logs(state))
    return attempt


def matrix(*platforms: object) -> tuple[MatrixEntry, ...]:
    """Return the matrix of these entries of ``platforms``."""
    return load({"platforms": list(platforms)}, {}, {}).matrix


def test_vertices_of_one_solve_count_for_their_platforms() -> None:
    """By the platform in their name, and cross-compiling ones by their target; those of all count for none."""
    both = solve(
        (AMD64, ARM64),
        vertex("a", "[internal] load build definition", seconds=50),
        vertex("b", "[linux/amd64 1/2] FROM busybox", seconds=1, cached=True),
        vertex("c", "[linux/amd64 2/2] RUN true", seconds=3),
        vertex("d", "[linux/amd64->arm64 build 1/1] RUN make", seconds=4),
        vertex("e", "[linux/arm64 internal] load metadata", seconds=7),
    )
    rows = summarise(matrix("amd64", "arm64"), [both], {AMD64: ("sha256:1", 7)}, "x86_64")
    assert [(AMD64.platform, "sha256:1", 7, 3.0, 2, 1, False), (ARM64.platform, "", 0, 7.0, 1, 0, True)] == [
        (r.platform, r.digest, r.size, round(r.seconds, 3), r.steps, r.cached, r.emulated) for r in rows
    ]


def test_retries_add_time_and_no_instructions() -> None:
    """The time spans all attempts; the instructions are those of the last."""
    first = solve(
        (ARM,), vertex("a", "[1/2] FROM busybox", seconds=1), vertex("b", "[2/2] RUN x", seconds=2, error="no")
    )
    again = solve(
        (ARM,), vertex("a", "[1/2] FROM busybox", seconds=8, cached=True), vertex("b", "[2/2] RUN x", seconds=9)
    )
    (row,) = summarise(matrix("arm"), [first, again], {}, "x86_64")
    assert (9.0, 2, 1) == (round(row.seconds, 3), row.steps, row.cached)


def test_platform_that_was_not_built_has_a_row() -> None:
    """A release may fail before a solve begins, and its report lists the whole matrix."""
    native = matrix({"platform": "arm64", "builder": "ssh://arm"})
    assert (Summary(ARM64.platform, "", 0, 0.0, 0, 0, emulated=False),) == summarise(native, [], {}, "x86_64")

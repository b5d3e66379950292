"""The result of each platform, computed from its solves."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from multiarch.buildkit.rawjson import read_state
from multiarch.buildkit.solve import Solve
from multiarch.config.load import load
from multiarch.display.progress import Progress
from multiarch.display.summary import Summary, summarise, summary_lines
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


DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def table(targets: list[str], platforms: list[str], width: int | None) -> list[str]:
    """Return the table of images that are all alike."""
    legs = [leg(platform, target) for target in targets for platform in platforms]
    rows = [
        Summary(one.platform, DIGEST, 12_345_678, 12.3, 12, 10, one.platform != AMD64.platform, target=one.target)
        for one in legs
    ]
    return summary_lines(rows, width)


def test_each_target_is_named_once_in_the_table() -> None:
    """24 images at 100 columns: nothing is said twice, and digests are cut to the room that the rest leaves."""
    targets = [f"golang-{version}-{flavour}" for version in ("1.27", "1.26") for flavour in ("bookworm", "alpine3.24")]
    lines = table(targets, ["amd64", "arm64", "armhf", "386", "ppc64le", "s390x"], 100)
    assert [
        "TARGET                  PLATFORM       DIGEST                     SIZE     TIME   CACHED    BUILT",
        "golang-1.27-bookworm    linux/amd64    sha256:0123456789abcdef0…  12.3 MB  12.3s  10 of 12  natively",
        "                        linux/arm64    sha256:0123456789abcdef0…  12.3 MB  12.3s  10 of 12  emulated",
        "                        linux/arm/v7   sha256:0123456789abcdef0…  12.3 MB  12.3s  10 of 12  emulated",
        "                        linux/386      sha256:0123456789abcdef0…  12.3 MB  12.3s  10 of 12  emulated",
        "                        linux/ppc64le  sha256:0123456789abcdef0…  12.3 MB  12.3s  10 of 12  emulated",
        "                        linux/s390x    sha256:0123456789abcdef0…  12.3 MB  12.3s  10 of 12  emulated",
        "golang-1.27-alpine3.24  linux/amd64    sha256:0123456789abcdef0…  12.3 MB  12.3s  10 of 12  natively",
    ] == lines[:8]
    assert (25, 100, 4) == (len(lines), max(map(len, lines)), sum("golang" in line for line in lines))


def test_names_of_targets_have_lines_of_their_own_where_there_is_no_room() -> None:
    """At 60 columns, digests of a few letters are left."""
    assert [
        "  PLATFORM       DIGEST    SIZE     TIME   CACHED    BUILT",
        "golang-1.27-bookworm",
        "  linux/amd64    sha256:…  12.3 MB  12.3s  10 of 12  natively",
        "  linux/ppc64le  sha256:…  12.3 MB  12.3s  10 of 12  emulated",
        "golang-1.26-bookworm",
        "  linux/amd64    sha256:…  12.3 MB  12.3s  10 of 12  natively",
        "  linux/ppc64le  sha256:…  12.3 MB  12.3s  10 of 12  emulated",
    ] == table(["golang-1.27-bookworm", "golang-1.26-bookworm"], ["amd64", "ppc64le"], 60)


def test_digests_are_whole_where_there_is_room() -> None:
    """On a wide terminal they can be copied."""
    assert [
        f"TARGET  PLATFORM     DIGEST{' ' * 65}  SIZE     TIME   CACHED    BUILT",
        f"app     linux/amd64  {DIGEST}  12.3 MB  12.3s  10 of 12  natively",
        f"worker  linux/amd64  {DIGEST}  12.3 MB  12.3s  10 of 12  natively",
    ] == table(["app", "worker"], ["amd64"], 140)
    assert table(["app", "worker"], ["amd64"], 140) == table(["app", "worker"], ["amd64"], None)

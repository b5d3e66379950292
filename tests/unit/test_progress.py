"""Lines on standard error."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

from multiarch.platforms import Platform
from multiarch.progress import Progress


def test_every_line_has_the_prefix_of_its_platform() -> None:
    """Padded to one width, so that the columns of several platforms stand below each other."""
    stream = io.StringIO()
    progress = Progress(stream)
    arm64, arm = Platform.parse("arm64"), Platform.parse("armhf")
    progress.say("first")
    progress.begin({arm64: True, arm: True})
    progress.say("one\ntwo", [arm64])
    progress.say("", [arm])
    progress.say("of both", [arm64, arm])
    progress.end()
    progress.say("last")
    assert [
        "first",
        "linux/arm64  │ one",
        "linux/arm64  │ two",
        "linux/arm/v7 │ ",
        "             │ of both",
        "last",
    ] == stream.getvalue().splitlines()


def test_lines_of_several_writers_stay_whole() -> None:
    """Blocks that are said at once are not mixed."""
    stream = io.StringIO()
    progress = Progress(stream)
    writers = [Platform.parse(name) for name in ("amd64", "arm64", "s390x", "riscv64")]

    def write(writer: Platform) -> None:
        for _ in range(200):
            progress.say("a\nb\nc", [writer])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, writers))
    lines = stream.getvalue().splitlines()
    blocks = [lines[start : start + 3] for start in range(0, len(lines), 3)]
    assert 4 * 200 == len(blocks)
    assert [] == [block for block in blocks if 1 != len({line.partition(" │ ")[0] for line in block})]

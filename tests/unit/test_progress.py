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
    progress.say("first")
    progress.of(Platform.parse("arm64"), 12).say("one\ntwo")
    progress.of(Platform.parse("armhf"), 12).say("")
    assert ["first", "linux/arm64  │ one", "linux/arm64  │ two", "linux/arm/v7 │ "] == stream.getvalue().splitlines()


def test_lines_of_several_writers_stay_whole() -> None:
    """Blocks that are said at once are not mixed."""
    stream = io.StringIO()
    progress = Progress(stream)
    writers = [progress.of(Platform.parse(name)) for name in ("amd64", "arm64", "s390x", "riscv64")]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda writer: [writer.say("a\nb\nc") for _ in range(200)], writers))
    lines = stream.getvalue().splitlines()
    blocks = [lines[start : start + 3] for start in range(0, len(lines), 3)]
    assert 4 * 200 == len(blocks)
    assert [] == [block for block in blocks if 1 != len({line.partition(" │ ")[0] for line in block})]

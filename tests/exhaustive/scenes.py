"""Builds to watch on a terminal: ``python -m tests.exhaustive.scenes NAME`` (see test_live.py)."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from multiarch.buildkit.solve import Solve
from multiarch.display.console import progress_for
from multiarch.display.summary import Summary
from tests.unit.legs import leg
from tests.unit.rawjson import log, status, vertex

if TYPE_CHECKING:
    from multiarch.display.progress import Progress
    from multiarch.image.platform import Leg

AMD64, ARM64, ARM, S390X = map(leg, ("amd64", "arm64", "armhf", "s390x"))
MATRIX = {AMD64: False, ARM64: True, ARM: True, S390X: True}
WRITE = 'for line; do case $line in pause) sleep 0.15 ;; *) printf "%s\\n" "$line" >&2 ;; esac; done'
PAUSE = "pause"
MANY = [leg(f"linux/{name}") for name in ("386", "amd64", "arm64", "armhf", "armel", "ppc64le", "s390x")]
LONG = "RUN apt-get update && apt-get install --yes build-essential cmake ninja-build python3-dev libssl-dev"


def solve(progress: Progress, platforms: list[Leg], *lines: str) -> None:
    """Run a solve whose buildctl writes these lines."""
    Solve(platforms, progress).run(["sh", "-c", WRITE, "sh", *lines], threading.Event())


def success(progress: Progress) -> None:
    """Build everything, with a retry, and with lines of other writers in between."""
    progress.say("buildkit is ready")
    progress.begin(MATRIX)
    solve(
        progress,
        [AMD64, ARM64, S390X],
        vertex("a", f"[linux/amd64 2/3] {LONG}"),
        vertex("b", f"[linux/arm64 build 2/3] {LONG}"),
        PAUSE,
        vertex("a", f"[linux/amd64 2/3] {LONG}", seconds=1),
        vertex("e", "exporting to image"),
        PAUSE,
    )
    progress.done([AMD64, ARM64, S390X])
    progress.retrying("build: attempt 1 failed, next in 0.1 s: no route to host", [ARM])
    sys.stderr.write("from another library\n")
    print("a result")
    solve(progress, [ARM], vertex("a", "[2/2] RUN make"), PAUSE)
    progress.done([ARM])
    progress.end()
    size, digest = 12_345_678, f"sha256:{'0123456789abcdef' * 4}"
    progress.table([Summary(leg.platform, digest, size, 12.3, 3, 1, emulated) for leg, emulated in MATRIX.items()])


def await_interrupt() -> None:
    """Wait for a minute, in pieces: a signal that comes just before a sleep does not end that one."""
    for _ in range(600):
        time.sleep(0.1)


def working(progress: Progress) -> None:
    """Show each row in another state until an interrupt comes."""
    progress.begin(MATRIX)
    try:
        solve(
            progress,
            [AMD64],
            vertex("a", "[2/3] RUN make"),
            log("a", "\x1b[31mcompiling\x1b[0m\r\t\x1b[2Kmain.c of a program with many others\n"),
        )
        solve(
            progress, [ARM64], vertex("b", f"[1/2] FROM {'busybox' * 20}"), status("b", "sha256:1", 5_000, 12_000_000)
        )
        progress.retrying("build: attempt 1 failed, next in 9.0 s: 503", [ARM])
        solve(progress, [ARM], vertex("e", "exporting to image"), status("e", "pushing layers"))
        await_interrupt()
    finally:
        progress.end()


def many(progress: Progress) -> None:
    """Show more rows than a small terminal has lines."""
    progress.begin(dict.fromkeys(MANY, False))
    for platform in MANY:
        solve(progress, [platform], vertex("a", "[2/2] RUN make"), PAUSE)
        progress.done([platform])
    progress.end()


def fleet(progress: Progress) -> None:
    """Show 24 images of four targets while three of them are built, until an interrupt comes."""
    targets = [f"tool-{version}-{flavour}" for version in ("1.27", "1.26") for flavour in ("bookworm", "alpine3.24")]
    legs = [leg(name, target) for target in targets for name in ("amd64", "arm64", "armhf", "386", "ppc64le", "s390x")]
    progress.begin({one: str(one.platform) not in ("linux/amd64", "linux/386") for one in legs})
    try:
        for one in legs[:12]:
            progress.done([one])
        progress.say("warning: a line of another writer", [legs[13]])
        for number, one in enumerate(legs[12:15]):
            solve(progress, [one], vertex("a", "[3/9] RUN make"), log("a", f"  CC main{number}.c\n"))
        await_interrupt()
    finally:
        progress.end()


def failure(progress: Progress) -> None:
    """Let one platform of a solve fail and stop the other; two more are never begun."""
    progress.begin(MATRIX)
    try:
        solve(
            progress,
            [AMD64, ARM64],
            vertex("a", "[linux/amd64 2/3] RUN make"),
            vertex("b", "[linux/arm64 2/3] RUN make"),
            PAUSE,
            vertex("a", "[linux/amd64 2/3] RUN make", seconds=1, error="context canceled"),
            vertex("b", "[linux/arm64 2/3] RUN make", seconds=1, error="exit code: 2"),
        )
        progress.failed([AMD64, ARM64], stopped=False)
        raise SystemExit("what is wrong")
    finally:
        progress.end()


HOSTILE = "a\x1b[2J\x1b[1;1Hb\x1b]52;c;ZQ==\x07c\x9b2Jd\r\u202ee\u2028f\x1b[?25h"


def hostile(progress: Progress) -> None:
    """Build what writes over the screen, in each place where its words are shown."""
    progress.say(HOSTILE)
    progress.begin(MATRIX)
    solve(progress, [AMD64], vertex("a", f"[2/3] RUN {HOSTILE}"), log("a", f"{HOSTILE}\n"), PAUSE)
    progress.retrying(HOSTILE, [ARM])
    solve(progress, [ARM64], vertex("e", "exporting"), status("e", HOSTILE, 1, 2), PAUSE)
    progress.say(f"first\n{HOSTILE}")
    progress.end()
    progress.table([Summary(AMD64.platform, HOSTILE, 1, 1.0, 1, 1, emulated=False)])


if __name__ == "__main__":
    scenes = {scene.__name__: scene for scene in (success, working, failure, many, fleet, hostile)}
    scenes[sys.argv[1]](progress_for(sys.stderr, os.environ, quiet=False))

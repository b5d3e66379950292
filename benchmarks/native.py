"""An arm64 image with a builder of its own kind, beside the same emulated.

This machine has no such builder: another BuildKit stands for one. It says that its processor is an arm64, and the base
image of its RUNs has programs that this processor runs. So a RUN takes there what it would on such a machine as fast as
this one; but both share this machine's processors. What comes out is put on the real base image, whose programs are
checked.
"""

from __future__ import annotations

import secrets
import shlex
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.arena import Arena, Job, arena, buildkit, create_builder
from benchmarks.race import Case, race
from benchmarks.table import Table, middle, timed_table
from benchmarks.tools import BARE, OURS, PEER, TOOLS, bare, buildx, configure, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.peers import Commands
    from benchmarks.table import Taken

PLATFORMS = ("linux/amd64", "linux/arm64")
REAL = "busybox:stable"
NATIVE, EMULATED = "arm64 on a builder of its own", "arm64 emulated"
_DOCKERFILE = """ARG BASE
FROM ${BASE} AS build
ARG MARK
RUN i=0; while [ $i -lt 75000 ]; do i=$((i+1)); done; echo $MARK > /out
RUN dd if=/dev/zero bs=1M count=75 2>/dev/null | sha256sum >> /out
FROM busybox:stable
COPY --from=build /out /out
"""
# Of two platforms: this processor's programs in both, whatever the image says of itself.
_STAND_IN = """FROM --platform=linux/amd64 busybox:stable AS programs
FROM scratch
COPY --from=programs / /
"""


def write(folder: Path, dockerfile: str = _DOCKERFILE) -> None:
    """Write what is built."""
    (folder / "Dockerfile").write_text(dockerfile)


def stand_in(arena: Arena) -> str:
    """Push the base image of the RUNs; return its name."""
    arena.new_app(partial(write, dockerfile=_STAND_IN))
    job = Job(arena.new_names(), platforms=PLATFORMS)
    arena.run(bare(arena, job))
    return job.references[0]


def ours(arena: Arena, job: Job, address: str) -> Commands:
    """``release`` with the builder in its settings."""
    builders = {"arm": {"address": address, "platforms": [PLATFORMS[1]]}}
    return configure(arena, settings(arena, job, builders=builders))


def halves(job: Job) -> list[Job]:
    """Return the job of each platform alone, under a tag of its own."""
    return [replace(job, tags=[platform.rpartition("/")[2]], platforms=[platform]) for platform in job.platforms]


def both(arena: Arena, job: Job, address: str) -> Commands:
    """A bare solve on each builder, at the same time; no index is made of them."""
    addresses = (arena.address, address)
    solves = [bare(replace(arena, address=at), one)[0] for at, one in zip(addresses, halves(job), strict=True)]
    first, second = map(shlex.join, solves)
    return [["sh", "-ec", f"{first} & {second}; wait $!"]]


def release(
    arena: Arena,
    base: str,
    tool: Callable[[Arena, Job], Commands],
    published: Callable[[Job], Sequence[Job]] = lambda job: [job],
) -> Mapping[str, Taken]:
    """Let a tool release something new from empty BuildKits; return what that took.

    :param published: returns what the tool publishes for a job.
    """
    arena.prune()
    arena.new_app(write)
    arguments = {"BASE": base, "MARK": secrets.token_hex(16)}
    job = Job(arena.new_names(), platforms=PLATFORMS, arguments=arguments)
    taken = arena.run(tool(arena, job))
    for one in published(job):
        arena.check(one)
    return {"": taken}


def measure(rounds: int) -> Sequence[Table]:
    """Return the table of both cases, and what a builder of its own spares ours."""
    with arena() as one, buildkit(one.folder, PLATFORMS[1:], one.hosts) as address:
        base = stand_in(one)
        made = replace(one, others=[address])
        joined = create_builder(made, "bench-two", {made.address: PLATFORMS[:1], address: PLATFORMS[1:]})
        native = {
            OURS: partial(release, made, base, partial(ours, address=address)),
            PEER: partial(release, joined, base, buildx),
            BARE: partial(release, made, base, partial(both, address=address), halves),
        }
        emulated = {name: partial(release, made, REAL, tool) for name, tool in TOOLS.items()}
        times = race([Case(NATIVE, native), Case(EMULATED, emulated)], rounds)
    ratio = middle(times[NATIVE, OURS]) / middle(times[EMULATED, OURS])
    note = f"A builder of its own takes {OURS} {ratio:.2f} of the time of emulation."
    return [timed_table("case", times, PEER, limit=BARE, notes=[note])]

"""A whole release beside other tools on one BuildKit: a small image, and a large context.

Every run is a process, or as many as the tool needs, from a directory with a Dockerfile to a tag of three platforms,
which is checked. Cold runs begin with an empty BuildKit, a new context and a new repository; warm runs do the same once
more.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.arena import Arena, Job, arena, output
from benchmarks.profile import Profile, profile, profile_table
from benchmarks.race import Case, race
from benchmarks.table import Goal, Table, Taken, timed_table
from benchmarks.tools import BARE, MANAGED, OURS, PEER, SERIAL, TOOLS, configure, ours, serial, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.peers import Commands

SMALL, LARGE = "small image", "200 MB in 2,000 files"
_FILES, _SIZE = 2000, 100_000  # files of the large context, and bytes of each
GOALS = {
    (f"{SMALL}, cold", OURS): (Goal(1.4, of=PEER), Goal(0.25, beyond=BARE)),
    (f"{SMALL}, warm", MANAGED): (Goal(0.38),),
    (f"{LARGE}, cold", OURS): (Goal(1.05, of=PEER),),
}


def write_small(folder: Path) -> None:
    """Write a Dockerfile that no BuildKit has seen."""
    (folder / "Dockerfile").write_text(f"FROM busybox:stable\nRUN echo {secrets.token_hex(16)} > /new\n")


def write_large(folder: Path) -> None:
    """Write the same, and new files beside it."""
    write_small(folder)
    with (folder / "Dockerfile").open("a") as file:
        file.write("COPY data /data\n")
    (folder / "data").mkdir()
    for number in range(_FILES):
        (folder / "data" / f"{number:04}").write_bytes(secrets.token_bytes(_SIZE))


def cold_and_warm(
    arena: Arena, write: Callable[[Path], None], tool: Callable[[Arena, Job], Commands]
) -> Mapping[str, Taken]:
    """Let a tool release something new from an empty BuildKit, and once more; return what that took."""
    arena.prune()
    arena.new_app(write)
    job = Job(arena.new_names())
    return {kind: arena.measured(tool, job) for kind in ("cold", "warm")}


def managed_warm(arena: Arena, container: str) -> Mapping[str, Taken]:
    """Let ours release something with the server that it starts, and keeps, itself; return what it took once more."""
    arena.new_app(write_small)
    job = Job(arena.new_names())
    words = configure(arena, settings(arena, job, buildkit_container=container))
    environment = {**arena.environment, "BUILDKIT_HOST": ""}
    seconds = [arena.timed(words, environment) for _ in range(2)]
    arena.check(job)
    return {"warm": Taken(seconds[1])}


def profiled(arena: Arena, write: Callable[[Path], None]) -> Profile:
    """Let ours release something new from an empty BuildKit; return where its time went."""
    arena.prune()
    arena.new_app(write)
    return profile(arena, ours(arena, Job(arena.new_names())))


def managed_profiled(arena: Arena, container: str) -> Profile:
    """Let ours release a small image once more with its own server, which is there; return where its time went."""
    arena.new_app(write_small)
    words = configure(arena, settings(arena, Job(arena.new_names()), buildkit_container=container))
    arena.timed(words, {**arena.environment, "BUILDKIT_HOST": ""})
    return profile(arena, words, {"BUILDKIT_HOST": ""})


def measure(rounds: int) -> Sequence[Table]:
    """Return the table of both cases, and where the time of ours goes."""
    container = f"bench-managed-{secrets.token_hex(3)}"
    with arena() as made:
        tools = {**TOOLS, SERIAL: serial}
        small = {name: partial(cold_and_warm, made, write_small, tool) for name, tool in tools.items()}
        large = {name: partial(cold_and_warm, made, write_large, tool) for name, tool in TOOLS.items()}
        try:
            times = race(
                [Case(SMALL, {**small, MANAGED: partial(managed_warm, made, container)}), Case(LARGE, large)], rounds
            )
            places = profile_table(
                {
                    f"{SMALL}, cold": partial(profiled, made, write_small),
                    f"{LARGE}, cold": partial(profiled, made, write_large),
                    f"{SMALL}, warm, its own BuildKit": partial(managed_profiled, made, container),
                }
            )
        finally:
            output("docker", "rm", "--force", "--volumes", container)
            output("docker", "volume", "rm", "--force", f"{container}-state")
    return [timed_table("case", times, PEER, GOALS, BARE), places]

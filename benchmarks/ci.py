"""A release on a CI's fresh machine: an empty BuildKit, nothing kept, and the cache in a registry that is 20 ms away.

An earlier commit was built by the same tool, and filled its cache; since then a source file has changed, and no
dependency. Each run reads the cache, builds what is new, and writes the cache again.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.arena import Arena, Job, arena, away
from benchmarks.profile import Profile, profile, profile_table
from benchmarks.race import Case, race
from benchmarks.table import Goal, Table, timed_table
from benchmarks.tools import BARE, OURS, PEER, TOOLS, ours

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.peers import Commands
    from benchmarks.table import Taken

AWAY = 0.02  # seconds of a round trip
NAME = "a fresh machine, its cache 20 ms away"
GOALS = {(NAME, OURS): (Goal(1.0, of=PEER),)}
# Dependencies: 8 MB that no compression shortens, of a lock file that stays, and some work to get them.
_DOCKERFILE = """FROM busybox:stable AS build
COPY lock /lock
RUN dd if=/dev/urandom of=/dependencies bs=1M count=8 2>/dev/null && sha256sum /dependencies
COPY source /source
RUN sha256sum /source > /program
FROM busybox:stable
COPY --from=build /dependencies /program /app/
"""


def write(folder: Path, lock: str) -> None:
    """Write a commit with these dependencies, and a source file that is new."""
    (folder / "Dockerfile").write_text(_DOCKERFILE)
    (folder / "lock").write_text(lock)
    (folder / "source").write_text(secrets.token_hex(16))


def release(
    arena: Arena, hosts: Mapping[str, str], lock: str, cache: str, tool: Callable[[Arena, Job], Commands]
) -> Mapping[str, Taken]:
    """Let a tool release another commit from nothing but the cache; return what it took."""
    arena.prune()
    arena.forget()
    arena.new_app(partial(write, lock=lock))
    return {"": arena.measured(tool, Job(arena.new_names([*hosts]), cache=cache), hosts)}


def profiled(arena: Arena, hosts: Mapping[str, str], lock: str, cache: str) -> Profile:
    """Let ours do the same; return where its time went."""
    arena.prune()
    arena.forget()
    arena.new_app(partial(write, lock=lock))
    return profile(arena, ours(arena, Job(arena.new_names([*hosts]), cache=cache)))


def measure(rounds: int) -> Sequence[Table]:
    """Return the table, and where the time of ours goes."""
    with arena() as made, away(made.hosts, AWAY) as hosts:
        runs, filled = {}, {}
        for name, tool in TOOLS.items():
            (cache,) = made.new_names([*hosts])
            filled[name] = secrets.token_hex(16), cache
            runs[name] = partial(release, made, hosts, *filled[name], tool)
            runs[name]()  # fills the cache
        times = race([Case(NAME, runs)], rounds)
        places = profile_table({NAME: partial(profiled, made, hosts, *filled[OURS])})
    return [timed_table("case", times, PEER, GOALS, BARE), places]

"""A whole release to registries that are some way away: one image, and three registries with three tags each.

The registries are behind proxies (``benchmarks.delay`` says what they model); BuildKit pulls the base image from
nearby. Each run is cold.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.arena import Arena, Job, arena, away
from benchmarks.profile import Profile, profile, profile_table
from benchmarks.race import Case, race
from benchmarks.release import write_small
from benchmarks.table import Goal, Table, timed_table
from benchmarks.tools import BARE, OURS, PEER, TOOLS, ours

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.peers import Commands
    from benchmarks.table import Taken

FAR = 0.05  # seconds of a round trip
ONE = "one image, 50 ms away"
NINE = "3 registries, 3 tags in each, {} ms away"
TAGS = ("latest", "1.4", "1.4.2")
GOALS = {
    (NINE.format(50), OURS): (Goal(0.35, of=PEER),),
    (NINE.format(0), OURS): (Goal(0.8, of=PEER),),
    (ONE, OURS): (Goal(1.15, of=PEER),),
}


def release(
    arena: Arena, hosts: Mapping[str, str], tags: Sequence[str], tool: Callable[[Arena, Job], Commands]
) -> Mapping[str, Taken]:
    """Let a tool release something new to all registries; return what it took."""
    arena.prune()
    arena.new_app(write_small)
    return {"": arena.measured(tool, Job(arena.new_names([*hosts]), tags), hosts)}


def profiled(arena: Arena, hosts: Mapping[str, str], tags: Sequence[str]) -> Profile:
    """Let ours do the same; return where its time went."""
    arena.prune()
    arena.new_app(write_small)
    return profile(arena, ours(arena, Job(arena.new_names([*hosts]), tags)))


def measure(rounds: int) -> Sequence[Table]:
    """Return the table of all cases, and where the time of ours goes."""
    with arena(3) as made, away(made.hosts, FAR) as far, away(made.hosts, 0) as near:
        first = dict([next(iter(far.items()))])
        cases = [(ONE, first, TAGS[:1]), (NINE.format(50), far, TAGS), (NINE.format(0), near, TAGS)]
        races = [
            Case(name, {tool: partial(release, made, hosts, tags, commands) for tool, commands in TOOLS.items()})
            for name, hosts, tags in cases
        ]
        times = race(races, rounds)
        places = profile_table({name: partial(profiled, made, hosts, tags) for name, hosts, tags in cases})
    return [timed_table("case", times, PEER, GOALS, BARE), places]

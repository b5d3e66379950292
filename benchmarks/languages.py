"""Programs as people build them: C with apt and gcc, Python with pip, Go cross-compiled and emulated.

Cold: BuildKit is empty, cache mounts included, so that packages are downloaded again; the repository is new.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.arena import Arena, Job, arena
from benchmarks.profile import Profile, profile, profile_table
from benchmarks.race import Case, race
from benchmarks.table import Goal, Table, middle, timed_table
from benchmarks.tools import BARE, OURS, PEER, TOOLS, ours
from benchmarks.workloads import GO, GO_EMULATED, PYTHON, C, Workload, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.peers import Commands
    from benchmarks.table import Taken, Times

# One of the processor and one emulated; a second emulated one would make a run half as long again.
PLATFORMS = ("linux/amd64", "linux/arm64")
NAMES = {
    C: "C: apt and gcc",
    GO: "Go, cross-compiled",
    GO_EMULATED: "Go, emulated",
    PYTHON: "Python: pip, a wheel and one that compiles",
}
JUDGED = (C, GO, PYTHON)
# Times as many rounds: one run differs by a tenth from the next, and the goal is a thirtieth.
ROUNDS = {GO: 2}
GOALS = {(NAMES[workload], OURS): (Goal(1.03, of=PEER),) for workload in JUDGED}


def write(folder: Path, workload: Workload) -> None:
    """Write a context whose image is another each time."""
    workload.write(folder)
    with (folder / "Dockerfile").open("a") as file:
        file.write(f"LABEL commit={secrets.token_hex(16)}\n")


def begin(arena: Arena, workload: Workload) -> Job:
    """Empty BuildKit, and return a release of something new."""
    arena.prune()
    arena.new_app(partial(write, workload=workload))
    files = {name: str(path) for name, path in workload.secrets().items()}
    return Job(arena.new_names(), platforms=PLATFORMS, arguments=workload.build_args(), secrets=files)


def release(arena: Arena, workload: Workload, tool: Callable[[Arena, Job], Commands]) -> Mapping[str, Taken]:
    """Let a tool release a workload; return what it took."""
    return {"": arena.measured(tool, begin(arena, workload))}


def profiled(arena: Arena, workload: Workload) -> Profile:
    """Let ours do the same; return where its time went."""
    return profile(arena, ours(arena, begin(arena, workload)))


def measure(rounds: int) -> Sequence[Table]:
    """Return the table of all workloads with what cross-compiling spares ours, and where the time of ours goes.

    Emulated Go runs once, and ours alone: it takes minutes, and no goal is of it.
    """
    prepare()
    with arena() as made:
        times: Times = {}
        for workload, name in NAMES.items():
            runs = {tool: partial(release, made, workload, commands) for tool, commands in TOOLS.items()}
            if workload is GO_EMULATED:
                times |= {(name, OURS): [*runs[OURS]().values()]}
            else:
                times |= race([Case(name, runs)], rounds * ROUNDS.get(workload, 1))
        places = profile_table({NAMES[workload]: partial(profiled, made, workload) for workload in JUDGED})
    ratio = middle(times[NAMES[GO], OURS]) / middle(times[NAMES[GO_EMULATED], OURS])
    note = f"Cross-compiling takes {ratio:.2f} of the time of emulation."
    return [timed_table("case", times, PEER, GOALS, BARE, [note]), places]

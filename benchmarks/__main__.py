"""``python -m benchmarks``: run all benchmarks, or some, and write their tables and charts beside README.md."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Protocol, cast

from benchmarks import page
from benchmarks.race import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.table import Table

GROUPS = ("release", "languages", "distant", "ci", "native", "targets", "index", "tags", "scaling")


class Group(Protocol):
    """A module with a benchmark."""

    def measure(self, rounds: int) -> Sequence[Table]:
        """Run it; return its tables."""


def main() -> None:
    """Run the benchmarks; those that are done are written, also when a later one fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: %(default)s)")
    parser.add_argument("--only", action="append", choices=GROUPS, metavar="NAME", help=f"one of {', '.join(GROUPS)}")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds: {arguments.rounds} is no number of rounds; give 1 or more")
    groups = arguments.only or GROUPS
    text = (page.FOLDER / "README.md").read_text()
    for name in groups:
        page.place(text, name)  # no benchmark runs for an hour, and has no place then
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for name in groups:
        group = cast("Group", importlib.import_module(f"benchmarks.{name}"))
        before, began = os.getloadavg()[0], time.monotonic()
        tables = group.measure(arguments.rounds)
        page.write(name, tables, page.conditions(arguments.rounds, (before, os.getloadavg()[0])))
        say(f"{name}: {time.monotonic() - began:.0f} s")
        print("\n".join(line for table in tables for line in [*table.lines(), ""]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

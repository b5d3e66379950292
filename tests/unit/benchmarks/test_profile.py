"""Where the time of a release goes, by what it prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.arena import Arena
from benchmarks.profile import NAME, Profile, profile, profile_table

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = "linux/arm64 │ $ A=1 /bin/buildctl --addr tcp://[::1]:1 build --opt x"
END = "linux/arm64 │ $ buildctl: status 0, 0.1 s"
REQUEST = "GET http://127.0.0.1:5000/v2/app/manifests/latest: 200, 3 ms"


def run(tmp_path: Path, *lines: str) -> Profile:
    """Return the profile of a program that prints lines, a tenth of a second after each other."""
    script = "import sys, time\nfor line in sys.argv[1:-1]: print(line, flush=True); time.sleep(0.1)"
    return profile(Arena(tmp_path, "tcp://127.0.0.1:1", ["127.0.0.1:2"]), [[sys.executable, "-c", script, *lines]])


def test_time_is_told_apart_by_the_first_solve_and_the_end_of_the_last(tmp_path: Path) -> None:
    """What is asked of registries meanwhile, and other programs of BuildKit's client, count for nothing."""
    version = "$ /bin/buildctl --version"
    found = run(tmp_path, version, REQUEST, BEGIN, REQUEST, END, BEGIN, END, REQUEST, "published", REQUEST)
    assert (2, True, True) == (found.requests, found.solves >= 0.4, found.before >= 0.2)
    assert found.total == pytest.approx(found.before + found.solves + found.behind)
    assert 0.3 <= found.behind < found.total - 0.6


def test_run_without_a_solve_has_failed(tmp_path: Path) -> None:
    """What it printed is shown."""
    with pytest.raises(SystemExit, match="no builder"):
        run(tmp_path, "no builder")


def test_release_that_fails_behind_its_solves_is_none(tmp_path: Path) -> None:
    """A refused tag is no figure."""
    script = f"print({BEGIN!r})\nprint({END!r})\nprint('gate')\nraise SystemExit(1)"
    with pytest.raises(SystemExit, match="gate"):
        profile(Arena(tmp_path, "tcp://127.0.0.1:1", ["127.0.0.1:2"]), [[sys.executable, "-c", script]])


def test_table_has_the_middle_run_of_each_case() -> None:
    """Its figures belong together."""
    runs = iter([Profile(3.0, 1.0, 1.0, 7, 0.5), Profile(1.0, 0.25, 0.5, 5, 0.25), Profile(2.0, 0.5, 1.25, 6, 0.375)])
    table = profile_table({"small": lambda: next(runs)})
    assert (NAME, [["small", "2.00", "0.50", "1.25", "0.25", "6", "0.38"]]) == (table.name, table.rows)


def test_long_case_runs_once() -> None:
    """What is ours of it is as long as in the others; that there was one is said."""
    short = Profile(2.0, 0.5, 1.25, 6, 0.375)
    runs = iter([Profile(60.0, 0.5, 59.25, 6, 0.375), short, short, short])
    table = profile_table({case: lambda: next(runs) for case in ("long", "short")})
    assert ["60.00", "2.00"] == [row[1] for row in table.rows]
    assert table.notes[0].startswith("The middle one of 3 runs of each, but for long, which ran once. Python takes")

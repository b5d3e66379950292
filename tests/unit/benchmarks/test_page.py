"""The page of the results: what a run writes there, and what stays."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from benchmarks import page
from benchmarks.__main__ import GROUPS
from benchmarks.chart import chart
from benchmarks.table import Bar, Table
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGE = """# Benchmarks

What this is.

<!-- measured: one -->
<!-- end -->

Why it is so.

<!-- measured: two -->

| case |
|---|
| older |

<!-- end -->
The end.
"""
SVG = "{http://www.w3.org/2000/svg}"


def table(value: str) -> Table:
    """Return a table of one row, with its bar."""
    return Table("case", ["", "seconds"], [["small", value]], {"small": [Bar("multiarch", float(value), value)]})


def test_tables_are_written_between_their_markers(tmp_path: Path) -> None:
    """The prose stays, and so does what a partial run has not measured; a second run replaces the first."""
    (tmp_path / "README.md").write_text(PAGE)
    for value in ("1.5", "2.5"):
        page.write("one", [table(value)], f"On a machine, {value}.", tmp_path)
    written = """<!-- measured: one -->

| case | seconds |
|---|---:|
| small | 2.5 |

![Bars of the tables above; a line is a goal](one.svg)

On a machine, 2.5.

<!-- end -->
"""
    before, after = PAGE.split("<!-- measured: one -->\n<!-- end -->\n")
    assert before + written + after == (tmp_path / "README.md").read_text()
    assert {"README.md", "one.svg"} == {file.name for file in tmp_path.iterdir()}


UNENDED = PAGE.replace("<!-- end -->\n\nWhy", "Why")


@pytest.mark.parametrize(("text", "count"), [("", 0), (PAGE + PAGE, 2), (UNENDED, 0)])
def test_a_group_without_its_place_is_told(text: str, count: int) -> None:
    """Before anything is measured: results would be lost, or replace those of the next group."""
    with pytest.raises(SystemExit, match=f"^benchmarks/README.md: {count} times '<!-- measured: one -->'"):
        page.place(text, "one")


def test_every_group_has_one_shape_and_its_place() -> None:
    """Each module measures in the same way, and the page has a place for each, and none for another."""
    text = (ROOT / "benchmarks" / "README.md").read_text()
    assert sorted(GROUPS) == sorted(re.findall(r"<!-- measured: (\w+) -->", text))
    for group in GROUPS:
        page.place(text, group)
        measure = importlib.import_module(f"benchmarks.{group}").measure
        assert "(rounds: 'int') -> 'Sequence[Table]'" == str(inspect.signature(measure))


def test_bars_of_ours_alone_are_in_our_colour() -> None:
    """Where there is no contestant, nothing is to stand out."""
    cases = {"lines": [Bar("250,000", 1.0, "1.00 s"), Bar("500,000", 2.0, "2.00 s")]}
    root = ElementTree.fromstring(chart(cases, "Results", "multiarch"))  # noqa: S314 (we made it)
    assert ["ours", "ours"] == [one.get("class") for one in root.iter(f"{SVG}rect")]


def test_chart_is_read_on_light_and_dark_pages() -> None:
    """Texts and bars have colours for both; each case has its own axis, and a goal is a line across a bar."""
    cases = {
        "small <cold>": [Bar("multiarch", 2.0, "2.00 s", 1.0), Bar("buildx", 1.0, "1.00 s")],
        "large": [Bar("multiarch", 200.0, "200.00 s")],
    }
    root = ElementTree.fromstring(chart(cases, "Results", "multiarch"))  # noqa: S314 (we made it)
    assert "@media (prefers-color-scheme: dark)" in (root.findtext(f"{SVG}style") or "")
    shown = [(one.get("class"), one.get("width")) for one in root.iter(f"{SVG}rect")]
    assert [("ours", "434.0"), ("bar", "217.0"), ("ours", "434.0")] == shown
    assert ["467.0"] == [one.get("x1") for one in root.iter(f"{SVG}line")]
    texts = [one.text for one in root.iter(f"{SVG}text")]
    assert ["small <cold>", "multiarch", "2.00 s", "buildx", "1.00 s", "large", "multiarch", "200.00 s"] == texts


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--rounds", "0"], "--rounds: 0 is no number of rounds; give 1 or more"),
        (["--only", "nothing"], "argument --only: invalid choice: 'nothing'"),
    ],
)
def test_a_mistake_is_told_at_once(words: list[str], problem: str) -> None:
    """Nothing is measured then."""
    done = subprocess.run([sys.executable, "-m", "benchmarks", *words], cwd=ROOT, capture_output=True, text=True)
    assert (2, "", True) == (done.returncode, done.stdout, problem in done.stderr)

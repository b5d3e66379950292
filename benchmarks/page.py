"""The page of the results: each group has a place in README.md, between two markers; the prose around it stays."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.arena import BUILDKIT
from benchmarks.chart import chart
from benchmarks.peers import BUILDX, CRANE, REGCTL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.table import Table

FOLDER = Path(__file__).parent
OURS = "multiarch"


def place(text: str, group: str) -> re.Match[str]:
    """Find the place of a group's results in a page; what is in it is the first group of the match.

    :raises SystemExit: there is none, or more than one.
    """
    found = [*re.finditer(rf"(?s)<!-- measured: {group} -->\n((?:(?!<!-- measured).)*?)<!-- end -->", text)]
    if len(found) != 1:
        raise SystemExit(
            f"benchmarks/README.md: {len(found)} times '<!-- measured: {group} -->' with an '<!-- end -->'"
        )
    return found[0]


def write(group: str, tables: Sequence[Table], conditions: str, folder: Path = FOLDER) -> None:
    """Write a group's tables into the page, and its chart beside it; what others have there stays.

    :param conditions: a sentence about the machine.
    """
    page = folder / "README.md"
    text = page.read_text()
    at = place(text, group)
    block = ["", *(line for table in tables for line in [*table.lines(), ""])]
    bars = {case: bars for table in tables for case, bars in table.bars.items()}
    if bars:
        title = f"Results of the benchmark {group}; the numbers are in the tables"
        (folder / f"{group}.svg").write_text(chart(bars, title, OURS))
        block += [f"![Bars of the tables above; a line is a goal]({group}.svg)", ""]
    block += [conditions, "", ""]
    page.write_text(text[: at.start(1)] + "\n".join(block) + text[at.end(1) :])


def conditions(rounds: int, loads: tuple[float, float]) -> str:
    """Return a sentence about the machine, the versions, and how busy it was.

    :param loads: of the minute before, and of the last minute.
    """
    versions = [
        f"BuildKit {_version(BUILDKIT)}",
        *(f"{_name(tool)} {_version(tool)}" for tool in (BUILDX, CRANE, REGCTL)),
    ]
    docker = subprocess.run(
        ["docker", "version", "--format", "{{.Client.Version}}"], capture_output=True, text=True, check=True
    )
    versions += [f"docker {docker.stdout.strip()}", f"Python {platform.python_version()}"]
    machine = f"{os.cpu_count()} processors ({_processor()}), Linux {platform.release()}"
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    asked = f"`--rounds {rounds}`"
    return (
        f"{day}, {asked}, on {machine}; load {loads[0]:.1f} before, {loads[1]:.1f} at the end. {', '.join(versions)}."
    )


def _name(package: str) -> str:
    return package.rpartition("/")[2].partition("@")[0]


def _version(name: str) -> str:
    return re.split("[@:]", name)[-1].removeprefix("v")


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()

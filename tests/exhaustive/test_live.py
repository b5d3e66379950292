"""Rows on a terminal."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.exhaustive.scenes import MANY
from tests.exhaustive.terminal import CTRL_C, Shown, show
from tests.unit.cli import ROOT
from tests.unit.rawjson import vertex
from tests.unit.test_release import Release

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli import Project
    from tests.unit.registry_server import RegistryServer

WIDTHS = pytest.mark.parametrize("columns", [60, 80, 120])
# What sets the colour of letters or of what is behind them, among what sets other things such as bold.
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;\d+)*m")
DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def _person(**more: str) -> dict[str, str]:
    """Return the environment of a person at a terminal, wherever the tests run."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "HOME")}
    return {**kept, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **more}


def _scene(tmp_path: Path, name: str, columns: int, *, when: str = "", lines: int = 40, **environ: str) -> Shown:
    """Play a scene of `tests.exhaustive.scenes`; a *when* presses Ctrl-C then."""
    with (tmp_path / "out").open("wb") as out:
        return show(
            [sys.executable, "-m", "tests.exhaustive.scenes", name],
            env=_person(**environ),
            cwd=ROOT,
            columns=columns,
            lines=lines,
            stdout=out,
            when=when,
            press=CTRL_C if when else b"",
        )


def _words(lines: list[str]) -> list[str]:
    """Return the words of each line, with T for times, which differ from run to run."""
    return [re.sub(r"(^| )(\d+\.\ds|\d+s)$", r"\1T", " ".join(line.split())) for line in lines]


def _sane(shown: Shown) -> tuple[bool, bool]:
    """Tell whether the cursor is seen, and the terminal is as before."""
    return not shown.hidden and shown.written.rfind("\x1b[?25h") > shown.written.rfind("\x1b[?25l") >= 0, shown.sane


@pytest.mark.parametrize(("columns", "digest"), [(60, f"{DIGEST[:11]}…"), (80, f"{DIGEST[:31]}…"), (120, DIGEST)])
def test_every_row_is_left_once(tmp_path: Path, columns: int, digest: str) -> None:
    """Below what was said meanwhile, whoever said it, with the table below them; no line of an earlier drawing is left.

    Nothing of the rows or the table is wrapped: digests are cut where there is no room for them.
    """
    shown = _scene(tmp_path, "success", columns)
    emulated = "emu" if columns < 80 else "emulated"
    *head, amd64, arm64, arm, s390x = shown.after[:-5]
    assert (
        "buildkit is readylinux/arm/v7 │ build: attempt 1 failed, next in 0.1 s: no route to hostfrom another library"
    ) == "".join(head)
    assert [
        "linux/amd64 done T",
        f"linux/arm64 {emulated} done T",
        f"linux/arm/v7 {emulated} done 1 retry T",
        f"linux/s390x {emulated} done T",
    ] == _words([amd64, arm64, arm, s390x])
    assert {columns - 3} == {len(row) for row in (amd64, arm64, arm, s390x)}
    assert ["PLATFORM DIGEST SIZE TIME CACHED BUILT", f"linux/amd64 {digest} 12.3 MB 12.3s 1 of 3 natively"] == [
        " ".join(line.split()) for line in shown.after[-5:-3]
    ]
    assert "a result\n" == (tmp_path / "out").read_text()
    assert (0, (True, True)) == (shown.status, _sane(shown))


WORKING = {
    60: [
        "linux/amd64 building 2/3 RUN make T",
        "linux/arm64 emu building 1/2 FROM bu… 5.0 kB T",
        "linux/arm/v7 emu pushing pushing la… 1 retry T",
        "linux/s390x emu waiting",
    ],
    80: [
        "linux/amd64 building 2/3 RUN make main.c of a program … T",
        "linux/arm64 emulated building 1/2 FROM busybo… 5.0 kB of 12.0 MB T",
        "linux/arm/v7 emulated pushing pushing layers 1 retry T",
        "linux/s390x emulated waiting",
    ],
    120: [
        "linux/amd64 building 2/3 RUN make main.c of a program with many others T",
        f"linux/arm64 emulated building 1/2 FROM {'busybox' * 6}busy… 5.0 kB of 12.0 MB T",
        "linux/arm/v7 emulated pushing pushing layers 1 retry T",
        "linux/s390x emulated waiting",
    ],
}


@WIDTHS
def test_rows_tell_what_each_platform_is_at(tmp_path: Path, columns: int) -> None:
    """State, step, its last line where it fits, bytes, retries and time, each on one line; output moves no cursor."""
    shown = _scene(tmp_path, "working", columns, when="pushing la")
    assert ["linux/arm/v7 │ build: attempt 1 failed, next in 9.0 s: 503", *WORKING[columns]] == _words(shown.before)
    assert columns - 3 == max(len(line) for line in shown.before[1:])


@WIDTHS
def test_an_interrupt_leaves_the_terminal_as_it_was(tmp_path: Path, columns: int) -> None:
    """Ctrl-C ends the rows where they are, shows the cursor, and leaves nothing of what it echoes."""
    shown = _scene(tmp_path, "working", columns, when="pushing la")
    names = [line.split()[0] for line in shown.after if line.startswith("linux/") and "│" not in line]
    assert ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"] == names
    assert ([True] * 4, -2) == ([" stopped" in line for line in shown.after[1:5]], shown.status)
    assert ["Traceback (most recent call last):"] == [
        line for line in shown.after if "Traceback" in line or "^C" in line
    ]
    assert (True, True) == _sane(shown)


def test_a_failure_is_told_from_those_that_it_stopped(tmp_path: Path) -> None:
    """The failing step stays in its row; what an exception says stands below."""
    shown = _scene(tmp_path, "failure", 80)
    assert [
        "linux/amd64 stopped T",
        "linux/arm64 emulated failed 2/3 RUN make T",
        "linux/arm/v7 emulated stopped",
        "linux/s390x emulated stopped",
        "what is wrong",
    ] == _words(shown.after)
    assert (1, (True, True)) == (shown.status, _sane(shown))


def test_more_rows_than_lines(tmp_path: Path) -> None:
    """What is too much is left out while it is redrawn; at the end all rows are there."""
    shown = _scene(tmp_path, "many", 80, lines=5)
    names = [str(platform) for platform in MANY]
    assert names[-len(shown.after) :] == [line.split()[0] for line in shown.after]
    written = re.split(r"[\r\n]+", re.sub(r"\x1b\[[?\d;]*\w", "", shown.written).strip())
    assert names == [line.split()[0] for line in written[-len(MANY) :]]


def test_colours_are_left_out_on_demand(tmp_path: Path) -> None:
    """NO_COLOR (no-color.org) is honoured."""
    plain, coloured = _scene(tmp_path, "success", 80, NO_COLOR="1"), _scene(tmp_path, "success", 80)
    assert ([], True) == (COLOUR.findall(plain.written), bool(COLOUR.findall(coloured.written)))
    assert _words(coloured.after) == _words(plain.after)


def test_it_is_redrawn_at_most_ten_times_a_second(tmp_path: Path) -> None:
    """However much the builds write."""
    shown = _scene(tmp_path, "many", 80)
    drawn = shown.written.count("linux/386")
    assert 3 < drawn < 10 * shown.seconds, (drawn, shown.seconds)


def test_no_rows_in_a_ci_with_a_terminal(tmp_path: Path) -> None:
    """Travis has one, which nobody sits at."""
    shown = _scene(tmp_path, "success", 120, CI="true")
    assert [] == re.findall(r"\x1b\[\?25|\x1b\[\d*A", shown.written)
    assert "linux/amd64  │ [2/3] RUN apt-get" in shown.written


def test_rich_is_for_terminals_alone() -> None:
    """Where there is none it is not even imported."""
    program = (
        "import os, sys; from multiarch.display.console import progress_for;"
        "progress_for(sys.stderr, os.environ, quiet=False);"
        "print([name for name in sys.modules if name.startswith('rich')])"
    )
    told = subprocess.run([sys.executable, "-c", program], env=_person(), capture_output=True, text=True, check=True)
    assert "[]\n" == told.stdout


@pytest.mark.parametrize("flags", [(), ("--verbose",)], ids=["plain", "verbose"])
def test_a_release_on_a_terminal(
    project: Project, server: RegistryServer, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """All of it, with results alone on standard output; what --verbose shows scrolls above the rows."""
    release = Release(project, server)
    said = project.path / "said"
    said.write_text(f"{vertex('a', '[2/2] RUN make')}\n{vertex('a', '[2/2] RUN make', seconds=1)}\n")
    release.install("say said; push")
    with socket.create_server(("127.0.0.1", 0)) as builder, (tmp_path / "out").open("wb") as out:
        address = f"tcp://127.0.0.1:{builder.getsockname()[1]}"
        more = {"BUILDKIT_HOST": address, "DOCKER_HOST": os.environ["DOCKER_HOST"], "PATH": ""}
        words = project.command("release", *flags)
        shown = show(words, env=_person(**more), cwd=project.path, columns=100, lines=90, stdout=out)
    emulated = [" emulated" in line for line in shown.after if " done " in line]
    assert (0, 2, 1) == (shown.status, len(emulated), sum(emulated)), shown.after
    assert 2 == len((tmp_path / "out").read_text().splitlines())
    commands = [line for line in shown.after if re.search(r"│ \$ buildctl: status 0, \d", line)]
    requests = [line for line in shown.after if re.match(rf"GET http://{server.host}/v2/app/\S+: 200, \d+ ms$", line)]
    assert ((2, True) if flags else (0, False)) == (len(commands), bool(requests)), shown.after
    assert (True, True) == _sane(shown)

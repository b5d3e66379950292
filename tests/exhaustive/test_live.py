"""Rows on a terminal."""

from __future__ import annotations

import os
import pty
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.exhaustive.scenes import MANY
from tests.exhaustive.terminal import CTRL_C, Shown, show
from tests.unit.project import ROOT
from tests.unit.rawjson import vertex
from tests.unit.steps.test_release import Release

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.project import Project
    from tests.unit.registry_server import RegistryServer

WIDTHS = pytest.mark.parametrize("columns", [60, 80, 120])
# Escape sequences that set a colour of letters or background, also together with others such as bold.
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;\d+)*m")
DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def _person(**variables: str) -> dict[str, str]:
    """Return the environment of a person at a terminal, wherever the tests run."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "HOME")}
    return {**kept, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **variables}


def _scene(tmp_path: Path, name: str, columns: int, *, when: str = "", lines: int = 40, **environ: str) -> Shown:
    """Run a scene of `tests.exhaustive.scenes`; press Ctrl-C when *when* is on the screen."""
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
    """Return the words of each line, with T for a time."""
    return [re.sub(r"(^| )(\d+\.\ds|\d+s)$", r"\1T", " ".join(line.split())) for line in lines]


def _is_restored(shown: Shown) -> tuple[bool, bool]:
    """Return whether the cursor is shown again, and whether the terminal has the settings of before."""
    return not shown.hidden and shown.written.rfind("\x1b[?25h") > shown.written.rfind("\x1b[?25l") >= 0, shown.sane


@pytest.mark.parametrize(("columns", "digest"), [(60, f"{DIGEST[:11]}…"), (80, f"{DIGEST[:31]}…"), (120, DIGEST)])
def test_each_row_is_left_once_above_the_table(tmp_path: Path, columns: int, digest: str) -> None:
    """Lines of all writers stand above the rows, and no line of an earlier drawing is left.

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
    assert (0, (True, True)) == (shown.status, _is_restored(shown))


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
def test_row_shows_the_state_of_its_platform_on_one_line(tmp_path: Path, columns: int) -> None:
    """State, vertex, its last output where it fits, bytes, retries and time; that output moves no cursor."""
    shown = _scene(tmp_path, "working", columns, when="pushing la")
    assert ["linux/arm/v7 │ build: attempt 1 failed, next in 9.0 s: 503", *WORKING[columns]] == _words(shown.before)
    assert columns - 3 == max(len(line) for line in shown.before[1:])


@WIDTHS
def test_interrupt_restores_the_terminal(tmp_path: Path, columns: int) -> None:
    """Ctrl-C leaves the rows where they are and shows the cursor; the "^C" that the terminal echoes is gone."""
    shown = _scene(tmp_path, "working", columns, when="pushing la")
    names = [line.split()[0] for line in shown.after if line.startswith("linux/") and "│" not in line]
    assert ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"] == names
    assert ([True] * 4, -2) == ([" stopped" in line for line in shown.after[1:5]], shown.status)
    assert ["Traceback (most recent call last):"] == [
        line for line in shown.after if "Traceback" in line or "^C" in line
    ]
    assert (True, True) == _is_restored(shown)


def test_failed_row_differs_from_those_that_it_stopped(tmp_path: Path) -> None:
    """It keeps the failed vertex; the text of the exception stands below the rows."""
    shown = _scene(tmp_path, "failure", 80)
    assert [
        "linux/amd64 stopped T",
        "linux/arm64 emulated failed 2/3 RUN make T",
        "linux/arm/v7 emulated stopped",
        "linux/s390x emulated stopped",
        "what is wrong",
    ] == _words(shown.after)
    assert (1, (True, True)) == (shown.status, _is_restored(shown))


def test_all_rows_are_left_on_a_terminal_with_fewer_lines(tmp_path: Path) -> None:
    """Rows without room are left out only while they are redrawn."""
    shown = _scene(tmp_path, "many", 80, lines=5)
    names = [str(platform) for platform in MANY]
    assert names[-len(shown.after) :] == [line.split()[0] for line in shown.after]
    written = re.split(r"[\r\n]+", re.sub(r"\x1b\[[?\d;]*\w", "", shown.written).strip())
    assert names == [line.split()[0] for line in written[-len(MANY) :]]


def test_of_24_images_those_that_are_built_are_shown(tmp_path: Path) -> None:
    """On 12 lines of 100 columns, with what others write above them; at the end all are left."""
    shown = _scene(tmp_path, "fleet", 100, lines=12, when="main2.c")
    assert [
        "tool-1.26-bookworm linux/arm64     │ warning: a line of another writer",
        "tool-1.26-bookworm    linux/amd64              building  3/9 RUN make  CC main0.c              Ts",
        "                      linux/arm64    emulated  building  3/9 RUN make  CC main1.c              Ts",
        "                      linux/arm/v7   emulated  building  3/9 RUN make  CC main2.c              Ts",
        "12 done, 9 waiting",
    ] == [re.sub(r"\d+s$", "Ts", line) for line in shown.before]
    written = re.sub(r"\x1b\[[?\d;]*\w", "", shown.written).rpartition("12 done, 9 waiting")[2]
    rows = [line for line in re.split(r"[\r\n]+", written) if "linux/" in line and "│" not in line]
    assert (24, 12, 12) == (len(rows), sum(" done " in row for row in rows), sum(" stopped " in row for row in rows))
    assert (True, True) == _is_restored(shown)


@pytest.mark.parametrize("columns", [1, 20, 120])
def test_hostile_words_stay_where_they_are_shown(tmp_path: Path, columns: int) -> None:
    """Of builds and registries only words reach the terminal: they move no cursor and fill no clipboard."""
    shown = _scene(tmp_path, "hostile", columns)
    assert (0, (True, True)) == (shown.status, _is_restored(shown))
    ours = r"\x1b\[(?:[\d;]*m|\d*A|2K|\?(?:25|2026)[hl])|\r\x1b|\r\n"
    rest = re.sub(ours, "", shown.written.replace("\r\x1b[2K", ""))
    assert [] == [letter for letter in rest if letter in "\x1b\x07\x9b\u202e\u2028"]
    if columns == 120:
        words = "a b c 2Jd \ufffde f"
        expected = [words, f"linux/arm/v7 │ {words}", "│ first", f"│ {words}"]
        assert expected == [" ".join(line.split()) for line in shown.after[:4]]


def test_terminal_that_goes_away_fails_nothing(tmp_path: Path) -> None:
    """Its window is closed while rows are drawn: the run goes on, and ends well."""
    terminal, inside = pty.openpty()
    with (tmp_path / "out").open("wb") as out:
        words = [sys.executable, "-m", "tests.exhaustive.scenes", "success"]
        process = subprocess.Popen(words, env=_person(), cwd=ROOT, stdin=inside, stdout=out, stderr=inside)
        os.close(inside)
        os.read(terminal, 100)
        os.close(terminal)
        assert 0 == process.wait(20)
    assert "a result\n" == (tmp_path / "out").read_text()


def test_no_color_leaves_out_colours(tmp_path: Path) -> None:
    """NO_COLOR is a convention of many programs (no-color.org)."""
    plain, coloured = _scene(tmp_path, "success", 80, NO_COLOR="1"), _scene(tmp_path, "success", 80)
    assert ([], True) == (COLOUR.findall(plain.written), bool(COLOUR.findall(coloured.written)))
    assert _words(coloured.after) == _words(plain.after)


def test_rows_are_redrawn_at_most_ten_times_a_second(tmp_path: Path) -> None:
    """However much the builds write: drawing takes the time of this process."""
    shown = _scene(tmp_path, "many", 80)
    drawn = shown.written.count("linux/386")
    assert 3 < drawn < 10 * shown.seconds, (drawn, shown.seconds)


def test_ci_with_a_terminal_gets_lines(tmp_path: Path) -> None:
    """Travis gives its jobs a terminal, which nobody sits at."""
    shown = _scene(tmp_path, "success", 120, CI="true")
    assert [] == re.findall(r"\x1b\[\?25|\x1b\[\d*A", shown.written)
    assert "linux/amd64  │ [2/3] RUN apt-get" in shown.written


def test_rich_is_imported_for_terminals_alone() -> None:
    """Its import takes 50 ms, which no CI needs."""
    program = (
        "import os, sys; from multiarch.display.console import progress_for;"
        "progress_for(sys.stderr, os.environ, quiet=False);"
        "print([name for name in sys.modules if name.startswith('rich')])"
    )
    result = subprocess.run([sys.executable, "-c", program], env=_person(), capture_output=True, text=True, check=True)
    assert "[]\n" == result.stdout


@pytest.mark.parametrize("flags", [(), ("--verbose",)], ids=["plain", "verbose"])
def test_release_on_a_terminal_has_rows_and_results_apart(
    project: Project, server: RegistryServer, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """Standard output has the results alone; what --verbose shows scrolls above the rows."""
    release = Release(project, server)
    (project.path / "said").write_text(f"{vertex('a', '[2/2] RUN make')}\n{vertex('a', '[2/2] RUN make', seconds=1)}\n")
    release.install("say said; push")
    with socket.create_server(("127.0.0.1", 0)) as builder, (tmp_path / "out").open("wb") as out:
        address = f"tcp://127.0.0.1:{builder.getsockname()[1]}"
        variables = {"BUILDKIT_HOST": address, "DOCKER_HOST": os.environ["DOCKER_HOST"], "PATH": ""}
        words = project.command("release", *flags)
        shown = show(words, env=_person(**variables), cwd=project.path, columns=100, lines=90, stdout=out)
    emulated = [" emulated" in line for line in shown.after if " done " in line]
    assert (0, 2, 1) == (shown.status, len(emulated), sum(emulated)), shown.after
    assert 2 == len((tmp_path / "out").read_text().splitlines())
    commands = [line for line in shown.after if re.search(r"│ \$ buildctl: status 0, \d", line)]
    requests = [line for line in shown.after if re.match(rf"GET http://{server.host}/v2/app/\S+: 200, \d+ ms$", line)]
    assert ((2, True) if flags else (0, False)) == (len(commands), bool(requests)), shown.after
    assert (True, True) == _is_restored(shown)

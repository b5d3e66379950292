"""How a run of buildctl ends, with programs that do not end as they should, or say what nobody expects."""

from __future__ import annotations

import io
import os
import resource
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from multiarch.buildkit.faults import hint_for, is_transient_fault
from multiarch.buildkit.solve import Solve
from multiarch.buildkit.status import Vertex
from multiarch.display.progress import Progress
from multiarch.errors import BuildctlNotExecutableError, BuildFailedError
from tests.unit.buildkit.test_rawjson import WORDS
from tests.unit.legs import leg
from tests.unit.rawjson import vertex

if TYPE_CHECKING:
    from collections.abc import Iterator

ARM64 = leg("arm64")


def run(*command: str, stopped: threading.Event | None = None) -> str:
    """Run a solve with a program in the place of buildctl; return what was shown."""
    shown = io.StringIO()
    Solve([ARM64], Progress(shown)).run([*command], stopped or threading.Event())
    return shown.getvalue()


@pytest.mark.parametrize("child", ["sleep 25", "while :; do echo busy >&2; sleep 0.01; done"], ids=["silent", "busy"])
@pytest.mark.parametrize("status", [0, 3])
def test_a_child_that_holds_standard_error_holds_nobody(tmp_path: Path, child: str, status: int) -> None:
    """A helper or ssh may outlive buildctl; all that buildctl itself wrote is read."""
    (tmp_path / "said").write_text("".join(f"{vertex(str(n), f'RUN {n}', seconds=1)}\n" for n in range(500)))
    script = f"({child}) & echo $! > {tmp_path}/pid; cat {tmp_path}/said >&2; exit {status}"
    began = time.monotonic()
    try:
        if status:
            with pytest.raises(BuildFailedError):
                run("sh", "-c", script)
        else:
            assert "RUN 499  1.0s" in run("sh", "-c", script)
        assert time.monotonic() - began < 10.0
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_program_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    """Within two seconds."""
    stopped = threading.Event()
    threading.Timer(0.3, stopped.set).start()
    began = time.monotonic()
    with pytest.raises(BuildFailedError, match="stopped"):
        run("sh", "-c", f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/pid; wait", stopped=stopped)
    assert time.monotonic() - began < 10.0
    for _ in range(100):
        try:
            state = Path(f"/proc/{int((tmp_path / 'pid').read_text())}/stat").read_text().split()[2]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.01)
    raise AssertionError("the child still runs")


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """More open files than select takes."""
    former = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, former[1]), former[1]))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, former)


@pytest.mark.usefixtures("many_descriptors")
def test_more_than_1024_descriptors_are_fine(tmp_path: Path) -> None:
    """As in a program that has many files open."""
    (tmp_path / "said").write_text(f"{vertex('a', 'RUN make', seconds=1)}\n")
    assert "RUN make  1.0s" in run("sh", "-c", f"cat {tmp_path}/said >&2")


def test_a_nul_in_an_argument_is_told() -> None:
    """No program can be given one."""
    with pytest.raises(BuildctlNotExecutableError, match=r"^buildctl at true cannot run here \(embedded null byte\)"):
        run("true", "a\0b")


@pytest.mark.parametrize("line", WORDS, ids=lambda line: repr(line[:50]))
def test_whatever_is_said_the_failure_is_one_line(tmp_path: Path, line: bytes) -> None:
    """Words that are no state are its cause, as far as they can be shown."""
    (tmp_path / "said").write_bytes(line + b"\n")
    with pytest.raises(BuildFailedError) as caught:
        run("sh", "-c", f"cat {tmp_path}/said >&2; exit 1")
    assert 1 == len(str(caught.value).splitlines())
    assert len(str(caught.value)) < 5000


def test_endless_words_are_bounded(tmp_path: Path) -> None:
    """A line of 64 MB, and a million lines."""
    with pytest.raises(BuildFailedError) as caught:
        run("sh", "-c", "head -c 64000000 /dev/zero | tr '\\0' x >&2; yes | head -n 1000000 >&2; echo end >&2; exit 1")
    assert len(str(caught.value)) < 5000
    assert str(caught.value).endswith(" y y end")


HOSTILE = {
    "colons": ":1" * 500_000,
    "a number": ":" + "1" * 1_000_000,
    "scanners": "scanner" * 150_000,
    "blanks": "[linux/arm64" + " " * 1_000_000,
    "brackets": "[" * 1_000_000,
    "slashes": "[linux/a/" + "a/" * 500_000 + "] x",
    "sockets": "dial unix /x" * 80_000,
    "codes": "rpc error: code = " * 50_000,
    "statuses": "503 " * 250_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_words_of_a_megabyte_are_searched_in_linear_time(tmp_path: Path, text: str) -> None:
    """What a build writes may be made to take long."""
    (tmp_path / "said").write_text(f"a\n-----\n{text}\n-----\n{text}\n{text}:1\n-----\n-----\nend\n")
    began = time.monotonic()
    Vertex().named(text)
    named = time.monotonic()
    hint_for(text)
    hinted = time.monotonic()
    is_transient_fault(text)
    judged = time.monotonic()
    with pytest.raises(BuildFailedError):
        run("sh", "-c", f"cat {tmp_path}/said >&2; exit 1")
    ended = time.monotonic()
    assert max(named - began, hinted - named, judged - hinted, ended - judged) < 1.0

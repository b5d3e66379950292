"""The lab's processes and mounts, read from /proc: pid files are wrong after a crash or a reboot."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")


def find(program: str, argument: str) -> list[int]:
    """Return the processes of a program that have an argument which contains a text."""
    return [
        pid
        for pid, argv in _command_lines()
        if Path(argv[0]).name == program and any(argument in word for word in argv[1:])
    ]


def rooted_in(folder: Path) -> list[int]:
    """Return the processes whose root file system is an overlay of layers below a folder: containers."""
    return [pid for pid in _pids() if f"={folder}/" in _root_mount(pid)]


def stop(pids: list[int], grace: float) -> None:
    """End processes; kill those that are still there after *grace* seconds."""
    _signal(pids, signal.SIGTERM)
    survivors = _wait(pids, grace)
    _signal(survivors, signal.SIGKILL)
    _wait(survivors, 5)


def mounts_in(folder: Path) -> list[str]:
    """Return the mount points at and below a folder, the last mounted first."""
    points = [line.split()[4] for line in _read(_PROC / "self/mountinfo").splitlines()]
    return [point for point in reversed(points) if f"{point}/".startswith(f"{folder}/")]


def mounted(target: Path) -> bool:
    """Whether something is mounted exactly there."""
    return any(line.split()[4] == str(target) for line in _read(_PROC / "self/mountinfo").splitlines())


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _command_lines() -> Iterator[tuple[int, list[str]]]:
    for pid in _pids():
        text = _read(_PROC / str(pid) / "cmdline")
        if text:
            yield pid, text.rstrip("\0").split("\0")


def _root_mount(pid: int) -> str:
    for line in _read(_PROC / str(pid) / "mountinfo").splitlines():
        if line.split()[4] == "/":
            return line.replace(",", " ").replace(":", " =")
    return ""


def _alive(pid: int) -> bool:
    status = _read(_PROC / str(pid) / "stat")
    # A zombie has ended; its parent has not read its status yet (proc(5)).
    return bool(status) and status.rpartition(")")[2].split()[0] != "Z"


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _wait(pids: list[int], seconds: float) -> list[int]:
    end = time.monotonic() + seconds
    while (survivors := [pid for pid in pids if _alive(pid)]) and time.monotonic() < end:
        time.sleep(0.05)
    return survivors


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""

"""Disk and memory: of the Docker host, where images and caches are, and of this machine."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit.address import running_server
from multiarch.formatting import size
from multiarch.paths import cache_directory
from multiarch.steps.doctor.finding import Finding, failure, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.run import Run

_LEAST = 200 << 20  # bytes; BuildKit's own image, unpacked, has more
_LOW = 5 << 30  # bytes; layers of a usual build, for several platforms
_LEAST_HERE = 64 << 20  # bytes; BuildKit's client has 40 to 60 MB
_LOW_MEMORY = 1 << 30  # bytes; compilers under an emulator take hundreds of MB each
_MEMINFO = Path("/proc/meminfo")
_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d{1,15}) kB$", re.MULTILINE)
_DF = re.compile(r"^\S+\s+\d+\s+\d+\s+(\d{1,15})\s+\d+%\s+/", re.MULTILINE)  # df -Pk (POSIX): in kB
_PRUNE = "free some: invoke prune, docker system prune"


def examine(run: Run) -> Iterator[Finding]:
    """Yield what is free on the Docker host, as far as it can be known, and on this machine."""
    yield from of_this_machine()
    if run.settings.starts_buildkit:
        yield from of_host(run)
        if (seen := _through_server(run)) is not None:
            yield seen


def of_host(run: Run) -> Iterator[Finding]:
    """Yield what a Docker host on this machine has, without a request that is not made anyway."""
    info = run.host.info
    if info.root and run.host.is_local and (found := of_directory(Path(info.root))) is not None:
        yield found
    available = _available_memory() if run.host.is_local else info.memory or None
    if available is None:
        yield unknown("memory", "the Docker host does not tell of its memory")
    elif available < _LOW_MEMORY:
        remedy = "end other programs, build fewer platforms at a time (multiarch.jobs: 1), or use a larger machine"
        yield warning("memory", f"the Docker host has {size(available)} for builds, where compilers need more", remedy)
    else:
        yield ok("memory", f"{size(available)} on the Docker host")


def of_directory(root: Path) -> Finding | None:
    """Return what is free on the file system of the Docker host's directory; None where it cannot be seen."""
    free = _free(root)
    if free is None:
        return None
    room, entries = free
    text = f"{size(room)} free in {root}, where the Docker host has images and caches"
    if room < _LEAST:
        return failure("disk", text, _PRUNE)
    if entries == 0:
        return failure("disk", f"no inodes are left in {root}", _PRUNE)
    return warning("disk", f"{text}: little for a build", _PRUNE) if room < _LOW else ok("disk", text)


def of_this_machine() -> Iterator[Finding]:
    """Yield the directories of this machine that have no room for what a run writes."""
    for path, what in ((cache_directory(), "BuildKit's client"), (Path(tempfile.gettempdir()), "temporary files")):
        existing = next((one for one in (path, *path.parents) if one.is_dir()), None)
        free = _free(existing) if existing else None
        if free is not None and free[0] < _LEAST_HERE:
            yield failure("disk", f"{size(free[0])} free in {path}, for {what}", "free some there, or set another path")


def _through_server(run: Run) -> Finding | None:
    """Return what is free on another machine, as our server there sees it; None for this machine."""
    host = run.host
    if host.is_local and _free(Path(host.info.root)) is not None:
        return None
    server = running_server(run.settings, host)
    if server is None:
        return unknown("disk", "the Docker host is elsewhere, and no server runs on it", "invoke start-buildkit")
    status, text = host.execute(server, ["df", "-Pk", "/var/lib/buildkit"])
    found = None if status else _DF.search(text)
    if not found:
        return unknown("disk", f"the server in {server.name} does not tell what is free")
    room = int(found[1]) << 10
    text = f"{size(room)} free on the Docker host for the cache of builds"
    if room < _LEAST:
        return failure("disk", text, _PRUNE)
    return warning("disk", f"{text}: little", _PRUNE) if room < _LOW else ok("disk", text)


def _free(path: Path) -> tuple[int, int | None] | None:
    """Return the bytes and inodes that are free; None where the path cannot be seen, or is on no disk (/proc).

    Inodes are None on file systems that make them as needed.
    """
    try:
        state = os.statvfs(path)
    except (OSError, ValueError):
        return None
    if not state.f_blocks:
        return None
    return state.f_bavail * state.f_frsize, state.f_ffree if state.f_files else None


def _available_memory() -> int | None:
    try:
        found = _AVAILABLE.search(_MEMINFO.read_text())
    except OSError:
        return None
    return int(found[1]) << 10 if found else None

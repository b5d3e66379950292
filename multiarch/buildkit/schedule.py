"""Which platforms are built together, and how many at the same time."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from multiarch.buildkit.builder import Builder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multiarch.config.settings import MatrixEntry
    from multiarch.docker_info import HostInfo

_NATIVE = 1  # slots of a platform
_EMULATED = 2  # slots; an emulator needs more processor time, and memory of its own
_LEAST_SLOTS = 4  # slots of a builder, however small it is
_SLOTS_PER_CORE = 4  # builds wait for networks and disks much of their time
_BYTES_PER_SLOT = 512 << 20  # bytes of the builder's memory


def is_emulated(entry: MatrixEntry, machine: str) -> bool:
    """Whether a platform's programs run under an emulator on the local builder; elsewhere, its builder knows.

    :param machine: the name of the local builder's kernel (``uname -m``).
    """
    return entry.is_local and Builder("", machine).emulates(entry.platform)


def default_jobs(info: HostInfo | None) -> int:
    """Return how many slots a builder has, by its cores and its memory.

    :param info: of its Docker host; None for a builder elsewhere, whose size is not known.
    """
    cores = (info.cpus if info else 0) or os.cpu_count() or 1
    slots = cores * _SLOTS_PER_CORE
    return max(_LEAST_SLOTS, min(slots, info.memory // _BYTES_PER_SLOT) if info and info.memory else slots)


def groups(
    matrix: Sequence[MatrixEntry], slots: int, machine: str, *, apart: bool = False
) -> list[tuple[MatrixEntry, ...]]:
    """Return the entries by solve: together go those that differ in their platforms alone, as *slots* allow.

    One solve of several platforms sends the context once. Measured, it is as fast as their solves side by side with a
    small context, and faster with a large one (benchmarks/README.md).

    :param apart: whether each platform has a solve of its own: one may fail without the others then, or has its own
        cache.
    """
    alike: list[list[MatrixEntry]] = []
    for entry in matrix:
        for group in alike:
            fits = weight([*group, entry], machine) <= slots
            if not apart and fits and essence(group[0]) == essence(entry):
                group.append(entry)
                break
        else:
            alike.append([entry])
    return [tuple(group) for group in alike]


def weight(group: Sequence[MatrixEntry], machine: str) -> int:
    """Return how many slots a solve takes."""
    return sum(_EMULATED if is_emulated(entry, machine) else _NATIVE for entry in group)


class Slots:
    """A weighted semaphore; a job heavier than the total runs alone."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, count: int) -> Iterator[None]:
        """Hold *count* slots during the with block; wait until so many are free."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken == 0 or self._taken + count <= self.slots)
            self._taken += count
        try:
            yield
        finally:
            with self._changed:
                self._taken -= count
                self._changed.notify_all()


def essence(entry: MatrixEntry) -> tuple[object, ...]:
    """Return what must be alike in the platforms of one solve."""
    contexts = (entry.context, tuple(sorted(entry.contexts.items(), key=lambda item: item[0])))
    builders = tuple(builder.name for builder in entry.builders)
    return builders, contexts, entry.dockerfile, entry.stage, tuple(sorted(entry.build_args.items()))

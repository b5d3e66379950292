"""Which platforms are built together, and how many at the same time."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from multiarch.image.platform import runs_natively

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multiarch.config.settings import Target

# An emulated platform needs the processor for longer, and some memory for its emulator.
_EMULATED, _NATIVE = 2, 1
_LEAST_SLOTS = 4
_SLOTS_PER_CORE = 4
_BYTES_PER_SLOT = 512 << 20


def is_emulated(target: Target, machine: str) -> bool:
    """Tell whether a target's programs run under an emulator where it is built.

    :param machine: what the local builder's kernel calls itself (``uname -m``).
    """
    return target.builder is None and not runs_natively(target.platform, machine)


def default_jobs(info: Mapping[str, Any]) -> int:
    """Return how many slots a builder has, by its cores and its memory.

    :param info: the Engine API's ``/info`` of its host, of which NCPU and MemTotal are read.
    """
    cores = int(info.get("NCPU") or os.cpu_count() or 1)
    memory = int(info.get("MemTotal") or 0)
    slots = cores * _SLOTS_PER_CORE
    return max(_LEAST_SLOTS, min(slots, memory // _BYTES_PER_SLOT) if memory else slots)


def groups(matrix: Sequence[Target], slots: int, machine: str, *, apart: bool = False) -> list[tuple[Target, ...]]:
    """Return the targets that go into one solve each: those that differ in their platforms alone, as *slots* allow.

    One solve of several platforms sends the context once. Measured, it is as fast as their solves side by side with a
    small context, and faster with a large one (benchmarks/README.md).

    :param apart: whether each platform has a solve of its own, so that one may fail without the others, or has a cache
        of its own.
    """
    alike: list[list[Target]] = []
    for target in matrix:
        for group in alike:
            fits = weight([*group, target], machine) <= slots
            if not apart and fits and _essence(group[0]) == _essence(target):
                group.append(target)
                break
        else:
            alike.append([target])
    return [tuple(group) for group in alike]


def weight(group: Sequence[Target], machine: str) -> int:
    """Return how many slots a solve takes."""
    return sum(_EMULATED if is_emulated(target, machine) else _NATIVE for target in group)


class Slots:
    """Room for so much work at the same time; what is larger than all of it has it alone."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, count: int) -> Iterator[None]:
        """Wait until there is room, and keep it meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken == 0 or self._taken + count <= self.slots)
            self._taken += count
        try:
            yield
        finally:
            with self._changed:
                self._taken -= count
                self._changed.notify_all()


def _essence(target: Target) -> tuple[object, ...]:
    return target.builder, target.dockerfile, target.stage, tuple(sorted(target.build_args.items()))

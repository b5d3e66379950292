"""The fleet of a run: builders elsewhere, asked once, chosen by their free slots, and left out when they are lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from multiarch.buildkit.schedule import essence
from multiarch.concurrency import each
from multiarch.errors import BuildFailedError, StoppedError
from multiarch.fleet.errors import BuilderFaultError, NoBuilderLeftError
from multiarch.fleet.faults import fault_of, lost
from multiarch.fleet.finding import Finder
from multiarch.fleet.member import Member, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from multiarch.buildkit.builder import Builder
    from multiarch.buildkit.status import Observer
    from multiarch.config.builders import RemoteBuilder
    from multiarch.config.settings import MatrixEntry
    from multiarch.fleet.asking import Asking
    from multiarch.retry import Policy

T = TypeVar("T")
_NATIVE, _EMULATED = 1, 2  # slots of a platform
_PAUSE = 1.0  # seconds between two looks whether a lost builder may be asked again


class Fleet:
    """Builders elsewhere. Safe to use from several threads.

    :param asking: how they are asked.
    :param emulate: whether they may emulate a platform.
    :param left_out: seconds for which a builder that was lost builds nothing.
    """

    def __init__(
        self, asking: Asking, policy: Policy, observer: Observer, *, emulate: bool = True, left_out: float = 60.0
    ) -> None:
        self._asking = asking
        self._policy = policy
        self._observer = observer
        self._emulate = emulate
        self._left_out = left_out
        self._members: list[Member] = []
        self._finder: Finder | None = None
        self._changed = threading.Condition()

    @property
    def members(self) -> tuple[Member, ...]:
        """The builders that were asked, in the order of the settings."""
        return tuple(self._members)

    def ask_all(self, builders: Sequence[RemoteBuilder], matrix: Iterable[MatrixEntry]) -> None:
        """Ask all builders at once what they have.

        :param matrix: what is to be built.
        :raises ConfigurationError: certificates or keys are missing.
        """
        finder = Finder.of(self._asking, builders, matrix)
        found = each(partial(self._found, finder), builders, limit=max(len(builders), 1))
        self._members = [member for members in found for member in members]
        self._finder = finder

    def _found(self, finder: Finder, remote: RemoteBuilder) -> list[Member]:
        members = finder.members(remote)
        each(self._ask, members, limit=max(len(members), 1))
        return members

    def _ask(self, member: Member) -> None:
        """Ask a builder, and take note of its answer, or of its fault."""
        if member.is_pool:
            return
        try:
            health = self._asking.health(member.builder)
        except BuilderFaultError as fault:
            with self._changed:
                # A pod that was lost and is gone stays lost: its pool may have others.
                if member.fault is None or member.remote.pods is None or not fault.lasts:
                    member.fault = fault
            return
        with self._changed:
            member.answered(health)
            member.fault = member.check_platforms()
            self._changed.notify_all()

    def candidates(self, entry: MatrixEntry) -> tuple[Member, ...]:
        """Return the builders that may build a platform, the preferred first."""
        members = in_order(self._members, entry)
        return tuple(m for m in members if self._emulate or not m.emulates(entry.platform))

    def groups(self, matrix: Sequence[MatrixEntry], *, apart: bool) -> list[tuple[MatrixEntry, ...]]:
        """Return platforms by solve: those that differ in nothing else go together, as many as one builder would get.

        The context is sent once to each builder then, and builders that are alike share the work.

        :param apart: whether each platform has a solve of its own.
        """
        planned: Counter[str] = Counter()
        groups: dict[tuple[object, ...], list[MatrixEntry]] = {}
        for number, entry in enumerate(matrix):
            usable = [member for member in self.candidates(entry) if member.has(entry.platform)]
            member = min(usable, key=lambda one: planned[one.name] / one.remote.jobs)
            weight = _weight(member, [entry])
            # A solve that is larger than all slots would wait for all others.
            part = planned[member.name] // member.remote.jobs
            planned[member.name] += weight
            alike = (member.name, part, tuple(one.name for one in usable), *essence(entry))
            groups.setdefault((number,) if apart else alike, []).append(entry)
        return [tuple(group) for group in groups.values()]

    def build(self, entries: Sequence[MatrixEntry], build: Callable[[Builder], T]) -> T:
        """Build platforms on the builder that has the fewest slots taken; on another one where it is lost.

        :param entries: platforms that the same builders have.
        :param build: builds them all on a builder.
        :raises NoBuilderLeftError: none of the builders can be used, for as long as the policy retries.
        :raises BuildFailedError: the build failed by itself.
        """
        legs = tuple(entry.leg for entry in entries)

        def attempt() -> T:
            while True:
                member, weight = self._take(entries)
                try:
                    return build(member.builder)
                except BuildFailedError as error:
                    if not error.is_builders:
                        raise
                    if self._policy.stopped.is_set():
                        self._observer.failed(legs, stopped=True)
                        raise
                    self._lose(member, error)
                    if others := [m.name for m in self.candidates(entries[0]) if m.fault is None]:
                        self._observer.retrying(f"{member.fault}; going on on {others[0]}", legs)
                finally:
                    self._release(member, weight)

        try:
            show = partial(self._observer.retrying, legs=legs)
            return self._policy.call("build", attempt, show=show, transient=_may_come_back)
        except (NoBuilderLeftError, StoppedError):
            self._observer.failed(legs, stopped=self._policy.stopped.is_set())
            raise

    def _take(self, entries: Sequence[MatrixEntry]) -> tuple[Member, int]:
        """Return the builder that is to build, and how many of its slots were taken; wait until one has room.

        :raises NoBuilderLeftError: none can be used.
        """
        while True:
            self._revive(self.candidates(entries[0]))
            with self._changed:
                candidates = self.candidates(entries[0])
                usable = [m for m in candidates if all(m.has(entry.platform) for entry in entries)]
                if not usable:
                    faults = {member.name: member.fault for member in candidates if member.fault}
                    raise NoBuilderLeftError([entry.leg for entry in entries], faults)
                free = [m for m in usable if m.taken == 0 or m.taken + _weight(m, entries) <= m.remote.jobs]
                if free:
                    # min takes the first of several: they are in the order of preference.
                    member = min(free, key=lambda m: m.taken / m.remote.jobs)
                    weight = _weight(member, entries)
                    member.taken += weight
                    return member, weight
                self._changed.wait(_PAUSE)
            if self._policy.stopped.is_set():
                raise StoppedError("waiting for a builder")

    def _revive(self, candidates: Sequence[Member]) -> None:
        """Ask the lost builders again whose time is over; all of them where no other one is left."""
        now = time.monotonic()
        with self._changed:
            gone = [member for member in candidates if member.fault and not member.fault.lasts]
            none_is_left = all(member.fault for member in candidates)
            due = [member for member in gone if none_is_left or member.until <= now]
            for member in due:
                member.until = now + self._left_out
        each(self._ask, due)
        pools = {member.pool: member.remote for member in due if member.remote.pods and member.fault}
        each(self._find_again, list(pools.values()))

    def _find_again(self, remote: RemoteBuilder) -> None:
        """Ask for the pods that a pool has now: those that were lost may be replaced by some of other names."""
        try:
            pods = self._finder.pods(remote) if self._finder else []
        except BuilderFaultError:
            return
        names = {pod.name for pod in pods}
        with self._changed:
            known = {member.name for member in self._members}
        new = [pod for pod in pods if pod.name not in known]
        each(self._ask, new, limit=max(len(new), 1))
        with self._changed:
            # Another thread may have found the same.
            known = {member.name for member in self._members}
            gone = [m for m in self._members if m.pool == remote.name and m.fault and m.name not in names]
            added = [pod for pod in new if pod.name not in known]
            if any(pod.fault is None for pod in added):
                self._members = [member for member in self._members if member not in gone]
            self._members = [*self._members, *added]
            self._changed.notify_all()

    def _lose(self, member: Member, error: BuildFailedError) -> None:
        words = error.cause or ""
        fault = fault_of(member.builder, words)
        with self._changed:
            # A pod that is gone is a loss: its pool has others, and may have it again.
            member.fault = fault if fault.lasts and member.remote.pods is None else lost(member.builder, words)
            member.until = time.monotonic() + self._left_out
            self._changed.notify_all()

    def _release(self, member: Member, weight: int) -> None:
        with self._changed:
            member.taken -= weight
            self._changed.notify_all()


def _may_come_back(error: BaseException) -> bool:
    return isinstance(error, NoBuilderLeftError) and error.transient


def _weight(member: Member, entries: Sequence[MatrixEntry]) -> int:
    """Return how many slots platforms take on a builder."""
    return sum(_EMULATED if member.emulates(entry.platform) else _NATIVE for entry in entries)

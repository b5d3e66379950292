"""One builder of the fleet: what is known of it, and how many of its slots are taken."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from multiarch.fleet.errors import BuilderFaultError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.buildkit.builder import Builder
    from multiarch.config.builders import RemoteBuilder
    from multiarch.config.settings import MatrixEntry
    from multiarch.fleet.answers import Health
    from multiarch.image.platform import Platform


class Member(Struct):
    """A builder that was asked. What may change is guarded by the fleet's lock.

    :ivar pool: its name in ``builders``, which the pods of a pool have in common.
    :ivar health: what it answered; None where it did not.
    :ivar fault: why it cannot be used; None where it can.
    :ivar until: by ``time.monotonic``, when it may be asked again after a loss.
    :ivar taken: its slots that are taken.
    """

    remote: RemoteBuilder
    builder: Builder
    health: Health | None = None
    fault: BuilderFaultError | None = None
    until: float = 0.0
    taken: int = 0

    @property
    def name(self) -> str:
        """What errors and tables call it."""
        return self.builder.name

    @property
    def pool(self) -> str:
        """The name of the setting that it is of."""
        return self.remote.name

    def answered(self, health: Health) -> None:
        """Take note of what it says of itself."""
        self.health, self.fault = health, None
        self.builder = replace(self.builder, machine=health.cpu.architecture, aarch32=True)

    @property
    def is_pool(self) -> bool:
        """Whether it stands for a pool none of whose pods is known, so that there is nobody to ask."""
        return self.remote.pods is not None and self.pool == self.name

    def is_for(self, entry: MatrixEntry) -> bool:
        """Whether it is to build a platform: the settings say so, or its CPU, which is not known without an answer."""
        written = next((builder for builder in entry.builders if builder.name == self.pool), None)
        if written is None:
            return False
        if written.platforms:
            return entry.platform in written.platforms
        return self.health is None or entry.platform in self.health.native

    def has(self, platform: Platform) -> bool:
        """Whether it can build a platform now.

        One that is given by its address alone may build what it does not list: a Dockerfile without a RUN needs no
        program of the platform.
        """
        if self.fault is not None or self.health is None:
            return False
        return self.pool == self.remote.address or platform in self.health.listed

    def emulates(self, platform: Platform) -> bool:
        """Whether it is known to build a platform under an emulator."""
        return self.health is not None and not self.health.is_native(platform)

    def check_platforms(self) -> BuilderFaultError | None:
        """Return the fault of a builder that lacks a platform that it is to have; None where it has all."""
        listed = self.health.listed if self.health else ()
        missing = [platform for platform in self.remote.platforms if platform not in listed]
        if not missing or self.pool == self.remote.address:
            return None
        known = ", ".join(map(str, listed))
        remedy = f"correct {self.remote.where}.platforms"
        return BuilderFaultError(
            f"builder {self.name}",
            f"cannot run {missing[0]} (it lists {known}); {remedy}",
            f"cannot run {missing[0]}",
            colon=False,
        )


def in_order(members: Sequence[Member], entry: MatrixEntry) -> list[Member]:
    """Return the builders that may build a platform, the preferred first.

    That is the order of the settings, those that emulate it behind those that do not. The pods of a pool are in an
    order that is the same each time for an image and a platform (rendezvous hashing): their caches are warm then, and
    the loss of one moves only what was on it.
    """
    ranks = {builder.name: rank for rank, builder in enumerate(entry.builders)}
    chosen = [member for member in members if member.is_for(entry)]
    key = key_of(entry)
    return sorted(chosen, key=lambda m: (m.emulates(entry.platform), ranks[m.pool], _score(m, key)))


def key_of(entry: MatrixEntry) -> str:
    """Return what the order of pods is a matter of: the image and the platform."""
    return f"{entry.staging.name} {entry.platform}"


def score(name: str, key: str) -> bytes:
    """Return the rank of a pod for a key; the least is the first."""
    return hashlib.sha256(f"{name} {key}".encode()).digest()


def _score(member: Member, key: str) -> bytes:
    return b"" if member.remote.pods is None else score(member.name, key)

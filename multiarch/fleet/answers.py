"""What a builder says of itself (``buildctl debug workers``, ``debug info``, as JSON), checked.

It is another machine, and may be anybody's: what it says is bounded, and what cannot be read is no answer.
"""

from __future__ import annotations

import contextlib
import re

import msgspec
from msgspec import Struct

from multiarch.image.platform import Platform, runs_natively

LONGEST = 1 << 20  # bytes of an answer; a worker with all emulators has 4000
_MOST_PLATFORMS = 200  # of a worker; with all emulators there are 20
_VERSION = re.compile(r"v?[0-9][\w.+-]{0,63}", re.ASCII)


class _Platform(msgspec.Struct, frozen=True):
    os: str = ""
    architecture: str = ""
    variant: str = ""


class _Worker(msgspec.Struct, frozen=True):
    platforms: tuple[_Platform, ...] | None = None


class _Version(msgspec.Struct, frozen=True):
    version: str = ""


class _Info(msgspec.Struct, frozen=True):
    buildkitVersion: _Version = _Version()  # noqa: N815 (BuildKit's name, client/info.go)


_WORKERS = msgspec.json.Decoder(tuple[_Worker, ...])
_INFO = msgspec.json.Decoder(_Info)


class Health(Struct, frozen=True):
    """What a builder that answers has.

    :ivar listed: what its worker lists: its own platforms, and those of its emulators.
    :ivar version: of its BuildKit; ``unknown`` where it does not say.
    :ivar seconds: how long the answer took.
    """

    listed: tuple[Platform, ...]
    version: str
    seconds: float

    @property
    def cpu(self) -> Platform:
        """The platform of its CPU: a worker lists it first (BuildKit, util/archutil)."""
        return self.listed[0]

    def is_native(self, platform: Platform) -> bool:
        """Whether its CPU runs *platform*; the list alone would not say, as emulators are in it too.

        An arm64 that lists 32-bit ARM has that state: whether by an emulator, nothing tells.
        """
        is_alike = platform.os == self.cpu.os
        return is_alike and platform in self.listed and runs_natively(platform, self.cpu.architecture, aarch32=True)

    @property
    def native(self) -> tuple[Platform, ...]:
        """What its CPU is sure to run."""
        own = self.cpu
        return tuple(p for p in self.listed if p.os == own.os and runs_natively(p, own.architecture))


def read_workers(text: bytes) -> tuple[Platform, ...]:
    """Return the platforms of the first worker, which builds. :raises ValueError: the answer cannot be read."""
    try:
        workers = _WORKERS.decode(text) if len(text) <= LONGEST else ()
    except (msgspec.MsgspecError, RecursionError):
        workers = ()
    sent = (workers[0].platforms or ()) if workers else ()
    platforms: list[Platform] = []
    for number, one in enumerate(sent[:_MOST_PLATFORMS]):
        # A variant that nobody knows yet is passed over, but not the CPU itself.
        with contextlib.suppress(ValueError):
            platforms.append(Platform.parse(str(Platform.normalised(one.os, one.architecture, one.variant))))
        if number == 0 and not platforms:
            break
    if not platforms:
        raise ValueError("what it says of its workers cannot be read")
    return tuple(dict.fromkeys(platforms))


def read_version(text: bytes) -> str:
    """Return the version of a builder's BuildKit; ``unknown`` where it does not say."""
    try:
        version = _INFO.decode(text).buildkitVersion.version if len(text) <= LONGEST else ""
    except (msgspec.MsgspecError, RecursionError):
        version = ""
    return version if _VERSION.fullmatch(version) else "unknown"

"""Job of a CI that builds one component: its name, its flags, and what its machine needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST_NAME = 100  # characters of each half of a job's name; GitLab takes 255 for all of it


class Build(Struct, frozen=True, kw_only=True):
    """Job that builds one component.

    :ivar platforms: as Docker writes them; several where a base of one platform serves them.
    :ivar targets: those that are asked for; empty in a project of one image.
    :ivar runner: the CI's label of the machine that it runs on; None for its usual one.
    :ivar emulated: whether that machine needs an emulator.
    :ivar has_builder: whether a BuildKit elsewhere builds all of it, so that none is started here.
    :ivar secrets: the variables of the builders elsewhere that may build it.
    """

    platforms: tuple[str, ...]
    targets: tuple[str, ...]
    runner: str | None
    emulated: bool
    has_builder: bool
    secrets: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the job, which no other has: ``linux/arm64``, or ``app+worker linux/arm64``."""
        return " ".join(filter(None, [_shortened(self.targets), _shortened(self.platforms)]))

    @property
    def flags(self) -> str:
        """The flags, as in a shell, that narrow a step to the platforms and targets of this component."""
        flags = {"--platform": self.platforms, "--target": self.targets}
        return " ".join(f"{flag} {value}" for flag, values in flags.items() for value in values)


def _shortened(names: Sequence[str]) -> str:
    """Return names, or the first of too many: no other component has that."""
    joined = "+".join(names)
    return joined if len(joined) <= _LONGEST_NAME else f"{names[0]} and {len(names) - 1} more"

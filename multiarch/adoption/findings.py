"""Findings: what files of a project say of its images, each with its place, and what they leave in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping


class Place(Struct, frozen=True):
    """Line of a file, counted from 1; 0 where no line in particular is meant."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Finding(Struct, frozen=True):
    """Value of a setting, as plain data, and where it stands."""

    value: Any
    place: Place


class Doubt(Struct, frozen=True):
    """Setting that stays as it is. :ivar setting: its name; empty for a whole file. :ivar place: None for no file."""

    setting: str
    reason: str
    place: Place | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" if self.place else self.reason


class FoundImage(Struct, frozen=True):
    """Image that files describe.

    :ivar name: as that of a target.
    :ivar findings: by name of the setting.
    :ivar is_built: whether it is known how it is built: what is not found has the usual value then.
    :ivar is_target: whether it stands under ``targets`` in our block.
    """

    name: str
    findings: Mapping[str, Finding]
    doubts: tuple[Doubt, ...] = ()
    is_built: bool = True
    is_target: bool = False

    def value(self, setting: str) -> Any:
        """Return the value of a setting; None where none was found."""
        return self.findings[setting].value if setting in self.findings else None


class Evidence(Struct, frozen=True):
    """What one or several files say.

    :ivar doubts: those that are about no image in particular.
    :ivar default: the names of the images of the group ``default``; empty for all.
    """

    images: tuple[FoundImage, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    default: tuple[str, ...] = ()


class Draft(Struct):
    """Image that is being read from one file."""

    name: str
    file: str
    findings: dict[str, Finding] = field(default_factory=dict)
    doubts: list[Doubt] = field(default_factory=list)
    is_built: bool = True

    def put(self, setting: str, value: Any, line: int) -> None:
        """Note a value."""
        self.findings[setting] = Finding(value, Place(self.file, line))

    def doubt(self, setting: str, reason: str, line: int) -> None:
        """Note that there is no value, and why."""
        self.doubts.append(Doubt(setting, reason, Place(self.file, line)))

    def image(self) -> FoundImage:
        """Return what was read."""
        return FoundImage(self.name, dict(self.findings), tuple(self.doubts), self.is_built)

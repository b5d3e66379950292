"""What came out of a step, as data for programs (docs/outcome.md): for ``--json``, and for the files of CIs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.image.reference import ImageReference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.display.summary import Summary
    from multiarch.image.platform import Leg
    from multiarch.image.suitability import Findings

_TEXTS = {"start-buildkit": "address"}  # what a text is that a step returns
VERSION = 1  # of the data; it counts up when a reader of the former one would misread it


class Outcome(Struct, frozen=True):
    """The outcome of one step.

    :ivar step: the name of its task.
    :ivar started: seconds since the epoch; so is *finished*.
    :ivar error: why it failed; empty where it did not.
    :ivar results: what it prints, each as fields.
    :ivar platforms: of the images that were built or published.
    :ivar notes: what the gates say of each, by leg.
    :ivar unbuilt: those of the platforms that this run has neither built nor taken from a staging tag.
    """

    step: str
    started: float
    finished: float
    error: str
    results: tuple[Mapping[str, Any], ...]
    platforms: tuple[Summary, ...] = ()
    notes: tuple[tuple[str, ...], ...] = ()
    unbuilt: frozenset[Summary] = frozenset()

    @property
    def json(self) -> str:
        """The outcome as one line."""
        rows = [
            _row(row, notes, is_emulated=row.emulated and not row.taken and row not in self.unbuilt)
            for row, notes in zip(self.platforms, self.notes, strict=True)
        ]
        data = {
            "version": VERSION,
            "step": self.step,
            "succeeded": not self.error,
            "error": self.error,
            "started": round(self.started, 3),
            "seconds": round(self.finished - self.started, 3),
            "results": self.results,
            "platforms": rows,
        }
        return json.dumps(data)


def _row(row: Summary, notes: Sequence[str], *, is_emulated: bool) -> dict[str, Any]:
    """Return a row of the table as JSON (docs/outcome.md)."""
    return {
        "platform": str(row.platform),
        "target": row.target,
        "digest": row.digest,
        "size": row.size,
        "seconds": round(row.seconds, 3),
        "steps": row.steps,
        "cached": row.cached,
        "emulated": is_emulated,
        "builder": row.builder,
        "lost": row.lost,
        "taken": row.taken,
        "notes": notes,
        "foreign": row.foreign,
    }


def notes_of(rows: Sequence[Summary], findings: Mapping[Leg, Findings]) -> tuple[tuple[str, ...], ...]:
    """Return the gates' notes on the image of each row."""
    by_name = {(leg.target, leg.platform): found.notes for leg, found in findings.items()}
    return tuple(by_name.get((row.target, row.platform), ()) for row in rows)


def fields_of(step: str, result: object) -> Mapping[str, Any]:
    """Return a result of a step as fields: those that it names itself in ``json``, or the one that it is."""
    own: Mapping[str, Any] | None = getattr(result, "json", None)
    if own is not None:
        return own
    if isinstance(result, ImageReference):
        return {"reference": str(result)}
    return {"path" if isinstance(result, Path) else _TEXTS.get(step, "text"): str(result)}

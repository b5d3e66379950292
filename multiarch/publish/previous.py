"""What a tag was before it was published last, as far as it is known.

An index says so in an annotation, where the settings want that; this machine remembers it of what was published from
here. The annotation makes the digest of an index depend on what was published before, so that it is not the default.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from multiarch.errors import MultiarchError
from multiarch.image.documents import maps_texts, parse_object
from multiarch.paths import open_file, replacing, state_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from multiarch.config.settings import Settings
    from multiarch.image.manifest import Manifest
    from multiarch.image.reference import ImageReference
    from multiarch.publish.tags import Move, TagState

# On an index: a JSON object, by tag the digest that the tag had before it got this index.
ANNOTATION = "multiarch.previous"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MOST_MOVES = 20  # of one tag that this machine remembers
_MOST_BYTES = 1 << 16  # of the file of one tag; 20 moves are 4 kB


def noting_previous(settings: Settings, tags: Sequence[TagState], compose: Callable[[Settings], Manifest]) -> Manifest:
    """Return the index that *compose* makes with these settings, with the annotation where they want it.

    A release that is repeated gives the index that is there, and no new one which names that.
    """
    if not settings.publish.note_previous:
        return compose(settings)
    for tag in tags:
        record = tag.manifest.annotations.get(ANNOTATION, "") if tag.manifest else ""
        again = compose(_annotated(settings, record)) if tag.manifest else None
        if again and again == tag.manifest:
            return again
    return compose(_annotated(settings, previous_of(tags)))


def previous_of(tags: Iterable[TagState]) -> str:
    """Return the value of the annotation for tags as they are before they move; empty where all are new.

    A tag that is different things in different repositories is in none.
    """
    found: dict[str, set[str]] = {}
    for tag in tags:
        if tag.manifest:
            found.setdefault(tag.reference.tag, set()).add(tag.manifest.digest)
    known = {tag: next(iter(digests)) for tag, digests in sorted(found.items()) if len(digests) == 1}
    return json.dumps(known, separators=(",", ":")) if known else ""


def _annotated(settings: Settings, record: str) -> Settings:
    if not record:
        return settings
    annotations = {**settings.publish.annotations, ANNOTATION: record}
    return replace(settings, publish=replace(settings.publish, annotations=annotations))


def previous_digests(reference: ImageReference, index: Manifest) -> list[str]:
    """Return what a tag may have been before it got this index, the likeliest first; none where nobody knows.

    What this machine remembers is of the move itself. An index says what was there when it was made: another publisher
    may have moved the tag in between, and the tag may have got the index once more since.
    """
    found = [previous for digest, previous in reversed(_moves(reference)) if digest == index.digest][:1]
    with contextlib.suppress(ValueError):
        record = parse_object(index.annotations.get(ANNOTATION, "").encode())
        digest = record.get(reference.tag)
        if maps_texts(record) and isinstance(digest, str) and _DIGEST.fullmatch(digest):
            found.append(digest)
    return found


def note_moves(moves: Iterable[Move]) -> None:
    """Remember on this machine what tags were; where nothing can be written, nothing is remembered."""
    for move in moves:
        if move.previous:
            _write(move.reference, [*_moves(move.reference), (move.digest, move.previous)])


def forget_moves(moves: Iterable[Move]) -> None:
    """Forget the last moves from what tags are back on, so that the next time is one release further back.

    Where a tag has gone forth, to a digest that it never left here, nothing is forgotten.
    """
    for move in moves:
        known = _moves(move.reference)
        last = max((n for n, (_, previous) in enumerate(known) if previous == move.digest), default=None)
        if last is not None:
            _write(move.reference, known[:last])


def _path(reference: ImageReference) -> Path:
    return state_directory() / "previous" / f"{sha256(str(reference).encode()).hexdigest()[:32]}.json"


def _moves(reference: ImageReference) -> list[tuple[str, str]]:
    """Return the moves of a tag that are remembered, the last one last: its digest, and that of before."""
    try:
        with os.fdopen(open_file(_path(reference), os.O_RDONLY), "rb") as file:
            document: Mapping[str, Any] = parse_object(file.read(_MOST_BYTES))
    except (OSError, ValueError, MultiarchError):
        return []
    moves = document.get("moves")
    if document.get("reference") != str(reference) or not isinstance(moves, list):
        return []
    return [(one[0], one[1]) for one in moves if _is_move(one)]


def _is_move(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(digest, str) and _DIGEST.fullmatch(digest) for digest in value)
    )


def _write(reference: ImageReference, moves: Sequence[tuple[str, str]]) -> None:
    """Write down the moves of a tag, on this machine; a failure is passed over."""
    with contextlib.suppress(OSError, MultiarchError):
        path = _path(reference)
        # With the directory above it, which the record of releases is in too: both are of this user alone.
        path.parent.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        body = {"reference": str(reference), "moves": moves[-_MOST_MOVES:]}
        with replacing(path, mode=0o600) as file:
            file.write(json.dumps(body).encode())

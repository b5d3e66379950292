"""What the search for a program takes at most: memory, entries, lookups, words."""

from __future__ import annotations

import tracemalloc
import zlib
from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from multiarch.image import files
from multiarch.image.layers import Layer
from multiarch.image.program import Program
from multiarch.image.programs import started_programs
from tests.unit.image.test_tar import END, file, header
from tests.unit.images import ARM64, at, entrypoint, missing, programs_of, tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MEBIBYTE = 1 << 20


class Stream:
    """A layer in gzip that is made while it is read."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self._gzip = zlib.compressobj(1, zlib.DEFLATED, 31)
        self._is_over = False

    def read(self, _size: int = -1, /) -> bytes:
        """Return the next bytes, nothing at the end."""
        made = b""
        while not made and not self._is_over:
            part = next(self._parts, None)
            self._is_over = part is None
            made = self._gzip.flush() if part is None else self._gzip.compress(part)
        return made

    def close(self) -> None:
        """Stop reading."""


def searched(parts: Callable[[], Iterable[bytes]], word: str = "/app") -> tuple[Program, float]:
    """Return the first program of an image of one layer, and the MiB that the search for it took."""
    tracemalloc.start()
    try:
        (program,) = started_programs({"config": entrypoint(word)}, [Layer(lambda: Stream(parts()))])  # type: ignore[arg-type, return-value]
        return program, tracemalloc.get_traced_memory()[1] / MEBIBYTE
    finally:
        tracemalloc.stop()


def test_entries_that_passed_take_little_memory() -> None:
    """Eight bytes each, for the files of 50,000 that are no programs; and no more where they are written twice."""
    program, memory = searched(lambda: (file(b"usr/share/%d.txt" % number, b"text") for number in range(50_000)))
    assert missing("/app") == (program,)
    assert memory < 10


@pytest.mark.parametrize(
    ("bound", "value", "part", "note"),
    [
        ("MOST_ENTRIES", 5000, header(b"d/", kind=b"5"), "its layers have more than 5,000 entries, not read on"),
        ("MOST_MEMORY", MEBIBYTE, None, "its layers have more links and programs than are kept, not read on"),
    ],
)
def test_layers_beyond_a_bound_are_not_read_on(
    monkeypatch: pytest.MonkeyPatch, bound: str, value: int, part: bytes | None, note: str
) -> None:
    """The note names it; the bounds of releases are larger."""
    monkeypatch.setattr(files, bound, value)

    def parts() -> Iterable[bytes]:
        for number in range(1_000_000):
            yield part or header(b"%d" % number, kind=b"2", link=b"x" * 90)

    program, memory = searched(parts)
    assert Program("/app", note=note, is_unread=True) == program
    assert memory < 10


def test_bounds_hold_for_all_layers_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each of hundreds."""
    monkeypatch.setattr(files, "MOST_ENTRIES", 1000)
    layers = [b"".join(header(b"%d" % number) for number in range(300)) + END] * 4
    note = "its layers have more than 1,000 entries, not read on"
    assert (Program("/app", note=note, is_unread=True),) == programs_of(entrypoint("/app"), *layers)
    assert at("/app") == programs_of(entrypoint("/app"), *layers[:3], {"app": ARM64})


def test_long_searches_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deep path through many layers is looked up in each of them."""
    monkeypatch.setattr(files, "MOST_LOOKUPS", 20_000)
    layers = [tar({f"a/{number}": b""}) for number in range(20)]
    (program,) = programs_of(entrypoint("/a" * 1000), *layers)
    assert "its files take too long to search, not searched on" == program.note


@pytest.mark.parametrize("word", ["/a" * 5000, "a" * 100_000, "/" + "a" * 100_000, "../" * 5000 + "a"])
def test_long_words_are_shown_short(word: str) -> None:
    """No path has so many bytes; the note has its beginning."""
    (program,) = programs_of(entrypoint(word), {"app": ARM64})
    assert (None, True) == (program.elf, len(program.note) < 300)
    assert program.note.endswith(" is not in its layers")


def test_words_without_number_are_not_searched_for() -> None:
    """Only what is started is; and where not all of PATH is searched, or a script is too long, a note says so."""
    words = ["/app", *(f"/app{number}" for number in range(50_000))]
    found = {word.lstrip("/"): ARM64 for word in words[:100]}
    assert at("/app") == programs_of(entrypoint(*words), dict(reversed(found.items())))
    config = {"Entrypoint": ["app"], "Env": ["PATH=" + ":".join(f"/{number}" for number in range(100_000))]}
    left_out = Program("app", note="app: its PATH has more than 64 directories")
    assert (left_out,) == programs_of(config, {"99999/app": ARM64})
    shell, script = programs_of(entrypoint("/bin/sh", "-c", "'" * 1_000_000), {"bin/sh": ARM64})
    assert ("/bin/sh", "/bin/sh -c is not followed: it is too long, or no text") == (shell.path, script.note)


def test_program_that_is_written_again_and_again_is_the_last_one_read() -> None:
    """A name may be in a tar a hundred thousand times."""
    hundred = file(b"other", ARM64) * 100
    program, memory = searched(lambda: repeat(hundred, 1000))
    assert missing("/app") == (program,)
    assert memory < 40

"""The layers of an image: every compression, what cannot be read, and how much of them is read."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from multiarch.image.elf import ELF
from multiarch.image.layers import Layer
from multiarch.image.program import Program
from multiarch.image.programs import started_programs
from multiarch.image.streams import Decompressed, UnreadableError
from tests.unit.images import (
    AMD64,
    ARM64,
    DIRECTORY,
    EMPTY,
    LOWER,
    Files,
    at,
    entrypoint,
    noise,
    programs_of,
    tar,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

SHELL_SCRIPT = b"#!/bin/sh\n"
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_every_compression_is_read(compress: Callable[[bytes], bytes]) -> None:
    """Also when there is much before the program."""
    files: Files = {"data": noise(300_000), "app": ARM64}
    assert at("/app") == programs_of(entrypoint("/app"), compress(tar(files)))


WHOLE = tar({"etc/passwd": b"root", "app": ARM64})
PLAIN_GZIP = gzip.compress(WHOLE, mtime=0)


@pytest.mark.parametrize(
    "layer",
    [
        PLAIN_GZIP[:3] + b"\x08" + PLAIN_GZIP[4:10] + b"layer.tar\0" + PLAIN_GZIP[10:],
        PLAIN_GZIP[:3] + b"\x04" + PLAIN_GZIP[4:10] + b"\x06\0SG\x02\0ab" + PLAIN_GZIP[10:],
        b"".join(gzip.compress(WHOLE[start : start + 512]) for start in range(0, len(WHOLE), 512)),
    ],
    ids=["with a name", "with an extra field", "in several members"],
)
def test_gzip_of_other_tools_is_read(layer: bytes) -> None:
    """Of all that RFC 1952 allows: eStargz layers have a member for each file (section 2.2)."""
    assert WHOLE == gzip.decompress(layer)
    assert at("/app") == programs_of(entrypoint("/app"), layer)


# Zstandard (RFC 8878).

MAGIC = b"\x28\xb5\x2f\xfd"


def frame(content: bytes, window_log: int) -> bytes:
    """Return a frame with one raw block, made for a window of that size (section 3.1.1)."""
    window_descriptor = (window_log - 10) << 3
    block_header = 1 | len(content) << 3  # the last one, and raw
    return MAGIC + bytes([0, window_descriptor]) + block_header.to_bytes(3, "little") + content


def skipped(content: bytes, number: int = 0) -> bytes:
    """Return a frame that a decompressor skips (section 3.1.2)."""
    return bytes([0x50 + number]) + b"\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content


def in_frames(content: bytes, size: int) -> bytes:
    """Return the content in frames of so many bytes each."""
    return b"".join(zstd.compress(content[start : start + size]) for start in range(0, len(content), size))


@pytest.mark.parametrize(
    "layer",
    [
        in_frames(WHOLE, 512),
        zstd.compress(WHOLE) + zstd.compress(b"") + skipped(b"a table of contents"),
        skipped(b"") + zstd.compress(WHOLE),
        skipped(noise(200_000), 15) + in_frames(WHOLE, 1000) + skipped(b"", 7),
        frame(WHOLE[:5000], 13) + skipped(b"between") + frame(WHOLE[5000:], 27),
        zstd.compress(WHOLE, options={zstd.CompressionParameter.checksum_flag: 1}),
    ],
    ids=["in several frames", "zstd:chunked", "pzstd", "many frames", "windows", "with a checksum"],
)
def test_zstd_of_other_tools_is_read(layer: bytes) -> None:
    """Frames follow each other, and some are to be skipped; they may come byte by byte."""
    assert at("/app") == programs_of(entrypoint("/app"), layer)

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 1000 if self.tell() > 100 else 1))

    assert at("/app") == started_programs({"config": entrypoint("/app")}, [Layer(lambda: Slow(layer))])


@pytest.mark.parametrize("window_log", [28, 31, 41])
def test_zstd_window_of_more_than_128_mib_is_refused(window_log: int) -> None:
    """It is memory that each layer could ask for; `zstd -d` refuses it as well."""
    (program,) = programs_of(entrypoint("/app"), frame(WHOLE, window_log))
    assert None is program.elf
    assert "a layer of it cannot be read (" in program.note
    assert "requires too much memory" in program.note


@pytest.mark.parametrize("compress", [c for name, c in COMPRESSIONS.items() if name != "plain"])
def test_bomb_comes_in_pieces_and_is_not_read_on(compress: Callable[[bytes], bytes]) -> None:
    """Memory does not grow with what a few bytes become, and time only up to a bound."""
    sizes = []
    stream = Decompressed(io.BytesIO(compress(bytes(27_000_000)) * 20))
    with pytest.raises(UnreadableError, match="it expands to more than 100 times its size, not read on"):
        while piece := stream.read(1):
            sizes.append(len(piece))
    assert (True, True) == (530_000_000 < sum(sizes) <= 512 << 20, max(sizes) <= 1 << 20)


def test_python_without_zstd_notes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is an optional part of Python; without it there is a note, and no traceback."""
    parent, _, name = zstd.__name__.rpartition(".")
    monkeypatch.setitem(sys.modules, zstd.__name__, None)
    monkeypatch.delattr(importlib.import_module(parent), name)
    note = "a layer of it cannot be read (this Python has no module for zstd)"
    assert (Program("/app", note=note, is_unread=True),) == programs_of(entrypoint("/app"), zstd.compress(WHOLE))


# What cannot be read.

ZSTD = MAGIC + noise(2000)
NOISE = noise(3000)


@pytest.mark.parametrize(
    "blob",
    [
        ZSTD,
        ZSTD[:4],
        NOISE,
        EMPTY,
        b"\0",
        b"<html>no</html>",
        gzip.compress(b"")[:10] + b"\xff" * 1000,
        b"\x1f\x8b\x08" + NOISE,
    ],
    ids=["zstd", "zstd's magic", "noise", "empty", "a byte", "text", "corrupt", "gzip's magic"],
)
def test_unreadable_layer_is_a_note(blob: bytes) -> None:
    """Wherever the layer is, unless the program was found above it."""
    for layers in ([blob], [LOWER, blob], [blob, LOWER]):
        (program,) = programs_of(entrypoint("/server"), *layers)
        assert ("/server", None, True) == (program.path, program.elf, program.is_unread)
        assert program.note.startswith("a layer of it cannot be read (")
        assert 1 == len(program.note.splitlines())
    assert at("/server") == programs_of(entrypoint("/server"), blob, {"server": ARM64})


def test_programs_above_an_unreadable_layer_count() -> None:
    """The first program is in that layer; the one that it starts was found before."""
    first, *met = programs_of(entrypoint("/bin/tini", "--", "/app/server"), ZSTD, {"app/server": AMD64})
    assert ("/bin/tini", None) == (first.path, first.elf)
    assert [Program("/app/server", ELF["amd64"])] == met


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_layer_that_ends_early_is_a_note(compress: Callable[[bytes], bytes]) -> None:
    """Wherever it ends, no program is made up."""
    whole = compress(tar({"data": NOISE, "app": ARM64, "more": NOISE}))
    for length in [*range(40), *range(40, len(NOISE), 97)]:
        (program,) = programs_of(entrypoint("/app"), whole[:length])
        assert (None, "/app", True) == (program.elf, program.path, bool(program.note)), length


def test_unreadable_layer_raises_every_time() -> None:
    """Also when its beginning was prefetched, where the error was kept."""
    layer = Layer(partial(io.BytesIO, ZSTD))
    layer.prefetch()
    for _ in range(2):
        with pytest.raises(UnreadableError):
            layer.advance(())


def test_error_of_the_source_is_raised() -> None:
    """A registry that fails is no unreadable layer."""

    def refused() -> io.BytesIO:
        raise ConnectionResetError("reset")

    top = Blob({"etc/passwd": b"root"})
    layers = [Layer(refused), Layer(top.open)]
    with pytest.raises(ConnectionResetError):
        started_programs({}, layers)
    assert [True] == [file.closed for file in top.files]


# How much is read.


class File(io.BytesIO):
    """Counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count."""
        data = super().read(size)
        self.taken += len(data)
        return data


class Blob:
    """A layer, and the files that it was opened as."""

    def __init__(self, files: Files) -> None:
        self.content = tar(files)
        self.files: list[File] = []

    def open(self) -> File:
        """Open it once more."""
        self.files.append(File(self.content))
        return self.files[-1]


MUCH = bytes(2_000_000)


def test_program_in_the_top_layer_is_found_without_the_others() -> None:
    """Nothing below is opened, and little of the layer is read."""
    blobs = [Blob(LOWER), Blob({"app": ARM64, "data": MUCH, "more": b""})]
    layers = [Layer(blob.open) for blob in blobs]
    assert at("/app") == started_programs({"config": entrypoint("/app")}, layers)
    assert [0, 1] == [len(blob.files) for blob in blobs]
    assert [0, 1] == [layer.count for layer in layers]
    assert blobs[1].files[0].taken < len(MUCH) / 4


def test_layers_are_read_until_the_program_is_found() -> None:
    """Those above it to their end, its own as far as it, and those below not at all."""
    blobs = [Blob(LOWER), Blob({"etc": DIRECTORY, "app": ARM64, "later": b""}), Blob({"a": b"", "b": b"", "c": b""})]
    layers = [Layer(blob.open) for blob in blobs]
    assert at("/app") == started_programs({"config": entrypoint("/app")}, layers)
    assert [0, 2, 3] == [layer.count for layer in layers]


def test_prefetching_reads_the_beginning_alone() -> None:
    """The layer is opened once, and read on from there if it is needed."""
    blobs = [Blob({"first": b"", "data": MUCH, "bin/sh": AMD64}), Blob({"run": SHELL_SCRIPT, "bin/sh": ARM64})]
    layers = [Layer(blob.open) for blob in blobs]
    for layer in layers:
        layer.prefetch()
    assert [1, 1] == [layer.count for layer in layers]
    assert at("/bin/sh") == started_programs({"config": entrypoint("/run")}, layers)
    assert [1, 2] == [layer.count for layer in layers]
    assert blobs[0].files[0].taken < len(MUCH) / 4
    assert [[True], [True]] == [[file.closed for file in blob.files] for blob in blobs]


@pytest.mark.parametrize("word", ["/app", "/app/bin/server", "/nowhere"])
@pytest.mark.parametrize("ahead", [False, True])
def test_layers_are_closed_at_the_end(word: str, ahead: bool) -> None:
    """Whether the program was found or not; a closed layer has no more files."""
    blobs = [Blob(LOWER), Blob({"app": ARM64, "data": b"1"}), Blob({"etc": DIRECTORY})]
    layers = [Layer(blob.open) for blob in blobs]
    for layer in layers if ahead else []:
        layer.prefetch()
    started_programs({"config": entrypoint(word)}, layers)
    assert [True] * 3 == [all(file.closed for file in blob.files) for blob in blobs]
    assert [False] * 3 == [layer.advance(()) for layer in layers]
    assert max(len(blob.files) for blob in blobs) == 1


def test_layer_is_read_once_for_all_its_readers() -> None:
    """It is open until the last of them is done."""
    shared, lower = Blob({"data": MUCH, "app": ARM64, "server": AMD64}), Blob(LOWER)
    layer = Layer(shared.open)
    readers = [layer.again(), layer.again()]
    assert at("/app") == started_programs({"config": entrypoint("/app")}, [Layer(lower.open), readers[0]])
    assert 2 == layer.count
    (program,) = started_programs({"config": entrypoint("/server")}, [Layer(lower.open), readers[1]])
    assert "/server" == program.path
    assert program.elf is not None
    assert [False] == [file.closed for file in shared.files]
    layer.close()
    assert [True] == [file.closed for file in shared.files]
    assert [] == lower.files


def test_every_reader_gets_every_whole_file_of_a_layer_that_ends_early() -> None:
    """In order and at the same time; then the error, every time."""
    names = [f"f{number:03}" for number in range(200)]
    programs = {name: ARM64 + noise(936) for name in names}
    whole = tar({**programs})
    readers = [Layer(partial(io.BytesIO, whole[: 150 * 1536 + 600]))]
    readers += [readers[0].again() for _ in range(3)]

    def read(layer: Layer) -> list[str]:
        got = []
        for name in names[:150]:
            while layer.find(name) is None:
                assert layer.advance({name})
            got.append(name)
        for _ in range(2):
            with pytest.raises(UnreadableError):
                while layer.advance(()):
                    pass
        layer.close()
        return got

    with ThreadPoolExecutor(max_workers=len(readers)) as pool:
        assert [names[:150]] * len(readers) == list(pool.map(read, readers))


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_large_layer_is_read_ahead(compress: Callable[[bytes], bytes]) -> None:
    """More than is read at a time, and than one piece may be; an error of the source is raised."""
    blob = compress(tar({"noise": noise(3_000_000), "zeros": bytes(5_000_000), "app": ARM64}))
    assert at("/app") == programs_of(entrypoint("/app"), blob)

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 2_000_000:
                raise ConnectionResetError("reset")
            return super().read(size)

    with pytest.raises(ConnectionResetError):
        started_programs({"config": entrypoint("/app")}, [Layer(lambda: Broken(blob))])

"""Tars of other tools and hostile ones: what Go's archive/tar reads is read, and nothing without bounds."""

from __future__ import annotations

import io
import tarfile

import pytest

from multiarch.image.elf import ELF
from multiarch.image.program import Program
from multiarch.image.streams import Decompressed, UnreadableError
from multiarch.image.tar import Entry, Kind, TarReader
from tests.unit.images import ARM64, at, entrypoint, missing, noise, programs_of, tar

END = bytes(1024)


def header(
    name: bytes, size: bytes = b"0", kind: bytes = b"0", link: bytes = b"", magic: bytes = b"ustar\x0000"
) -> bytes:
    """Return a header, whatever is in its fields, with the right checksum."""
    block = bytearray(512)
    for start, field in (
        (0, name),
        (100, b"0000755"),
        (124, size),
        (156, kind),
        (157, link),
        (257, magic),
        (148, b" " * 8),
    ):
        block[start : start + len(field)] = field
    block[148:155] = b"%06o\0" % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    """Return content in whole blocks."""
    return content + bytes(-len(content) % 512)


def file(name: bytes, content: bytes = ARM64) -> bytes:
    """Return an entry of a file."""
    return header(name, b"%o" % len(content)) + padded(content)


def meta(kind: bytes, content: bytes) -> bytes:
    """Return a header of PAX or GNU before an entry."""
    return header(b"meta", b"%o" % len(content), kind) + padded(content)


def record(key: bytes, value: bytes) -> bytes:
    """Return a record of a PAX header."""
    body = b" %s=%s\n" % (key, value)
    size = len(body) + 1
    while len(b"%d" % size) + len(body) != size:
        size += 1
    return b"%d%s" % (size, body)


def entries(content: bytes) -> list[Entry]:
    """Return the entries of a tar."""
    reader = TarReader(Decompressed(io.BytesIO(content)))
    return list(iter(reader.next, None))


# What other tools write.


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_is_read(form: int) -> None:
    """Names and targets of any length that it can have, and what is behind them."""
    long = "directory/" * 20 + "file"
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=form) as archive:
        for name, kind, link in (
            (long, tarfile.REGTYPE, ""),
            ("d", tarfile.DIRTYPE, ""),
            ("s", tarfile.SYMTYPE, "a" if form == tarfile.USTAR_FORMAT else long),
            ("h", tarfile.LNKTYPE, "s"),
            ("f", tarfile.FIFOTYPE, ""),
            ("ä" if form != tarfile.USTAR_FORMAT else "a", tarfile.REGTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, link, 700 if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(noise(700)))
    head = noise(256)
    short = form == tarfile.USTAR_FORMAT
    assert [
        Entry(long, Kind.FILE, head=head),
        Entry("d", Kind.OTHER),
        Entry("s", Kind.LINK, "a" if short else long),
        Entry("h", Kind.HARD_LINK, "s"),
        Entry("f", Kind.OTHER),
        Entry("a" if short else "ä", Kind.FILE, head=head),
    ] == [entry._replace(name=entry.name.rstrip("/")) for entry in entries(written.getvalue())]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (meta(b"x", record(b"path", b"app")) + file(b"other"), at("/app")),
        (meta(b"x", record(b"path", b"")) + file(b"app"), at("/app")),
        (meta(b"x", record(b"path", b"b")) + meta(b"x", record(b"path", b"app")) + file(b"c"), at("/app")),
        (meta(b"x", record(b"path", b"b")) + meta(b"L", b"app\0") + file(b"c"), at("/app")),
        (meta(b"g", record(b"path", b"b")) + file(b"app"), at("/app")),
        (meta(b"x", record(b"size", b"64")) + header(b"app") + padded(ARM64), at("/app")),
        (meta(b"x", record(b"comment", b"a=b\nc") * 999) + file(b"app"), at("/app")),
        (header(b"d/", b"0", b"\0") + file(b"app"), at("/app")),
        (header(b"app", b"\x80" + bytes(10) + b"\x40") + padded(ARM64), at("/app")),
        (header(b"app", b"00000000100 ") + padded(ARM64), at("/app")),
        (header(b"d", b"777", b"5") + header(b"l", b"777", b"2", b"x") + file(b"app"), at("/app")),
        (header(b"app", b"100", magic=b"") + padded(ARM64), at("/app")),
    ],
    ids=[
        *("PAX name", "empty PAX name", "two PAX headers", "GNU before PAX", "global header", "PAX size", "comments"),
        *("old directory", "base 256", "blank", "sizes without content", "V7"),
    ],
)
def test_headers_are_read_as_docker_reads_them(content: bytes, expected: tuple[Program, ...]) -> None:
    """What is unpacked is what was checked."""
    assert expected == programs_of(entrypoint("/app"), content + END)


@pytest.mark.parametrize(
    "content",
    [
        header(b"app", b"100", b"S")[:482] + b"\1" + header(b"app", b"100", b"S")[483:],
        meta(b"x", record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.name", b"app"))
        + file(b"GNUSparseFile.0/app"),
        meta(b"x", record(b"GNU.sparse.map", b"0,64")) + file(b"app"),
    ],
    ids=["GNU", "PAX 1.0", "PAX 0.1"],
)
def test_sparse_program_is_a_note(content: bytes) -> None:
    """Its first bytes are not those of its content."""
    if content[156:157] == b"S":
        block = bytearray(content)
        block[148:156] = b" " * 8
        block[148:155] = b"%06o\0" % sum(block)
        content = bytes(block) + bytes(504) + b"\1" + bytes(7) + bytes(512) + padded(ARM64)
    note = "/app is a sparse file, which is not read"
    assert (Program("/app", note=note),) == programs_of(entrypoint("/app"), content + END)


# What is hostile.

MANY = b"9" * 11
ENORMOUS = b"\x80\0\0\0" + (1 << 62).to_bytes(8, "big")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (header(b"x", b"%o" % (1 << 30), b"x"), "a header of 1073741824 bytes, more than 1 MiB"),
        (header(b"x", ENORMOUS, b"L"), "a header of 4611686018427387904 bytes, more than 1 MiB"),
        (header(b"x", ENORMOUS), "an entry says that it has 4611686018427387904 bytes, more than 32 GiB"),
        (header(b"x", b"\xff" * 12), "a negative number in a header"),
        (header(b"x", MANY), "a broken number in a header"),
        (header(b"x", b"-1"), "a broken number in a header"),
        (header(b"x", b"1_0"), "a broken number in a header"),
        (meta(b"x", record(b"size", b"-1")) + header(b"a"), "a broken number in a header"),
        (meta(b"x", record(b"size", b"9" * 5000)) + header(b"a"), "a broken number in a header"),
        (meta(b"x", record(b"size", b"9" * 20)) + header(b"a"), "an entry says that it has 99999999999999999999 bytes"),
        (meta(b"x", b"99 path=a\n"), "a broken record in a PAX header"),
        (meta(b"x", b"9" * 1000), "a broken record in a PAX header"),
        (meta(b"x", b"0 a=b\n"), "a broken record in a PAX header"),
        (meta(b"x", b"5 ab\n"), "a broken record in a PAX header"),
        (meta(b"x", "² a=b\n".encode()), "a broken record in a PAX header"),
        (meta(b"x", record(b"a", b"b") * 1001), "a PAX header of more than 1000 records"),
        (meta(b"x", record(b"path", b"a")) * 17, "more than 16 headers before one entry"),
        (meta(b"g", record(b"path", b"a")) * 17, "more than 16 headers before one entry"),
        (meta(b"L", b"a" * 64_000) + header(b"a"), "a path of 64000 bytes, more than 4095"),
        (meta(b"x", record(b"linkpath", b"a" * 5000)) + header(b"a", kind=b"2"), "a path of 5000 bytes"),
        (header(b"a") + bytes(512) + header(b"b"), "it is no tar, or broken"),
        (header(b"a")[:-1] + b"\1", "it is no tar, or broken"),
        (header(b"a")[:300], "it ends too early"),
        (header(b"a", b"7000") + bytes(512), "it ends too early"),
        (b"", "it is empty"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_hostile_tar_is_a_note_by_name(content: bytes, problem: str) -> None:
    """At once, whatever it says would follow."""
    with pytest.raises(UnreadableError, match=f"^{problem}"):
        entries(content + (END if problem.startswith(("a path", "an entry")) else b""))
    (program,) = programs_of(entrypoint("/app"), content)
    assert (None, True) == (program.elf, program.note.startswith("a layer of it cannot be read ("))


def links(*pairs: tuple[bytes, bytes, bytes]) -> bytes:
    """Return a tar of links: their names, kinds and targets."""
    return b"".join(header(name, kind=kind, link=target) for name, kind, target in pairs) + END


@pytest.mark.parametrize(
    "content",
    [
        links((b"app", b"2", b"app")),
        links((b"app", b"2", b"b"), (b"b", b"2", b"app")),
        links((b"app", b"1", b"b"), (b"b", b"1", b"app")),
        links((b"app", b"2", b"app/" * 24)),
        links((b"app", b"2", b"../" * 33)),
        links((b"a", b"2", b"."), (b"app", b"2", b"a/a/a/a/a/app")),
    ],
    ids=["itself", "two", "hard", "longer and longer", "above the root", "many ways"],
)
def test_links_in_circles_end(content: bytes) -> None:
    """As they do on Linux, with an error; here with a note."""
    assert missing("/app") == programs_of(entrypoint("/app"), content)


def test_whiteouts_of_whiteouts_hide_nothing() -> None:
    """Only names with one mark before them are whiteouts of files."""
    lower = tar({"app": ARM64, "d/x": b""})
    for name in (".wh..wh.app", ".wh.", ".wh..wh.", "d/.wh..wh..wh..opq", ".wh..wh..opqx"):
        assert at("/app") == programs_of(entrypoint("/app"), lower, tar({name: b""})), name


def test_path_that_is_no_text_is_shown_by_its_bytes() -> None:
    """A note is printed where only text can be."""
    content = header(b"app", kind=b"2", link=b"b\xff") + file(b"b\xff", b"text") + END
    assert (Program("/b\\udcff", fault="/b\\udcff is a script without a shebang, such as #!/bin/sh"),) == programs_of(
        entrypoint("/app"), content
    )


def test_program_with_a_name_of_other_bytes_is_found() -> None:
    """Through a link with the same bytes."""
    content = header(b"app", kind=b"2", link=b"b\xff") + file(b"b\xff") + END
    assert (Program("/b\\udcff", ELF["arm64"]),) == programs_of(entrypoint("/app"), content)

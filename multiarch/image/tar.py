"""Reader of tars, for what comes from registries: nothing is read into memory before its size is checked.

It reads what Go's ``archive/tar`` reads, as Docker and containerd unpack layers with that: ustar, PAX and GNU headers.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from multiarch.image.streams import MOST_EXPANDED, PIECE, UnreadableError

if TYPE_CHECKING:
    from multiarch.image.streams import Decompressed

# Bytes of a file that are kept: an ELF header, or the first line of a script (BINPRM_BUF_SIZE of Linux).
_HEAD = 256
_BLOCK = 512
_ZEROS = bytes(_BLOCK)
# Bytes of a header of PAX or GNU; Go's archive/tar refuses more (maxSpecialFileSize), and so does Docker.
_MOST_HEADER = 1 << 20
# Records of a PAX header, and headers before one entry. Tools write about ten, and up to three.
_MOST_RECORDS, _MOST_HEADERS = 1000, 16
# Bits of a mode (inode(7)); root itself may execute a file only if one of them is set.
_ANY_EXECUTABLE = 0o111
# Bytes of a path on Linux (PATH_MAX, less the NUL).
_MOST_NAME = 4095
# Characters of the length of a PAX record.
_MOST_DIGITS = 8
_SPARSE_KEYS = b"GNU.sparse."


class Kind(Enum):
    """The kind of an entry, as far as it matters for programs."""

    FILE = "file"
    SPARSE = "sparse file"
    LINK = "symbolic link"
    HARD_LINK = "hard link"
    OTHER = "directory or device"


class Entry(NamedTuple):
    """An entry of a tar.

    :ivar link: the target of a link.
    :ivar head: the beginning of a file's content; `TarReader.read_on` returns what is behind it.
    :ivar is_executable: whether anybody may execute the file.
    """

    name: str
    kind: Kind
    link: str = ""
    head: bytes = b""
    is_executable: bool = False


_KINDS = {
    **dict.fromkeys((b"0", b"\0", b"7"), Kind.FILE),
    b"1": Kind.HARD_LINK,
    b"2": Kind.LINK,
    b"S": Kind.SPARSE,
}
# Types without content, whatever size their headers say.
_WITHOUT_CONTENT = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))


class TarReader:
    """A tar that is read forwards. An entry's content is skipped when the next entry is asked for."""

    def __init__(self, source: Decompressed) -> None:
        self._source = source
        self._buffer, self._offset = b"", 0
        self._left = 0  # bytes of the last entry's content, with what fills its last block
        self._content_left = 0  # the same without that
        self._is_empty = True

    def next(self) -> Entry | None:
        """Return the next entry, None at the end.

        :raises UnreadableError: the tar is broken, cut off, or beyond the bounds.
        """
        self._skip(self._left)
        self._left = self._content_left = 0
        records: dict[bytes, bytes] = {}
        long_names: dict[bytes, bytes] = {}
        for _ in range(_MOST_HEADERS):
            if (block := self._header()) is None:
                return None
            kind, size = block[156:157], _number(block[124:136])
            if kind in (b"x", b"X"):
                records = _records(self._content(size))
            elif kind in (b"L", b"K"):
                long_names[kind] = _text(self._content(size))
            elif kind == b"g":
                # Docker and containerd ignore global headers.
                self._skip(_padded(size))
            else:
                return self._entry(block, size, records, long_names)
        raise UnreadableError(f"more than {_MOST_HEADERS} headers before one entry")

    def read_on(self, count: int) -> bytes:
        """Return up to so many more bytes of the last entry's content, nothing at its end.

        :raises UnreadableError: the tar is cut off, or beyond the bounds.
        """
        content = self._take(min(count, self._content_left))
        self._left -= len(content)
        self._content_left -= len(content)
        return content

    def _entry(self, block: bytes, size: int, records: dict[bytes, bytes], long_names: dict[bytes, bytes]) -> Entry:
        """Return the entry that the block and the headers before it describe."""
        name, link = _text(block[:100]), _text(block[157:257])
        if block[257:265] == b"ustar\x0000" and block[345] and block[508:512] != b"tar\0":
            name = _text(block[345:500]) + b"/" + name
        name = long_names.get(b"L") or records.get(b"GNU.sparse.name") or records.get(b"path") or name
        link = long_names.get(b"K") or records.get(b"linkpath") or link
        kind = block[156:157]
        size = _decimal(records[b"size"]) if records.get(b"size") else size
        if size > MOST_EXPANDED:
            raise UnreadableError(f"an entry says that it has {size} bytes, more than {MOST_EXPANDED >> 30} GiB")
        is_directory = kind == b"\0" and name.endswith(b"/")
        name_text, link_text = _path(name), _path(link)
        if kind in _WITHOUT_CONTENT or is_directory:
            return Entry(name_text, Kind.OTHER if is_directory else _KINDS.get(kind, Kind.OTHER), link_text)
        is_sparse = kind == b"S" or b"GNU.sparse" in records
        if kind == b"S":
            self._skip_sparse_map(block)
        self._left = _padded(size)
        if _KINDS.get(kind) is not Kind.FILE or is_sparse:
            return Entry(name_text, Kind.SPARSE if is_sparse else Kind.OTHER)
        self._content_left = size
        return Entry(name_text, Kind.FILE, "", self.read_on(_HEAD), bool(_number(block[100:108]) & _ANY_EXECUTABLE))

    def _skip_sparse_map(self, block: bytes) -> None:
        """Skip the blocks that continue the map of a sparse file (GNU tar, "Storing sparse files")."""
        is_extended = block[482]
        while is_extended:
            is_extended = self._take(_BLOCK)[504]

    def _header(self) -> bytes | None:
        """Return the next block, which is a header; None at the end."""
        block = self._block()
        if block is None and self._is_empty:
            raise UnreadableError("it is empty")
        self._is_empty = False
        if block is None:
            return None
        if block == _ZEROS:
            if (block := self._block()) is None or block == _ZEROS:
                return None
            raise UnreadableError("it is no tar, or broken")
        field = block[148:156]
        # Most bytes are zeros, which add nothing.
        surplus = sum(block.translate(None, b"\0")) - sum(field) + 8 * ord(" ") - _number(field)
        # Old programs summed up signed bytes.
        if surplus and surplus != 256 * sum(byte > 127 for byte in block[:148] + block[156:]):
            raise UnreadableError("it is no tar, or broken")
        return block

    def _content(self, size: int) -> bytes:
        """Return the content of a header of PAX or GNU."""
        if size > _MOST_HEADER:
            raise UnreadableError(f"a header of {size} bytes, more than {_MOST_HEADER >> 20} MiB")
        return self._take(_padded(size))[:size]

    # Bytes.

    def _block(self) -> bytes | None:
        """Return the next block, None at the end."""
        end = self._offset + _BLOCK
        if end <= len(self._buffer):
            block = self._buffer[self._offset : end]
            self._offset = end
            return block
        if self._offset == len(self._buffer) and not self._fill():
            return None
        return self._take(_BLOCK)

    def _take(self, count: int) -> bytes:
        """Return so many bytes."""
        parts: list[bytes] = []
        while True:
            part = self._buffer[self._offset : self._offset + count]
            self._offset += len(part)
            count -= len(part)
            if not count:
                return b"".join([*parts, part])
            parts.append(part)
            if not self._fill():
                raise UnreadableError("it ends too early")

    def _skip(self, count: int) -> None:
        """Pass over so many bytes."""
        while (there := len(self._buffer) - self._offset) < count:
            count -= there
            if not self._fill():
                raise UnreadableError("it ends too early")
        self._offset += count

    def _fill(self) -> bool:
        """Get the next piece in the place of the one that was read. Whether there is one."""
        self._buffer, self._offset = self._source.read(PIECE), 0
        return bool(self._buffer)


def _padded(size: int) -> int:
    """Return the size of content in whole blocks."""
    return size + -size % _BLOCK


def _number(field: bytes) -> int:
    """Return a number of a header: octal, or in base 256 where the first bit is set (GNU)."""
    if field[0] & 0x80:
        if field[0] & 0x40:
            raise UnreadableError("a negative number in a header")
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise UnreadableError("a broken number in a header")
    return int(digits, 8) if digits else 0


def _decimal(digits: bytes) -> int:
    """Return a number of a PAX record."""
    if not digits.isdigit() or len(digits) > 20:
        raise UnreadableError("a broken number in a header")
    return int(digits)


def _records(content: bytes) -> dict[bytes, bytes]:
    """Return the records of a PAX header that matter: ``length key=value``, a line each (POSIX, pax)."""
    records: dict[bytes, bytes] = {}
    start, count = 0, 0
    while start < len(content):
        space = content.find(b" ", start, start + _MOST_DIGITS)
        digits = content[start:space]
        end = start + int(digits) if space > 0 and digits.isdigit() else 0
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if not (space < end <= len(content) and content[end - 1] == ord("\n") and key and equals):
            raise UnreadableError("a broken record in a PAX header")
        if (count := count + 1) > _MOST_RECORDS:
            raise UnreadableError(f"a PAX header of more than {_MOST_RECORDS} records")
        if key.startswith(_SPARSE_KEYS):
            records[b"GNU.sparse"] = b""
        if key in (b"path", b"linkpath", b"size", b"GNU.sparse.name"):
            records[key] = _text(value)
        start = end
    return records


def _text(field: bytes) -> bytes:
    """Return the bytes of a field before its NUL."""
    return field.partition(b"\0")[0]


def _path(field: bytes) -> str:
    """Return a path as text."""
    if len(field) > _MOST_NAME:
        raise UnreadableError(f"a path of {len(field)} bytes, more than {_MOST_NAME}")
    return field.decode(errors="surrogateescape")

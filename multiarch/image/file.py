"""Files of layers, as far as they say what is started: links, programs and scripts."""

from __future__ import annotations

import zlib
from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.image.elf import Elf
from multiarch.image.marks import NO_MARKS, Marks, read_marks

if TYPE_CHECKING:
    from collections.abc import Callable

    from multiarch.image.tar import Entry

# Bytes of the first line of a script that Linux reads (BINPRM_BUF_SIZE).
_FIRST_LINE = 256
# Bytes of a script that are followed; entrypoints of official images have up to 15,000.
_MOST_TEXT = 1 << 15
# Bytes of memory for the texts of a layer's scripts, compressed; those of Debian's packages take 0.5 MB.
MOST_TEXTS = 4 << 20
# The ends of the names of scripts for shells.
_SUFFIXES = (".sh", ".bash")
_SHEBANG = b"#!"


class FileKind(Enum):
    """The kind of a file, as the kernel sees it when it is to execute the file."""

    LINK = "symbolic link"
    PROGRAM = "ELF file"
    SCRIPT = "script"  # with a shebang
    TEXT = "text without a shebang"
    DATA = "anything else, with content"
    EMPTY = "empty file"
    OTHER = "directory or device"


class File(Struct, frozen=True):
    """A file of a layer.

    :ivar link: the target of a link.
    :ivar elf: the architecture of a program, and *marks* what else it says.
    :ivar line: the first line of a script, without its end, as far as the kernel reads it.
    :ivar packed: the text of a script, compressed; empty where it is not kept.
    :ivar note: why it is not known what it is.
    """

    kind: FileKind
    is_executable: bool = False
    link: str = ""
    elf: Elf | None = None
    marks: Marks = NO_MARKS
    line: bytes = b""
    packed: bytes = b""
    note: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether its kind and mode are all that is known of it."""
        return not (self.elf or self.line or self.packed or self.note) and self.kind is not FileKind.LINK

    @property
    def text(self) -> str | None:
        """The text of a script; None where it is not kept."""
        return zlib.decompress(self.packed).decode(errors="surrogateescape") if self.packed else None


def read_file(name: str, entry: Entry, read_on: Callable[[int], bytes], *, is_wanted: bool, room: int) -> File:
    """Return a file of a tar, of which no more is read than is needed.

    :param read_on: returns up to so many bytes behind the entry's head, nothing at the end.
    :param is_wanted: whether its text is kept, whatever it is called; otherwise that depends on name, mode and shebang.
    :param room: bytes that its text may take, compressed.
    """
    head, is_executable = entry.head, entry.is_executable
    if not head:
        return File(FileKind.EMPTY, is_executable)
    if elf := Elf.parse(head):
        return File(FileKind.PROGRAM, is_executable, elf=elf, marks=read_marks(elf, head, read_on))
    is_script = head.startswith(_SHEBANG)
    line = head[:_FIRST_LINE].partition(b"\n")[0] if is_script else b""
    kind = FileKind.SCRIPT if is_script else FileKind.DATA if b"\0" in head else FileKind.TEXT
    packed = b""
    if (is_executable or is_wanted or name.endswith(_SUFFIXES)) and room > 0 and _is_shells(kind, line):
        packed = _packed(head, read_on)
    return File(kind, is_executable, line=line, packed=packed if len(packed) <= room else b"")


def _is_shells(kind: FileKind, line: bytes) -> bool:
    """Whether a file may be a script for a shell; other scripts are not followed."""
    return kind is FileKind.TEXT or (kind is FileKind.SCRIPT and (b"sh" in line or b"with-contenv" in line))


def _packed(head: bytes, read_on: Callable[[int], bytes]) -> bytes:
    """Return a text, compressed; nothing where it is too long or no text."""
    pieces, size = [head], len(head)
    while size <= _MOST_TEXT and (piece := read_on(_MOST_TEXT + 1 - size)):
        pieces.append(piece)
        size += len(piece)
    content = b"".join(pieces)
    return b"" if size > _MOST_TEXT or b"\0" in content else zlib.compress(content, 1)

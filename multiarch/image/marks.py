"""Marks in ELF files beyond the architecture: the dynamic loader, ARM's build attributes, the level of x86-64.

They are specified in ``elf(5)`` (PT_INTERP), in "Addenda to, and Errata in, the ABI for the Arm Architecture", section
3 (``.ARM.attributes``), in "ELF for the Arm Architecture" (the float ABI in ``e_flags``), and in "Linux Extensions to
gABI" (GNU_PROPERTY_X86_ISA_1_NEEDED).
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from multiarch.image.elf import ELF, Elf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE = 1 << 16  # bytes that are read at once
# Bytes of a file's beginning that are kept; the program headers, the loader and the notes of linkers are in them.
_HEAD = 4096
# Bytes of a loader's path (PATH_MAX), of a note, of a table of section headers, and of the attributes.
_MOST_LOADER, _MOST_NOTE, _MOST_SECTIONS, _MOST_ATTRIBUTES = 4096, 4096, 1 << 18, 512
# Program headers; linkers write about ten.
_MOST_HEADERS = 64
# Places in a file that look like attributes; there is one, and code that handles them has a few.
_MOST_PLACES = 32
_INTERPRETER, _NOTE, _PROPERTY = 3, 4, 0x6474E553
_NT_GNU_PROPERTY, _ISA_NEEDED = 5, 0xC0008002
_ARM_ATTRIBUTES = 0x70000003
_VENDOR = b"aeabi\0"
# What Go's linker writes in the place of attributes (debug/buildinfo).
_GO_VERSION = b"build\tGOARM="
_SECTION = 40  # bytes of a section's header in files of 32 bits
_EF_HARD, _EF_SOFT = 0x400, 0x200
_TAG_CPU_ARCH, _TAG_VFP_ARGS, _TAG_COMPATIBILITY = 6, 28, 32
_TEXT_TAGS = (4, 5, 67)
# By the value of Tag_CPU_arch, the version of the architecture as platforms have it; M-profiles run no Linux programs.
_ARM_VERSIONS = {
    **dict.fromkeys((0, 1, 2), 4),
    **dict.fromkeys((3, 4, 5), 5),
    **dict.fromkeys((6, 7, 9), 6),
    **dict.fromkeys((8, 10), 7),  # 8 is v6T2, with the instructions of Thumb-2, which v6 lacks
    14: 8,
    22: 9,
}


class FloatABI(Enum):
    """How functions of ARM take floating-point numbers; programs of one kind do not load libraries of the other."""

    HARD = "hard-float"
    SOFT = "soft-float"


class Marks(Struct, frozen=True):
    """Marks of an ELF file.

    :ivar loader: the path of its dynamic loader; empty where it needs none.
    :ivar arm_version: the version of the ARM architecture that it was built for; None where it does not say.
    :ivar float_abi: None where it does not say.
    :ivar x86_level: the level of x86-64 that it needs, as far as it says so.
    :ivar problem: what could not be read; empty where all could.
    """

    loader: str = ""
    arm_version: int | None = None
    float_abi: FloatABI | None = None
    x86_level: int = 1
    problem: str = ""


NO_MARKS = Marks()


class _Layout(NamedTuple):
    """How numbers stand in the headers of an ELF file.

    :ivar order: of their bytes, ``<`` or ``>``. :ivar address: the letter of an address, ``I`` or ``Q`` (`struct`).
    """

    order: str
    address: str

    @property
    def words(self) -> int:
        """The size of an address in bytes."""
        return 8 if self.address == "Q" else 4

    def unpack(self, form: str, data: bytes, offset: int = 0) -> tuple[int, ...]:
        """Return the numbers at an offset (bytes). :param form: letters of `struct`, and ``A`` for an address.

        :raises struct.error: the data ends before.
        """
        return struct.unpack_from(self.order + form.replace("A", self.address), data, offset)


def read_marks(elf: Elf, head: bytes, read_on: Callable[[int], bytes]) -> Marks:
    """Return the marks of an ELF file, which is read forwards, and only as far as they are.

    :param head: the beginning of the file.
    :param read_on: returns up to so many bytes behind it, nothing at the end.
    """
    while len(head) < _HEAD and (piece := read_on(_HEAD - len(head))):
        head += piece
    layout = _Layout("<" if elf.endianness == "little" else ">", "Q" if elf.bits == 64 else "I")
    try:
        return _Reader(elf, layout, head, read_on).marks()
    except struct.error:
        return Marks(problem="it ends within its header")


class _Reader:
    """Reads one file."""

    def __init__(self, elf: Elf, layout: _Layout, head: bytes, read_on: Callable[[int], bytes]) -> None:
        self._elf = elf
        self._layout = layout
        self._head = head
        self._read_on = read_on
        self._go_version: int | None = None
        fields = layout.unpack("AAIHHHHH", head, 24 + layout.words)
        self._headers, self._sections, self._flags, _, size, count, section_size, section_count = fields
        # Of any other size they are none.
        self._header_size, self._header_count = size, count if size == (56 if elf.bits == 64 else 32) else 0
        self._section_size, self._section_count = section_size, section_count if section_size == _SECTION else 0

    def marks(self) -> Marks:
        segments = list(self._segments())
        if self._header_count and not segments:
            return Marks(problem="its program headers are not at its beginning")
        loader = [span for kind, *span in segments if kind == _INTERPRETER]
        notes = [span for kind, *span in segments if kind in (_NOTE, _PROPERTY)] if self._elf == ELF["amd64"] else []
        wanted = [(start, min(size, _MOST_LOADER)) for start, size in loader]
        wanted += [(start, min(size, _MOST_NOTE)) for start, size in notes]
        is_arm = self._elf == ELF["arm"]
        if is_arm and self._section_count:
            wanted.append((self._sections, min(self._section_size * self._section_count, _MOST_SECTIONS)))
        spans, places = self._spans(wanted, search=is_arm)
        path = spans[0].partition(b"\0")[0].decode(errors="surrogateescape") if loader else ""
        level = max([1, *(_level(self._layout, span) for span in spans[len(loader) :])]) if notes else 1
        version, float_abi = self._arm(spans[-1] if self._section_count else b"", places) if is_arm else (None, None)
        problem = "its loader is not named where it should be" if loader and not path else ""
        return Marks(path, version, float_abi, level, problem)

    def _segments(self) -> Iterator[tuple[int, int, int]]:
        """Yield the kind, offset and size of each program header."""
        for number in range(min(self._header_count, _MOST_HEADERS)):
            start = self._headers + number * self._header_size
            if start + self._header_size > len(self._head):
                return
            if self._layout.words == 8:
                kind, _, offset, _, _, size = self._layout.unpack("IIQQQQ", self._head, start)
            else:
                kind, offset, _, _, size = self._layout.unpack("IIIII", self._head, start)
            yield kind, offset, size

    def _spans(self, wanted: list[tuple[int, int]], *, search: bool) -> tuple[list[bytes], dict[int, bytes]]:
        """Return the wanted parts of the file, and what looks like attributes, by its place.

        :param wanted: offsets and sizes.
        :param search: whether attributes are searched for, which takes reading all of the file.
        """
        spans = [bytearray() for _ in wanted]
        places: dict[int, bytes] = {}
        end = max((start + size for start, size in wanted), default=0)
        offset, piece, kept = 0, self._head, b""
        while piece:
            for span, (start, size) in zip(spans, wanted, strict=True):
                low, high = max(start, offset), min(start + size, offset + len(piece))
                span += piece[low - offset : high - offset] if low < high else b""
            if search:
                self._find_go_version(kept + piece)
                kept = _find_attributes(kept + piece, offset - len(kept), places)
            offset += len(piece)
            piece = self._read_on(_PIECE) if offset < end or search else b""
        return [bytes(span) for span in spans], places

    def _arm(self, sections: bytes, places: dict[int, bytes]) -> tuple[int | None, FloatABI | None]:
        """Return the version and the float ABI, of the section of attributes and of the header's flags."""
        float_abi = FloatABI.HARD if self._flags & _EF_HARD else FloatABI.SOFT if self._flags & _EF_SOFT else None
        for start in range(0, len(sections) - _SECTION + 1, _SECTION):
            _, kind, _, _, offset, size = self._layout.unpack("IIIIII", sections, start)
            if kind == _ARM_ATTRIBUTES and offset in places:
                tags = _tags(self._layout, places[offset][:size])
                if float_abi is None and _TAG_VFP_ARGS in tags:
                    float_abi = {0: FloatABI.SOFT, 1: FloatABI.HARD}.get(tags[_TAG_VFP_ARGS])
                return _ARM_VERSIONS.get(tags.get(_TAG_CPU_ARCH, -1)), float_abi
        return self._go_version, float_abi

    def _find_go_version(self, data: bytes) -> None:
        position = data.find(_GO_VERSION)
        version = data[position + len(_GO_VERSION) :][:1] if position >= 0 else b""
        if version.isdigit():
            self._go_version = int(version)


def _find_attributes(data: bytes, offset: int, places: dict[int, bytes]) -> bytes:
    """Add what looks like attributes, by its place in the file; return the end of *data* that is to be searched again.

    :param offset: the place of *data* in the file.
    """
    position = data.find(_VENDOR)
    while position >= 0 and len(places) < _MOST_PLACES:
        begin = position - 5  # behind the version, an "A", and the length of the subsection
        if begin >= 0 and data[begin : begin + 1] == b"A":
            places[offset + begin] = data[begin : begin + _MOST_ATTRIBUTES]
        position = data.find(_VENDOR, position + 1)
    return data[-_MOST_ATTRIBUTES:]


def _tags(layout: _Layout, section: bytes) -> dict[int, int]:
    """Return the numbers of a section of attributes that hold for the whole file, by their tags."""
    (size,) = layout.unpack("I", section, 1)
    subsection = section[5 + len(_VENDOR) : 1 + size]
    if len(subsection) < 5 or subsection[0] != 1:  # Tag_File
        return {}
    (length,) = layout.unpack("I", subsection, 1)
    data, position = subsection[:length], 5
    tags: dict[int, int] = {}
    while position < len(data):
        tag, position = _uleb128(data, position)
        if tag in _TEXT_TAGS or (tag > _TAG_COMPATIBILITY and tag % 2):
            position = data.find(b"\0", position) + 1 or len(data)
            continue
        tags[tag], position = _uleb128(data, position)
        if tag == _TAG_COMPATIBILITY:
            position = data.find(b"\0", position) + 1 or len(data)
    return tags


def _uleb128(data: bytes, position: int) -> tuple[int, int]:
    """Return a number (DWARF, ULEB128), and where it ends."""
    value = 0
    for shift in range(0, 63, 7):
        byte = data[position] if position < len(data) else 0
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return value, position


def _level(layout: _Layout, notes: bytes) -> int:
    """Return the level of x86-64 that the properties among *notes* need."""
    position = 0
    while position + 16 <= len(notes):
        name_size, size, kind = layout.unpack("III", notes, position)
        begin = position + 12 + name_size + -name_size % 4
        if kind == _NT_GNU_PROPERTY and notes[position + 12 : begin] == b"GNU\0":
            return _level_of_properties(layout, notes[begin : begin + size])
        position = begin + size + -size % 4
    return 1


def _level_of_properties(layout: _Layout, properties: bytes) -> int:
    position = 0
    while position + 12 <= len(properties):
        kind, size, value = layout.unpack("III", properties, position)
        if kind == _ISA_NEEDED:
            return max(1, (value & 0xF).bit_length())  # bits for the baseline, v2, v3 and v4
        position += 8 + size + -size % 8
    return 1

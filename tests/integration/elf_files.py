"""ELF files that tests put into images: headers, and what the gates read of a program behind them."""

from __future__ import annotations

import struct

from multiarch.image.elf import ELF, Elf

_INTERPRETER, _PROPERTY, _ARM_ATTRIBUTES = 3, 0x6474E553, 0x70000003


def program(
    architecture: str, *, loader: str = "", flags: int = 0, arm_version: int | None = None, isa: int = 0
) -> bytes:
    """Return a program that says all this and does nothing.

    :param architecture: as Go names it, or ``x32``.
    :param loader: the path of its dynamic loader.
    :param arm_version: its Tag_CPU_arch.
    :param isa: its GNU_PROPERTY_X86_ISA_1_NEEDED.
    """
    elf = Elf(32, "little", 62) if architecture == "x32" else ELF[architecture]
    order = "<" if elf.endianness == "little" else ">"
    word = "Q" if elf.bits == 64 else "I"
    head_size, segment_size = (64, 56) if elf.bits == 64 else (52, 32)
    contents = [(_INTERPRETER, loader.encode() + b"\0")] if loader else []
    contents += [(_PROPERTY, _property(order, isa))] if isa else []
    offset = head_size + segment_size * len(contents)
    segments, body = b"", b""
    for kind, content in contents:
        segments += _segment(order, elf.bits, kind, offset + len(body), len(content))
        body += content
    sections, count = b"", 0
    if arm_version is not None:
        attributes = _attributes(order, arm_version)
        section = struct.pack(f"{order}10I", 0, _ARM_ATTRIBUTES, 0, 0, offset + len(body), len(attributes), 0, 0, 1, 0)
        body, sections, count = body + attributes, bytes(40) + section, 2
    places = (0, head_size, offset + len(body) if count else 0)
    sizes = (head_size, segment_size, len(contents), 40 if elf.bits == 32 else 64, count, 0)
    fields = struct.pack(f"{order}I3{word}I6H", 1, *places, flags, *sizes)
    return elf.header() + fields + segments + body + sections


def _segment(order: str, bits: int, kind: int, offset: int, size: int) -> bytes:
    if bits == 64:
        return struct.pack(f"{order}IIQQQQQQ", kind, 4, offset, offset, offset, size, size, 1)
    return struct.pack(f"{order}8I", kind, offset, offset, offset, size, size, 4, 1)


def _property(order: str, isa: int) -> bytes:
    return struct.pack(f"{order}III", 4, 16, 5) + b"GNU\0" + struct.pack(f"{order}IIII", 0xC0008002, 4, isa, 0)


def _attributes(order: str, version: int) -> bytes:
    file = b"\1" + struct.pack(f"{order}I", 9) + bytes([6, version, 28, 1])
    return b"A" + struct.pack(f"{order}I", 4 + 6 + len(file)) + b"aeabi\0" + file

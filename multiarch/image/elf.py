"""ELF headers, and the marks of architectures in them (``elf(5)``)."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Elf(NamedTuple):
    """The marks of an architecture in the ELF headers of its programs (``elf(5)``: EI_CLASS, EI_DATA, e_machine)."""

    bits: int
    endianness: Literal["little", "big"]
    machine: int

    def header(self) -> bytes:
        """Return the first 20 bytes of such a program (ET_EXEC), which binfmt_misc compares with its magic."""
        ident = b"\x7fELF" + bytes([self.bits // 32, 1 if self.endianness == "little" else 2, 1]) + bytes(9)
        return ident + (2).to_bytes(2, self.endianness) + self.machine.to_bytes(2, self.endianness)

    @classmethod
    def parse(cls, head: bytes) -> Elf | None:
        """Return the marks in the beginning of a file; None when it is no ELF file."""
        if len(head) < 20 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
            return None
        endianness: Literal["little", "big"] = "little" if head[5] == 1 else "big"
        return cls(32 * head[4], endianness, int.from_bytes(head[18:20], endianness))


# By architecture, named as in Go (GOARCH) and so in the OCI specification.
ELF = {
    "386": Elf(32, "little", 3),
    "amd64": Elf(64, "little", 62),
    "arm": Elf(32, "little", 40),
    "arm64": Elf(64, "little", 183),
    "loong64": Elf(64, "little", 258),
    "mips64": Elf(64, "big", 8),
    "mips64le": Elf(64, "little", 8),
    "ppc64le": Elf(64, "little", 21),
    "riscv64": Elf(64, "little", 243),
    "s390x": Elf(64, "big", 22),
}


def architectures_of(elf: Elf) -> tuple[str, ...]:
    """Return the architectures with these marks; none when they are unknown."""
    return tuple(architecture for architecture, known in ELF.items() if known == elf)

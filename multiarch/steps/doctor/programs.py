"""Programs of a hundred bytes, one for each architecture, that show whether a Docker host runs it, and by what.

Each asks the kernel for faccessat2(-1, NULL, 0, 0) (Linux 5.8, of 2020) and ends with the answer as its status. The
kernel refuses the address (EFAULT); an emulator that is older than the system call does not know it (ENOSYS).
They were assembled with GNU as 2.40 from what stands beside them, and run on QEMU 7.2.
"""

from __future__ import annotations

import struct
from enum import Enum

from multiarch.image.elf import ELF, Elf

_BASE = 0x400000  # where a program is loaded, above what the kernel keeps free (vm.mmap_min_addr)
_PAGE = 0x10000  # the largest page of these architectures
# e_flags (elf(5)): of ARM EABI 5 with hard-float, of MIPS' R2 code, of POWER's ABI 2, of LoongArch's ABI with doubles.
_FLAGS = {"arm": 0x05000400, "mips64": 0x80000007, "mips64le": 0x80000007, "ppc64le": 2, "loong64": 0x43}
_CODE = {
    # mov $439,%eax; or $-1,%ebx; xor %ecx,%ecx; xor %edx,%edx; xor %esi,%esi; int $0x80
    # mov %eax,%ebx; mov $1,%eax; int $0x80
    "386": "b8b7010000 83cbff 31c9 31d2 31f6 cd80 89c3 b801000000 cd80",
    # mov $439,%eax; or $-1,%edi; xor %esi,%esi; xor %edx,%edx; xor %r10d,%r10d; syscall
    # mov %eax,%edi; mov $60,%eax; syscall
    "amd64": "b8b7010000 83cfff 31f6 31d2 4531d2 0f05 89c7 b83c000000 0f05",
    # mov r7,#436; add r7,r7,#3; mvn r0,#0; mov r1,#0; mov r2,#0; mov r3,#0; swi 0; mov r7,#1; swi 0
    "arm": "6d7fa0e3 037087e2 0000e0e3 0010a0e3 0020a0e3 0030a0e3 000000ef 0170a0e3 000000ef",
    # mov x8,#439; mov x0,#-1; mov x1,#0; mov x2,#0; mov x3,#0; svc #0; mov x8,#93; svc #0
    "arm64": "e83680d2 00008092 010080d2 020080d2 030080d2 010000d4 a80b80d2 010000d4",
    # ori $a7,$zero,439; addi.w $a0,$zero,-1; ori $a1,$zero,0; ori $a2,$zero,0; ori $a3,$zero,0; syscall 0
    # ori $a7,$zero,93; syscall 0
    "loong64": "0bdc8603 04fcbf02 05008003 06008003 07008003 00002b00 0b748103 00002b00",
    # li $v0,5439; li $a0,-1; li $a1,0; li $a2,0; li $a3,0; syscall; move $a0,$v0; li $v0,5058; syscall
    "mips64": "2402153f 2404ffff 24050000 24060000 24070000 0000000c 00402025 240213c2 0000000c",
    "mips64le": "3f150224 ffff0424 00000524 00000624 00000724 0c000000 25204000 c2130224 0c000000",
    # li 0,439; li 3,-1; li 4,0; li 5,0; li 6,0; sc; li 0,1; sc
    "ppc64le": "b7010038 ffff6038 00008038 0000a038 0000c038 02000044 01000038 02000044",
    # li a7,439; li a0,-1; li a1,0; li a2,0; li a3,0; ecall; li a7,93; ecall
    "riscv64": "9308701b 1305f0ff 93050000 13060000 93060000 73000000 9308d005 73000000",
    # lghi %r1,439; lghi %r2,-1; lghi %r3,0; lghi %r4,0; lghi %r5,0; svc 0; lghi %r1,1; svc 0
    "s390x": "a71901b7 a729ffff a7390000 a7490000 a7590000 0a00 a7190001 0a00",
}
_EFAULT, _ENOSYS, _ENOSYS_OF_MIPS = 14, 38, 89  # errno(3)


class Outcome(Enum):
    """How such a program ended."""

    RUNS = "runs"
    OLD = "old"  # it runs, by something that does not know the system call
    FAILS = "fails"


def program(architecture: str) -> bytes:
    """Return the program of an architecture, as Go names it: an ELF file with one segment, code alone."""
    elf, code = ELF[architecture], bytes.fromhex(_CODE[architecture])
    order, word = "<" if elf.endianness == "little" else ">", "Q" if elf.bits == 64 else "I"
    head, segment = (64, 56) if elf.bits == 64 else (52, 32)
    entry, size = _BASE + head + segment, head + segment + len(code)
    flags = _FLAGS.get(architecture, 0)
    fields = struct.pack(f"{order}I3{word}I6H", 1, entry, head, 0, flags, head, segment, 1, 0, 0, 0)
    return elf.header() + fields + _segment(elf, order, size) + code


def _segment(elf: Elf, order: str, size: int) -> bytes:
    """Return the program header (elf(5)) of all of the file: PT_LOAD, to be read and run."""
    if elf.bits == 64:
        return struct.pack(f"{order}IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, _PAGE)
    return struct.pack(f"{order}8I", 1, 0, _BASE, _BASE, size, size, 5, _PAGE)


def outcome(status: int) -> Outcome:
    """Return what the exit status of such a program says.

    Most kernels answer with a negative number; those of POWER and MIPS with a positive one, and MIPS has its own.
    """
    if status in (_EFAULT, 256 - _EFAULT):
        return Outcome.RUNS
    return Outcome.OLD if status in (_ENOSYS, 256 - _ENOSYS, _ENOSYS_OF_MIPS) else Outcome.FAILS

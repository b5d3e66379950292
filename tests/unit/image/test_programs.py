"""Which programs an image starts: layers made here, of every compression, with headers for every architecture."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.image.elf import ELF, Elf, architectures_of
from multiarch.image.layers import Layer
from multiarch.image.programs import Program, started_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Link:
    """A symbolic or hard link in a layer."""

    to: str
    hard: bool = False


Files = dict[str, bytes | Link | None]
DIRECTORY = None
EMPTY = b""
AMD64, ARM64 = (ELF[name].header() + b"\0" * 44 for name in ("amd64", "arm64"))
SHELL_SCRIPT = b"#!/bin/sh\nexec app\n"


def noise(size: int) -> bytes:
    """Return bytes that cannot be compressed, the same ones every time."""
    return hashlib.shake_128(b"noise").digest(size)


def tar(files: Files) -> bytes:
    """Return a layer with these entries, in this order."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, what in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(what, Link):
                member.type, member.linkname = tarfile.LNKTYPE if what.hard else tarfile.SYMTYPE, what.to
            elif what is DIRECTORY:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(what)
            archive.addfile(member, io.BytesIO(what) if isinstance(what, bytes) else None)
    return written.getvalue()


def found(config: Mapping[str, Any], *layers: Files | bytes) -> tuple[Program, ...]:
    """Return what an image with this config starts; the lowest of its *layers* first."""
    blobs = [layer if isinstance(layer, bytes) else tar(layer) for layer in layers]
    return started_programs({"config": config}, [Layer(partial(io.BytesIO, blob)) for blob in blobs])


def entrypoint(*words: str) -> dict[str, Any]:
    """Return the config of an image that starts with *words*."""
    return {"Entrypoint": [*words]}


def at(path: str, header: bytes = ARM64) -> tuple[Program, ...]:
    """Return what is found when the program at *path* is, alone."""
    return (Program(path, Elf.parse(header)),)


def missing(path: str) -> tuple[Program, ...]:
    """Return what is found when nothing is at *path*."""
    return (Program(path, note=f"{path} is not in its layers"),)


# How programs are marked.


@pytest.mark.parametrize("architecture", ELF)
def test_every_architecture_is_known_by_its_programs(architecture: str) -> None:
    """A header is read as what it was made of, belongs to one architecture, and is found in a layer."""
    elf = ELF[architecture]
    assert elf == Elf.parse(elf.header())
    assert (architecture,) == architectures_of(elf)
    assert (Program("/app", elf),) == found(entrypoint("/app"), {"app": elf.header() + b"\0" * 1000})


def test_both_byte_orders_and_widths_are_known() -> None:
    """The same machine in another byte order or width is another architecture, or none."""
    assert Elf(64, "big", 8) == Elf.parse(bytes.fromhex("7f454c4602020100000000000000000000020008"))
    assert Elf(64, "little", 8) == Elf.parse(bytes.fromhex("7f454c4602010100000000000000000002000800"))
    assert [("mips64",), ("mips64le",), ()] == [
        architectures_of(Elf(64, "big", 8)),
        architectures_of(Elf(64, "little", 8)),
        architectures_of(Elf(32, "big", 8)),
    ]


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"#!/bin/sh\n",
        AMD64[:19],
        b"MZ" + AMD64[2:],
        AMD64[:4] + b"\3" + AMD64[5:],
        AMD64[:5] + b"\0" + AMD64[6:],
    ],
    ids=["empty", "script", "short", "not ELF", "no such width", "no such byte order"],
)
def test_what_is_no_elf_file(head: bytes) -> None:
    """Other files, and headers that elf(5) does not know, are none."""
    assert None is Elf.parse(head)


# Which program it is.


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (entrypoint("/app/server", "--x"), "/app/server"),
        ({"Cmd": ["/app/server"]}, "/app/server"),
        ({"Entrypoint": ["/app/server"], "Cmd": ["/app/other"]}, "/app/server"),
        ({"Entrypoint": None, "Cmd": ["/app/server", "--x"]}, "/app/server"),
        ({"Entrypoint": [], "Cmd": []}, "/bin/sh"),
        ({}, "/bin/sh"),
        (None, "/bin/sh"),
        (entrypoint("server"), "/usr/bin/server"),
        ({**entrypoint("server"), "Env": ["A=b", "PATH=/nowhere:/opt/bin"]}, "/opt/bin/server"),
        ({**entrypoint("server"), "Env": ["PATH="]}, "/usr/bin/server"),
        ({**entrypoint("server"), "Env": ["PATH=/usr/bin"], "WorkingDir": "/opt/bin"}, "/usr/bin/server"),
        ({**entrypoint("./server"), "WorkingDir": "/app"}, "/app/server"),
        ({**entrypoint("bin/server"), "WorkingDir": "/opt"}, "/opt/bin/server"),
        ({**entrypoint("../app/server"), "WorkingDir": "/opt"}, "/app/server"),
        ({**entrypoint("./server"), "WorkingDir": "app"}, "/app/server"),
        (entrypoint("./app/server"), "/app/server"),
        (entrypoint("/opt/../app//server"), "/app/server"),
    ],
    ids=str,
)
def test_the_program_that_starts(config: dict[str, Any], expected: str) -> None:
    """The entrypoint, else the command, else the shell; by path, from the working directory, or through PATH."""
    files = ("app/other", "app/server", "opt/bin/server", "usr/bin/server", "bin/sh")
    (first, *_) = found(config, dict.fromkeys(files, ARM64))
    assert at(expected) == (first,)


@pytest.mark.parametrize(
    "config",
    [
        "text",
        {"Entrypoint": 5},
        {"Entrypoint": ["/bin/sh"], "Cmd": 5},
        {"Entrypoint": ["sh"], "Env": 5},
        {"Entrypoint": ["bin/sh"], "WorkingDir": 5},
    ],
    ids=str,
)
def test_a_config_that_is_malformed(config: Any) -> None:
    """What is not as config.md has it counts as not there, and ends in no traceback."""
    assert at("/bin/sh") == found(config, {"bin/sh": ARM64})


@pytest.mark.parametrize("directory", ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"])
def test_the_default_path(directory: str) -> None:
    """Where the config sets no PATH, it is the one that runtimes set."""
    assert at(f"/{directory}/server") == found(entrypoint("server"), {f"{directory}/server": ARM64})


def test_a_later_place_on_the_path() -> None:
    """A directory and an empty file of that name are no program: the next place is looked at."""
    files: Files = {"usr/sbin/server": DIRECTORY, "usr/bin/server": EMPTY, "bin/server": ARM64}
    assert at("/bin/server") == found(entrypoint("server"), files)


@pytest.mark.parametrize("prefix", ["", "./", "/", ".//"])
def test_names_in_the_tar(prefix: str) -> None:
    """However the tar spells its names, whiteouts and hard links, they are the same files."""
    lower: Files = {prefix or ".": DIRECTORY, f"{prefix}bin": DIRECTORY, f"{prefix}bin/busybox": ARM64}
    lower[f"{prefix}bin/old"] = AMD64
    upper: Files = {f"{prefix}bin/.wh.old": EMPTY, f"{prefix}bin/new": ARM64}
    upper_links = {**upper, f"{prefix}bin/sh": Link(f"{prefix}bin/new", hard=True)}
    assert at("/bin/busybox") == found(entrypoint("/bin/busybox"), lower)
    assert missing("/bin/old") == found(entrypoint("/bin/old"), lower, upper)
    assert [ELF["arm64"]] == [program.elf for program in found({}, {**lower, "bin/sh": AMD64}, upper_links)]


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_every_compression(compress: Callable[[bytes], bytes]) -> None:
    """A layer is read whatever it is compressed with, also when there is much before the program."""
    files: Files = {"data": noise(300_000), "app": ARM64}
    assert at("/app") == found(entrypoint("/app"), compress(tar(files)))


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
def test_gzip_as_others_write_it(layer: bytes) -> None:
    """Of all that RFC 1952 allows: eStargz layers have a member for each file (section 2.2)."""
    assert WHOLE == gzip.decompress(layer)
    assert at("/app") == found(entrypoint("/app"), layer)


# Links.

LINKS: dict[str, tuple[str, list[Files], str]] = {
    "symbolic": ("/bin/sh", [{"bin/busybox": ARM64, "bin/sh": Link("busybox")}], "/bin/busybox"),
    "before its target": ("/bin/sh", [{"bin/sh": Link("busybox"), "bin/busybox": ARM64}], "/bin/busybox"),
    "absolute": ("/bin/sh", [{"bin/sh": Link("/opt/busybox"), "opt/busybox": ARM64}], "/opt/busybox"),
    "chained": (
        "/usr/bin/java",
        [
            {"usr/bin/java": Link("/etc/alternatives/java"), "etc/alternatives/java": Link("/opt/jdk/bin/java")},
            {"opt/jdk": Link("jdk-17")},
            {"opt/jdk-17/bin/java": ARM64},
        ],
        "/opt/jdk-17/bin/java",
    ),
    "merged usr": ("/bin/sh", [{"bin": Link("usr/bin"), "usr/bin/sh": ARM64}], "/usr/bin/sh"),
    "merged usr below": ("/bin/sh", [{"bin": Link("usr/bin")}, {"usr/bin/sh": ARM64}], "/usr/bin/sh"),
    "merged usr above": ("/bin/sh", [{"usr/bin/sh": ARM64}, {"bin": Link("usr/bin")}], "/usr/bin/sh"),
    "merged usr through PATH": ("sh", [{"bin": Link("usr/bin"), "usr/bin/sh": ARM64}], "/usr/bin/sh"),
    "up": (
        "/usr/local/bin/npm",
        [{"usr/local/bin/npm": Link("../lib/npm/cli"), "usr/local/lib/npm/cli": ARM64}],
        "/usr/local/lib/npm/cli",
    ),
    "up from a linked directory": (
        "/bin/tool",
        [{"bin": Link("usr/bin"), "usr/bin/tool": Link("../lib/tool"), "usr/lib/tool": ARM64, "lib/tool": AMD64}],
        "/usr/lib/tool",
    ),
    "up beyond the root": ("/bin/sh", [{"bin/sh": Link("../../../opt/sh"), "opt/sh": ARM64}], "/opt/sh"),
    "replaced": ("/app", [{"app": Link("old"), "old": AMD64, "new": ARM64}, {"app": Link("new")}], "/new"),
    "replaced by a file": ("/app", [{"app": Link("old"), "old": AMD64}, {"app": ARM64}], "/app"),
}


@pytest.mark.parametrize("case", LINKS)
def test_links_are_followed(case: str) -> None:
    """As the kernel follows them: in any order, through directories and layers."""
    word, layers, expected = LINKS[case]
    assert at(expected) == found(entrypoint(word), *layers)


HARD_LINKS: dict[str, tuple[str, list[Files]]] = {
    "alone": ("/bin/sh", [{"bin/busybox": ARM64, "bin/sh": Link("bin/busybox", hard=True)}]),
    "in a row": (
        "/c",
        [{"a": ARM64, "b": Link("a", hard=True), "c": Link("b", hard=True)}],
    ),
    "to symbolic": (
        "/bin/ash",
        [{"bin/busybox": ARM64, "bin/sh": Link("busybox"), "bin/ash": Link("bin/sh", hard=True)}],
    ),
    "from symbolic": (
        "/bin/ash",
        [{"bin/busybox": ARM64, "bin/sh": Link("bin/busybox", hard=True)}, {"bin/ash": Link("sh")}],
    ),
    "in a linked directory": (
        "/bin/sh",
        [{"bin": Link("usr/bin")}, {"usr/bin/busybox": ARM64, "usr/bin/sh": Link("usr/bin/busybox", hard=True)}],
    ),
    "over a file": (
        "/bin/sh",
        [{"bin/sh": AMD64}, {"bin/busybox": ARM64, "bin/sh": Link("bin/busybox", hard=True)}],
    ),
}


@pytest.mark.parametrize("case", HARD_LINKS)
def test_hard_links_are_followed(case: str) -> None:
    """They are another name of a file of their layer; by which of its names it is called then does not matter."""
    word, layers = HARD_LINKS[case]
    assert [ELF["arm64"]] == [program.elf for program in found(entrypoint(word), *layers)]


@pytest.mark.parametrize("upper", [{"bin/.wh.busybox": EMPTY}, {"bin/busybox": AMD64}], ids=["removed", "replaced"])
def test_a_hard_link_outlives_the_name_that_it_was_made_of(upper: Files) -> None:
    """Both names are the file: what a layer above does to one leaves the other as it is."""
    lower: Files = {"bin/busybox": ARM64, "bin/sh": Link("bin/busybox", hard=True)}
    assert [ELF["arm64"]] == [program.elf for program in found(entrypoint("/bin/sh"), lower, upper)]


@pytest.mark.parametrize(
    "files",
    [
        {"app": Link("app")},
        {"app": Link("other"), "other": Link("app")},
        {"app": Link("app", hard=True)},
        {"app": Link("app/app")},
        {"app": Link("dir/app"), "dir": Link("again"), "again": Link("dir")},
        {"app": Link(".")},
        {"app": Link("")},
        {f"a{number}": Link(f"a{number + 1}") for number in range(50)} | {"app": Link("a0"), "a50": ARM64},
    ],
    ids=["itself", "each other", "hard", "growing", "directories", "the root", "nothing", "more than Linux follows"],
)
def test_links_that_lead_nowhere(files: Files) -> None:
    """A loop ends, in nothing."""
    assert missing("/app") == found(entrypoint("/app"), files)


# Scripts.


@pytest.mark.parametrize(
    ("line", "interpreter"),
    [
        (b"#!/bin/sh\n", "/bin/sh"),
        (b"#!/bin/sh", "/bin/sh"),
        (b"#!/bin/sh -e\nexec x\n", "/bin/sh"),
        (b"#! /usr/bin/env python3\n", "/usr/bin/env"),
        (b"#!\t/usr/bin/env\tpython3\n", "/usr/bin/env"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("first", ["script", "interpreter"])
def test_the_program_of_a_script_is_its_interpreter(line: bytes, interpreter: str, first: str) -> None:
    """What the first line names is found above and below the script, and before and after it."""
    script: Files = {"run.sh": line}
    programs: Files = {"bin/sh": ARM64, "usr/bin/env": ARM64}
    assert at(interpreter) == found(entrypoint("/run.sh"), programs, script)
    assert at(interpreter) == found(entrypoint("/run.sh"), script, programs)
    mixed = {**script, **programs} if first == "script" else {**programs, **script}
    assert at(interpreter) == found(entrypoint("/run.sh"), mixed)


def test_a_script_run_by_a_script() -> None:
    """Interpreters may be links and scripts themselves."""
    files: Files = {"run": b"#!/bin/wrap\n", "bin/wrap": b"#!/bin/sh\n", "bin/sh": Link("dash"), "bin/dash": ARM64}
    assert at("/bin/dash") == found(entrypoint("/run"), files)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"run": SHELL_SCRIPT}, Program("/run", note="/bin/sh, which runs /run, is not in its layers")),
        ({"run": b"#!\n/bin/sh"}, Program("/run", note="/run is a script without an interpreter")),
        ({"run": b"#!"}, Program("/run", note="/run is a script without an interpreter")),
        ({"run": b"#!/run\n"}, Program("/run", note="/run is a script without an interpreter")),
        ({"run": b"exec app\n"}, Program("/run", note="/run is no ELF program")),
        ({"run": AMD64[:10]}, Program("/run", note="/run is no ELF program")),
        ({"run": EMPTY}, Program("/run", note="/run is not in its layers")),
        ({"run": DIRECTORY}, Program("/run", note="/run is not in its layers")),
        ({"run/it": ARM64}, Program("/run", note="/run is not in its layers")),
        ({"data": b"1"}, Program("/run", note="/run is not in its layers")),
        ({}, Program("/run", note="/run is not in its layers")),
    ],
    ids=[
        *("no interpreter", "no name", "nothing but the mark", "its own", "no mark", "cut off", "empty", "directory"),
        *("directory without an entry", "data", "no files"),
    ],
)
def test_where_no_program_is_found(files: Files, expected: Program) -> None:
    """One without a header, and why."""
    assert (expected,) == found(entrypoint("/run"), files)


def test_an_image_of_data() -> None:
    """No layers, or nothing in them to be run: the shell that is not there is named."""
    assert missing("/bin/sh") == found({})
    assert missing("/bin/sh") == found({}, {"data": b"1" * 2000, "more/data": b""})


# Layers.

LOWER: Files = {"app": DIRECTORY, "app/bin": DIRECTORY, "app/bin/server": ARM64}


@pytest.mark.parametrize(
    ("uppers", "expected"),
    [
        ([{"etc/passwd": b"root"}], at("/app/bin/server")),
        ([{"app": DIRECTORY, "app/bin": DIRECTORY, "app/bin/other": AMD64}], at("/app/bin/server")),
        ([{"app/bin/server": AMD64}], at("/app/bin/server", AMD64)),
        ([{"app/bin/server": AMD64}, {"app/bin/server": ARM64}], at("/app/bin/server")),
        ([{"app/bin/.wh.server": EMPTY}], missing("/app/bin/server")),
        ([{"app/bin/.wh.serve": EMPTY, "app/.wh.server": EMPTY, ".wh.server": EMPTY}], at("/app/bin/server")),
        ([{"app/bin/.wh.server": EMPTY}, {"app/bin/server": AMD64}], at("/app/bin/server", AMD64)),
        ([{"app/bin/.wh.server": EMPTY}, {"etc/passwd": b"root"}], missing("/app/bin/server")),
        ([{"app/bin/.wh..wh..opq": EMPTY}], missing("/app/bin/server")),
        ([{"app/.wh..wh..opq": EMPTY}], missing("/app/bin/server")),
        ([{".wh..wh..opq": EMPTY}], missing("/app/bin/server")),
        ([{"app/bin/server/.wh..wh..opq": EMPTY}], at("/app/bin/server")),
        ([{"other/.wh..wh..opq": EMPTY}], at("/app/bin/server")),
        ([{"app/bin/.wh..wh..opq": EMPTY, "app/bin/server": AMD64}], at("/app/bin/server", AMD64)),
        ([{"app/bin/server": AMD64, "app/bin/.wh..wh..opq": EMPTY}], at("/app/bin/server", AMD64)),
        ([{"app/.wh..wh..opq": EMPTY, "app/bin": DIRECTORY, "app/bin/server": AMD64}], at("/app/bin/server", AMD64)),
        ([{"app/bin/.wh..wh..opq": EMPTY}, {"app/bin/server": AMD64}], at("/app/bin/server", AMD64)),
        ([{"app/.wh.bin": EMPTY}], missing("/app/bin/server")),
        ([{".wh.app": EMPTY}], missing("/app/bin/server")),
        ([{".wh.app": EMPTY}, {"app": DIRECTORY, "app/bin": DIRECTORY}], missing("/app/bin/server")),
        ([{"app/bin/server": EMPTY}], missing("/app/bin/server")),
        ([{"app/bin/server": DIRECTORY}], missing("/app/bin/server")),
        ([{"app/.wh.bin": EMPTY, "opt/server": AMD64}, {"app/bin": Link("../opt")}], at("/opt/server", AMD64)),
    ],
    ids=str,
)
def test_layers_lie_over_each_other(uppers: list[Files], expected: tuple[Program, ...]) -> None:
    """The topmost file counts; whiteouts and opaque directories hide what is below them, not what is beside them."""
    assert expected == found(entrypoint("/app/bin/server"), LOWER, *uppers)


def test_what_is_hidden_is_not_found_through_links() -> None:
    """Nor as the interpreter of a script."""
    base: Files = {"bin/dash": ARM64, "bin/sh": Link("dash"), "run": SHELL_SCRIPT}
    assert missing("/bin/sh") == found({}, base, {"bin/.wh.dash": EMPTY})
    expected = Program("/run", note="/bin/sh, which runs /run, is not in its layers")
    assert (expected,) == found(entrypoint("/run"), base, {"bin/.wh.dash": EMPTY})


# What else is started.


@pytest.mark.parametrize(
    ("config", "others"),
    [
        (entrypoint("/bin/tini", "--", "/app/server"), ["/app/server"]),
        ({"Entrypoint": ["/bin/tini", "--"], "Cmd": ["/app/server", "/etc/app.conf"]}, ["/app/server"]),
        ({"Entrypoint": ["/bin/tini", "--"], "Cmd": ["/no/such/file", "--x"]}, []),
        ({"Entrypoint": ["/bin/start.sh"], "Cmd": ["server", "--x"]}, ["/usr/bin/server"]),
        ({"Entrypoint": ["/bin/start.sh"], "Cmd": ["/usr/bin/link"]}, ["/app/server"]),
        (entrypoint("/bin/sh", "-c", "exec /app/server --x"), ["/app/server"]),
        ({"Cmd": ["/bin/sh", "-c", "cd /etc && '/app/server' /usr/bin/server"]}, ["/app/server", "/usr/bin/server"]),
        (entrypoint("/bin/sh", "-c", "it's /app/server"), []),
        (entrypoint("/bin/sh", "-c"), []),
        (entrypoint("/bin/sh", "/etc/app.conf", "/app/server"), ["/app/server"]),
    ],
    ids=str,
)
def test_the_programs_that_others_start(config: dict[str, Any], others: list[str]) -> None:
    """Those met on the way to the first, when its other words name them; what is no program is passed over."""
    base: Files = {"bin/tini": ARM64, "bin/sh": ARM64}
    files: Files = {"etc/app.conf": b"x=1", "bin/start.sh": SHELL_SCRIPT, "app/server": AMD64}
    files |= {"usr/bin/server": AMD64}
    first, *met = found(config, base, {**files, "usr/bin/link": Link("/app/server")})
    assert ELF["arm64"] == first.elf
    assert [Program(path, ELF["amd64"]) for path in others] == met


# What cannot be read.

ZSTD = b"\x28\xb5\x2f\xfd" + noise(2000)
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
def test_a_layer_that_cannot_be_read(blob: bytes) -> None:
    """It is a note, wherever the layer lies, unless the program was found above it."""
    for layers in ([blob], [LOWER, blob], [blob, LOWER]):
        (program,) = found(entrypoint("/app"), *layers)
        assert (Program("/app", None), True) == (
            Program(program.path, program.elf),
            program.note.startswith("a layer of it cannot be read ("),
        )
        assert 1 == len(program.note.splitlines())
    assert at("/app") == found(entrypoint("/app"), blob, {"app": ARM64})


def test_what_was_met_above_an_unreadable_layer_counts() -> None:
    """The first program lies in a layer that nobody can read; the one that it starts was found, and is told of."""
    first, *met = found(entrypoint("/bin/tini", "--", "/app/server"), ZSTD, {"app/server": AMD64})
    assert ("/bin/tini", None) == (first.path, first.elf)
    assert [Program("/app/server", ELF["amd64"])] == met


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_a_layer_that_ends_early(compress: Callable[[bytes], bytes]) -> None:
    """Wherever it ends, no program is made up, and nothing but a note comes of it."""
    whole = compress(tar({"data": NOISE, "app": ARM64, "more": NOISE}))
    for length in [*range(40), *range(40, len(NOISE), 97)]:
        (program,) = found(entrypoint("/app"), whole[:length])
        assert (None, "/app", True) == (program.elf, program.path, bool(program.note)), length


def test_a_layer_stays_unreadable() -> None:
    """What was wrong when its beginning was prefetched is raised when it is needed, every time."""
    layer = Layer(partial(io.BytesIO, ZSTD))
    layer.prefetch()
    for _ in range(2):
        with pytest.raises(tarfile.TarError):
            layer.advance()


def test_a_fault_of_the_way_there_is_raised() -> None:
    """A registry that fails is not an unreadable layer."""

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


def test_no_more_is_read_than_needed() -> None:
    """A program at the start of the top layer: nothing below is opened, and little of the layer is read."""
    blobs = [Blob(LOWER), Blob({"app": ARM64, "data": MUCH, "more": b""})]
    layers = [Layer(blob.open) for blob in blobs]
    assert at("/app") == started_programs({"config": entrypoint("/app")}, layers)
    assert [0, 1] == [len(blob.files) for blob in blobs]
    assert [set(), {"app"}] == [set(layer.files) for layer in layers]
    assert blobs[1].files[0].taken < len(MUCH) / 4


def test_a_layer_is_read_until_the_program_is_found() -> None:
    """The layers above it to their end, its own as far as it, and those below not at all."""
    blobs = [Blob(LOWER), Blob({"etc": DIRECTORY, "app": ARM64, "later": b""}), Blob({"a": b"", "b": b"", "c": b""})]
    layers = [Layer(blob.open) for blob in blobs]
    assert at("/app") == started_programs({"config": entrypoint("/app")}, layers)
    assert [[], ["etc", "app"], ["a", "b", "c"]] == [list(layer.files) for layer in layers]


def test_prefetching_reads_the_beginning_alone() -> None:
    """A layer whose beginning was read ahead is opened once, and read on from there if it is needed."""
    blobs = [Blob({"first": b"", "data": MUCH, "bin/sh": AMD64}), Blob({"run": SHELL_SCRIPT, "bin/sh": ARM64})]
    layers = [Layer(blob.open) for blob in blobs]
    for layer in layers:
        layer.prefetch()
    assert [["first"], ["run"]] == [list(layer.files) for layer in layers]
    assert at("/bin/sh") == started_programs({"config": entrypoint("/run")}, layers)
    assert [["first"], ["run", "bin/sh"]] == [list(layer.files) for layer in layers]
    assert blobs[0].files[0].taken < len(MUCH) / 4
    assert [[True], [True]] == [[file.closed for file in blob.files] for blob in blobs]


@pytest.mark.parametrize("word", ["/app", "/app/bin/server", "/nowhere"])
@pytest.mark.parametrize("ahead", [False, True])
def test_layers_are_closed(word: str, ahead: bool) -> None:
    """Whether the program was found or not, and how far the layers were read; and once closed they have no more."""
    blobs = [Blob(LOWER), Blob({"app": ARM64, "data": b"1"}), Blob({"etc": DIRECTORY})]
    layers = [Layer(blob.open) for blob in blobs]
    for layer in layers if ahead else []:
        layer.prefetch()
    started_programs({"config": entrypoint(word)}, layers)
    assert [True] * 3 == [all(file.closed for file in blob.files) for blob in blobs]
    assert [None] * 3 == [layer.advance() for layer in layers]
    assert max(len(blob.files) for blob in blobs) == 1


def test_a_layer_is_read_once_for_all_its_readers() -> None:
    """Each finds its own program in it, one behind the other; it is open until the last of them is done."""
    shared, lower = Blob({"data": MUCH, "app": ARM64, "server": AMD64}), Blob(LOWER)
    layer = Layer(shared.open)
    readers = [layer.again(), layer.again()]
    assert at("/app") == started_programs({"config": entrypoint("/app")}, [Layer(lower.open), readers[0]])
    assert ["data", "app"] == list(layer.files)
    (program,) = started_programs({"config": entrypoint("/server")}, [Layer(lower.open), readers[1]])
    assert "/server" == program.path
    assert program.elf is not None
    assert [False] == [file.closed for file in shared.files]
    layer.close()
    assert [True] == [file.closed for file in shared.files]
    assert [] == lower.files


def test_a_layer_of_many_files_that_ends_early() -> None:
    """All readers get every file that is whole, in order and at the same time; then the fault, every time."""
    names = [f"f{number:03}" for number in range(200)]
    whole = tar({name: noise(1000) for name in names})
    readers = [Layer(partial(io.BytesIO, whole[: 150 * 1536 + 600]))]
    readers += [readers[0].again() for _ in range(3)]

    def read(layer: Layer) -> list[str | None]:
        got = [layer.advance() for _ in range(150)]
        for _ in range(2):
            with pytest.raises(tarfile.TarError):
                layer.advance()
        layer.close()
        return got

    with ThreadPoolExecutor(max_workers=len(readers)) as pool:
        assert [names[:150]] * len(readers) == list(pool.map(read, readers))


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_a_large_layer_is_read_ahead(compress: Callable[[bytes], bytes]) -> None:
    """Much more than is fetched at a time, and than one piece may become; the fault of the way there is raised."""
    blob = compress(tar({"noise": noise(3_000_000), "zeros": bytes(5_000_000), "app": ARM64}))
    assert at("/app") == found(entrypoint("/app"), blob)

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 2_000_000:
                raise ConnectionResetError("reset")
            return super().read(size)

    with pytest.raises(ConnectionResetError):
        started_programs({"config": entrypoint("/app")}, [Layer(lambda: Broken(blob))])

"""Which programs an image starts: through its config, links, scripts, and layers that lie over each other."""

from __future__ import annotations

from typing import Any

import pytest

from multiarch.image.elf import ELF, Elf, architectures_of
from multiarch.image.program import Program
from tests.unit.images import (
    AMD64,
    ARM64,
    DIRECTORY,
    EMPTY,
    LOWER,
    Files,
    Link,
    at,
    entrypoint,
    missing,
    programs_of,
)

SHELL_SCRIPT = b"#!/bin/sh\n"


# How programs are marked.


@pytest.mark.parametrize("architecture", ELF)
def test_every_architecture_is_known_by_its_programs(architecture: str) -> None:
    """A header is read as what it was made of, is of one architecture, and is found in a layer."""
    elf = ELF[architecture]
    assert elf == Elf.parse(elf.header())
    assert (architecture,) == architectures_of(elf)
    assert (Program("/app", elf),) == programs_of(entrypoint("/app"), {"app": elf.header() + b"\0" * 1000})


def test_byte_order_and_width_belong_to_an_architecture() -> None:
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
def test_other_files_are_no_elf_files(head: bytes) -> None:
    """Nor are headers that elf(5) does not know."""
    assert None is Elf.parse(head)


def nowhere(fault: str) -> Program:
    """Return a program at /run that starts on no machine."""
    return Program("/run", fault=fault)


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
def test_program_is_found_as_a_runtime_finds_it(config: dict[str, Any], expected: str) -> None:
    """The entrypoint, else the command, else the shell; by path, from the working directory, or through PATH."""
    files = ("app/other", "app/server", "opt/bin/server", "usr/bin/server", "bin/sh")
    (first, *_) = programs_of(config, dict.fromkeys(files, ARM64))
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
def test_malformed_config_counts_as_absent(config: Any) -> None:
    """It ends in no traceback."""
    assert at("/bin/sh") == programs_of(config, {"bin/sh": ARM64})


@pytest.mark.parametrize("directory", ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"])
def test_default_path_is_that_of_runtimes(directory: str) -> None:
    """Where the config sets no PATH."""
    assert at(f"/{directory}/server") == programs_of(entrypoint("server"), {f"{directory}/server": ARM64})


def test_directories_on_the_path_are_passed_over() -> None:
    """A later directory of PATH may have the program."""
    files: Files = {"usr/sbin/server": DIRECTORY, "usr/bin": DIRECTORY, "bin/server": ARM64}
    assert at("/bin/server") == programs_of(entrypoint("server"), files)


@pytest.mark.parametrize("prefix", ["", "./", "/", ".//"])
def test_names_in_the_tar_are_normalised(prefix: str) -> None:
    """Tools spell names, whiteouts and hard links in several ways."""
    lower: Files = {prefix or ".": DIRECTORY, f"{prefix}bin": DIRECTORY, f"{prefix}bin/busybox": ARM64}
    lower[f"{prefix}bin/old"] = AMD64
    upper: Files = {f"{prefix}bin/.wh.old": EMPTY, f"{prefix}bin/new": ARM64}
    upper_links = {**upper, f"{prefix}bin/sh": Link(f"{prefix}bin/new", hard=True)}
    assert at("/bin/busybox") == programs_of(entrypoint("/bin/busybox"), lower)
    assert missing("/bin/old") == programs_of(entrypoint("/bin/old"), lower, upper)
    assert [ELF["arm64"]] == [program.elf for program in programs_of({}, {**lower, "bin/sh": AMD64}, upper_links)]


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
    assert at(expected) == programs_of(entrypoint(word), *layers)


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
    """A program may have any of its names in the result."""
    word, layers = HARD_LINKS[case]
    assert [ELF["arm64"]] == [program.elf for program in programs_of(entrypoint(word), *layers)]


@pytest.mark.parametrize("upper", [{"bin/.wh.busybox": EMPTY}, {"bin/busybox": AMD64}], ids=["removed", "replaced"])
def test_hard_link_outlives_its_first_name(upper: Files) -> None:
    """A layer above that removes or replaces one name leaves the other."""
    lower: Files = {"bin/busybox": ARM64, "bin/sh": Link("bin/busybox", hard=True)}
    assert [ELF["arm64"]] == [program.elf for program in programs_of(entrypoint("/bin/sh"), lower, upper)]


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
def test_links_that_lead_nowhere_end(files: Files) -> None:
    """A loop must not."""
    assert missing("/app") == programs_of(entrypoint("/app"), files)


# Scripts.


@pytest.mark.parametrize(
    ("line", "interpreter"),
    [
        (b"#!/bin/sh\n", "/bin/sh"),
        (b"#!/bin/sh", "/bin/sh"),
        (b"#!/bin/sh -e\n", "/bin/sh"),
        (b"#! /usr/bin/python3 -u\n", "/usr/bin/python3"),
        (b"#!\t/usr/bin/python3\t-u\n", "/usr/bin/python3"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("first", ["script", "interpreter"])
def test_program_of_a_script_is_its_interpreter(line: bytes, interpreter: str, first: str) -> None:
    """It may be above or below the script, and before or behind it."""
    script: Files = {"run.sh": line}
    programs: Files = {"bin/sh": ARM64, "usr/bin/python3": ARM64}
    assert at(interpreter) == programs_of(entrypoint("/run.sh"), programs, script)
    assert at(interpreter) == programs_of(entrypoint("/run.sh"), script, programs)
    mixed = {**script, **programs} if first == "script" else {**programs, **script}
    assert at(interpreter) == programs_of(entrypoint("/run.sh"), mixed)


def test_interpreter_may_be_a_script_or_a_link() -> None:
    """Then its own interpreter is the program."""
    files: Files = {"run": b"#!/bin/wrap\n", "bin/wrap": b"#!/bin/sh\n", "bin/sh": Link("dash"), "bin/dash": ARM64}
    assert at("/bin/dash") == programs_of(entrypoint("/run"), files)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"run": SHELL_SCRIPT}, Program("/run", note="/bin/sh, which runs /run, is not in its layers")),
        ({"run": b"#!\n/bin/sh"}, nowhere("/run is a script without a shebang, such as #!/bin/sh")),
        ({"run": b"#!"}, nowhere("/run is a script without a shebang, such as #!/bin/sh")),
        ({"run": b"#!/run\n"}, nowhere("/run has more interpreters of interpreters than Linux follows")),
        ({"run": b"exec app\n"}, nowhere("/run is a script without a shebang, such as #!/bin/sh")),
        ({"run": AMD64[:10]}, nowhere("/run is neither an ELF program nor a script")),
        ({"run": EMPTY}, nowhere("/run is empty")),
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
def test_program_that_is_not_found_has_a_note_or_a_fault(files: Files, expected: Program) -> None:
    """It says why; a fault is what `exec format error` and the like are on every machine."""
    assert (expected,) == programs_of(entrypoint("/run"), files)


def test_image_of_data_has_no_program() -> None:
    """The note names the shell, with which the image would start."""
    assert missing("/bin/sh") == programs_of({})
    assert missing("/bin/sh") == programs_of({}, {"data": b"1" * 2000, "more/data": b""})


# Layers.


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
        ([{"app/bin/server": EMPTY}], (Program("/app/bin/server", fault="/app/bin/server is empty"),)),
        ([{"app/bin/server": DIRECTORY}], missing("/app/bin/server")),
        ([{"app/.wh.bin": EMPTY, "opt/server": AMD64}, {"app/bin": Link("../opt")}], at("/opt/server", AMD64)),
    ],
    ids=str,
)
def test_layers_lie_over_each_other(uppers: list[Files], expected: tuple[Program, ...]) -> None:
    """Whiteouts and opaque directories hide what is below them, not what is beside them."""
    assert expected == programs_of(entrypoint("/app/bin/server"), LOWER, *uppers)


def test_hidden_files_are_not_found_through_links() -> None:
    """Nor as the interpreter of a script."""
    base: Files = {"bin/dash": ARM64, "bin/sh": Link("dash"), "run": SHELL_SCRIPT}
    assert missing("/bin/sh") == programs_of({}, base, {"bin/.wh.dash": EMPTY})
    expected = Program("/run", note="/bin/sh, which runs /run, is not in its layers")
    assert (expected,) == programs_of(entrypoint("/run"), base, {"bin/.wh.dash": EMPTY})

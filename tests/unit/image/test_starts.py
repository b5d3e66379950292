"""What the kernel and known wrappers start: arguments, interpreters, loaders, and what starts nowhere."""

from __future__ import annotations

import pytest

from multiarch.image.elf import ELF
from multiarch.image.files import ElsewhereLayer
from multiarch.image.marks import FloatABI, Marks
from multiarch.image.program import Program
from multiarch.image.programs import started_programs
from tests.integration.elf_files import program
from tests.unit.images import AMD64, ARM64, Files, Link, entrypoint, layer_of, programs_of, tar

SERVER = Program("/usr/bin/server", ELF["amd64"])


@pytest.mark.parametrize(
    "words",
    [
        ("tini", "--"),
        ("tini", "-s", "-vvv", "-e", "143", "--"),
        ("tini-amd64", "-g", "--"),
        ("docker-init", "--"),
        ("dumb-init",),
        ("dumb-init", "--rewrite", "15:3", "--single-child", "--"),
        ("dumb-init", "-r15:3"),
        ("catatonit", "-g", "--"),
        ("su-exec", "nobody"),
        ("gosu", "1000:1000"),
        ("s6-setuidgid", "app"),
        ("setpriv", "--reuid=1000", "--regid", "1000", "--init-groups", "--"),
        ("runuser", "-u", "nobody", "--"),
        ("sudo", "-E", "-u", "app"),
        ("chpst", "-u", "app", "-o", "1024"),
        ("env",),
        ("env", "-i", "PATH=/usr/bin", "A=b"),
        ("env", "-u", "HOME", "-C", "/", "--"),
        ("env", "-S", "A=b tini --"),
        ("nice",),
        ("nice", "-n", "10"),
        ("nice", "-10"),
        ("nice", "-n10"),
        ("ionice", "-c2", "-n", "7"),
        ("nohup",),
        ("setsid", "-w"),
        ("stdbuf", "-oL", "-e", "0"),
        ("taskset", "-c", "0,1"),
        ("chrt", "-f", "10"),
        ("timeout", "--signal=KILL", "-k", "5", "1h"),
        ("time", "-f", "%e"),
        ("numactl", "--interleave=all"),
        ("xvfb-run", "-a", "-s", "-screen 0"),
        ("dockerize", "-wait", "tcp://db:5432", "-timeout", "30s"),
        ("wait-for-it.sh", "db:5432", "-t", "30", "--"),
        ("/lib/ld-linux-aarch64.so.1", "--library-path", "/lib"),
        ("busybox", "nice", "-n", "5"),
        ("tini", "--", "gosu", "nobody", "env", "A=b"),
    ],
    ids=" ".join,
)
def test_program_behind_a_wrapper_is_found(words: tuple[str, ...]) -> None:
    """Behind its options, their values and its own operands."""
    names = {word.lstrip("/") for word in ("tini", "gosu", "env", words[0])}
    files: Files = {name if "/" in name else f"usr/bin/{name}": ARM64 for name in names}
    programs = programs_of(entrypoint(*words, "server", "--x"), {**files, "usr/bin/server": AMD64})
    assert SERVER == programs[-1]
    assert [] == [each for each in programs if each.note or each.fault]


def test_wrapper_that_is_a_script_is_known_by_its_name() -> None:
    """What it does between is no matter."""
    files: Files = {"wait-for-it.sh": b'#!/bin/sh\nexec "${CLI[@]}"\n', "bin/sh": ARM64, "usr/bin/server": AMD64}
    assert [Program("/bin/sh", ELF["arm64"]), SERVER] == [
        *programs_of(entrypoint("/wait-for-it.sh", "db:1", "--", "server"), files)
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("sh", "-c", "server"),
        ("sh", "-ec", "exec server"),
        ("sh", "-o", "errexit", "-c", "server"),
        ("sh", "-c", 'exec "$@"', "sh", "server"),
        ("sh", "/run.sh"),
        ("sh", "-eu", "run.sh"),
        ("busybox", "sh", "-c", "server"),
        ("su", "-s", "/bin/sh", "app", "-c", "server"),
    ],
    ids=" ".join,
)
def test_shell_runs_what_its_arguments_say(words: tuple[str, ...]) -> None:
    """A script as a word, or as a file that needs neither a mode nor a shebang."""
    files: Files = {**dict.fromkeys(("bin/sh", "bin/busybox", "bin/su"), ARM64), "run.sh": b"server\n"}
    assert SERVER == programs_of(entrypoint(*words), {**files, "usr/bin/server": AMD64})[-1]


# Interpreters.


@pytest.mark.parametrize(("count", "starts"), [(1, True), (5, True), (6, False)])
def test_interpreters_of_interpreters_are_followed_as_by_linux(count: int, starts: bool) -> None:
    """Five, and no more."""
    files: Files = {f"l{number}": f"#!/l{number - 1}\n".encode() for number in range(1, count + 1)}
    (only,) = programs_of(entrypoint(f"/l{count}"), {**files, "l0": AMD64})
    assert (starts, not starts) == (only.elf == ELF["amd64"], bool(only.fault))


def test_rest_of_a_shebang_is_one_argument() -> None:
    """`env` finds no program with a blank in its name; with -S it splits the argument."""
    files: Files = {"usr/bin/env": ARM64, "usr/bin/node": AMD64, "run": b"#!/usr/bin/env node --x\n"}
    note = "node --x, which /usr/bin/env starts, is not in its layers"
    assert Program("node --x", note=note) == programs_of(entrypoint("/run"), files)[-1]
    files["run"] = b"#!/usr/bin/env -S node --x\n"
    assert Program("/usr/bin/node", ELF["amd64"]) == programs_of(entrypoint("/run"), files)[-1]


# What starts nowhere.


def test_file_without_a_shebang_is_a_script_for_shells_alone() -> None:
    """The kernel refuses it; what a wrapper does depends on its C library."""
    files: Files = {"run": b"exec server\n", "bin/sh": ARM64, "bin/tini": ARM64, "usr/bin/server": AMD64}
    (direct,) = programs_of(entrypoint("/run"), files)
    assert "/run is a script without a shebang, such as #!/bin/sh" == direct.fault
    assert SERVER == programs_of(entrypoint("sh", "-c", "/run"), files)[-1]
    note = "/run has no shebang, and not all of what starts it runs it then"
    assert [Program("/run", note=note), SERVER] == [*programs_of(entrypoint("tini", "/run"), files)][1:]


# Loaders and other marks.

LOADER = "/lib/ld-linux-aarch64.so.1"


@pytest.mark.parametrize(
    ("loader", "fault"),
    [
        (ARM64, ""),
        (Link("/opt/ld.so"), ""),
        (AMD64, f"/app needs the dynamic loader {LOADER}, which is of another architecture than itself"),
        (b"text", f"/app needs the dynamic loader {LOADER}, which is not in the image"),
        (None, f"/app needs the dynamic loader {LOADER}, which is not in the image"),
    ],
)
def test_dynamic_loader_is_there_and_fits(loader: bytes | Link | None, fault: str) -> None:
    """Through links as well."""
    files: Files = {"app": program("arm64", loader=LOADER), "opt/ld.so": ARM64, LOADER.lstrip("/"): loader}
    first, *others = programs_of(entrypoint("/app"), files)
    assert (ELF["arm64"], LOADER) == (first.elf, first.marks.loader)
    assert [fault] * bool(fault) == [other.fault.partition(": ")[0] for other in others]


def test_loader_of_another_float_abi_does_not_fit() -> None:
    """Both are of ARM, and the program does not load."""
    files: Files = {"app": program("arm", loader="/lib/ld.so", flags=0x400), "lib/ld.so": program("arm", flags=0x200)}
    assert ["/app is hard-float, and its dynamic loader /lib/ld.so soft-float"] == [
        each.fault for each in programs_of(entrypoint("/app"), files) if each.fault
    ]


@pytest.mark.parametrize(
    ("content", "marks"),
    [
        (program("arm", arm_version=10, flags=0x400), Marks(arm_version=7, float_abi=FloatABI.HARD)),
        (program("arm", arm_version=9), Marks(arm_version=6, float_abi=FloatABI.HARD)),
        (program("arm", arm_version=4, flags=0x200), Marks(arm_version=5, float_abi=FloatABI.SOFT)),
        (program("arm", arm_version=13), Marks(float_abi=FloatABI.HARD)),
        (program("arm") + b"x" * 70_000 + b"build\tGOARM=6\n", Marks(arm_version=6)),
        (program("arm"), Marks()),
        (program("amd64", isa=1), Marks(x86_level=1)),
        (program("amd64", isa=3), Marks(x86_level=2)),
        (program("amd64", isa=15, loader="/ld.so"), Marks(loader="/ld.so", x86_level=4)),
        (program("s390x", loader="/lib/ld64.so.1"), Marks(loader="/lib/ld64.so.1")),
        (ARM64[:40], Marks(problem="it ends within its header")),
    ],
)
def test_marks_are_read(content: bytes, marks: Marks) -> None:
    """Those of compilers' attributes, of Go's build information, and of linkers' notes."""
    assert marks == programs_of(entrypoint("/app"), {"app": content})[0].marks


# Layers that are not read.


def test_layer_that_is_elsewhere_is_no_pass() -> None:
    """What is above it counts, what may be in it is noted."""
    base, blob = ElsewhereLayer("https://example.com/base"), tar({"app": ARM64})
    config = entrypoint("/app")
    assert (Program("/app", ELF["arm64"]),) == started_programs({"config": config}, [base, layer_of(blob)])
    (only,) = started_programs({"config": entrypoint("/server")}, [base, layer_of(blob)])
    assert ("a layer of it is elsewhere (https://example.com/base)", True) == (only.note, only.is_unread)

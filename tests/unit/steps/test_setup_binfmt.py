"""What the kernel says of its emulators, and which platforms it therefore runs."""

from __future__ import annotations

import socket
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from multiarch.config.load import load
from multiarch.docker_info import HostInfo
from multiarch.errors import DockerError
from multiarch.image.platform import Platform
from multiarch.steps import setup_binfmt
from multiarch.steps.setup_binfmt import (
    Emulator,
    HostState,
    Runnable,
    commands_on,
    installer_arguments,
    parse_entries,
    read_state,
)
from tests.emulators import ENTRIES, kept

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.docker_host import DockerHost

AARCH64 = "7f454c460201010000000000000000000200b700 ffffffffffffff00fffffffffffffffffeffffff"
ARM = "7f454c4601010100000000000000000002002800 ffffffffffffff00fffffffffffffffffeffffff"
ARMEB = "7f454c4601020100000000000000000000020028 ffffffffffffff00fffffffffffffffffffeffff"
S390X = "7f454c4602020100000000000000000000020016 ffffffffffffff00fffffffffffffffffffeffff"
RISCV64 = "7f454c460201010000000000000000000200f300 ffffffffffffff00fffffffffffffffffeffffff"
MIPSN32EL = (
    "7f454c46010101000000000000000000020008000000000000000000000000000000000020000000"
    " ffffffffffffff00fffffffffffffffffeffffff0000000000000000000000000000000020000000"
)


def entry(name: str, magic_mask: str, *, flags: str = "POCF", state: str = "enabled", offset: int = 0) -> str:
    """Return an entry as the kernel prints it (fs/binfmt_misc.c, entry_status), below the probe's own line."""
    magic, _, mask = magic_mask.partition(" ")
    lines = [f"# entry {name}", state, f"interpreter /usr/bin/{name}-static", f"flags: {flags}", f"offset {offset}"]
    return "\n".join([*lines, f"magic {magic}", *([f"mask {mask}"] if mask else []), ""])


def runners(text: str, platform: str) -> list[str]:
    """Return the names of the entries that the kernel hands a platform's programs to."""
    return [found.name for found in parse_entries(text) if found.runs(Platform.parse(platform))]


KERNEL = (
    "# aarch32\n"
    + entry("qemu-aarch64", AARCH64)
    + entry("qemu-arm", ARM)
    + entry("qemu-armeb", ARMEB)
    + entry("qemu-mipsn32el", MIPSN32EL)
    + "# entry python3.11\nenabled\ninterpreter /usr/bin/python3.11\nflags: \noffset 0\nmagic a70d0d0a\n"
    + "# entry jar\nenabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n"
    + entry("qemu-s390x", S390X)
    + "# entry status\nenabled\n"
)


def test_entries_are_read_as_the_kernel_prints_them() -> None:
    """Name, state, flags, offset, magic and mask; entries by file name extension and the two control files are none."""
    entries = {found.name: found for found in parse_entries(KERNEL)}
    assert ["qemu-aarch64", "qemu-arm", "qemu-armeb", "qemu-mipsn32el", "python3.11", "qemu-s390x"] == list(entries)
    magic, _, mask = AARCH64.partition(" ")
    assert (
        Emulator("qemu-aarch64", True, "POCF", 0, bytes.fromhex(magic), bytes.fromhex(mask)) == entries["qemu-aarch64"]
    )
    assert Emulator("python3.11", True, "", 0, b"\xa7\r\r\n", b"\xff" * 4) == entries["python3.11"]


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("arm64", ["qemu-aarch64"]),
        ("arm64/v9", ["qemu-aarch64"]),
        ("arm", ["qemu-arm"]),
        ("arm/v6", ["qemu-arm"]),
        ("s390x", ["qemu-s390x"]),
        ("amd64", []),
        ("386", []),
        ("riscv64", []),
        ("mips64le", []),
        ("ppc64le", []),
    ],
)
def test_an_entry_runs_the_programs_that_its_magic_matches(platform: str, expected: list[str]) -> None:
    """Class, byte order and machine decide: arm is neither arm64 nor big-endian arm."""
    assert expected == runners(KERNEL, platform)


def test_names_do_not_matter() -> None:
    """An entry is known by what it matches, not by what it is called."""
    text = entry("qemu-arm", AARCH64) + entry("box64", ARM)
    assert (["qemu-arm"], ["box64"]) == (runners(text, "arm64"), runners(text, "arm"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (entry("qemu-aarch64", AARCH64, state="disabled"), []),
        (entry("a", AARCH64, state="disabled") + entry("b", AARCH64), ["b"]),
        (entry("qemu-aarch64", AARCH64) + "# entry status\ndisabled\n", []),
        (entry("qemu-aarch64", AARCH64) + "# entry status\nenabled\n", ["qemu-aarch64"]),
        ("# entry status\ndisabled\n" + entry("qemu-aarch64", AARCH64), []),
        ("", []),
        ("# entry status\nenabled\n", []),
        # Without a mask all bits count; at an offset, the magic is compared there.
        (entry("whole", AARCH64.split()[0]), ["whole"]),
        (entry("machine", "b700 ffff", offset=18), ["machine"]),
        (entry("elsewhere", "b700 ffff", offset=17), []),
        (entry("beyond", "b700 ffff", offset=100), []),
        # The mask of a static program's interpreter: ET_EXEC and ET_DYN alike.
        (entry("other", RISCV64), []),
    ],
)
def test_what_runs_arm64(text: str, expected: list[str]) -> None:
    """Disabled entries, a disabled binfmt_misc, other machines and other places do not."""
    assert expected == runners(text, "arm64")


@pytest.mark.parametrize(
    "text",
    [
        entry("odd", "7f454c4 ffffffff"),
        entry("letters", "7f454c46zz ffffffffff"),
        entry("spaces", "7f\t45 ffff"),
        entry("no-magic", ""),
        entry("short-mask", AARCH64.split()[0] + " ffff"),
        entry("long-mask", "7f454c46 ffffffffff"),
        entry("empty-mask", "7f454c46") + "mask \n",
        entry("huge", "7f" * 257),
        entry("far", AARCH64).replace("offset 0", f"offset {'9' * 5000}"),
        entry("negative", AARCH64).replace("offset 0", "offset -1"),
        entry("digits", AARCH64).replace("offset 0", "offset \N{SUPERSCRIPT TWO}"),
        entry("", AARCH64),
        entry("two words", AARCH64),
        entry("qemu,all", AARCH64),
        entry("x" * 256, AARCH64),
        "# entry nothing\n",
        "# entry \nmagic\n" * 3,
        "\0\x1b[31m\u2028# entry x\u2028",
    ],
)
def test_entry_that_is_none_is_left_out(text: str) -> None:
    """It runs nothing, so the installer is asked; the entries around it are read."""
    alone = entry("before", RISCV64) + text + entry("after", S390X) + "# entry status\nenabled\n"
    assert ["before", "after"] == [found.name for found in parse_entries(alone)]


def state(text: str, machine: str = "x86_64", *, aarch32: bool = False) -> HostState:
    """Return a host with these entries."""
    return HostState(machine, aarch32, tuple(parse_entries(text)))


@pytest.mark.parametrize(
    ("flags", "expected"), [("F", True), ("OCF", True), ("POCF", True), ("OC", False), ("", False), ("PO", False)]
)
def test_only_an_entry_with_the_f_flag_works_in_containers(flags: str, expected: bool) -> None:
    """Without F the kernel looks for the interpreter inside the container, where it is not."""
    found = state(entry("qemu-aarch64", AARCH64, flags=flags)).emulator(Platform.parse("arm64"))
    assert ("qemu-aarch64" if expected else None) == (found.name if found else None)


def test_an_entry_that_works_is_found_behind_one_that_does_not() -> None:
    """The first with the F flag counts."""
    text = entry("old", AARCH64, flags="OC") + entry("new", AARCH64)
    found = state(text).emulator(Platform.parse("arm64"))
    assert "new" == (found.name if found else None)


@pytest.mark.parametrize(
    ("machine", "aarch32", "expected"),
    [
        ("x86_64", False, [True, False, False]),
        ("aarch64", False, [False, True, False]),
        ("aarch64", True, [False, True, True]),
    ],
)
def test_what_is_native(machine: str, aarch32: bool, expected: list[bool]) -> None:
    """The host's own architecture, and 32-bit ARM where the CPU has it."""
    host = state("", machine, aarch32=aarch32)
    assert expected == [host.is_native(Platform.parse(name)) for name in ("amd64", "arm64", "arm")]


@pytest.mark.parametrize(
    ("installer", "expected"),
    [
        ("tonistiigi/binfmt:qemu-v10.2.3", ["--install", "arm,arm64"]),
        ("mirror.lan/tonistiigi/binfmt", ["--install", "arm,arm64"]),
        ("linuxkit/binfmt:v0.6", []),
        ("docker.io/linuxkit/binfmt:v0.8", []),
    ],
)
def test_what_an_installer_takes(installer: str, expected: list[str]) -> None:
    """The architectures that are missing, each once; linuxkit's, the document's, takes nothing."""
    platforms = [Platform.parse(name) for name in ("arm64", "arm/v7", "arm/v6")]
    assert expected == installer_arguments(installer, platforms)


@pytest.mark.parametrize(
    ("block", "machine", "expected"),
    [
        (
            {"platforms": ["amd64", "arm64", "armhf"]},
            "x86_64",
            ["docker run --privileged --rm tonistiigi/binfmt:qemu-v10.2.3 --install arm,arm64"],
        ),
        (
            {"platforms": ["amd64", "arm64"]},
            "aarch64",
            ["docker run --privileged --rm tonistiigi/binfmt:qemu-v10.2.3 --install amd64"],
        ),
        (
            {"platforms": ["arm64"], "installer": "linuxkit/binfmt:v0.6"},
            "x86_64",
            ["docker run --privileged --rm linuxkit/binfmt:v0.6"],
        ),
        ({"platforms": ["amd64", "386"]}, "x86_64", []),
        ({"platforms": ["amd64", {"platform": "arm64", "builder": "ssh://arm-box"}]}, "x86_64", []),
    ],
)
def test_the_documents_command(block: dict[str, object], machine: str, expected: list[str]) -> None:
    """Only what the host does not run and builds itself is installed; nothing when there is nothing."""
    assert expected == [" ".join(line) for line in commands_on(machine, load(block, {}, {}))]


def test_a_result_names_the_platform_and_how_it_runs() -> None:
    """One line a platform."""
    assert "linux/arm/v7 qemu-arm" == str(Runnable(Platform.parse("armhf"), "qemu-arm"))


@pytest.mark.parametrize(
    ("server", "answer", "asked"),
    [
        (None, (0, KERNEL), ["container"]),
        (SimpleNamespace(status="exited"), (0, KERNEL), ["container"]),
        (SimpleNamespace(status="running"), (0, KERNEL), ["server"]),
        (SimpleNamespace(status="running"), (127, "unshare: not found"), ["server", "container"]),
        (SimpleNamespace(status="running"), DockerError("run sh", "gone"), ["server", "container"]),
    ],
)
def test_a_running_server_is_asked_first(
    server: SimpleNamespace | None, answer: tuple[int, str] | Exception, asked: list[str]
) -> None:
    """A server that cannot tell, or is gone meanwhile, changes nothing but the way."""
    calls: list[str] = []

    def execute(*_: object) -> tuple[int, str]:
        calls.append("server")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run_once(*_: object, **__: object) -> str:
        calls.append("container")
        return KERNEL

    host = SimpleNamespace(
        find=lambda _: server,
        execute=execute,
        run_once=run_once,
        need_image=lambda *_: "sha256:busybox",
        machine="aarch64",
    )
    settings = load({"platforms": ["arm64"], "image": "someone/app"}, {}, {})
    state = read_state(cast("DockerHost", host), settings.builder)
    assert ("aarch64", True, 6) == (state.machine, state.aarch32, len(state.emulators))
    assert asked == calls


def test_server_on_this_machines_kernel_is_not_asked(tmp_path: Path) -> None:
    """Its socket is here, so its kernel is; where this process does not see the entries, the server is asked."""
    asked: list[str] = []

    def execute(*_: object) -> tuple[int, str]:
        asked.append("server")
        return 0, KERNEL

    mount = {"Destination": "/run/buildkit", "Source": str(tmp_path)}
    server = SimpleNamespace(status="running", name="buildkit", attrs={"Mounts": [mount]})
    host = SimpleNamespace(find=lambda _: server, execute=execute, machine="x86_64", is_local=True)
    settings = load({"platforms": ["arm64"], "image": "someone/app"}, {}, {})
    state = read_state(cast("DockerHost", host), settings.builder)
    assert (["server"], 6) == (asked, len(state.emulators))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "buildkitd.sock"))
        listener.listen()
        with kept():
            state = read_state(cast("DockerHost", host), settings.builder)
            entries = [path for path in ENTRIES.glob("*") if path.name != "register"]
            ours = {path.name for path in entries if "magic" in path.read_text()}
    if (ENTRIES / "status").exists():
        assert (["server"], ours) == (asked, {emulator.name for emulator in state.emulators})
    else:
        assert ["server", "server"] == asked


@pytest.mark.parametrize("machine", ["aarch64", "arm64"])
def test_server_on_an_arm64_kernel_is_asked(tmp_path: Path, machine: str) -> None:
    """Whether its CPU runs 32 bits, a program tells; Docker calls it as the kernel does, Podman as Go."""
    mount = {"Destination": "/run/buildkit", "Source": str(tmp_path)}
    server = SimpleNamespace(status="running", name="buildkit", attrs={"Mounts": [mount]})
    host = SimpleNamespace(
        find=lambda _: server, execute=lambda *_: (0, f"# aarch32\n{KERNEL}"), machine=machine, is_local=True
    )
    settings = load({"platforms": ["arm/v7"], "image": "someone/app"}, {}, {})
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "buildkitd.sock"))
        listener.listen()
        assert read_state(cast("DockerHost", host), settings.builder).aarch32


class RootlessRun:
    """As much of a run as the step asks for, on a rootless Docker host whose containers say *words*."""

    def __init__(self, words: str) -> None:
        self.words, self.scripts = words, list[str]()
        self.settings = load({"platforms": ["amd64", "arm64", "arm/v7"], "image": "someone/app"}, {}, {})
        self.info = HostInfo("aarch64", security_options=("name=rootless",))
        self.machine, self.host = "aarch64", self

    def need_image(self, *_: str) -> str:
        """Return the image of the probe."""
        return "sha256:1"

    def run_once(self, _: str, command: list[str], *, privileged: bool = False, name: str = "") -> str:
        """Return what the script says."""
        assert "busybox:stable" == name
        self.scripts.append(command[-1])
        assert not privileged
        return self.words


def test_rootless_host_has_the_administrators_emulators() -> None:
    """They are seen without a privilege and without a mount, which would hide them; and nothing is installed."""
    run = RootlessRun("# aarch32\n# runs linux/amd64\n")
    found = setup_binfmt.run(run)  # type: ignore[arg-type]
    assert ["linux/amd64 emulated", "linux/arm64 native", "linux/arm/v7 native"] == [str(each) for each in found]
    (script,) = run.scripts
    assert r"printf '\177\105\114\106\002\001\001" in script
    assert "mount" not in script


def test_rootless_host_without_an_emulator_names_the_command_for_root() -> None:
    """It cannot register one by itself."""
    with pytest.raises(DockerError) as caught:
        setup_binfmt.run(RootlessRun("# runs linux/arm/v7\n"))  # type: ignore[arg-type]
    (line,) = str(caught.value).splitlines()
    assert line.startswith("Docker could not run programs for linux/amd64: it is rootless, and cannot register")
    assert line.endswith("docker run --privileged --rm tonistiigi/binfmt:qemu-v10.2.3 --install amd64,arm")


@pytest.mark.parametrize("status", [0, 1, 126, 127, 255])
def test_trial_tells_an_emulator_from_none(status: int) -> None:
    """By the status of env (POSIX): whatever the emulator says of a mere head, it has begun."""
    run = RootlessRun("# runs linux/amd64\n# runs linux/arm/v7\n")
    setup_binfmt.run(run)  # type: ignore[arg-type]
    script = f"env() {{ return {status}; }}\nchmod() {{ :; }}\n" + run.scripts[0].replace(">/tmp/head", ">/dev/null")
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    expected = [] if status in (126, 127) else ["# runs linux/amd64", "# runs linux/arm/v7"]
    assert expected == [line for line in done.stdout.splitlines() if "runs" in line]

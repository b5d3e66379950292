"""`doctor` on the real parts: programs of other architectures, BuildKit's own checks, disks; it leaves nothing."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from multiarch.image.elf import ELF
from multiarch.steps.doctor.programs import program
from tests.integration.docker_host import DockerState, docker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.conftest import Project

MOUNT = "mkdir -p /mnt && mount -t binfmt_misc binfmt_misc /mnt"


def findings(project: Project, *words: str) -> list[str]:
    """Run it, whatever it finds; return its lines."""
    result = project.run("doctor", *words)
    assert result.out, result.err
    return result.out


@contextmanager
def registered(entries: dict[str, tuple[int, str]]) -> Iterator[None]:
    """Let the kernel hand programs of architectures to interpreters, each with its flags.

    An interpreter is a program of our own for amd64 with another system call in it: what QEMU does when it is old or
    broken, this does for sure.

    Emulators that this machine has for them rest meanwhile.

    :param entries: by architecture, the number of the system call, and the flags.
    """
    others = " ".join(f"/mnt/qemu-{name}" for name in ("loongarch64", "mips64", "mips64el"))
    commands = [MOUNT, f"for entry in {others}; do [ ! -e $entry ] || echo 0 >$entry; done"]
    for architecture, (number, flags) in entries.items():
        interpreter = program("amd64").replace(bytes.fromhex("b8b7010000"), b"\xb8" + number.to_bytes(4, "little"))
        magic = "".join(f"\\x{byte:02x}" for byte in ELF[architecture].header())
        written, path = "".join(f"\\{byte:03o}" for byte in interpreter), f"/tmp/{architecture}"
        commands.append(f"printf '{written}' >{path} && chmod +x {path}")
        commands.append(f"echo ':test-{architecture}:M::{magic}::{path}:{flags}' >/mnt/register")
    try:
        docker("run", "--rm", "--privileged", "busybox:stable", "sh", "-c", " && ".join(commands))
        yield
    finally:
        removal = "; ".join([MOUNT, *(f"echo -1 >/mnt/test-{architecture}" for architecture in entries)])
        removal += f"; for entry in {others}; do [ ! -e $entry ] || echo 1 >$entry; done"
        docker("run", "--rm", "--privileged", "busybox:stable", "sh", "-c", removal)


@pytest.mark.usefixtures("prepared")
def test_what_is_prepared_is_fine_and_stays_as_it_was(project: Project) -> None:
    """Each platform's program runs by its emulator, BuildKit reads the Dockerfiles, and nothing is left behind."""
    (address,) = project.ok("start-buildkit")
    before = DockerState.read()
    lines = project.ok("doctor")
    assert [] == before.differences(DockerState.read())
    bad = [line for line in lines if line.startswith(("failure", "unknown"))]
    emulated = [line.partition(" (")[0] for line in lines if line.split()[1] == "emulators:"]
    assert ([], 2) == (bad, len([line for line in lines if " base-images: docker.io/" in line])), lines
    expected = ["linux/arm64 runs by qemu-aarch64", "linux/arm/v7 runs by qemu-arm"]
    assert [f"ok      emulators: {words}" for words in expected] == emulated
    assert ["ok      buildkit: buildkit runs: BuildKit 0.32.2"] == [line for line in lines if " buildkit: " in line]
    both = ("--platform", "linux/amd64", "--platform", "linux/arm64")
    by_address = project.run("doctor", *both, BUILDKIT_HOST=address).out
    named = f"ok      builders: {address} is BuildKit 0.32.2, and builds linux/amd64, linux/arm64"
    assert [named] == [line for line in by_address if " builders: " in line], by_address


@pytest.mark.usefixtures("prepared")
def test_buildkit_has_its_say_about_each_dockerfile(project: Project) -> None:
    """A warning with its line and rule; and a Dockerfile that is none is a failure. Each platform may have its own."""
    project.write(Dockerfile="FROM busybox:stable as b\nMAINTAINER me\n", Dockerfile_armhf="FRM busybox:stable\n")
    lines = [line for line in findings(project) if " dockerfile: " in line]
    places = [line.partition(" dockerfile: ")[2].partition(":")[0] for line in lines]
    assert ["failure", "warning", "warning"] == sorted(line.split()[0] for line in lines)
    assert ["Dockerfile", "Dockerfile", "Dockerfile.armhf"] == sorted(places)
    assert [True, True, True] == [
        any(sign in line for line in lines)
        for sign in ("Dockerfile:1: ", "(MaintainerDeprecated); see https://", "unknown instruction: FRM")
    ]


def test_emulators_are_tried(project: Project) -> None:
    """They may be registered, and be old, or broken, or out of reach for containers.

    Nobody builds for these platforms here, so that their entries, which are the kernel's, are no other test's.
    """
    project.write(invoke_yaml="multiarch: {platforms: [linux/loong64, linux/mips64le, linux/mips64]}\n")
    with registered({"loong64": (0x7FFF, "F"), "mips64le": (60, "F"), "mips64": (0x1B7, "")}):
        lines = [line for line in findings(project) if " emulators: " in line]
    again = "replace it: invoke setup-binfmt --reinstall"
    old, broken, unreachable = (
        "linux/loong64 runs by test-loong64 (flags F), which is old: it does not know faccessat2 (2020)",
        "linux/mips64le: test-mips64le (flags F) is registered, and does not run a program: it ended with status 255",
        "linux/mips64: test-mips64 (flags none) lacks the flag F, so that it does not work in containers",
    )
    assert [
        f"warning emulators: {old}; {again}",
        f"failure emulators: {broken}; {again}",
        f"warning emulators: {unreachable}; release replaces it; or do so now: invoke setup-binfmt",
    ] == lines


def test_a_full_disk_is_seen(project: Project, tmp_path: Path) -> None:
    """That of the Docker host, and that of the cache: both are tiny here, in a namespace of the run alone."""
    root = json.loads(docker("info", "--format", "{{json .DockerRootDir}}"))
    mounts = " && ".join(f"mount -t tmpfs -o size=1m none '{place}'" for place in (root, tmp_path))
    script = f'{mounts} && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", *project.command("doctor")],
        cwd=project.path,
        env=project.env(XDG_CACHE_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("failure disk: ")]
    assert (1, 2) == (done.returncode, len(lines)), done.stdout + done.stderr
    assert [True, True] == [f" free in {tmp_path}" in lines[0], f" free in {root}, where" in lines[1]]

"""--dry: every step prints the document's commands in order, and touches nothing."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from multiarch.image.platform import Platform

if TYPE_CHECKING:
    from tests.unit.cli import Project

# Platforms that hardly a machine is of, so that they are foreign to every one that runs this.
MATRIX = """\
multiarch:
  image: someone/app
  attestations: []
  tags: [latest, "1"]
  platforms:
    - linux/s390x
    - platform: linux/riscv64
      dockerfile: Dockerfile.riscv
"""
HOST = Platform.parse(os.uname().machine)
STATE, CACHE = "/nowhere/state/multiarch/buildkit", "/nowhere/cache/multiarch/buildctl/v0.32.2"
NAME = "docker.io/someone/app"

BINFMT = ["docker run --privileged --rm tonistiigi/binfmt:qemu-v10.2.3 --install riscv64,s390x"]
SERVER = [
    f"mkdir -p -m 700 {STATE}",
    (
        "docker run -d --privileged --restart unless-stopped --name buildkit"
        f" -v buildkit-state:/var/lib/buildkit -v {STATE}:/run/buildkit moby/buildkit:v0.32.2"
        f" --addr unix:///run/buildkit/buildkitd.sock --group {os.getgid()} --oci-worker-platform {HOST}"
        " --oci-worker-platform linux/s390x --oci-worker-platform linux/riscv64"
    ),
    "docker exec buildkit sh -c 'until buildctl debug workers; do sleep 1; done'",
]
CLIENT = [f"mkdir -p {CACHE}", f"docker cp buildkit:/usr/bin/buildctl {CACHE}/buildctl"]


def building(platform: str, dockerfile: str, *, buildctl: str = f"{CACHE}/buildctl", address: str = "") -> str:
    """Return the command that builds one platform."""
    return (
        f"{buildctl} --addr {address or f'unix://{STATE}/buildkitd.sock'} build --frontend dockerfile.v0"
        f" --opt platform=linux/{platform} --opt filename={dockerfile} --local context=. --local dockerfile=."
        f" --output type=image,name={NAME}:latest-{platform},push=true"
    )


BUILDS = [building("s390x", "Dockerfile"), building("riscv64", "Dockerfile.riscv")]
INDEX = [
    line
    for tag in ("latest", "1")
    for line in (
        f"docker manifest create {NAME}:{tag} {NAME}:latest-s390x {NAME}:latest-riscv64",
        f"docker manifest annotate --os linux --arch s390x {NAME}:{tag} {NAME}:latest-s390x",
        f"docker manifest annotate --os linux --arch riscv64 {NAME}:{tag} {NAME}:latest-riscv64",
        f"docker manifest push --purge {NAME}:{tag}",
    )
]
REGISTRY = (
    "docker run -d --name multiarch-registry --restart unless-stopped -p 127.0.0.1:5001:5000"
    " -v multiarch-registry:/var/lib/registry -e REGISTRY_STORAGE_DELETE_ENABLED=true registry:2"
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("setup-binfmt", BINFMT),
        ("setup-binfmt --platform s390x", [BINFMT[0].replace("riscv64,", "")]),
        ("setup-binfmt --installer linuxkit/binfmt:v0.6", ["docker run --privileged --rm linuxkit/binfmt:v0.6"]),
        ("start-buildkit", SERVER),
        ("copy-buildctl", CLIENT),
        (
            "copy-buildctl --dest /usr/bin",
            ["mkdir -p /usr/bin", "docker cp buildkit:/usr/bin/buildctl /usr/bin/buildctl"],
        ),
        ("build-arch --platform linux/s390x", BUILDS[:1]),
        ("build-arch --platform riscv64", BUILDS[1:]),
        ("manifest", INDEX),
        ("manifest --tag latest", INDEX[:4]),
        ("release", [*BINFMT, *SERVER, *CLIENT, *BUILDS, *INDEX]),
    ],
)
def test_the_documents_commands_in_order(project: Project, words: str, expected: list[str]) -> None:
    """Without Docker, without a network, without programs: the commands on standard output, and nothing else."""
    project.write(invoke_yaml=MATRIX)
    result = project.run("--dry", *words.split())
    assert (0, expected, []) == (result.status, result.out, result.err)
    assert ["Dockerfile", "invoke.yaml", "tasks.py"] == sorted(os.listdir(project.path))


def test_the_documents_tcp_address(project: Project) -> None:
    """As in the document, but on loopback alone, and out of reach of a RUN: who reaches it is root."""
    project.write(invoke_yaml=MATRIX)
    (_, server, _) = project.run("--dry", "start-buildkit", "--address", "tcp://127.0.0.1:1234").out
    assert " --network host " in server
    assert " --addr tcp://127.0.0.1:1234 --oci-worker-net bridge " in server
    assert (False, False) == (" -p " in server, "0.0.0.0" in server)


def test_a_given_builder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With BUILDKIT_HOST set no server is started, and no emulator registered on a host that is not the builder's."""
    project.write(invoke_yaml=MATRIX)
    monkeypatch.setenv("BUILDKIT_HOST", "tcp://127.0.0.1:1234")
    builds = [line.replace(f"unix://{STATE}/buildkitd.sock", "tcp://127.0.0.1:1234") for line in BUILDS]
    assert [*CLIENT, *builds, *INDEX] == project.run("--dry", "release").out
    assert [] == project.run("--dry", "start-buildkit").out


def test_without_an_image_the_registry_comes_first(project: Project) -> None:
    """The embedded registry is started, the server reaches it over the host's network, and it speaks plain http."""
    project.write(invoke_yaml="multiarch:\n  attestations: []\n  platforms: [linux/s390x]\n")
    lines = project.run("--dry", "release").out
    assert REGISTRY == lines[0]
    assert [True] == [" --network host " in line for line in lines if "--name buildkit" in line]
    name = "127.0.0.1:5001/some-server"
    assert f"docker manifest create --insecure {name}:latest {name}:latest-s390x" == lines[-3]


def test_a_builder_of_its_own_needs_no_emulator(project: Project) -> None:
    """What is built on a native worker is neither emulated nor announced by the local server."""
    project.write(
        invoke_yaml="multiarch:\n  image: someone/app\n  attestations: []\n  platforms:\n    - linux/s390x\n"
        "    - {platform: linux/riscv64, builder: 'tcp://riscv-box:1234'}\n"
    )
    lines = project.run("--dry", "release").out
    assert BINFMT[0].replace("riscv64,", "") == lines[0]
    assert [SERVER[1].removesuffix(" --oci-worker-platform linux/riscv64")] == [x for x in lines if "run -d" in x]
    assert building("riscv64", "Dockerfile", address="tcp://riscv-box:1234") in lines


def test_smoke_comes_before_the_index(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image that is tried is run confined, between its build and the index; what runs it needs the emulators."""
    smoke = '  smoke: [sh, -c, "uname -m | grep ."]\n'
    matrix = MATRIX.replace("    - linux/s390x\n", "    - {platform: linux/s390x, smoke: []}\n")
    project.write(invoke_yaml=matrix + smoke)
    confined = "--network none --cap-drop ALL --security-opt no-new-privileges --pids-limit 512"
    run = (
        f"docker run --rm --pull always --platform linux/riscv64 {confined} {NAME}:latest-riscv64"
        " sh -c 'uname -m | grep .'"
    )
    assert [run, *INDEX] == project.run("--dry", "manifest").out
    assert [*BINFMT, *SERVER, *CLIENT, *BUILDS, run, *INDEX] == project.run("--dry", "release").out
    project.write(invoke_yaml=matrix + smoke + "  annotations: {a: b}\n")
    assert run == project.run("--dry", "manifest").out[0]
    monkeypatch.setenv("BUILDKIT_HOST", "tcp://127.0.0.1:1234")
    assert BINFMT[0] == project.run("--dry", "release").out[0]


def test_flags_of_the_build(project: Project) -> None:
    """--no-cache and --pull are words of buildctl's own; without them nothing is said of it."""
    project.write(invoke_yaml=MATRIX)
    (line,) = project.run("--dry", "build-arch", "--platform", "s390x", "--no-cache", "--pull").out
    resolved = BUILDS[0].replace(" --local context", " --opt image-resolve-mode=pull --local context")
    assert resolved.replace(" --output", " --no-cache --output") == line
    lines = project.run("--dry", "release", "--no-cache", "--pull").out
    assert 2 == len([x for x in lines if " --opt image-resolve-mode=pull " in x and " --no-cache " in x])


def test_what_is_printed_can_be_pasted(project: Project) -> None:
    """A shell runs each line as one command of just these words, whatever characters the settings hold."""
    project.write(
        invoke_yaml="""
multiarch:
  image: [someone/app, ghcr.io/a/b]
  context: my web
  dest: bin
  build_args: {GREETING: "it's $HOME; \\"x\\""}
  platforms: [linux/s390x]
"""
    )
    lines = project.run("--dry", "release").out
    stub = f'#!/bin/sh\nfor word in "${{0##*/}}" "$@"; do printf "%s\\0" "$word"; done >> {project.path}/ran\n'
    (project.path / "bin").mkdir()
    for name in ("docker", "mkdir", "buildctl"):
        (project.path / "bin" / name).write_text(f"{stub}printf '\\n' >> {project.path}/ran\n")
        (project.path / "bin" / name).chmod(0o755)
    subprocess.run(["/bin/sh", "-e"], input="\n".join(lines), text=True, check=True, env={"PATH": "bin"}, timeout=30)
    ran = [line.split("\0")[:-1] for line in (project.path / "ran").read_text().splitlines()]
    expected = [shlex.split(line) for line in lines]
    assert [[words[0].rpartition("/")[2], *words[1:]] for words in expected] == ran
    build = next(words for words in ran if words[0] == "buildctl")
    assert 'build-arg:GREETING=it\'s $HOME; "x"' in build
    assert "context=my web" in build


# Ends a program with status 99 when it does what --dry must not. On CPython every way to reach another process, a
# network or the file system for writing raises one of these events (PEP 578).
GUARD = """
import os, sys

FORBIDDEN = ("socket.", "subprocess.", "pty.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system",
             "os.startfile", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod",
             "os.chown", "os.truncate", "os.utime", "tempfile.", "shutil.", "urllib.", "http.client.", "ctypes.dlopen")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

def guard(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
    if writes or event.startswith(FORBIDDEN):
        os.write(2, f"guard: {event} {arguments!r}\\n".encode())
        os._exit(99)

sys.dont_write_bytecode = True
sys.addaudithook(guard)
"""
INVOKE = """
import runpy
sys.argv[0] = "invoke"
sys.path.insert(0, os.getcwd())
runpy.run_module("invoke", run_name="__main__", alter_sys=True)
"""


def test_nothing_is_touched(project: Project) -> None:
    """Under a guard that ends the program on any socket, process or write: all steps in one run, to the last line."""
    project.write(invoke_yaml=MATRIX)
    steps = ("setup-binfmt", "start-buildkit", "copy-buildctl", "build-arch", "--platform", "s390x", "manifest")
    result = project.invoke("--dry", *steps, "release", program=GUARD + INVOKE)
    chain = [*BINFMT, *SERVER, *CLIENT, *BUILDS, *INDEX]
    assert (0, []) == (result.status, result.err)
    assert [*BINFMT, *SERVER, *CLIENT, BUILDS[0], *INDEX, *chain] == result.out


def test_the_guard_would_notice_a_step(project: Project) -> None:
    """The guard of the test above stops a step that is not dry."""
    project.write(invoke_yaml=MATRIX)
    result = project.invoke("setup-binfmt", program=GUARD + INVOKE)
    assert (99, [], True) == (result.status, result.out, result.err[-1].startswith("guard: socket."))


@pytest.mark.parametrize(
    ("statement", "event"),
    [
        ("import subprocess; subprocess.run(['/bin/true'])", "subprocess.Popen"),
        ("os.system('true')", "os.system"),
        ("os.posix_spawn('/bin/true', ['true'], {})", "os.posix_spawn"),
        ("os.fork()", "os.fork"),
        ("import socket; socket.create_connection(('127.0.0.1', 1))", "socket."),
        ("os.mkdir('made')", "os.mkdir"),
        ("open('made', 'w')", "open"),
    ],
)
def test_the_guard_would_notice(project: Project, statement: str, event: str) -> None:
    """It stops whatever it watches for."""
    result = project.invoke(program=GUARD + statement)
    assert (99, True) == (result.status, result.err[-1].startswith(f"guard: {event}"))
    assert not (project.path / "made").exists()

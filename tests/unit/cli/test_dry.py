"""--dry: every step prints the document's commands in order, and touches nothing."""

# ruff: noqa: E501 (a command is one line)

from __future__ import annotations

import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from multiarch.image.platform import Platform

if TYPE_CHECKING:
    from tests.unit.project import Project

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
# What depends on the machine that runs this: its own platform, and the user's group.
HOST, GROUP = str(Platform.parse(os.uname().machine)), str(os.getgid())


def lines(text: str) -> list[str]:
    """Return the commands that stand in a text, with this machine's platform and group in them."""
    return text.strip().replace("HOST", HOST).replace("GROUP", GROUP).splitlines()


BINFMT = lines("docker run --privileged --rm tonistiigi/binfmt:qemu-v10.2.3 --install riscv64,s390x")
SERVER = lines("""
mkdir -p -m 700 /proc/nowhere/state/multiarch/buildkit
docker run -d --privileged --restart unless-stopped --name buildkit -v buildkit-state:/var/lib/buildkit -v /proc/nowhere/state/multiarch/buildkit:/run/buildkit moby/buildkit:v0.32.2 --addr unix:///run/buildkit/buildkitd.sock --group GROUP --oci-worker-platform HOST --oci-worker-platform linux/s390x --oci-worker-platform linux/riscv64
docker exec buildkit sh -c 'until buildctl debug workers; do sleep 1; done'
""")
CLIENT = lines("""
mkdir -p /proc/nowhere/cache/multiarch/buildctl/v0.32.2
docker cp buildkit:/usr/bin/buildctl /proc/nowhere/cache/multiarch/buildctl/v0.32.2/buildctl
""")
BUILDS = lines("""
/proc/nowhere/cache/multiarch/buildctl/v0.32.2/buildctl --addr unix:///proc/nowhere/state/multiarch/buildkit/buildkitd.sock build --frontend dockerfile.v0 --opt platform=linux/s390x --opt filename=Dockerfile --local context=. --local dockerfile=. --output type=image,name=docker.io/someone/app:latest-s390x,push=true
/proc/nowhere/cache/multiarch/buildctl/v0.32.2/buildctl --addr unix:///proc/nowhere/state/multiarch/buildkit/buildkitd.sock build --frontend dockerfile.v0 --opt platform=linux/riscv64 --opt filename=Dockerfile.riscv --local context=. --local dockerfile=. --output type=image,name=docker.io/someone/app:latest-riscv64,push=true
""")
BUILDS_OVER_TCP = lines("""
/proc/nowhere/cache/multiarch/buildctl/v0.32.2/buildctl --addr tcp://127.0.0.1:1234 build --frontend dockerfile.v0 --opt platform=linux/s390x --opt filename=Dockerfile --local context=. --local dockerfile=. --output type=image,name=docker.io/someone/app:latest-s390x,push=true
/proc/nowhere/cache/multiarch/buildctl/v0.32.2/buildctl --addr tcp://127.0.0.1:1234 build --frontend dockerfile.v0 --opt platform=linux/riscv64 --opt filename=Dockerfile.riscv --local context=. --local dockerfile=. --output type=image,name=docker.io/someone/app:latest-riscv64,push=true
""")
INDEX = lines("""
docker manifest create docker.io/someone/app:latest docker.io/someone/app:latest-s390x docker.io/someone/app:latest-riscv64
docker manifest annotate --os linux --arch s390x docker.io/someone/app:latest docker.io/someone/app:latest-s390x
docker manifest annotate --os linux --arch riscv64 docker.io/someone/app:latest docker.io/someone/app:latest-riscv64
docker manifest push --purge docker.io/someone/app:latest
docker manifest create docker.io/someone/app:1 docker.io/someone/app:latest-s390x docker.io/someone/app:latest-riscv64
docker manifest annotate --os linux --arch s390x docker.io/someone/app:1 docker.io/someone/app:latest-s390x
docker manifest annotate --os linux --arch riscv64 docker.io/someone/app:1 docker.io/someone/app:latest-riscv64
docker manifest push --purge docker.io/someone/app:1
""")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("setup-binfmt", BINFMT),
        (
            "setup-binfmt --platform s390x",
            ["docker run --privileged --rm tonistiigi/binfmt:qemu-v10.2.3 --install s390x"],
        ),
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
    assert [*CLIENT, *BUILDS_OVER_TCP, *INDEX] == project.run("--dry", "release").out
    assert [] == project.run("--dry", "start-buildkit").out


def test_without_an_image_the_registry_comes_first(project: Project) -> None:
    """The embedded registry is started, the server reaches it over the host's network, and it speaks plain http."""
    project.write(invoke_yaml="multiarch:\n  attestations: []\n  platforms: [linux/s390x]\n")
    printed = project.run("--dry", "release").out
    assert (
        "docker run -d --name multiarch-registry --restart unless-stopped -p 127.0.0.1:5001:5000"
        " -v multiarch-registry:/var/lib/registry -e REGISTRY_STORAGE_DELETE_ENABLED=true registry:2"
    ) == printed[0]
    assert [True] == [" --network host " in line for line in printed if "--name buildkit" in line]
    assert (
        "docker manifest create --insecure 127.0.0.1:5001/some-server:latest 127.0.0.1:5001/some-server:latest-s390x"
    ) == printed[-3]


def test_a_builder_of_its_own_needs_no_emulator(project: Project) -> None:
    """What is built on a native worker is neither emulated nor announced by the local server."""
    project.write(
        invoke_yaml="multiarch:\n  image: someone/app\n  attestations: []\n  platforms:\n    - linux/s390x\n"
        "    - {platform: linux/riscv64, builder: 'ssh://riscv-box'}\n"
    )
    printed = project.run("--dry", "release").out
    assert "docker run --privileged --rm tonistiigi/binfmt:qemu-v10.2.3 --install s390x" == printed[0]
    (server,) = [line for line in printed if "run -d" in line]
    assert server.endswith(f" --oci-worker-platform {HOST} --oci-worker-platform linux/s390x")
    assert (
        "/proc/nowhere/cache/multiarch/buildctl/v0.32.2/buildctl --addr ssh://riscv-box build --frontend dockerfile.v0"
        " --opt platform=linux/riscv64 --opt filename=Dockerfile --local context=. --local dockerfile=."
        " --output type=image,name=docker.io/someone/app:latest-riscv64,push=true"
    ) in printed


def test_smoke_comes_before_the_index(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image that is tried is run confined, between its build and the index; what runs it needs the emulators."""
    smoke = '  smoke: [sh, -c, "uname -m | grep ."]\n'
    matrix = MATRIX.replace("    - linux/s390x\n", "    - {platform: linux/s390x, smoke: []}\n")
    project.write(invoke_yaml=matrix + smoke)
    run = (
        "docker run --rm --pull always --platform linux/riscv64 --network none --cap-drop ALL"
        " --security-opt no-new-privileges --pids-limit 512 docker.io/someone/app:latest-riscv64"
        " sh -c 'uname -m | grep .'"
    )
    assert [run, *INDEX] == project.run("--dry", "manifest").out
    assert [*BINFMT, *SERVER, *CLIENT, *BUILDS, run, *INDEX] == project.run("--dry", "release").out
    project.write(invoke_yaml=matrix + smoke + "  annotations: {a: b}\n")
    assert run == project.run("--dry", "manifest").out[0]
    monkeypatch.setenv("BUILDKIT_HOST", "tcp://127.0.0.1:1234")
    assert BINFMT[0] == project.run("--dry", "release").out[0]


def test_outputs_of_this_machine(project: Project) -> None:
    """One platform for the Docker host, all for an archive, a part of it for each solve; nothing is published."""
    project.write(invoke_yaml=MATRIX)
    (load,) = project.run("--dry", "build-arch", "--platform", "s390x", "--output", "docker").out
    names = "docker.io/someone/app:latest,docker.io/someone/app:1"
    assert load.startswith("sh -c '/proc/nowhere/cache/multiarch/buildctl/v0.32.2/buildctl ")
    assert [True, True] == [f'"name={names}"' in load, load.endswith(" | docker load'")]
    printed = project.run("--dry", "release", "--output", "oci,dest=x.tar").out
    assert ["x.tar.1", "x.tar.2"] == [line.rpartition("dest=")[2] for line in printed[-2:]]
    refused = project.run("release", "--output", "docker")
    expected = "output: docker loads one platform; name it: --platform, one of linux/s390x, linux/riscv64"
    assert (1, [expected]) == (refused.status, refused.err)


def test_digests_in_the_place_of_staging_tags(project: Project) -> None:
    """The image is pushed by its digest, and the index is made of those that were handed over."""
    project.write(invoke_yaml=MATRIX)
    (build,) = project.run("--dry", "build-arch", "--platform", "s390x", "--digests", "d").out
    assert build.endswith("type=image,name=docker.io/someone/app,push-by-digest=true,name-canonical=true,push=true")
    tags = "--tag docker.io/someone/app:latest --tag docker.io/someone/app:1"
    (create,) = project.run("--dry", "manifest", "--digests", "d").out
    assert f"sh -c 'docker buildx imagetools create {tags} $(cat d/*.txt)'" == create


def test_flags_of_the_build(project: Project) -> None:
    """--no-cache and --pull are words of buildctl's own; without them nothing is said of it."""
    project.write(invoke_yaml=MATRIX)
    assert [
        (
            "/proc/nowhere/cache/multiarch/buildctl/v0.32.2/buildctl --addr unix:///proc/nowhere/state/multiarch/buildkit/buildkitd.sock"
            " build --frontend dockerfile.v0 --opt platform=linux/s390x --opt filename=Dockerfile"
            " --opt image-resolve-mode=pull --local context=. --local dockerfile=. --no-cache"
            " --output type=image,name=docker.io/someone/app:latest-s390x,push=true"
        )
    ] == project.run("--dry", "build-arch", "--platform", "s390x", "--no-cache", "--pull").out
    printed = project.run("--dry", "release", "--no-cache", "--pull").out
    assert 2 == len([x for x in printed if " --opt image-resolve-mode=pull " in x and " --no-cache " in x])


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
    printed = project.run("--dry", "release").out
    stub = f'#!/bin/sh\nfor word in "${{0##*/}}" "$@"; do printf "%s\\0" "$word"; done >> {project.path}/ran\n'
    (project.path / "bin").mkdir()
    for name in ("docker", "mkdir", "buildctl"):
        (project.path / "bin" / name).write_text(f"{stub}printf '\\n' >> {project.path}/ran\n")
        (project.path / "bin" / name).chmod(0o755)
    subprocess.run(["/bin/sh", "-e"], input="\n".join(printed), text=True, check=True, env={"PATH": "bin"}, timeout=30)
    ran = [line.split("\0")[:-1] for line in (project.path / "ran").read_text().splitlines()]
    expected = [shlex.split(line) for line in printed]
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


ASSETS = """\
multiarch:
  image: a/{target}
  platforms: [amd64, arm64]
  targets:
    assets: {platforms: [amd64], tags: []}
    site: {contexts: {assets: "target:assets"}}
"""


def test_build_arch_builds_the_platforms_that_a_base_joins(project: Project) -> None:
    """The base is built once for both; one of them alone is as ever, and what is written is of one."""
    project.write(invoke_yaml=ASSETS)
    words = ("--dry", "build-arch", "--platform", "amd64", "--platform", "arm64")
    built = [re.findall(r"name=\S*a/(\w+:[\w-]+)", line) for line in project.run(*words).out]
    assert [["assets:assets-amd64"], ["site:latest-amd64"], ["site:latest-arm64"]] == built
    assert 2 == len(project.run(*words[:2], "--platform", "arm64").out)
    error = "--platform: build-arch builds one platform; pass one of linux/amd64, linux/arm64"
    assert [error] == project.run(*words, "--target", "site", "--output", "local,dest=d").err

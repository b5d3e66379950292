"""Options of the build, and the gate that runs the images."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import PLAIN, REGISTRY, Project, fresh_builder
from tests.integration.docker_host import docker

if TYPE_CHECKING:
    from collections.abc import Iterator

PLATFORMS = "  platforms: [linux/amd64, linux/arm64, linux/arm/v7]\n"
SLUGS = ("amd64", "arm64", "arm-v7")


def write_smoke(project: Project, words: str, settings: str = "", dockerfile: str = "FROM busybox:stable\n") -> None:
    """Write a project whose smoke command is *words*."""
    project.write(invoke_yaml=f"multiarch:\n  smoke: {words}\n{settings}{PLATFORMS}", Dockerfile=dockerfile)


def fetched(repository: str, name: str) -> str:
    """Return the manifest under a tag of the embedded registry, nothing when there is none."""
    types = ("oci.image.index.v1", "oci.image.manifest.v1")
    accept = ", ".join(f"application/vnd.{name}+json" for name in types)
    url = f"http://{REGISTRY}/v2/{repository}/manifests/{name}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        assert 404 == error.code
        return ""


def containers() -> str:
    """Return the containers of the gate, running or not."""
    return docker("ps", "--all", "--quiet", "--filter", "label=multiarch.smoke")


# Smoke.


def test_smoke_runs_on_every_platform(project: Project) -> None:
    """Each platform's command runs in its own image, by `release`, and by `manifest` alone; no volume is left."""
    own = "".join(
        f'    - {{platform: linux/{name}, smoke: [sh, -c, "uname -m | grep -qx {machine}"]}}\n'
        for name, machine in (("amd64", "x86_64"), ("arm64", "aarch64"), ("arm/v7", "armv7l"))
    )
    # For each container of an image with a VOLUME, Docker makes an anonymous volume.
    project.write(invoke_yaml=f"multiarch:\n  platforms:\n{own}", Dockerfile="FROM busybox:stable\nVOLUME /data\n")
    result = project.run("release", **PLAIN)
    assert 0 == result.status, result.err
    assert 3 == result.err.count(": running sh -c 'uname -m | grep -qx ")
    volumes = docker("volume", "ls", "--quiet")
    assert result.out == project.ok("manifest", **PLAIN)
    assert ("", volumes) == (containers(), docker("volume", "ls", "--quiet"))


def test_smoke_that_fails_on_one_platform_leaves_the_tag(project: Project) -> None:
    """On arm64 alone the command fails: status 1, its words, the tag as before, no container left."""
    write_smoke(project, "[uname, -m]")
    project.ok("release")
    before = fetched(project.path.name, "latest")
    write_smoke(project, "[sh, -c, 'echo on $(uname -m); [ $(uname -m) != aarch64 ]']")
    project.write(Dockerfile="FROM busybox:stable\nRUN echo changed > /changed\n")
    for step in ("release", "manifest"):
        result = project.run(step)
        assert (1, []) == (result.status, result.out)
        line, *output = result.err.splitlines()[-2:]
        assert line.startswith("not published, gate 'it runs': linux/arm64: sh -c 'echo on ")
        assert (True, ["  | on aarch64"]) == (line.endswith(": exit status 1"), output)
        assert (before, "") == (fetched(project.path.name, "latest"), containers())


def test_smoke_ends_after_its_time(project: Project) -> None:
    """After its time it is killed, and what it said until then is shown."""
    write_smoke(project, "[sh, -c, 'echo begun; sleep 300']", "  smoke_seconds: 3\n")
    began = time.monotonic()
    result = project.run("release")
    assert (1, [], True) == (result.status, result.out, time.monotonic() - began < 60)
    line, *output = result.err.splitlines()[-2:]
    assert (True, ["  | begun"]) == (line.endswith("sleep 300': no end after 3 s"), output)
    assert ("", "") == (fetched(project.path.name, "latest"), containers())


def test_an_interrupt_leaves_no_container(project: Project) -> None:
    """Ctrl-C while the images are tried: no tag, no container, no traceback."""
    write_smoke(project, "[sleep, '300']")
    project.run("release", INVOKE_MULTIARCH_SMOKE_SECONDS="0.1")
    with subprocess.Popen(
        project.command("manifest"), cwd=project.path, env=project.env(), stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 30
        while not containers() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (130, "interrupted") == (process.returncode, said.splitlines()[-1])
    assert (False, "", "") == ("Traceback" in said, fetched(project.path.name, "latest"), containers())


def test_smoke_is_confined(project: Project) -> None:
    """No network but loopback, no capability, none to be had, no mount of the host's; the root can be written to."""
    checks = (
        "[ $(ls /sys/class/net) = lo ]",
        "if wget -T 2 -q -O - http://172.17.0.1:5001/v2/ 2>/dev/null; then exit 9; fi",
        '[ "$(grep -c "Cap.*0000000000000000" /proc/self/status)" = 5 ]',
        "grep -q 'NoNewPrivs:.1' /proc/self/status",
        "echo x > /written",
    )
    script = json.dumps("set -ex; " + "; ".join(checks))
    project.write(invoke_yaml=f"multiarch:\n  smoke: [sh, -c, {script}]\n  platforms: [linux/amd64]\n")
    project.ok("release")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("[nothere]", 'exec: "nothere": executable file not found in $PATH'),
        ("[/garbage]", "the Docker host cannot run it: run setup-binfmt --platform linux/arm64 first"),
    ],
)
def test_smoke_says_why_it_cannot_begin(project: Project, words: str, expected: str) -> None:
    """No such program, or none that the Docker host can run: what to do, in one line and the program's own words."""
    (project.path / "garbage").write_bytes(b"\0no program")
    (project.path / "garbage").chmod(0o755)
    project.write(
        invoke_yaml=f"multiarch:\n  smoke: {words}\n  platforms: [linux/arm64]\n",
        Dockerfile="FROM busybox:stable\nCOPY garbage /\n",
    )
    result = project.run("release")
    assert (1, []) == (result.status, result.out)
    (line,) = [line for line in result.err.splitlines() if "gate 'it runs'" in line]
    assert expected in line
    assert ("", False) == (containers(), "attempt" in result.err)


# Cache.


@pytest.fixture
def another_builder() -> Iterator[dict[str, str]]:
    """A BuildKit that has built nothing yet, as BUILDKIT_HOST."""
    with fresh_builder() as environ:
        yield environ


def test_the_build_cache_outlives_its_builder(project: Project, another_builder: dict[str, str]) -> None:
    """Every kind: what one builder has built, another takes; each platform has a cache of its own."""
    for kind in ("registry", "local", "inline"):
        # A step of this test alone, so that nothing else has it cached.
        dockerfile = f"FROM busybox:stable\nRUN echo {kind} {project.path.name} $(uname -m) > /made\n"
        project.write(invoke_yaml=f"multiarch:\n  cache: {kind}\n{PLATFORMS}", Dockerfile=dockerfile)
        environ = {**PLAIN, "XDG_CACHE_HOME": str(project.path / "cache")}
        first = project.run("release", **environ)
        again = project.run("release", **environ, **another_builder)
        assert (0, kind) == (first.status, kind), first.err
        assert (0, kind) == (again.status, kind), again.err
        # An inline cache is in the image, and says what of it was cached.
        assert (kind != "inline") == (first.out == again.out)
        assert {False} == {line.endswith("CACHED") for line in _ends(first.err)}
        assert {True} == {line.endswith("CACHED") for line in _ends(again.err)}, again.err
        assert 0 == (first.err + again.err).count("ERROR")
    assert 3 == len({fetched(project.path.name, f"buildcache-{slug}") for slug in SLUGS} - {""})
    kept = project.path / "cache/multiarch/buildkit" / project.image
    assert sorted(SLUGS) == sorted(path.parent.name for path in kept.glob("*/index.json"))


def test_an_empty_cache_does_not_hide_a_failure(project: Project) -> None:
    """The first time there is no cache; the error names the instruction that failed."""
    for kind in ("registry", "local"):
        project.write(
            invoke_yaml=f"multiarch:\n  cache: {kind}\n  platforms: [linux/amd64]\n",
            Dockerfile="FROM busybox:stable\nRUN echo oh && false\n",
        )
        result = project.run("release", XDG_CACHE_HOME=str(project.path / "cache"), BUILDKIT_HOST=_address(project))
        assert 1 == result.status
        assert ["  | oh"] == result.err.splitlines()[-1:]
        assert "linux/amd64: build failed in [2/2] RUN echo oh && false (Dockerfile:2): process" in result.err


# Secrets.


class Watched:
    """The command lines of all processes while something runs, sampled every 10 ms."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.samples = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.samples += 1
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    self.seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An agent that holds a key made for this test."""
    key, sock = tmp_path / "key", tmp_path / "agent.sock"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL) as process:
        while not sock.exists():
            time.sleep(0.02)
        subprocess.run(
            ["ssh-add", "-q", str(key)], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(sock)}, capture_output=True
        )
        yield {"SSH_AUTH_SOCK": str(sock), "KEY": str(key)}
        process.terminate()


MOUNTS = """\
FROM busybox:stable
RUN --mount=type=secret,id=token --mount=type=secret,id=file sha256sum /run/secrets/token /run/secrets/file > /sums
RUN --mount=type=ssh [ -S "$SSH_AUTH_SOCK" ]
RUN --mount=type=ssh,id=git [ -S "$SSH_AUTH_SOCK" ] && sleep 1
"""


def test_secrets_and_keys_are_never_shown(project: Project, agent: dict[str, str]) -> None:
    """A RUN gets them; no process has them in its arguments, no output, report, layer's history, config or index."""
    token, kept = f"tok-{secrets.token_hex(12)}", f"file-{secrets.token_hex(12)}"
    (project.path / "kept").write_text(kept)
    block = f"  secrets: {{token: 'env:TOKEN', file: 'file:kept'}}\n  ssh: [default, git={agent['KEY']}]\n"
    project.write(
        invoke_yaml=f"multiarch:\n{block}  attestations: [provenance]\n  smoke: [cat, /sums]\n{PLATFORMS}",
        # A secret is no part of what BuildKit knows a step by: without the name it would be cached from the last run.
        Dockerfile=MOUNTS.replace("RUN", f"ENV RUN_OF={project.path.name}\nRUN", 1),
    )
    with Watched() as watched:
        result = project.run("release", "--report", "report.json", TOKEN=token, SSH_AUTH_SOCK=agent["SSH_AUTH_SOCK"])
    assert 0 == result.status, result.err
    report = (project.path / "report.json").read_text()
    assert "--mount=type=secret" in report
    image = f"{project.image}:latest"
    docker("pull", "--quiet", "--platform", "linux/arm64", image)
    sums = docker("run", "--rm", "--platform", "linux/arm64", image, "cat", "/sums")
    expected = [
        subprocess.run(["sha256sum"], input=x, capture_output=True, text=True).stdout[:64] for x in (token, kept)
    ]
    assert expected == [line[:64] for line in sums.splitlines()]

    assert watched.samples > 20
    assert any("--secret id=token,env=TOKEN --secret id=file,src=kept" in line for line in watched.seen)
    private = "".join(Path(agent["KEY"]).read_text().splitlines()[1:-1])
    texts = [
        *watched.seen,
        result.err,
        *result.out,
        report,
        docker("history", "--no-trunc", image),
        docker("inspect", image),
        *_published(project.path.name),
    ]
    hidden = (token, kept, private, *Path(agent["KEY"]).read_text().splitlines()[1:-1])
    assert [] == [secret for secret in hidden for text in texts if secret in text]


def test_a_secret_that_is_missing_is_one_line(project: Project) -> None:
    """Nothing is started for a build that lacks a secret."""
    project.write(invoke_yaml=f"multiarch:\n  secrets: {{token: 'env:NO_SUCH'}}\n{PLATFORMS}")
    result = project.run("release")
    assert (1, [], "multiarch.secrets.token: the variable NO_SUCH is not set\n") == (
        result.status,
        result.out,
        result.err,
    )


# Labels, no_cache and pull.


def test_labels_are_in_the_config(project: Project) -> None:
    """With whatever characters they hold, on every platform."""
    project.write(invoke_yaml=f"multiarch:\n  labels: {{org.example.a: 'b, c=\"d\"', x: ''}}\n{PLATFORMS}")
    project.ok("release")
    configs = [json.loads(text) for text in _published(project.path.name)]
    labels = [
        c["config"]["Labels"] for c in configs if "rootfs" in c and "config" in c and c["architecture"] != "unknown"
    ]
    assert [{"org.example.a": 'b, c="d"', "x": ""}] * 3 == labels


def test_no_cache_runs_every_step_again(project: Project) -> None:
    """Nothing is taken from the cache."""
    words = ["build-arch", "--platform", "linux/amd64"]
    project.ok(*words)
    cached, again = project.run(*words), project.run(*words, "--no-cache")
    assert [True] == [line.endswith("CACHED") for line in _ends(cached.err)]
    assert [False] == [line.endswith("CACHED") for line in _ends(again.err)]


def test_pull_looks_for_the_base_image_again(project: Project) -> None:
    """A base image that moved under its tag is the new one."""
    base = f"{project.image}-base"
    for text in ("one", "two"):
        project.write(
            invoke_yaml=f"multiarch:\n  image: {base}\n  platforms: [linux/amd64]\n",
            Dockerfile=f"FROM busybox:stable\nRUN echo {text} > /word\n",
        )
        project.ok("release")
        project.write(
            invoke_yaml="multiarch:\n  platforms: [linux/amd64]\n",
            Dockerfile=f"FROM {base}:latest\nRUN true\n",
        )
        (pushed,) = project.ok("release", "--pull")
        assert text == docker("run", "--rm", pushed, "cat", "/word")


def _ends(shown: str) -> list[str]:
    """Return the lines on the ends of RUNs."""
    return [line for line in shown.splitlines() if "] RUN" in line]


def _address(project: Project) -> str:
    (address,) = project.ok("start-buildkit")
    return address


def _published(repository: str) -> Iterator[str]:
    """Yield all texts under the tag latest: its index, the manifests, their configs and attestations."""
    index = fetched(repository, "latest")
    yield index
    for entry in json.loads(index)["manifests"]:
        manifest = fetched(repository, entry["digest"])
        yield manifest
        parsed = json.loads(manifest)
        for blob in (parsed["config"], *parsed["layers"]):
            if "json" in blob["mediaType"]:
                url = f"http://{REGISTRY}/v2/{repository}/blobs/{blob['digest']}"
                with urllib.request.urlopen(url, timeout=10) as answer:
                    yield answer.read().decode()

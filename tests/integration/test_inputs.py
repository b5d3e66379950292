"""Inputs of a build, as BuildKit fetches or gets them: git, archives, named contexts, standard input."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import PLAIN, Project
from tests.integration.docker_host import docker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "token-of-this-test"
DOCKERFILE = """\
FROM base
COPY word /word
COPY --from=lib word /lib
ARG VERSION=none
RUN echo "$VERSION $(uname -m)" > /made
"""


class _Forge(BaseHTTPRequestHandler):
    """A private repository over git's smart protocol, and an archive for everybody."""

    server: _Server

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        if self.path == "/context.tar":
            self._answer(200, {}, self.server.archive)
        else:
            self._git()

    def do_POST(self) -> None:
        self._git()

    def _git(self) -> None:
        login = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
        if self.headers.get("Authorization", "").lower() != f"basic {login}".lower():
            self._answer(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
            return
        path, _, query = self.path.partition("?")
        environ = {
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        done = subprocess.run(["git", "http-backend"], input=body, env={**os.environ, **environ}, capture_output=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self._answer(int(headers.pop("Status", "200")[:3]), headers, content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    """Serves the repositories below *root*."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Forge)
        self.root = root
        text = io.BytesIO()
        with tarfile.open(fileobj=text, mode="w") as tar:
            for name, content in {"Dockerfile": DOCKERFILE, "word": "archive\n"}.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content.encode()))
        self.archive = text.getvalue()

    @property
    def address(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[_Server]:
    """A server with a private repository, whose branch `side` has the Dockerfile in a directory."""
    (tmp_path / "app.git" / "sub").mkdir(parents=True)
    (tmp_path / "app.git" / "sub" / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "app.git" / "sub" / "word").write_text("git\n")
    git = ["git", "-C", str(tmp_path / "app.git"), "-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "--quiet", "-b", "side"], ["add", "."], ["commit", "--quiet", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    with _Server(tmp_path) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_contexts_of_every_kind_in_one_release(project: Project, forge: _Server) -> None:
    """A platform from a private repository, another from an archive; an image and a directory as named contexts."""
    (project.path / "lib").mkdir()
    (project.path / "lib" / "word").write_text("local\n")
    project.write(
        invoke_yaml=f"""\
multiarch:
  secrets: {{GIT_AUTH_TOKEN: "env:FORGE_TOKEN"}}
  contexts: {{lib: lib, base: "docker-image://busybox:stable"}}
  build_args: {{VERSION: "env:BUILD"}}
  platforms:
    - platform: linux/amd64
      context: "{forge.address}/app.git#side:sub"
    - platform: linux/arm64
      context: {forge.address}/context.tar
"""
    )
    result = project.run("release", "--build-context", "lib=lib", FORGE_TOKEN=TOKEN, BUILD="7", **PLAIN)
    assert (0, False) == (result.status, TOKEN in result.err), result.err
    expected = {"linux/amd64": "git local 7 x86_64", "linux/arm64": "archive local 7 aarch64"}
    words = ("run", "--rm", "--pull", "always", "--quiet", "--platform")
    image = f"{project.image}:latest"
    assert expected == {
        p: " ".join(docker(*words, p, image, "cat", "/word", "/lib", "/made").split()) for p in expected
    }


def test_dockerfile_from_standard_input(project: Project) -> None:
    """With the context of this machine; without a Dockerfile anywhere else."""
    (project.path / "Dockerfile").rename(project.path / "Containerfile")
    words = [
        "build-arch",
        "--platform",
        "linux/amd64",
        "--build-arg",
        "VERSION",
        "--output",
        "local,dest=out",
        "--dockerfile",
    ]
    environ = project.env(VERSION="7", **PLAIN)
    for step in ("start-buildkit", "copy-buildctl"):
        project.ok(step)
    done = subprocess.run(
        project.command(*words, "-"),
        input="FROM scratch\nARG VERSION\nCOPY Containerfile /copied-$VERSION\n",
        cwd=project.path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (0, ["copied-7"]) == (done.returncode, os.listdir(project.path / "out")), done.stderr
    # The other name is found where nothing is said.
    project.ok("build-arch", "--platform", "linux/amd64", "--output", "none", **PLAIN)


PRIVILEGED = """\
FROM busybox:stable
RUN --security=insecure grep -q "CapEff:.*[1-9a-f]" /proc/self/status && mkdir /m && mount -t tmpfs none /m
RUN --network=host ls /sys/class/net > /interfaces
"""


def test_entitlements_are_what_the_settings_allow(project: Project) -> None:
    """Without them the build is refused, with the setting; with them the server is one that allows them."""
    plain = "multiarch:\n  platforms: [linux/amd64]\n"
    project.write(invoke_yaml=plain, Dockerfile=PRIVILEGED)
    refused = project.run("release", **PLAIN)
    hint = "say so: multiarch.entitlements: [security.insecure, network.host]"
    assert (1, True) == (refused.status, hint in refused.err.splitlines()[-1]), refused.err
    project.write(invoke_yaml=f"{plain}  entitlements: [security.insecure, network.host]\n")
    project.ok("release", **PLAIN)
    # No other test meets this server.
    project.write(invoke_yaml=plain)
    project.ok("start-buildkit", "--recreate")

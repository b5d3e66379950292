"""Copying buildctl: from what Docker sends, to a file that is whole, or to none."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from multiarch.config.load import load
from multiarch.config.project import Project
from multiarch.docker_host import DockerHost
from multiarch.errors import BuildctlNotExecutableError, ConfigurationError, DockerError
from multiarch.image.manifest import OCI_MANIFEST
from multiarch.registry.errors import ExtractionError
from multiarch.retry import Policy
from multiarch.run import Run
from multiarch.steps import copy_buildctl
from tests.unit.docker_daemon import API, Daemon
from tests.unit.images import tar
from tests.unit.registry_server import Reply

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.display.progress import Progress
    from tests.unit.registry_server import RegistryServer

PROGRAM = b"#!/bin/sh\nexit 0\n"


def archive(kind: bytes = tarfile.REGTYPE, content: bytes = PROGRAM) -> bytes:
    """Return an archive of one member, as ``docker cp`` has it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("buildctl")
        member.type, member.size, member.linkname = kind, len(content), "elsewhere"
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def daemon(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """The daemon that DOCKER_HOST names; a server of ours runs on it."""
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{server.host}")
    daemon = Daemon(server)
    daemon.hold("buildkit")
    send(daemon, archive())
    return daemon


def send(daemon: Daemon, body: bytes) -> None:
    """Let the daemon send an archive of the program in its container."""
    stat = base64.b64encode(json.dumps({"name": "buildctl", "size": 1}).encode()).decode()
    path = f"GET {API}/containers/buildkit/archive"
    daemon.server.table[path] = [Reply(200, body, {"X-Docker-Container-Path-Stat": stat})]
    daemon.server.table[f"POST {API}/containers/buildkit/exec"] = [Reply(200, b'{"Id": "e1"}')]
    daemon.server.table[f"POST {API}/exec/e1/start"] = [Reply(200, b"", sent=0)]  # the connection ends with the output
    daemon.server.table[f"GET {API}/exec/e1/json"] = [Reply(200, b'{"ExitCode": 1}')]


def copy(dest: Path) -> Path:
    """Copy buildctl into a directory."""
    run = Run(Project.of(load({"platforms": ["arm64"], "dest": str(dest), "retry_seconds": 0.0}, {}, {})), quiet())
    run.__dict__["host"] = DockerHost(Policy(attempts=1), lambda _: None)
    try:
        (path,) = copy_buildctl.run(run)
    finally:
        run.host.client.close()
    return path


def quiet() -> Progress:
    """Return the display of a run that shows nothing."""
    from multiarch.display.console import progress_for

    return progress_for(io.StringIO(), {}, quiet=True)


def test_program_is_copied_whole(daemon: Daemon, tmp_path: Path) -> None:
    """It is executable, and alone: no other file is left beside it."""
    path = copy(tmp_path / "dest")
    assert (PROGRAM, 0o755) == (path.read_bytes(), path.stat().st_mode & 0o7777)
    assert ["buildctl"] == os.listdir(tmp_path / "dest")


def test_link_in_its_place_is_not_followed(daemon: Daemon, tmp_path: Path) -> None:
    """The file that it leads to is another's."""
    (tmp_path / "other").write_text("other")
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "buildctl").symlink_to(tmp_path / "other")
    path = copy(tmp_path / "dest")
    assert ("other", False) == ((tmp_path / "other").read_text(), path.is_symlink())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no archive",
        archive()[:520],
        archive(tarfile.SYMTYPE, b""),
        archive(tarfile.LNKTYPE, b""),
        archive(tarfile.DIRTYPE, b""),
        archive(tarfile.CHRTYPE, b""),
        archive(tarfile.FIFOTYPE, b""),
        archive()[:100] + b"\xff" * 412,
    ],
)
def test_archive_of_anything_else_leaves_no_file(daemon: Daemon, tmp_path: Path, body: bytes) -> None:
    """Cut, garbage, or no file: one line, and the program of before, if there is one, stays."""
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "buildctl").write_text("before")
    send(daemon, body)
    with pytest.raises(DockerError, match=r"^Docker could not copy buildctl out of its container: ") as caught:
        copy(tmp_path / "dest")
    assert 1 == len(str(caught.value).splitlines())
    assert ["buildctl"] == os.listdir(tmp_path / "dest")
    assert "before" == (tmp_path / "dest" / "buildctl").read_text()


def test_container_that_vanishes_is_one_line(daemon: Daemon, tmp_path: Path) -> None:
    """Another process removes the server meanwhile."""
    missing = Reply(404, b'{"message": "No such container: buildkit"}')
    daemon.server.table[f"GET {API}/containers/buildkit/archive"] = [missing]
    expected = r"^Docker could not copy buildctl out of its container: No such container: buildkit$"
    with pytest.raises(DockerError, match=expected):
        copy(tmp_path / "dest")


@pytest.mark.parametrize("name", ["file/below", "taken"])
def test_place_that_cannot_be_written_is_one_line(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """A file above it, or a directory of the program's own name."""
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "buildctl").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"^--dest: cannot write to ") as caught:
        copy(tmp_path / name)
    assert 1 == len(str(caught.value).splitlines())
    assert ["buildctl"] == os.listdir(tmp_path / "taken")


@pytest.mark.parametrize("program", [b"\x7fELF of another machine", b"#!/bin/sh\nexit 1\n"])
def test_program_that_cannot_run_is_not_kept(daemon: Daemon, tmp_path: Path, program: bytes) -> None:
    """On a Mac or another architecture, what the error advises would change nothing else."""
    send(daemon, archive(content=program))
    with pytest.raises(BuildctlNotExecutableError, match=r"cannot run here .*: install one for this machine on PATH"):
        copy(tmp_path / "dest")
    assert [] == os.listdir(tmp_path / "dest")


def hold_image(server: RegistryServer) -> str:
    """Hold an image for this machine with the program in it; return its name."""
    layer = tar({"usr/bin/buildctl": PROGRAM})
    entry = {"digest": server.hold_blob("buildkit", layer), "size": len(layer)}
    server.hold_manifest("buildkit", "v1", {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [entry]})
    return f"{server.host}/buildkit:v1"


def test_program_comes_from_the_registry_without_a_docker_host(
    server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release on builders elsewhere needs no Docker at all."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    image = hold_image(server)
    run = Run(Project.of(load({"buildkit_image": image, "dest": str(tmp_path / "d")}, {}, {})), quiet())
    (path,) = copy_buildctl.run(run)
    assert (PROGRAM, 0o755) == (path.read_bytes(), path.stat().st_mode & 0o7777)
    assert ["buildctl"] == os.listdir(tmp_path / "d")


def test_failure_of_the_registry_leaves_the_program_of_before(
    server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a program is never left, and the line names the image and the remedy."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    (tmp_path / "buildctl").write_text("before")
    settings = load({"buildkit_image": f"{server.host}/buildkit:v2", "dest": str(tmp_path)}, {}, {})
    with pytest.raises(ExtractionError, match=r"there is no such image; name another with multiarch\.buildkit_image"):
        copy_buildctl.run(Run(Project.of(settings), quiet()))
    assert ("before", ["buildctl"]) == ((tmp_path / "buildctl").read_text(), os.listdir(tmp_path))

"""Where the client is put, and which one is used."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.buildkit.buildctl import check_executable, default_path, find_buildctl
from multiarch.config.load import load
from multiarch.config.project import Project
from multiarch.errors import BuildctlMissingError, BuildctlNotExecutableError
from multiarch.image.elf import Elf
from multiarch.steps.copy_buildctl import commands

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.config.settings import Settings


# The head of a program of another machine, which no emulator here runs.
SPARC = Elf(64, "big", 43).header() + bytes(100)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, and nothing on PATH."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "cache" / "multiarch" / "buildctl"


def read(**block: Any) -> Settings:
    """Return settings."""
    return load(block, {}, {})


def put(path: Path, mode: int = 0o755) -> Path:
    """Put a program somewhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("moby/buildkit:v0.32.2", "v0.32.2"),
        ("mirror.lan:5000/moby/buildkit:v0.32.2-rootless", "v0.32.2-rootless"),
        ("moby/buildkit", "latest"),
        ("mirror.lan:5000/moby/buildkit", "latest"),
        ("moby/buildkit@sha256:12", "12"),
    ],
)
def test_each_version_has_a_place_of_its_own(cache: Path, image: str, version: str) -> None:
    """The cache is divided by the version of the server's image."""
    assert cache / version / "buildctl" == default_path(read(buildkit_image=image))


def test_the_documents_command(cache: Path) -> None:
    """docker cp, into a directory that is there."""
    assert [
        ["mkdir", "-p", "/usr/bin"],
        ["docker", "cp", "buildkit:/usr/bin/buildctl", "/usr/bin/buildctl"],
    ] == commands(Project.of(read(dest="/usr/bin")))


def test_the_nearest_client_is_used(cache: Path, tmp_path: Path) -> None:
    """Out of `dest`, else the cache, else PATH."""
    settings = read(dest=str(tmp_path / "dest"))
    with pytest.raises(BuildctlMissingError, match="run the copy-buildctl task first"):
        find_buildctl(settings)
    for path in (tmp_path / "path", cache / "v0.32.2", tmp_path / "dest"):
        assert put(path / "buildctl") == find_buildctl(settings)


def test_a_client_without_the_permission_is_named(cache: Path) -> None:
    """It is not passed over for another one."""
    path = put(cache / "v0.32.2" / "buildctl", 0o644)
    with pytest.raises(BuildctlNotExecutableError, match=f"^buildctl at {path} cannot run here "):
        find_buildctl(read())


@pytest.mark.parametrize("content", [b"\x7fELF of another machine", SPARC, b"half a file"])
def test_client_that_cannot_run_is_not_preferred(cache: Path, tmp_path: Path, content: bytes) -> None:
    """One on PATH is used, as the error advises; without one the error names what there is."""
    path = put(cache / "v0.32.2" / "buildctl")
    path.write_bytes(content)
    with pytest.raises(BuildctlNotExecutableError, match=f"^buildctl at {path} cannot run here "):
        find_buildctl(read())
    assert put(tmp_path / "path" / "buildctl") == find_buildctl(read())


def test_program_of_this_machine_is_not_run_to_see(cache: Path) -> None:
    """Each release would wait for it: its kind is told from its head."""
    path = put(cache / "v0.32.2" / "buildctl")
    shutil.copy(os.path.realpath("/bin/false"), path)
    assert path == find_buildctl(read())


@pytest.mark.parametrize(
    "content", [b"\x7fELF of another machine", b"#!/nowhere/interpreter\n", b"#!/bin/sh\nexit 1\n"]
)
def test_a_client_that_does_not_run_here_is_named(tmp_path: Path, content: bytes) -> None:
    """Another machine's program, or one that fails to tell its version."""
    path = put(tmp_path / "buildctl")
    path.write_bytes(content)
    with pytest.raises(BuildctlNotExecutableError, match=f"^buildctl at {path} cannot run here .* on .*: install one"):
        check_executable(path)


def test_a_client_that_runs_is_fine(tmp_path: Path) -> None:
    """One that tells its version raises nothing."""
    check_executable(put(tmp_path / "buildctl"))


def test_client_in_the_working_directory_is_no_name_on_path(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``dest: .`` is that directory: ``buildctl`` alone would be looked for elsewhere, and not be found."""
    monkeypatch.chdir(tmp_path)
    assert tmp_path / "buildctl" == default_path(read(dest="."))
    assert "bin/buildctl" == str(default_path(read(dest="bin")))

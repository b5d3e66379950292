"""Machines that the client runs on, and old emulators on the Docker host."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.integration.docker_host import docker

if TYPE_CHECKING:
    from tests.integration.conftest import Project


def test_home_without_programs_leaves_the_client_on_path(project: Project) -> None:
    """A cache on a file system with noexec: what is copied there is not kept, and buildctl on PATH builds."""
    bin_, cache = project.path / "bin", project.path / "cache"
    cache.mkdir()
    project.ok("start-buildkit", "--platform", "linux/amd64")
    environ = project.env(XDG_CACHE_HOME=str(cache))
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o noexec none "$0" && exec "$@"', str(cache)]
    words = project.command("release", "--platform", "linux/amd64", "--allow-dropping")

    def run(path: str) -> subprocess.CompletedProcess[str]:
        env = {**environ, "PATH": path}
        return subprocess.run([*mount, *words], cwd=project.path, env=env, capture_output=True, text=True, timeout=300)

    alone = run(environ["PATH"])
    assert (1, "") == (alone.returncode, alone.stdout)
    assert "cannot run here" in alone.stderr and "install one for this machine on PATH" in alone.stderr.splitlines()[-1]
    project.ok("copy-buildctl", "--dest", str(bin_))
    with_path = run(f"{bin_}:{environ['PATH']}")
    assert 0 == with_path.returncode, with_path.stderr
    assert f"cannot run here; building with {bin_}/buildctl" in with_path.stderr
    assert with_path.stdout.startswith(f"{project.image}:latest@sha256:")


@pytest.mark.usefixtures("changing_emulators")
def test_old_emulator_is_replaced(project: Project) -> None:
    """By --reinstall, and by an --installer that is given, which no emulator that is there makes superfluous."""
    words = ("setup-binfmt", "--platform", "linux/arm64")
    project.ok(*words)
    for flags in (("--reinstall",), ("--installer", "linuxkit/binfmt:v0.6"), ("--reinstall",)):
        result = project.run(*words, *flags)
        assert (0, ["linux/arm64 qemu-aarch64"]) == (result.status, result.out), result.err
        assert "removing the emulators qemu-aarch64" in result.err
        assert f"with {flags[-1] if len(flags) > 1 else 'tonistiigi/binfmt'}" in result.err
        assert "aarch64" == docker("run", "--rm", "--platform", "linux/arm64", "busybox:stable", "uname", "-m")
    again = project.run(*words)
    assert (0, ["linux/arm64 qemu-aarch64"], "") == (again.status, again.out, again.err)


@pytest.mark.usefixtures("changing_emulators")
def test_installer_that_registers_nothing_is_not_believed(project: Project) -> None:
    """The emulator of before is gone, so that what is there then would be its work; the next run registers one."""
    words = ("setup-binfmt", "--platform", "linux/arm64")
    project.ok(*words)
    try:
        result = project.run(*words, "--installer", "busybox:stable")
        assert (1, []) == (result.status, result.out)
        assert "no emulator registered for linux/arm64 after busybox:stable ran" in result.err.splitlines()[-1]
    finally:
        assert ["linux/arm64 qemu-aarch64"] == project.ok(*words)


def test_crash_under_an_emulator_is_told_with_its_remedy(project: Project) -> None:
    """A RUN that ends like a program that SIGSEGV ends, as under an emulator that was registered years ago."""
    project.write(Dockerfile="FROM busybox:stable\nRUN exit 139\n")
    project.ok("start-buildkit", "--platform", "linux/arm64")
    project.ok("copy-buildctl")
    result = project.run("build-arch", "--platform", "linux/arm64", "--output", "none")
    assert 1 == result.status
    expected = "if linux/arm64 is emulated, its emulator may be too old: replace it with setup-binfmt --reinstall"
    assert expected in result.err, result.err

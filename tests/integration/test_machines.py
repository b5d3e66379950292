"""Machines that the client runs on, and old emulators on the Docker host."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

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

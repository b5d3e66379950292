"""Adoption with the real buildx, which evaluates HCL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.peers import BUILDX, install
from tests.unit.adoption.bake_files import HCL, HCL_SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Project


@pytest.fixture
def docker_config(tmp_path: Path) -> Path:
    """A configuration of docker that has buildx, and no other plugin."""
    plugins = tmp_path / "docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(install(BUILDX))
    return plugins.parent


def test_hcl_is_what_buildx_makes_of_it(project: Project, docker_config: Path) -> None:
    """The settings of the unit test, whose answer was buildx's; a broken file is one line of buildx's own."""
    for name in ("base", "app", "worker"):
        (project.path / name).mkdir()
        (project.path / name / "Dockerfile").write_text("FROM scratch\n")
    (project.path / "invoke.yaml").unlink(missing_ok=True)
    bake = project.path / "docker-bake.hcl"
    bake.write_text(HCL)
    environ = {"DOCKER_CONFIG": str(docker_config), "TAG": "of-this-machine"}
    result = project.run("init", **environ)
    assert (0, "invoke.yaml") == (result.status, result.out[0]), result.err
    text = (project.path / "invoke.yaml").read_text()
    settings = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert HCL_SETTINGS.splitlines() == settings
    assert 0 == project.run("init", "--check", **environ).status
    assert 0 == project.run("--dry", "release", **environ).status
    bake.write_text('target "default" {\n')
    broken = project.run("init", **environ)
    assert (0, 1) == (broken.status, broken.err.count("docker buildx bake --print says: ERROR: docker-bake.hcl:1,"))

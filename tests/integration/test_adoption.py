"""Adoption with the real buildx, which evaluates HCL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.peers import BUILDX, install
from tests.unit.adoption.bake_files import HCL, HCL_SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Project


JENKINS = """\
variable "VERSION" { default = "2.479" }
variable "LATEST" { default = "false" }
variable "IMAGES" { default = ["docker.io/someone/ci", "ghcr.io/someone/ci"] }
variable "PLATFORMS" { default = { debian = ["linux/amd64", "linux/s390x"], alpine = ["linux/amd64"] } }
group "linux" { targets = ["debian", "alpine"] }
group "default" { targets = ["linux"] }
function "tags" {
  params = [os, jdk]
  result = flatten([for image in IMAGES : concat(
    ["${image}:${VERSION}-${os}-jdk${jdk}"],
    equal(os, "debian") && equal(jdk, 21) ? ["${image}:${VERSION}"] : [],
    equal(LATEST, "true") ? ["${image}:latest"] : [],
  )])
}
target "debian" {
  matrix     = { jdk = [17, 21] }
  name       = "debian_jdk${jdk}"
  dockerfile = "debian/Dockerfile"
  args       = { JDK = jdk, EMPTY = "" }
  tags       = tags("debian", jdk)
  platforms  = PLATFORMS.debian
}
target "alpine" {
  dockerfile = "alpine/Dockerfile"
  tags       = tags("alpine", 21)
  platforms  = PLATFORMS.alpine
  ssh        = ["default"]
  network    = "host"
}
"""
JENKINS_SETTINGS = """\
multiarch:
  targets:
    debian_jdk17:
      image: [docker.io/someone/ci, ghcr.io/someone/ci]
      tags: ["2.479-debian-jdk17"]
      platforms: [linux/amd64, linux/s390x]
      dockerfile: debian/Dockerfile
      build_args:
        EMPTY: ""
        JDK: "17"
    debian_jdk21:
      image: [docker.io/someone/ci, ghcr.io/someone/ci]
      tags: ["2.479-debian-jdk21", "2.479"]
      platforms: [linux/amd64, linux/s390x]
      dockerfile: debian/Dockerfile
      build_args:
        EMPTY: ""
        JDK: "21"
    alpine:
      image: [docker.io/someone/ci, ghcr.io/someone/ci]
      tags: ["2.479-alpine-jdk21"]
      platforms: [linux/amd64]
      dockerfile: alpine/Dockerfile
      ssh: [default]
"""


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


def test_functions_conditions_and_an_agent_that_is_not_there(project: Project, docker_config: Path) -> None:
    """As jenkinsci/docker has them; bake asks for a socket where a target has ``ssh``, and init has none to give."""
    for name in ("debian", "alpine"):
        (project.path / name).mkdir()
        (project.path / name / "Dockerfile").write_text("FROM scratch\n")
    (project.path / "invoke.yaml").unlink(missing_ok=True)
    (project.path / "docker-bake.hcl").write_text(JENKINS)
    environ = {"DOCKER_CONFIG": str(docker_config), "SSH_AUTH_SOCK": ""}
    result = project.run("init", **environ)
    text = (project.path / "invoke.yaml").read_text()
    settings = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert (0, JENKINS_SETTINGS.splitlines()) == (result.status, settings), result.err
    doubts = [line for line in result.err.splitlines() if " -> " not in line]
    assert [
        "docker-bake.hcl:28: targets.alpine.network: not sure: there is no setting that means the same",
        # Which bake adds by itself, for the network.
        (
            "docker-bake.hcl:23: targets.alpine.entitlements: not sure: it is the whole project's; write"
            " multiarch.entitlements"
        ),
    ] == [doubt for doubt in doubts if doubt.startswith("docker-bake")]
    assert 0 == project.run("init", "--check", **environ).status
    assert 0 == project.run("--dry", "release", **environ).status

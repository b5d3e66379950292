"""The file that `pipeline` writes for Travis, run as Travis runs it, without Docker: a builder elsewhere builds all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lab import mirror
from lab.buildkit import VERSION
from tests.fleet.parts import published
from tests.travis.config import Event
from tests.travis.executor import Travis, build
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.parts import Builder, Project

# The project's own code: it runs in every step, and keeps what each step has of the keys.
_TASKS = """\
import os, sys
from multiarch import ns
with open({log!r}, "a") as log:
    log.write(f"{{sys.argv[1]}} {{sorted(name for name in os.environ if 'FLEET' in name)}}\\n")
"""
_SETTINGS = """\
multiarch:
  image: {image}
  platforms: [linux/amd64, linux/386]
  buildkit_image: {buildkit}
  cache: none
  install: invoke --version && env >>{log}
  builders:
    arm-1: {{address: '{address}', platforms: [linux/amd64, linux/386], tls: 'env:FLEET'}}
"""
KEYS = "['FLEET_CA', 'FLEET_CERT', 'FLEET_KEY']"


def git(directory: Path, *words: str) -> None:
    """Run git as nobody in particular."""
    who = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, "-C", str(directory), *words], check=True, capture_output=True)


def test_jobs_of_travis_build_on_a_builder_over_mtls(
    project: Project, secured: Callable[..., Builder], client: Path, tmp_path: Path
) -> None:
    """Neither an emulator nor a server is started; the keys are in the building steps alone, and nowhere shown."""
    there = secured("there")
    steps, installed = tmp_path / "steps", tmp_path / "installed"
    secrets = {f"FLEET_{name.upper()}": (client / f"{name}.pem").read_text() for name in ("ca", "cert", "key")}
    project.write("FROM busybox:stable\nCOPY Dockerfile /\nRUN true\n", "")
    buildkit = f"127.0.0.1:{mirror.PORT}/moby/buildkit:{VERSION}"
    settings = _SETTINGS.format(image=project.image, buildkit=buildkit, log=installed, address=there.address)
    (project.path / "invoke.yaml").write_text(settings)
    for words in (["pipeline", "--ci", "travis"], ["pipeline", "--ci", "travis", "--check"]):
        result = project.run(*words)
        assert 0 == result.status, result.err
    (project.path / "tasks.py").write_text(_TASKS.format(log=str(steps)))
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        git(project.path, *words)
    travis = Travis(
        project.path,
        path=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        secrets=secrets,
        environ={"PYTHONPATH": str(ROOT), "DOCKER_HOST": "unix:///nowhere/docker.sock"},
        at_once=1,
    )
    outcome = build(travis, Event(repo="someone/app"), number=7)
    shown = [line for job in outcome.jobs for line in job.output]
    passed = {"linux/amd64": "passed", "linux/386": "passed", "manifest": "passed"}
    assert passed == {job.name: job.status for job in outcome.jobs}, "\n".join(shown)
    assert any(f"{project.image}:latest@{published(project)}" in line for line in outcome.jobs[-1].output)
    building = ["copy-buildctl []", f"build-arch {KEYS}"]
    assert [*building, *building, "manifest []"] == steps.read_text().splitlines()
    assert "FLEET" not in installed.read_text()
    key = [line for line in secrets["FLEET_KEY"].splitlines() if "-----" not in line]
    assert [] == [line for line in shown if any(part in line for part in key)]
    left = [path for path in Path("/dev/shm").glob("multiarch-login-*/key.pem") if path.read_text() in secrets.values()]
    assert [] == left

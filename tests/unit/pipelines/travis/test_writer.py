"""Jobs of a .travis.yml, also beside those of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from multiarch.errors import ConfigurationError
from multiarch.pipelines.errors import PipelineError
from multiarch.pipelines.travis import lint
from multiarch.pipelines.travis.conditions import parse
from tests.unit.pipelines.files import VARIED, merged, parsed, text

if TYPE_CHECKING:
    from pathlib import Path


def test_the_jobs_of_travis(tmp_path: Path) -> None:
    """A machine gets an emulator only where it needs one; a native machine is one that BuildKit can run on."""
    jobs = parsed("travis", tmp_path, **VARIED)["jobs"]["include"]
    assert [
        ("build", "linux/amd64", "amd64", ["start-buildkit", "copy-buildctl"], "build-arch"),
        ("build", "linux/arm64", "arm64-graviton2", ["start-buildkit", "copy-buildctl"], "build-arch"),
        ("build", "linux/riscv64", "amd64", ["setup-binfmt", "start-buildkit", "copy-buildctl"], "build-arch"),
        ("build", "linux/s390x", "amd64", ["copy-buildctl"], "build-arch"),
        ("publish", "manifest", "amd64", ["setup-binfmt", "copy-buildctl"], "manifest"),
    ] == [
        (
            job["stage"],
            job["name"],
            job.get("arch"),
            [command.split()[1] for command in job["before_script"] if command.startswith("invoke")],
            job["script"].split()[1],
        )
        for job in jobs
    ]
    assert {"virt": "vm", "group": "edge"} == {key: jobs[1][key] for key in ("virt", "group")}
    # Images are tried on the machine of the last job, or on their builder.
    foreign = "--platform linux/arm64 --platform linux/riscv64"
    assert f"invoke setup-binfmt {foreign}" == jobs[-1]["before_script"][0]


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        *(
            (arch, f"runner {arch} of Travis is a container without privileges")
            for arch in ("arm64", "ppc64le", "s390x")
        ),
        ("ubuntu-24.04-arm", "Travis has no runner ubuntu-24.04-arm; name one for each CI"),
    ],
)
def test_a_machine_that_will_not_do_is_refused(tmp_path: Path, arch: str, expected: str) -> None:
    """Travis's containers cannot run BuildKit; and Travis ignores a machine that it does not know."""
    with pytest.raises(ConfigurationError, match=expected):
        text("travis", tmp_path, platforms=[{"platform": "arm64", "runner": arch}])


@pytest.mark.parametrize("branch", ["main", "release/1", "env-prod", "environment", "tag", "branch", "concat"])
def test_a_branch_that_is_a_word_of_conditions(tmp_path: Path, branch: str) -> None:
    """It means itself in the condition of a job, not what conditions mean by the word."""
    file = text("travis", tmp_path, platforms=["arm64"], branches=[branch])
    assert [] == lint.check(file, ".travis.yml")
    condition = parse(YAML(typ="safe").load(file)["jobs"]["include"][0]["if"])
    assert [True, False] == [condition.evaluate({"type": "push", "branch": name}, {}) for name in (branch, "other")]


TRAVIS = """\
# A comment.
language: go
os: [linux, osx]
go: ["1.20", "1.21"]  # both
services: [docker, redis]
env:
- DB=mysql
- DB=pg
install: go mod download

jobs:
  include:
  - stage: build
    name: wheels
    script: make wheels
  # The docs.
  - stage: docs
    script: >
      a very long command that a formatter would like to put into several lines, but which is somebody's own, and stays
"""


def test_a_projects_travis_file_stays(tmp_path: Path) -> None:
    """Every line is as it was written, in its order; our jobs come after."""
    file = merged(tmp_path, "travis", TRAVIS)
    assert file.text.startswith(TRAVIS)
    names = [job.get("name") for job in file.data["jobs"]["include"]]
    assert ["wheels", None, "linux/amd64", "linux/arm64", "manifest"] == names


def test_stages_of_travis_keep_their_order(tmp_path: Path) -> None:
    """A stage of ours that the file lacks comes last."""
    file = merged(tmp_path, "travis", "stages: [test, build, deploy]\nscript: make\n")
    assert ["test", "build", "deploy", "publish"] == file.data["stages"]


def test_a_platform_that_is_no_more_goes_from_travis(tmp_path: Path) -> None:
    """Its job goes; what a project has added to our other jobs stays, and so do comments."""
    first = text("travis", tmp_path, platforms=["amd64", {"platform": "arm64", "runner": "arm64-graviton2"}, "s390x"])
    edited = first.replace(
        "      script: invoke manifest", "      script: invoke manifest  # last\n      after_success: ./tell.sh"
    )
    edited = edited.replace(
        "        - invoke copy-buildctl", "        # The client.\n        - invoke copy-buildctl", 1
    )
    file = merged(tmp_path, "travis", edited, platforms=["amd64", "arm64", "riscv64"])
    jobs = {job["name"]: job for job in file.data["jobs"]["include"]}
    assert ["linux/amd64", "linux/arm64", "linux/riscv64", "manifest"] == list(jobs)
    assert ("amd64", None, "./tell.sh") == (
        *map(jobs["linux/arm64"].get, ("arch", "virt")),
        jobs["manifest"]["after_success"],
    )
    assert [True, True] == [comment in file.text for comment in ("# last", "# The client.")]


def test_what_a_project_has_added_to_our_jobs_stays_in_travis(tmp_path: Path) -> None:
    """Variables, a condition of a stage, jobs with names of ours; and our jobs inherit none of the project's phases."""
    existing = (
        "stages: [test, {name: Build, if: fork = false}, publish]\nbefore_install: ./mine\narch: arm64\n"
        "jobs:\n  include:\n    - {stage: test, name: linux/arm64, script: make test}\n"
        "    - {stage: publish, name: manifest, script: make manifest}\n"
    )
    file = merged(tmp_path, "travis", existing)
    assert existing.splitlines() == [line for line in existing.splitlines() if line in file.text.splitlines()]
    job = file.data["jobs"]["include"][2]
    assert ("linux/amd64", "amd64", "true") == (job["name"], job["arch"], job["before_install"])
    edited = file.text.replace(
        "        - INVOKE_MULTIARCH_CACHE=registry\n",
        "        - INVOKE_MULTIARCH_CACHE=registry\n        - secure: abc\n",
        1,
    )
    edited = edited.replace("before_install: ./mine\n", "")
    file = merged(tmp_path, "travis", edited, platforms=["amd64", "arm64"], image=["a/b"], cache="inline")
    job = file.data["jobs"]["include"][2]
    assert ([{"secure": "abc"}], None) == (job["env"], job.get("before_install"))


def test_new_stages_and_jobs_come_before_what_publishes(tmp_path: Path) -> None:
    """Nothing is published before it is built, also where a platform replaces another."""
    file = merged(tmp_path, "travis", "stages: [test, publish]\nscript: make\n")
    assert ["test", "build", "publish"] == file.data["stages"]
    first = merged(tmp_path, "travis", "script: make\n", platforms=["amd64"])
    second = merged(tmp_path, "travis", first.text, platforms=["riscv64"])
    assert ["linux/riscv64", "manifest"] == [job["name"] for job in second.data["jobs"]["include"]]


@pytest.mark.parametrize(
    "existing",
    [
        "jobs: [{script: a}]\n",
        "jobs: {include: {script: a}}\n",
        "matrix: {include: [{script: a}]}\n",
    ],
)
def test_jobs_without_room_are_left_alone(tmp_path: Path, existing: str) -> None:
    """The error says how to write them."""
    with pytest.raises(PipelineError, match=r"write them so, and run it again"):
        merged(tmp_path, "travis", existing)
    assert existing == (tmp_path / ".travis.yml").read_text()

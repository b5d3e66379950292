"""Jobs of a project of several images: one for each platform of what is built on each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.settings import CIS
from multiarch.errors import ConfigurationError, EmptyMatrixError
from multiarch.pipelines.model import plan
from tests.unit.pipelines.files import ASSETS, GRID, PAIR, RUNNER, merged, parsed, project_of

if TYPE_CHECKING:
    from pathlib import Path

PAIR_NAMES = [
    "app+worker linux/amd64",
    "app linux/arm64",
    "app linux/riscv64",
    "tool linux/arm64",
    "tool linux/s390x",
]


def many(count: int) -> dict[str, Any]:
    """Return a project of so many targets on one platform."""
    targets: dict[str, Any] = {f"t{number}": {} for number in range(count)}
    return {"image": ["a/{target}"], "platforms": ["amd64"], "targets": targets}


def names(ci: str, file: Any) -> list[str]:
    """Return the names of the jobs that build, as the CI shows them."""
    if ci == "travis":
        return [job["name"] for job in file["jobs"]["include"] if job["stage"] == "build"]
    if ci == "github":
        return [entry["name"] for entry in file["jobs"]["build"]["strategy"]["matrix"]["include"]]
    jobs = file if ci == "gitlab" else [next(iter(job.values()))["name"] for job in of_circleci(file)]
    return [name.removeprefix("build ") for name in jobs if name.startswith("build ")]


def of_circleci(file: Any) -> list[Any]:
    """Return the jobs that build, of the workflow of CircleCI that publishes."""
    return [job for job in file["workflows"]["multiarch"]["jobs"] if "multiarch-build" in job]


@pytest.mark.parametrize("ci", CIS)
def test_job_is_for_a_platform_and_what_is_joined_by_bases(tmp_path: Path, ci: str) -> None:
    """What is not asked for has none of its own: a base is built in the jobs of what is built on it, others nowhere."""
    assert PAIR_NAMES == names(ci, parsed(ci, tmp_path, **PAIR))


def test_matrix_of_versions_and_flavours_has_a_job_for_each_image(tmp_path: Path) -> None:
    """A version of fewer platforms has fewer."""
    assert [
        "go-1.27-bookworm linux/amd64",
        "go-1.27-bookworm linux/arm64",
        "go-1.27-alpine linux/amd64",
        "go-1.27-alpine linux/arm64",
        "go-1.26-bookworm linux/amd64",
        "go-1.26-alpine linux/amd64",
    ] == names("github", parsed("github", tmp_path, **GRID))


def test_steps_of_a_job_are_for_its_platform_and_targets(tmp_path: Path) -> None:
    """Of those that are asked for; what publishes is for all, with emulators for the images that it tries."""
    jobs = parsed("travis", tmp_path, **PAIR)["jobs"]["include"]
    assert [
        "invoke start-buildkit --platform linux/amd64 --target app --target worker",
        "invoke copy-buildctl",
        "invoke build-arch --platform linux/amd64 --target app --target worker",
    ] == [*jobs[0]["before_script"], jobs[0]["script"]]
    assert "invoke setup-binfmt --platform linux/riscv64 --target app" == jobs[2]["before_script"][0]
    assert ["invoke copy-buildctl"] == [one for one in jobs[4]["before_script"] if one.startswith("invoke")]
    trials = "invoke setup-binfmt --platform linux/arm64 --platform linux/riscv64"
    assert ([trials], "invoke manifest") == (jobs[-1]["before_script"], jobs[-1]["script"])


def test_entry_of_github_has_its_flags(tmp_path: Path) -> None:
    """One job over a matrix, whose commands are alike."""
    job = parsed("github", tmp_path, **PAIR)["jobs"]["build"]
    assert {
        "name": "app linux/arm64",
        "flags": "--platform linux/arm64 --target app",
        "runner": "ubuntu-24.04-arm",
        "emulated": False,
        "builder": False,
    } == job["strategy"]["matrix"]["include"][1]
    assert ("build ${{ matrix.name }}", "invoke build-arch ${{ matrix.flags }}") == (
        job["name"],
        job["steps"][-1]["run"],
    )


def test_job_of_circleci_has_its_flags(tmp_path: Path) -> None:
    """As a parameter of the one job that builds."""
    file = parsed("circleci", tmp_path, **PAIR)
    flags = "--platform linux/amd64 --target app --target worker"
    assert flags == of_circleci(file)[0]["multiarch-build"]["flags"]
    assert {"run": "invoke build-arch << parameters.flags >>"} == file["jobs"]["multiarch-build"]["steps"][-1]


def test_base_of_one_platform_is_built_in_one_job(tmp_path: Path) -> None:
    """With all platforms that are built on it, on the usual machine; what has nothing to do with it is apart."""
    file = parsed("gitlab", tmp_path, **ASSETS)
    platforms = "--platform linux/amd64 --platform linux/arm64 --platform linux/riscv64"
    assert {
        "build assets+site linux/amd64+linux/arm64+linux/riscv64": f"{platforms} --target assets --target site",
        "build tool linux/arm64": "--platform linux/arm64 --target tool",
    } == {
        name: job["script"][-1].removeprefix("invoke build-arch ")
        for name, job in file.items()
        if name.startswith("build ")
    }
    native = {**ASSETS, "platforms": [{"platform": "arm64", "runner": RUNNER}]}
    targets = {**ASSETS["targets"], "site": {"contexts": {"assets": "target:assets"}}, "tool": {}}
    file = parsed("gitlab", tmp_path, **{**native, "targets": targets})
    assert (None, ["saas-arm64"]) == (
        file["build assets+site linux/amd64+linux/arm64"].get("tags"),
        file["build tool linux/arm64"]["tags"],
    )


@pytest.mark.parametrize(("ci", "most"), [("github", 256), ("travis", 199), ("gitlab", 200), ("circleci", 256)])
def test_more_jobs_than_a_ci_takes_are_an_error(ci: str, most: int) -> None:
    """One line says how many they are, how many it takes, and what to do."""
    assert most == len(plan(project_of(**many(most)), ci, program="invoke").builds)
    with pytest.raises(ConfigurationError) as caught:
        plan(project_of(**many(most + 1)), ci, program="invoke")
    assert (
        f"multiarch.targets: {most + 1} jobs would build them, a platform each, and {ci} takes {most}; "
        "divide the project, or name fewer of them in groups.default"
    ) == str(caught.value)


def test_names_of_many_targets_are_shortened() -> None:
    """GitLab takes 255 characters; the first target is in no other job of the platform."""
    targets: dict[str, Any] = {f"{letter * 100}": {"contexts": {"b": "target:base"}} for letter in "xyz"}
    block = {"image": ["a/b"], "platforms": ["amd64"], "tags": ["{target}"], "targets": {**targets, "base": {}}}
    (build,) = plan(project_of(**block), "gitlab", program="invoke").builds
    assert "base and 3 more linux/amd64" == build.name
    assert 4 == build.flags.count("--target ")


def test_target_without_platforms_is_an_error(tmp_path: Path) -> None:
    """The job that publishes would find nothing of it."""
    targets = {"app": {"platforms": ["amd64"]}, "worker": {}}
    with pytest.raises(EmptyMatrixError):
        parsed("travis", tmp_path, image=["a/{target}"], targets=targets)


def test_caches_of_any_target_are_prepared(tmp_path: Path) -> None:
    """GitHub's own needs a step before the build."""
    block = {**many(1), "targets": {"app": {}, "worker": {"cache": "gha"}}}
    file = parsed("github", tmp_path, **block)
    assert "cache" in [step.get("name") for step in file["jobs"]["build"]["steps"]]
    assert {} == file.get("env", {})


@pytest.mark.parametrize("ci", CIS)
def test_jobs_of_one_image_make_room_for_those_of_several(tmp_path: Path, ci: str) -> None:
    """And the other way; the project's own jobs and what it has added to the file stay."""
    own = {
        "travis": "jobs:\n  include:\n    - stage: build\n      name: mine\n      script: make\n",
        "github": "jobs:\n  mine:\n    runs-on: x\n    steps: [{run: make}]\n",
        "gitlab": "build mine linux/amd64:\n  script: make\n",
        "circleci": "version: 2.1\njobs:\n  mine: {docker: [{image: x}], steps: [checkout]}\n",
    }[ci]
    one = merged(tmp_path, ci, own)
    several = merged(tmp_path, ci, one.text, **PAIR)
    again = merged(tmp_path, ci, several.text)
    assert PAIR_NAMES == [name for name in names(ci, several.data) if "mine" not in name]
    assert one.data == again.data
    assert [True] * 3 == ["mine" in str(file.data) for file in (one, several, again)]

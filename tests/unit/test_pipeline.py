"""The pipeline files: from one model, valid for their CI, and merged into what a project has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from multiarch.config.load import load
from multiarch.config.settings import CIS
from multiarch.errors import ConfigurationError, EmptyMatrixError, PipelineError
from multiarch.pipelines.model import IMAGE
from multiarch.pipelines.travis import lint as travis_check
from multiarch.pipelines.travis.conditions import parse
from multiarch.pipelines.update import check_pipeline, pipeline_file, write_pipeline

if TYPE_CHECKING:
    from multiarch.config.settings import Settings
    from tests.unit.cli import Project

ROOT = Path(__file__).parents[2]
PATHS = {
    "travis": ".travis.yml",
    "github": ".github/workflows/multiarch.yml",
    "gitlab": ".gitlab-ci.yml",
    "circleci": ".circleci/config.yml",
}
SCHEMAS = {
    "travis": "vendor.travis",
    "github": "vendor.github-workflows",
    "gitlab": "vendor.gitlab-ci",
    "circleci": "vendor.circle-ci",
}
RUNNER = {"github": "ubuntu-24.04-arm", "travis": "arm64-graviton2", "gitlab": "saas-arm64", "circleci": "arm.medium"}
# Everything that a job may differ in.
VARIED: dict[str, Any] = {
    "image": ["docker.io/a/b", "ghcr.io/a/b", "registry.gitlab.com/a/b"],
    "smoke": ["true"],
    "branches": ["trunk", "release/1"],
    "platforms": [
        "amd64",
        {"platform": "arm64", "runner": RUNNER},
        "riscv64",
        {"platform": "s390x", "builder": "tcp://mainframe:1234"},
    ],
}
PLAIN: dict[str, Any] = {"image": ["a/b"], "platforms": ["amd64", "arm64"]}
NATIVE: dict[str, Any] = {"image": ["a/b"], "platforms": ["amd64"], "branches": [], "cache": "inline"}
FAR: dict[str, Any] = {"platforms": [{"platform": "s390x", "builder": "tcp://mainframe:1234"}]}


def settings(**block: Any) -> Settings:
    """Return settings of PLAIN, or of other blocks."""
    return load({"install": "pip install tools", **(block or PLAIN)}, {}, {}, directory=Path("/somewhere"))


def text(ci: str, directory: Path, **block: Any) -> str:
    """Return the text of a CI's file."""
    return pipeline_file(settings(**block), ci, directory, program="invoke").wanted


def parsed(ci: str, directory: Path, **block: Any) -> Any:
    """Return a CI's file as data."""
    return YAML(typ="safe").load(text(ci, directory, **block))


@pytest.mark.parametrize("block", [PLAIN, VARIED, NATIVE, FAR])
@pytest.mark.parametrize("ci", CIS)
def test_a_file_is_valid(tmp_path: Path, ci: str, block: dict[str, Any]) -> None:
    """By the schema of its CI; Travis's by our own check too, and GitHub's by actionlint."""
    path = write_pipeline(settings(**block), ci, tmp_path, program="invoke")
    assert PATHS[ci] == str(path.relative_to(tmp_path))
    commands = [["check_jsonschema", "--builtin-schema", SCHEMAS[ci], str(path)]]
    done = [subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True) for words in commands]
    if ci == "github":
        linted = ["-ignore", 'label ".+" is unknown', str(path)]
        done.append(
            subprocess.run([Path(sys.executable).parent / "actionlint", *linted], capture_output=True, text=True)
        )
    assert [] == [run.stdout + run.stderr for run in done if run.returncode]
    assert ci != "travis" or travis_check.check(path.read_text(), PATHS[ci]) == []


@pytest.mark.parametrize("ci", CIS)
def test_a_file_is_stable(tmp_path: Path, ci: str) -> None:
    """Written twice it is the same, and the check passes; where something else stands, the check shows it."""
    first = write_pipeline(settings(**VARIED), ci, tmp_path, program="invoke").read_text()
    path = write_pipeline(settings(**VARIED), ci, tmp_path, program="invoke")
    assert (first, path) == (path.read_text(), check_pipeline(settings(**VARIED), ci, tmp_path, program="invoke"))
    path.write_text(first.replace("build-arch", "build"))
    with pytest.raises(PipelineError) as caught:
        check_pipeline(settings(**VARIED), ci, tmp_path, program="invoke")
    told = str(caught.value).splitlines()
    assert f"{PATHS[ci]} is not what the settings give; run: invoke pipeline --ci {ci}" == told[0]
    assert any(line.startswith("-") and "invoke build --platform" in line for line in told)


def test_the_file_of_this_repository() -> None:
    """It is what `invoke pipeline --ci travis` writes."""
    block = YAML(typ="safe").load((ROOT / "invoke.yaml").read_text())["multiarch"]
    assert ROOT / ".travis.yml" == check_pipeline(settings(**block), "travis", ROOT, program="invoke")


# What the jobs do.


def test_the_jobs_of_travis(tmp_path: Path) -> None:
    """Emulators only where the machine needs them; a native machine is one that BuildKit can run on."""
    jobs = parsed("travis", tmp_path, **VARIED)["jobs"]["include"]
    assert [
        ("build", "linux/amd64", "amd64", ["start-buildkit", "copy-buildctl"], "build-arch"),
        ("build", "linux/arm64", "arm64-graviton2", ["start-buildkit", "copy-buildctl"], "build-arch"),
        ("build", "linux/riscv64", "amd64", ["setup-binfmt", "start-buildkit", "copy-buildctl"], "build-arch"),
        ("build", "linux/s390x", "amd64", ["copy-buildctl"], "build-arch"),
        ("publish", "manifest", "amd64", ["setup-binfmt"], "manifest"),
    ] == [
        (
            job["stage"],
            job["name"],
            job.get("arch"),
            [command.split()[1] for command in job["before_script"]],
            job["script"].split()[1],
        )
        for job in jobs
    ]
    assert {"virt": "vm", "group": "edge"} == {key: jobs[1][key] for key in ("virt", "group")}
    # What is tried before it is published is run on the machine of the last job.
    tried = "--platform linux/arm64 --platform linux/riscv64 --platform linux/s390x"
    assert f"invoke setup-binfmt {tried}" == jobs[-1]["before_script"][0]


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
    """Travis's containers cannot run BuildKit; and what it does not know, it ignores."""
    with pytest.raises(ConfigurationError, match=expected):
        text("travis", tmp_path, platforms=[{"platform": "arm64", "runner": arch}])


def test_the_jobs_of_github(tmp_path: Path) -> None:
    """One job over a matrix; what not all platforms need is conditional."""
    jobs = parsed("github", tmp_path, **VARIED)["jobs"]
    assert [
        ("linux/amd64", "ubuntu-latest", False, False),
        ("linux/arm64", "ubuntu-24.04-arm", False, False),
        ("linux/riscv64", "ubuntu-latest", True, False),
        ("linux/s390x", "ubuntu-latest", False, True),
    ] == [tuple(entry.values()) for entry in jobs["build"]["strategy"]["matrix"]["include"]]
    steps = {
        step["run"].split()[1]: step.get("if") for step in jobs["build"]["steps"] if "invoke" in step.get("run", "")
    }
    assert {
        "setup-binfmt": "matrix.emulated",
        "start-buildkit": "! matrix.builder",
        "copy-buildctl": None,
        "build-arch": None,
    } == steps
    published = "github.ref_type == 'tag' || contains(fromJSON('[\"trunk\", \"release/1\"]'), github.ref_name)"
    condition = f"github.event_name != 'pull_request' && ({published})"
    assert ("build", condition) == (jobs["manifest"]["needs"], jobs["manifest"]["if"])


def test_secrets_reach_the_steps_that_push_alone(tmp_path: Path) -> None:
    """GitHub's own registry takes the token of the job, which may write packages then."""
    workflow = parsed("github", tmp_path, **VARIED)
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert {
        "DOCKER_USERNAME": "${{ secrets.DOCKER_USERNAME }}",
        "DOCKER_PASSWORD": "${{ secrets.DOCKER_PASSWORD }}",
        "GHCR_IO_USERNAME": "${{ github.actor }}",
        "GHCR_IO_PASSWORD": "${{ secrets.GITHUB_TOKEN }}",
        "REGISTRY_GITLAB_COM_USERNAME": "${{ secrets.REGISTRY_GITLAB_COM_USERNAME }}",
        "REGISTRY_GITLAB_COM_PASSWORD": "${{ secrets.REGISTRY_GITLAB_COM_PASSWORD }}",
    } == steps[-1]["env"]
    commands = [step["run"].split()[1] for step in steps if "env" in step]
    assert (["build-arch", "manifest"], {"contents": "read", "packages": "write"}) == (
        commands,
        workflow["permissions"],
    )
    assert {"contents": "read"} == parsed("github", tmp_path)["permissions"]


def test_the_jobs_of_gitlab(tmp_path: Path) -> None:
    """A runner is asked for by its tag; GitLab's own registry takes the credentials of the job."""
    file = parsed("gitlab", tmp_path, **VARIED)
    assert (["saas-arm64"], None) == (file["build linux/arm64"]["tags"], file["build linux/riscv64"].get("tags"))
    names = ("REGISTRY_GITLAB_COM_USERNAME", "REGISTRY_GITLAB_COM_PASSWORD")
    exported = f'export {names[0]}="$CI_REGISTRY_USER" {names[1]}="$CI_REGISTRY_PASSWORD"'
    assert exported == file[".multiarch"]["before_script"][0]
    published = ["$CI_COMMIT_TAG", '$CI_COMMIT_BRANCH == "trunk"', '$CI_COMMIT_BRANCH == "release/1"']
    assert published == [rule["if"] for rule in file["publish manifest"]["rules"]]
    built = ['$CI_PIPELINE_SOURCE == "merge_request_event"', *published]
    assert built == [rule["if"] for rule in file[".multiarch"]["rules"]]


def test_the_references_of_circleci(tmp_path: Path) -> None:
    """Every job that a workflow names is declared, with its parameters and no others; every job required is there."""
    for block in (PLAIN, VARIED, NATIVE, FAR):
        file = parsed("circleci", tmp_path, **block)
        for workflow in file["workflows"].values():
            entries = [(name, given) for entry in workflow["jobs"] for name, given in entry.items()]
            names = {given.get("name", name) for name, given in entries}
            for name, given in entries:
                declared = file["jobs"][name].get("parameters", {})
                passed = set(given) - {"name", "filters", "requires"}
                needed = {parameter for parameter, about in declared.items() if "default" not in about}
                assert needed <= passed <= set(declared)
                assert set(given.get("requires", [])) <= names
        for job in file["jobs"].values():
            used = set(re.findall(r"<< parameters\.(\w+) >>", str(job)))
            assert used == set(job.get("parameters", {}))


def test_what_circleci_publishes(tmp_path: Path) -> None:
    """Branches and tags that are asked for; anything else is built and goes nowhere."""
    file = parsed("circleci", tmp_path, **VARIED)
    release, check = (file["workflows"][name]["jobs"] for name in ("multiarch", "multiarch-check"))
    only = {"branches": {"only": ["trunk", "release/1"]}, "tags": {"only": "/.*/"}}
    assert [only] * 5 == [next(iter(entry.values()))["filters"] for entry in release]
    assert [("none", {"branches": {"ignore": ["trunk", "release/1"]}})] * 4 == [
        (entry["multiarch-build"]["output"], entry["multiarch-build"]["filters"]) for entry in check
    ]
    assert "<< pipeline.number >>" == file["jobs"]["multiarch-build"]["environment"]["INVOKE_MULTIARCH_BUILD"]


@pytest.mark.parametrize("ci", CIS)
def test_the_cache_is_at_the_registry(tmp_path: Path, ci: str) -> None:
    """Machines begin with nothing; a cache that is chosen, and outlives them, stays."""
    assert ("CACHE" in text(ci, tmp_path), "CACHE" in text(ci, tmp_path, **NATIVE)) == (True, False)


@pytest.mark.parametrize("ci", CIS)
def test_a_repository_of_the_settings(tmp_path: Path, ci: str) -> None:
    """A file without an image names the variable that has to be set."""
    without = text(ci, tmp_path, platforms=["arm64"])
    assert ("INVOKE_MULTIARCH_IMAGE" in without, "INVOKE_MULTIARCH_IMAGE" in text(ci, tmp_path)) == (True, False)


def test_there_is_something_to_build(tmp_path: Path) -> None:
    """An empty matrix is the usual error."""
    with pytest.raises(EmptyMatrixError):
        text("travis", tmp_path, image=["a/b"])


@pytest.mark.parametrize(
    ("ci", "image", "expected"),
    [
        ("travis", "a/b", "DOCKER_USERNAME, DOCKER_PASSWORD, TOKEN"),
        ("github", "a/b", "the secrets DOCKER_USERNAME, DOCKER_PASSWORD, TOKEN"),
        ("github", "ghcr.io/a/b", "the secrets TOKEN"),
        ("github", "", f"the secrets DOCKER_USERNAME, DOCKER_PASSWORD, TOKEN and the variable {IMAGE}"),
        ("gitlab", "registry.gitlab.com/a/b", "TOKEN"),
        ("circleci", "ghcr.io/a/b", "DOCKER_USERNAME, DOCKER_PASSWORD, TOKEN"),
        ("circleci", "", f"{IMAGE}, DOCKER_USERNAME, DOCKER_PASSWORD, TOKEN"),
    ],
)
def test_a_file_tells_what_is_to_be_set(tmp_path: Path, ci: str, image: str, expected: str) -> None:
    """Credentials that the CI does not give by itself, and secrets of the build; told anew when they change."""
    block = {"image": [image] if image else [], "platforms": ["arm64"], "secrets": {"t": "env:TOKEN", "f": "file:x"}}
    write_pipeline(settings(), ci, tmp_path, program="invoke")
    for _ in range(2):
        written = write_pipeline(settings(**block), ci, tmp_path, program="invoke").read_text()
        assert f"# To be set at the CI: {expected}." == written.splitlines()[2]
        assert 1 == written.count("Written by")


def test_secrets_of_the_build_reach_it_alone(tmp_path: Path) -> None:
    """GitHub gives a step what is named there; other CIs have them in all of their jobs."""
    jobs = parsed("github", tmp_path, platforms=["arm64"], secrets={"t": "env:TOKEN"})["jobs"]
    assert ("${{ secrets.TOKEN }}", None) == (
        jobs["build"]["steps"][-1]["env"]["TOKEN"],
        jobs["manifest"]["steps"][-1]["env"].get("TOKEN"),
    )


@pytest.mark.parametrize("branch", ["main", "release/1", "env-prod", "environment", "tag", "branch", "concat"])
def test_a_branch_that_is_a_word_of_conditions(tmp_path: Path, branch: str) -> None:
    """It means itself."""
    file = text("travis", tmp_path, platforms=["arm64"], branches=[branch])
    assert [] == travis_check.check(file, ".travis.yml")
    condition = parse(YAML(typ="safe").load(file)["jobs"]["include"][0]["if"])
    there = [condition.evaluate({"type": "push", "branch": name}, {}) for name in (branch, "other")]
    assert [True, False] == there


# What stands in the file already.


def merged(directory: Path, ci: str, there: str, **block: Any) -> tuple[str, Any]:
    """Return what becomes of a file, as text and as data; written again it is the same."""
    path = directory / PATHS[ci]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(there, newline="")
    write_pipeline(settings(**block), ci, directory, program="invoke")
    with path.open(newline="") as file:
        text = file.read()
    check_pipeline(settings(**block), ci, directory, program="invoke")
    return text, YAML(typ="safe").load(text)


TRAVIS = """\
# Ours.
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
    """Everything that is in it is in it still, as it was written, in its order; our jobs come after."""
    after, data = merged(tmp_path, "travis", TRAVIS)
    assert after.startswith(TRAVIS)
    assert ["wheels", None, "linux/amd64", "linux/arm64", "manifest"] == [
        j.get("name") for j in data["jobs"]["include"]
    ]
    assert [] == [line for line in TRAVIS.splitlines() if line not in after.splitlines()]


def test_stages_of_travis_keep_their_order(tmp_path: Path) -> None:
    """Ours come last where they are not there yet."""
    _, data = merged(tmp_path, "travis", "stages: [test, build, deploy]\nscript: make\n")
    assert ["test", "build", "deploy", "publish"] == data["stages"]


def test_a_platform_that_is_no_more_goes_from_travis(tmp_path: Path) -> None:
    """With its job; what a project has added to ours stays, and so do comments."""
    first = text("travis", tmp_path, platforms=["amd64", {"platform": "arm64", "runner": "arm64-graviton2"}, "s390x"])
    edited = first.replace(
        "      script: invoke manifest", "      script: invoke manifest  # last\n      after_success: ./tell.sh"
    )
    edited = edited.replace(
        "        - invoke copy-buildctl", "        # The client.\n        - invoke copy-buildctl", 1
    )
    after, data = merged(tmp_path, "travis", edited, platforms=["amd64", "arm64", "riscv64"])
    jobs = {job["name"]: job for job in data["jobs"]["include"]}
    assert ["linux/amd64", "linux/arm64", "linux/riscv64", "manifest"] == list(jobs)
    assert ("amd64", None, "./tell.sh") == (
        *map(jobs["linux/arm64"].get, ("arch", "virt")),
        jobs["manifest"]["after_success"],
    )
    assert [True, True] == [part in after for part in ("# last", "# The client.")]


def test_what_a_project_has_added_to_our_jobs_stays_in_travis(tmp_path: Path) -> None:
    """Variables, the condition of a stage, and jobs that are called like ours; what ours would inherit, they do not."""
    there = (
        "stages: [test, {name: Build, if: fork = false}, publish]\nbefore_install: ./mine\narch: arm64\n"
        "jobs:\n  include:\n    - {stage: test, name: linux/arm64, script: make test}\n"
        "    - {stage: publish, name: manifest, script: make manifest}\n"
    )
    after, data = merged(tmp_path, "travis", there)
    assert [line for line in there.splitlines() if line in after.splitlines()] == there.splitlines()
    ours = data["jobs"]["include"][2:]
    assert [("linux/amd64", "amd64", "true")] == [(j["name"], j["arch"], j["before_install"]) for j in ours[:1]]
    added = after.replace(
        "        - INVOKE_MULTIARCH_CACHE=registry\n",
        "        - INVOKE_MULTIARCH_CACHE=registry\n        - secure: abc\n",
        1,
    )
    added = added.replace("before_install: ./mine\n", "")
    _, data = merged(tmp_path, "travis", added, platforms=["amd64", "arm64"], image=["a/b"], cache="inline")
    ours = data["jobs"]["include"][2:]
    assert ([{"secure": "abc"}], None) == (ours[0]["env"], ours[0].get("before_install"))


def test_new_stages_and_jobs_come_before_what_publishes(tmp_path: Path) -> None:
    """Nothing is published before it is built, whatever has been replaced."""
    _, data = merged(tmp_path, "travis", "stages: [test, publish]\nscript: make\n")
    assert ["test", "build", "publish"] == data["stages"]
    after, _ = merged(tmp_path, "travis", "script: make\n", platforms=["amd64"])
    _, data = merged(tmp_path, "travis", after, platforms=["riscv64"])
    assert ["linux/riscv64", "manifest"] == [job["name"] for job in data["jobs"]["include"]]


@pytest.mark.parametrize("ci", CIS)
@pytest.mark.parametrize("before", [VARIED, NATIVE, FAR, PLAIN])
@pytest.mark.parametrize("after", [VARIED, NATIVE, FAR, PLAIN])
def test_nothing_of_former_settings_is_left(
    tmp_path: Path, ci: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """A file that was of other settings says what a new one would."""
    (tmp_path / "new").mkdir()
    path = tmp_path / PATHS[ci]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(ci, tmp_path, **before))
    written = YAML(typ="safe").load(text(ci, tmp_path, **after))
    new = parsed(ci, tmp_path / "new", **after)
    for key in ("tags",) if ci == "gitlab" else ():  # may be a project's own
        for job in (job for job in written.values() if isinstance(job, dict)):
            job.pop(key, None)
        for job in (job for job in new.values() if isinstance(job, dict)):
            job.pop(key, None)
    assert new == written


COMMENT = "# Deploys to production; ask before you change it."


@pytest.mark.parametrize(
    ("ci", "own"),
    [
        ("gitlab", f"\n{COMMENT}\ndeploy:\n  script: x\n"),
        ("travis", f"\n    {COMMENT}\n    - stage: build\n      script: x\n"),
        ("circleci", f"\n{COMMENT}\norbs: {{}}\n"),
    ],
)
def test_a_comment_below_ours_stays(tmp_path: Path, ci: str, own: str) -> None:
    """Whatever of ours goes, grows or shrinks above it."""
    now = text(ci, tmp_path) + own
    for block in ({**PLAIN, "smoke": ["true"]}, {**PLAIN, "platforms": ["amd64"]}, PLAIN):
        now, _ = merged(tmp_path, ci, now, **block)
        assert 1 == now.count(COMMENT)


@pytest.mark.parametrize(
    "there",
    [
        "jobs: [{script: a}]\n",
        "jobs: {include: {script: a}}\n",
        "matrix: {include: [{script: a}]}\n",
    ],
)
def test_jobs_without_room_are_left_alone(tmp_path: Path, there: str) -> None:
    """The error says how they should be written."""
    with pytest.raises(PipelineError, match=r"write them so, and run it again"):
        merged(tmp_path, "travis", there)
    assert there == (tmp_path / ".travis.yml").read_text()


def test_a_projects_gitlab_file_stays(tmp_path: Path) -> None:
    """Its workflow, its stages in their order, its jobs, whatever they are called."""
    there = (
        "workflow: {rules: [{when: always}]}\nstages: [build, test, deploy]\n\n"
        "manifest:\n  script: make manifest # ours\nbuild linux/wheel:\n  stage: build\n  script: make\n"
    )
    after, data = merged(tmp_path, "gitlab", there)
    assert (["build", "test", "deploy", "publish"], [{"when": "always"}]) == (data["stages"], data["workflow"]["rules"])
    assert ("make manifest", "make") == (data["manifest"]["script"], data["build linux/wheel"]["script"])
    assert [] == [line for line in there.splitlines() if line not in after.splitlines() and "stages" not in line]
    after, data = merged(
        tmp_path, "gitlab", after.replace("build linux/arm64:\n", "build linux/arm64:\n  timeout: 2h\n")
    )
    assert "2h" == data["build linux/arm64"]["timeout"]
    assert "build linux/arm64" not in merged(tmp_path, "gitlab", after, image=["a/b"], platforms=["amd64"])[1]


def test_a_gitlab_file_without_stages_keeps_gitlabs_own(tmp_path: Path) -> None:
    """A job without a stage is of the stage test."""
    assert ["build", "test", "deploy", "publish"] == merged(tmp_path, "gitlab", "unit:\n  script: x\n")[1]["stages"]


def test_a_projects_circleci_file_stays(tmp_path: Path) -> None:
    """Its workflows and jobs; and a context for ours, which is how organisations share secrets."""
    there = "version: 2.1\njobs:\n  test: # quick\n    docker: [{image: x}]\nworkflows:\n  release: {jobs: [test]}\n"
    after, data = merged(tmp_path, "circleci", there)
    assert (["test"], True) == (data["workflows"]["release"]["jobs"], "test: # quick" in after)
    added = re.sub(r"( +)platform: linux/arm64\n", r"\g<0>\1context: hub\n", after)
    _, data = merged(tmp_path, "circleci", added, platforms=["arm64"])
    assert ["hub", None] == [next(iter(job.values())).get("context") for job in data["workflows"]["multiarch"]["jobs"]]


def test_a_projects_additions_to_the_workflow_of_github_stay(tmp_path: Path) -> None:
    """Triggers, jobs, and variables of a step; a token that may write packages only while it is needed."""
    first = text("github", tmp_path, image=["ghcr.io/a/b"], platforms=["arm64"])
    mine = "  workflow_dispatch:\n", "  mine: # kept\n    runs-on: x\n", "          API_TOKEN: x\n"
    edited = first.replace("on:\n", f"on:\n{mine[0]}").replace("jobs:\n", f"jobs:\n{mine[1]}")
    edited = edited.replace("          DOCKER_USERNAME", f"{mine[2]}          DOCKER_USERNAME", 1)
    after, data = merged(tmp_path, "github", edited, image=["a/b"], platforms=["arm64"])
    assert [] == [part for part in mine if part not in after]
    assert {"contents": "read"} == data["permissions"]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ("# Top.\n---\n# Below.\nscript: x\n", "# Top.\n---\n# Below.\nscript: x\n"),
        ("script: x\r\nlanguage: c\r\n", "script: x\r\nlanguage: c\r\nstages:\r\n"),
        ("# Only this.\n", "# Only this.\n"),
        ("\n\nscript: x\n", "\n\nscript: x\n"),
        ("\n" * 40 + "script: x\n", "\n" * 40 + "script: x\n"),
    ],
)
def test_how_a_file_is_written_stays(tmp_path: Path, there: str, expected: str) -> None:
    """The mark of a document, what stands above it, the ends of lines, a file of comments."""
    after, _ = merged(tmp_path, "travis", there)
    assert expected.replace("stages:\r\n", "") in after
    assert after.count("\n") == after.count("\r\n") or "\r" not in after


def test_an_anchor_of_the_projects_is_not_written_through(tmp_path: Path) -> None:
    """What is shared by several jobs is written out for ours, and stays as it is for others."""
    there = (
        "jobs:\n  include:\n    - stage: build\n      name: linux/amd64\n      before_script: &p [a, b]\n"
        "    - stage: mine\n      before_script: *p\n      script: x\n"
    )
    _, data = merged(tmp_path, "travis", there)
    jobs = {job.get("name"): job.get("before_script") for job in data["jobs"]["include"]}
    ours = ["invoke start-buildkit --platform linux/amd64", "invoke copy-buildctl"]
    assert (["a", "b"], ours) == (jobs[None], jobs["linux/amd64"])


@pytest.mark.parametrize(
    ("ci", "there"),
    [
        (
            "circleci",
            "version: '2.1'\njobs: &j\n  t: {machine: true, steps: [checkout]}\nworkflows: &w\n  t: {jobs: [t]}\n",
        ),
        ("gitlab", "test:\n    script:\n        - x\n    variables:\n        A: b\n"),
        ("travis", "jobs:\n  include: &inc\n    - script: make\n_more: *inc\n"),
        ("travis", "jobs: &j\n  include:\n    - script: make\n_x: *j\n"),
        (
            "travis",
            "_x: &x\n  addons: {apt: {packages: [jq]}}\njobs: &j\n  include:\n    - <<: *x\n      script: make\n",
        ),
    ],
)
def test_what_a_project_has_anchored_stays(tmp_path: Path, ci: str, there: str) -> None:
    """A mapping or list with an anchor, or one that is merged, loses nothing; and a file keeps its own indentation."""
    before, (after, data) = YAML(typ="safe").load(there), merged(tmp_path, ci, there)
    if ci == "travis":
        assert before["jobs"]["include"][0] == data["jobs"]["include"][0]
    elif ci == "gitlab":
        assert after.startswith(there)
    else:
        assert [True, True] == [before[key].items() <= data[key].items() for key in ("jobs", "workflows")]


@pytest.mark.parametrize(
    ("ci", "there", "expected"),
    [
        ("travis", "a: [\n", ".travis.yml:2: this is not YAML; correct it, or remove the file"),
        ("travis", "- a\n", ".travis.yml: this is no mapping; correct it, or remove the file"),
        ("circleci", "version: 2\n", ".circleci/config.yml: its version is 2, and parameters of jobs need 2.1"),
        (
            "gitlab",
            "publish manifest: {script: x}\n",
            ".gitlab-ci.yml: its job 'publish manifest' is not ours, and has our name; rename it",
        ),
        (
            "gitlab",
            "spec: {}\n---\na: {script: x}\n",
            ".gitlab-ci.yml: it holds several documents, and is left as it is; put ours into one",
        ),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, ci: str, there: str, expected: str) -> None:
    """It is left as it is."""
    path = tmp_path / PATHS[ci]
    path.parent.mkdir(exist_ok=True)
    path.write_text(there)
    with pytest.raises(PipelineError) as caught:
        write_pipeline(settings(), ci, tmp_path, program="invoke")
    assert (expected, there) == (str(caught.value), path.read_text())


# The task.


def test_the_task(project: Project) -> None:
    """It prints the path; --check tells by its status; --dry shows the file, and writes none."""
    project.write(invoke_yaml="multiarch:\n  image: a/b\n  platforms: [linux/arm64]\n  install: make tools\n")
    shown = project.run("--dry", "pipeline", "--ci", "travis")
    missing = project.run("pipeline", "--ci", "travis", "--check")
    written = project.run("pipeline", "--ci", "travis")
    checked = project.run("pipeline", "--ci", "travis", "--check")
    assert (0, (project.path / ".travis.yml").read_text().splitlines()) == (shown.status, shown.out)
    assert [1, 0, 0] == [missing.status, written.status, checked.status]
    assert [".travis.yml: there is no such file; run: invoke pipeline --ci travis"] == missing.err
    assert ([".travis.yml"], [".travis.yml"]) == (written.out, checked.out)
    assert "      script: invoke build-arch --platform linux/arm64" in shown.out


def test_a_project_without_a_tasks_file(project: Project) -> None:
    """Its jobs use the console script."""
    project.write(invoke_yaml="multiarch:\n  platforms: [linux/arm64]\n  install: make tools\n")
    (project.path / "tasks.py").unlink()
    assert "multiarch build-arch --platform linux/arm64" in "\n".join(
        project.run("--dry", "pipeline", "--ci", "travis").out
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--ci", "jenkins"), "--ci: 'jenkins' is none of travis, github, gitlab, circleci"),
        ((), "--ci: name one of travis, github, gitlab, circleci"),
    ],
)
def test_a_ci_that_is_not_known(project: Project, words: tuple[str, ...], expected: str) -> None:
    """One line."""
    assert [expected] == project.run("pipeline", *words).err


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        ("      script: invoke build-arch", "      scirpt: invoke build-arch", r":\d+: .*scirpt.*script"),
        ("    - stage: publish", "    - stage: pubish", r":\d+: .*pubish.*"),
        ("      if: type != pull_request AND", "      if: type !== pull_request AND", r":\d+: .*"),
    ],
)
def test_a_mistake_that_the_schema_misses(project: Project, wrong: str, right: str, expected: str) -> None:
    """A typo in a job's key, a stage that is not declared, a condition that does not parse: each with its line."""
    project.write(invoke_yaml="multiarch:\n  platforms: [linux/arm64]\n  install: make tools\n")
    project.run("pipeline", "--ci", "travis")
    path = project.path / ".travis.yml"
    before = path.read_text()
    path.write_text(before.replace(wrong, right))
    result = project.run("pipeline", "--ci", "travis", "--check")
    number = next(n for n, line in enumerate(path.read_text().splitlines(), 1) if right in line)
    assert 1 == result.status
    (line,) = [line for line in result.err if line.startswith(f".travis.yml:{number}: ")]
    assert re.match(rf"\.travis\.yml{expected}", line)
    schema = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.travis", str(path)]
    assert 0 == subprocess.run(schema, capture_output=True).returncode

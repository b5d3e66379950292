"""The pipeline files: from one model, valid for their CI, and merged into what a project has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from multiarch import travis_check
from multiarch.errors import ConfigurationError, EmptyMatrixError, PipelineError
from multiarch.pipeline_file import check_pipeline, pipeline_text, write_pipeline
from multiarch.settings import CIS
from multiarch.validation import load

if TYPE_CHECKING:
    from multiarch.settings import Settings
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
    return load(block or PLAIN, {}, {}, directory=Path("/somewhere"))


def text(ci: str, directory: Path, **block: Any) -> str:
    """Return the text of a CI's file."""
    return pipeline_text(settings(**block), ci, directory, program="invoke")[2]


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
        ("build", "linux/amd64", None, ["start-buildkit", "copy-buildctl"], "build-arch"),
        ("build", "linux/arm64", "arm64-graviton2", ["start-buildkit", "copy-buildctl"], "build-arch"),
        ("build", "linux/riscv64", None, ["setup-binfmt", "start-buildkit", "copy-buildctl"], "build-arch"),
        ("build", "linux/s390x", None, ["copy-buildctl"], "build-arch"),
        ("publish", "manifest", None, ["setup-binfmt"], "manifest"),
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


@pytest.mark.parametrize("arch", ["arm64", "ppc64le", "s390x"])
def test_a_machine_without_privileges_is_refused(tmp_path: Path, arch: str) -> None:
    """Travis's containers cannot run BuildKit."""
    with pytest.raises(ConfigurationError, match=f"runner {arch} of Travis is a container without privileges"):
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
    assert ("build", "github.event_name != 'pull_request'") == (jobs["manifest"]["needs"], jobs["manifest"]["if"])


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
    variables = file[".multiarch"]["variables"]
    assert {
        "REGISTRY_GITLAB_COM_USERNAME": "$CI_REGISTRY_USER",
        "REGISTRY_GITLAB_COM_PASSWORD": "$CI_REGISTRY_PASSWORD",
    }.items() <= variables.items()
    rules = [rule["if"] for rule in file["manifest"]["rules"]]
    assert ["$CI_COMMIT_TAG", '$CI_COMMIT_BRANCH == "trunk"', '$CI_COMMIT_BRANCH == "release/1"'] == rules


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
    release, check = (file["workflows"][name]["jobs"] for name in ("release", "check"))
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
    assert "DOCKER_USERNAME, DOCKER_PASSWORD" in without


def test_there_is_something_to_build(tmp_path: Path) -> None:
    """An empty matrix is the usual error."""
    with pytest.raises(EmptyMatrixError):
        text("travis", tmp_path, image=["a/b"])


# What stands in the file already.


def test_what_is_the_projects_stays_in_travis(tmp_path: Path) -> None:
    """Its comments, jobs, stages and settings; what was ours and is not any more goes."""
    path = write_pipeline(settings(platforms=["amd64", "s390x"]), "travis", tmp_path, program="invoke")
    mine = path.read_text().replace("stages:\n", "# Ours too.\ncache: pip  # quick\nstages:\n  - unit  # first\n")
    own = "  include:\n    # The tests.\n    - stage: unit\n      script: tox  # all of them\n"
    path.write_text(mine.replace("  include:\n", own))
    after = write_pipeline(settings(platforms=["amd64", "riscv64"]), "travis", tmp_path, program="invoke").read_text()
    data = YAML(typ="safe").load(after)
    assert ["unit", "build", {"name": "publish", "if": "type != pull_request"}] == data["stages"]
    assert ["tox", "linux/amd64", "linux/riscv64", "manifest"] == [
        job.get("name", job["script"]) for job in data["jobs"]["include"]
    ]
    assert [] == [part for part in ("# Ours too.", "pip  # quick", "tox  # all of them") if part not in after]
    assert (
        after
        == write_pipeline(settings(platforms=["amd64", "riscv64"]), "travis", tmp_path, program="invoke").read_text()
    )


def test_what_is_the_projects_stays_in_the_others(tmp_path: Path) -> None:
    """Jobs and triggers of one's own; GitLab's jobs of platforms that are no more go."""
    for ci in ("github", "gitlab", "circleci"):
        path = write_pipeline(settings(), ci, tmp_path, program="invoke")
        data = path.read_text()
        job = "  mine: # kept\n    runs-on: x\n" if ci != "gitlab" else ""
        path.write_text(
            data.replace("jobs:\n", f"jobs:\n{job}", 1) + ("mine: # kept\n  script: x\n" if not job else "")
        )
        after = write_pipeline(settings(image=["a/b"], platforms=["amd64"]), ci, tmp_path, program="invoke").read_text()
        assert "mine: # kept\n" in after
        assert "arm64" not in after


def test_an_anchor_of_the_projects_is_not_written_through(tmp_path: Path) -> None:
    """What is shared by several jobs is written out for ours, and stays as it is for others."""
    (tmp_path / ".travis.yml").write_text(
        "jobs:\n  include:\n    - stage: build\n      name: linux/amd64\n      before_script: &p [a, b]\n"
        "    - stage: mine\n      before_script: *p\n      script: x\n"
    )
    data = YAML(typ="safe").load(text("travis", tmp_path))
    assert [["a", "b"], "invoke start-buildkit --platform linux/amd64"] == [
        data["jobs"]["include"][0]["before_script"],
        data["jobs"]["include"][1]["before_script"][0],
    ]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ("a: [\n", ".travis.yml:2: this is not YAML; correct it, or remove the file"),
        ("- a\n", ".travis.yml: this is no mapping; correct it, or remove the file"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, there: str, expected: str) -> None:
    """It is left as it is."""
    (tmp_path / ".travis.yml").write_text(there)
    with pytest.raises(PipelineError) as caught:
        write_pipeline(settings(), "travis", tmp_path, program="invoke")
    assert (expected, there) == (str(caught.value), (tmp_path / ".travis.yml").read_text())


# The task.


def test_the_task(project: Project) -> None:
    """It prints the path; --check tells by its status; --dry shows the file, and writes none."""
    project.write(invoke_yaml="multiarch:\n  image: a/b\n  platforms: [linux/arm64]\n")
    shown = project.run("--dry", "pipeline", "--ci", "travis")
    missing = project.run("pipeline", "--ci", "travis", "--check")
    written = project.run("pipeline", "--ci", "travis")
    checked = project.run("pipeline", "--ci", "travis", "--check")
    assert (0, (project.path / ".travis.yml").read_text().splitlines()) == (shown.status, shown.out)
    assert [1, 0, 0] == [missing.status, written.status, checked.status]
    assert [".travis.yml: there is no such file; run: invoke pipeline --ci travis"] == missing.err
    assert ([".travis.yml"], [".travis.yml"]) == (written.out, checked.out)
    assert "invoke build-arch --platform linux/arm64" in shown.out[-4]


def test_a_project_without_a_tasks_file(project: Project) -> None:
    """Its jobs use the console script."""
    project.write(invoke_yaml="multiarch:\n  platforms: [linux/arm64]\n")
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
        ("    if: type != pull_request", "    if: type !== pull_request", r":\d+: .*"),
    ],
)
def test_a_mistake_that_the_schema_misses(project: Project, wrong: str, right: str, expected: str) -> None:
    """A typo in a job's key, a stage that is not declared, a condition that does not parse: each with its line."""
    project.write(invoke_yaml="multiarch:\n  platforms: [linux/arm64]\n")
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

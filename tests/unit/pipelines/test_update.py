"""Files of all CIs: valid, stable, and written by the task."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from multiarch.config.settings import CIS
from multiarch.pipelines.errors import PipelineError
from multiarch.pipelines.travis import lint
from multiarch.pipelines.update import check_pipeline, write_pipeline
from tests.unit.pipelines.files import ASSETS, FAR, GRID, NATIVE, PAIR, PATHS, PLAIN, VARIED, project_of, schema_errors
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from tests.unit.project import Project


@pytest.mark.parametrize("block", [PLAIN, VARIED, NATIVE, FAR, PAIR, GRID, ASSETS])
@pytest.mark.parametrize("ci", CIS)
def test_a_file_is_valid(tmp_path: Path, ci: str, block: dict[str, Any]) -> None:
    """A CI refuses a file against its schema; Travis's passes our own check too, and GitHub's actionlint."""
    path = write_pipeline(project_of(**block), ci, tmp_path, program="invoke")
    assert PATHS[ci] == str(path.relative_to(tmp_path))
    assert "" == schema_errors(ci, path)
    if ci == "github":
        actionlint = str(Path(sys.executable).with_name("actionlint"))
        run = subprocess.run(
            [actionlint, "-ignore", 'label ".+" is unknown', str(path)], capture_output=True, text=True
        )
        assert (0, "") == (run.returncode, run.stdout + run.stderr)
    assert ci != "travis" or [] == lint.check(path.read_text(), PATHS[ci])


@pytest.mark.parametrize("ci", CIS)
def test_a_file_is_stable(tmp_path: Path, ci: str) -> None:
    """Written twice it is the same, and the check passes; the check shows a line that is another."""
    first = write_pipeline(project_of(**VARIED), ci, tmp_path, program="invoke").read_text()
    path = write_pipeline(project_of(**VARIED), ci, tmp_path, program="invoke")
    assert (first, path) == (path.read_text(), check_pipeline(project_of(**VARIED), ci, tmp_path, program="invoke"))
    path.write_text(first.replace("build-arch", "build"))
    with pytest.raises(PipelineError) as caught:
        check_pipeline(project_of(**VARIED), ci, tmp_path, program="invoke")
    lines = str(caught.value).splitlines()
    assert f"{PATHS[ci]} is not what the settings give; run: invoke pipeline --ci {ci}" == lines[0]
    assert any(line.startswith("-") and "invoke build --platform" in line for line in lines)


def test_the_file_of_this_repository() -> None:
    """It is what `invoke pipeline --ci travis` writes, as docs/ci.md says."""
    block = YAML(typ="safe").load((ROOT / "invoke.yaml").read_text())["multiarch"]
    assert ROOT / ".travis.yml" == check_pipeline(project_of(**block), "travis", ROOT, program="invoke")


@pytest.mark.parametrize(
    ("ci", "existing", "expected"),
    [
        ("travis", "a: [\n", ".travis.yml:2: this is not YAML; correct it, or remove the file"),
        ("travis", "- a\n", ".travis.yml: this is no mapping; correct it, or remove the file"),
        (
            "circleci",
            "? |\n  jobs: ",
            ".circleci/config.yml: its last line has no end, and is of a text in a block; end it",
        ),
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
def test_a_file_that_cannot_be_read(tmp_path: Path, ci: str, existing: str, expected: str) -> None:
    """It is left as it is, because nothing of a project's may be lost."""
    path = tmp_path / PATHS[ci]
    path.parent.mkdir(exist_ok=True)
    path.write_text(existing)
    with pytest.raises(PipelineError) as caught:
        write_pipeline(project_of(), ci, tmp_path, program="invoke")
    assert (expected, existing) == (str(caught.value), path.read_text())


def test_the_task(project: Project) -> None:
    """It prints the path; --check answers by its status; --dry shows the file, and writes none."""
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
    """Its jobs use the console script, because invoke finds no tasks there."""
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
    """The one line of the error lists those that are."""
    assert [expected] == project.run("pipeline", *words).err

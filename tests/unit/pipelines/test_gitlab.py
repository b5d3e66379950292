"""Pipeline of GitLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.pipelines.files import VARIED, merged, parsed

if TYPE_CHECKING:
    from pathlib import Path


def test_the_jobs_of_gitlab(tmp_path: Path) -> None:
    """A tag selects a runner; GitLab's own registry takes the credentials of the job."""
    file = parsed("gitlab", tmp_path, **VARIED)
    assert (["saas-arm64"], None) == (file["build linux/arm64"]["tags"], file["build linux/riscv64"].get("tags"))
    names = ("REGISTRY_GITLAB_COM_USERNAME", "REGISTRY_GITLAB_COM_PASSWORD")
    exported = f'export {names[0]}="$CI_REGISTRY_USER" {names[1]}="$CI_REGISTRY_PASSWORD"'
    assert exported == file[".multiarch"]["before_script"][1]
    published = ["$CI_COMMIT_TAG", '$CI_COMMIT_BRANCH == "trunk"', '$CI_COMMIT_BRANCH == "release/1"']
    assert published == [rule["if"] for rule in file["publish manifest"]["rules"]]
    built = ['$CI_PIPELINE_SOURCE == "merge_request_event"', *published]
    assert built == [rule["if"] for rule in file[".multiarch"]["rules"]]


def test_a_projects_gitlab_file_stays(tmp_path: Path) -> None:
    """Its workflow, its stages in their order, and its jobs, also those with names like ours."""
    existing = (
        "workflow: {rules: [{when: always}]}\nstages: [build, test, deploy]\n\n"
        "manifest:\n  script: make manifest # ours\nbuild linux/wheel:\n  stage: build\n  script: make\n"
    )
    file = merged(tmp_path, "gitlab", existing)
    assert ["build", "test", "deploy", "publish"] == file.data["stages"]
    assert [{"when": "always"}] == file.data["workflow"]["rules"]
    assert ("make manifest", "make") == (file.data["manifest"]["script"], file.data["build linux/wheel"]["script"])
    lines = file.text.splitlines()
    assert [] == [line for line in existing.splitlines() if line not in lines and "stages" not in line]
    edited = file.text.replace("build linux/arm64:\n", "build linux/arm64:\n  timeout: 2h\n")
    file = merged(tmp_path, "gitlab", edited)
    assert "2h" == file.data["build linux/arm64"]["timeout"]
    assert "build linux/arm64" not in merged(tmp_path, "gitlab", file.text, image=["a/b"], platforms=["amd64"]).data


def test_a_gitlab_file_without_stages_keeps_gitlabs_own(tmp_path: Path) -> None:
    """A job without a stage is of the stage test, which has to be declared then."""
    file = merged(tmp_path, "gitlab", "unit:\n  script: x\n")
    assert ["build", "test", "deploy", "publish"] == file.data["stages"]

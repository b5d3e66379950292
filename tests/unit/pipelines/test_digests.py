"""Digests as artifacts in the files of CIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.pipelines.files import parsed, text

if TYPE_CHECKING:
    from pathlib import Path

BLOCK: dict[str, Any] = {"image": ["a/b"], "platforms": ["amd64", "arm64"], "digests": "digests"}


def test_github_hands_digests_over_as_artifacts(tmp_path: Path) -> None:
    """Each job of the matrix under a name of its own; a pull request pushes nothing, and has none."""
    jobs = parsed("github", tmp_path, **BLOCK)["jobs"]
    used = {name: [s["uses"].partition("@")[0] for s in job["steps"] if "uses" in s] for name, job in jobs.items()}
    checkout, upload, download = "actions/checkout", "actions/upload-artifact", "actions/download-artifact"
    assert {"pull-request": [checkout], "build": [checkout, upload], "manifest": [checkout, download]} == used
    (what,) = [step["with"] for step in jobs["build"]["steps"] if step.get("uses", "").startswith(upload)]
    assert ("digests-${{ strategy.job-index }}", "digests") == (what["name"], what["path"])
    assert upload not in text("github", tmp_path, image=["a/b"], platforms=["amd64"])


def test_gitlab_hands_digests_over_as_artifacts(tmp_path: Path) -> None:
    """The job of the next stage gets them by itself."""
    file = parsed("gitlab", tmp_path, **BLOCK)
    assert {"paths": ["digests"]} == file["build linux/arm64"]["artifacts"]


def test_other_cis_use_staging_tags(tmp_path: Path) -> None:
    """Their files say so, whatever the settings do."""
    variable = "INVOKE_MULTIARCH_DIGESTS"
    assert {"travis": True, "circleci": True, "github": False, "gitlab": False} == {
        ci: variable in text(ci, tmp_path, **BLOCK) for ci in ("travis", "circleci", "github", "gitlab")
    }

"""The files of CIs that run our steps, among those that a project has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.pipelines.update import existing_pipelines

if TYPE_CHECKING:
    from pathlib import Path


def test_only_files_with_our_steps_are_ours(tmp_path: Path) -> None:
    """By the comment above one that was written, or by the step that each of its jobs runs; not by our name."""
    assert [] == existing_pipelines(tmp_path)
    heading = "# Written by `invoke pipeline --ci travis` from invoke.yaml.\n# To be set at the CI: nothing.\n"
    (tmp_path / ".travis.yml").write_text(f"{heading}os: linux\n")
    (tmp_path / ".gitlab-ci.yml").write_text("a: {script: [multiarch build-arch --platform linux/arm64]}\n")
    (tmp_path / ".circleci").mkdir()
    (tmp_path / ".circleci" / "config.yml").write_text("# see multiarch\njobs: {}\n")
    assert ["travis", "gitlab"] == existing_pipelines(tmp_path)

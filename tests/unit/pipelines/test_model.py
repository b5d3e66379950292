"""Jobs of a release, alike for every CI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multiarch.config.settings import CIS
from multiarch.errors import EmptyMatrixError
from multiarch.pipelines.model import IMAGE
from multiarch.pipelines.update import write_pipeline
from tests.unit.pipelines.files import NATIVE, project_of, text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("ci", CIS)
def test_the_cache_is_at_the_registry(tmp_path: Path, ci: str) -> None:
    """Machines begin with nothing; a chosen cache that outlives them stays."""
    assert (True, False) == ("CACHE" in text(ci, tmp_path), "CACHE" in text(ci, tmp_path, **NATIVE))


@pytest.mark.parametrize("ci", CIS)
def test_a_repository_of_the_settings(tmp_path: Path, ci: str) -> None:
    """A file without an image names the variable that has to be set."""
    without = text(ci, tmp_path, platforms=["arm64"])
    assert (True, False) == ("INVOKE_MULTIARCH_IMAGE" in without, "INVOKE_MULTIARCH_IMAGE" in text(ci, tmp_path))


def test_there_is_something_to_build(tmp_path: Path) -> None:
    """An empty matrix is the error that it is for the other tasks."""
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
    """Credentials that the CI does not provide, and secrets of the build; the line changes with them."""
    block = {"image": [image] if image else [], "platforms": ["arm64"], "secrets": {"t": "env:TOKEN", "f": "file:x"}}
    write_pipeline(project_of(), ci, tmp_path, program="invoke")
    for _ in range(2):
        written = write_pipeline(project_of(**block), ci, tmp_path, program="invoke").read_text()
        assert f"# To be set at the CI: {expected}." == written.splitlines()[2]
        assert 1 == written.count("Written by")

"""The settings of tags: what is pushed where none applies, and what the jobs of a build have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.load import load
from multiarch.config.push import Push
from multiarch.errors import ConfigurationError
from tests.unit.config.test_checkout import git
from tests.unit.test_ci import GITLAB, TRAVIS

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.config.settings import Settings

RELEASE = {"TRAVIS": "true", "TRAVIS_BUILD_NUMBER": "7", "TRAVIS_COMMIT": "c0"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the versions 1.4.2 and 2.0.0."""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "first")
    for tag in ("v1.4.2", "v2.0.0"):
        git(tmp_path, "tag", tag)
    return tmp_path


def read(directory: Path, tag: str, **block: Any) -> Settings:
    """Return the settings of a CI's build of a git tag."""
    return load({"platforms": ["arm64"], **block}, RELEASE | {"TRAVIS_TAG": tag}, {}, directory=directory)


@pytest.mark.parametrize(
    ("tag", "tags", "advice"),
    [
        ("v2.0.0-rc.1", ["latest"], "such as {version}, or set allow_untagged"),
        ("v1.16", ["{semver}"], "such as {version}, or set allow_untagged"),
        ("app-v1.2.3", ["{semver}"], "such as {tag}, say how versions are named (version_tag), or set allow_untagged"),
    ],
)
def test_git_tag_without_a_tag_to_publish_is_an_error(tmp_path: Path, tag: str, tags: list[str], advice: str) -> None:
    """A green job that has pushed nothing looks like a release."""
    none = f"none of {tags[0]} applies to what is checked out (no branch, {tag})"
    error = f"multiarch.tags: {none}; add one that does, {advice}"
    assert Push(wanted=True, withheld="", untagged=error) == read(tmp_path, tag, tags=tags).publish.push


def test_git_tag_may_be_allowed_to_publish_nothing(tmp_path: Path) -> None:
    """As of another program of the same repository."""
    push = read(tmp_path, "lib-v1.2.3", tags=["{semver}"], allow_untagged=True).publish.push
    assert (False, True) == (push.wanted, push.withheld.startswith("none of {semver} applies to what"))


def test_jobs_of_a_build_have_one_staging_tag(repository: Path) -> None:
    """Also when a higher version is tagged between two of them, so that the later ones publish another set of tags."""
    tags = ["latest", "{major}", "{semver}"]
    early = read(repository, "v2.0.0", tags=tags)
    git(repository, "tag", "v2.0.1")
    late = read(repository, "v2.0.0", tags=tags)
    assert (("latest", "2", "2.0.0"), ("2.0.0",)) == (early.publish.tags, late.publish.tags)
    assert ["2.0.0-7-arm64"] * 2 == [settings.matrix[0].staging.tag for settings in (early, late)]


def test_default_branch_is_what_the_ci_says(repository: Path) -> None:
    """Or the clone; where neither does, it is one of `branches`."""
    block = {"platforms": ["arm64"], "tags": ["edge if default-branch", "{branch}"]}
    known = GITLAB | {"CI_DEFAULT_BRANCH": "trunk"}
    environs = [known, known | {"CI_COMMIT_BRANCH": "trunk"}, TRAVIS, TRAVIS | {"TRAVIS_BRANCH": "fix"}]
    given = [load(block, environ, {}, directory=repository).publish.tags for environ in environs]
    assert [("main",), ("edge", "trunk"), ("edge", "main"), ("fix",)] == given


def test_unknown_highest_version_is_an_error_of_the_setting(tmp_path: Path) -> None:
    """With what to do: fetch the tags, or say that it does not matter."""
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, "v1.4.2")
    assert (
        "multiarch.tags: is 1.4.2 the highest version that gives 'latest'? git knows no tags, and the remote repository"
        " could not be asked; fetch them (git fetch --tags), or write the tag with 'if stable' or 'if any'"
    ) == str(caught.value)

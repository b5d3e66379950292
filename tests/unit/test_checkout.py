"""What is checked out: by the variables of each CI, and by git where they say nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from multiarch.config.checkout import REVISION, SOURCE, Checkout

NOWHERE = Path("/nowhere")


def git(directory: Path, *words: str) -> str:
    """Run git as nobody in particular."""
    who = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *who, "-C", str(directory), *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A working tree with one commit, on the branch ``feature/x``."""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "checkout", "--quiet", "-b", "feature/x")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "first")
    return tmp_path


TRAVIS = {"TRAVIS": "true", "TRAVIS_BUILD_NUMBER": "7", "TRAVIS_COMMIT": "c0", "TRAVIS_BRANCH": "main"}
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_RUN_ID": "7",
    "GITHUB_SHA": "c0",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_REF_NAME": "main",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "a/b",
}
GITLAB = {"GITLAB_CI": "true", "CI_PIPELINE_ID": "7", "CI_COMMIT_SHA": "c0", "CI_COMMIT_BRANCH": "main"}
CIRCLECI = {"CIRCLECI": "true", "CIRCLE_SHA1": "c0", "CIRCLE_BRANCH": "main"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (TRAVIS, ("7", "main", "", "c0", "", False)),
        (TRAVIS | {"TRAVIS_PULL_REQUEST": "false"}, ("7", "main", "", "c0", "", False)),
        (TRAVIS | {"TRAVIS_TAG": "v1", "TRAVIS_BRANCH": "v1"}, ("7", "", "v1", "c0", "", False)),
        (
            TRAVIS | {"TRAVIS_PULL_REQUEST": "3", "TRAVIS_PULL_REQUEST_BRANCH": "fix"},
            ("7", "fix", "", "c0", "", True),
        ),
        (GITHUB, ("7", "main", "", "c0", "https://github.com/a/b", False)),
        (
            GITHUB | {"GITHUB_REF_TYPE": "tag", "GITHUB_REF_NAME": "v1"},
            ("7", "", "v1", "c0", "https://github.com/a/b", False),
        ),
        (
            GITHUB | {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF_NAME": "3/merge", "GITHUB_HEAD_REF": "fix"},
            ("7", "fix", "", "c0", "https://github.com/a/b", True),
        ),
        (GITLAB | {"CI_PROJECT_URL": "https://x/a/b"}, ("7", "main", "", "c0", "https://x/a/b", False)),
        (GITLAB | {"CI_COMMIT_BRANCH": "", "CI_COMMIT_TAG": "v1"}, ("7", "", "v1", "c0", "", False)),
        (
            GITLAB
            | {
                "CI_COMMIT_BRANCH": "",
                "CI_MERGE_REQUEST_IID": "3",
                "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "fix",
            },
            ("7", "fix", "", "c0", "", True),
        ),
        (CIRCLECI, ("", "main", "", "c0", "", False)),
        (CIRCLECI | {"CIRCLE_TAG": "v1", "CIRCLE_BRANCH": ""}, ("", "", "v1", "c0", "", False)),
        (CIRCLECI | {"CIRCLE_PULL_REQUEST": "https://github.com/a/b/pull/3"}, ("", "main", "", "c0", "", False)),
        (CIRCLECI | {"CIRCLE_PR_NUMBER": "3", "CIRCLE_BRANCH": "pull/3"}, ("", "pull/3", "", "c0", "", True)),
        (
            GITHUB | {"GITHUB_EVENT_NAME": "merge_group", "GITHUB_REF_NAME": "gh-readonly-queue/main/pr-1"},
            ("7", "gh-readonly-queue/main/pr-1", "", "c0", "https://github.com/a/b", True),
        ),
    ],
)
def test_what_a_ci_tells(environ: dict[str, str], expected: tuple[object, ...]) -> None:
    """Build, branch, tag, commit, source, and whether it is a pull request."""
    here = Checkout(environ, NOWHERE)
    assert expected == (here.build, here.branch, here.tag, here.revision, here.source, here.is_pull_request)


def test_what_git_tells(repository: Path) -> None:
    """On a machine of one's own: the branch, the latest tag of the commit, its hash."""
    for name in ("v1.9.0", "v1.10.0"):
        git(repository, "tag", name)
    here = Checkout({}, repository)
    assert ("", "feature/x", "v1.10.0", git(repository, "rev-parse", "HEAD")) == (
        here.build,
        here.branch,
        here.tag,
        here.revision,
    )
    assert ({}, False) == (here.labels, here.is_pull_request)


def test_a_branch_that_is_built_has_no_tag(repository: Path) -> None:
    """A tag that happens to name the commit is of another build: the one that CI makes for the tag."""
    git(repository, "tag", "v1.0.0")
    assert ("main", "") == ((here := Checkout(TRAVIS, repository)).branch, here.tag)


def test_the_commit_is_the_one_that_is_checked_out(repository: Path) -> None:
    """Whatever a variable says."""
    assert git(repository, "rev-parse", "HEAD") == Checkout(TRAVIS, repository).revision


def test_nothing_is_known_without_git(tmp_path: Path) -> None:
    """Neither a repository nor a CI: everything is empty, and no error."""
    here = Checkout({"CI": "true"}, tmp_path)
    assert [""] * 5 == [here.build, here.branch, here.tag, here.revision, here.source]


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("git@github.com:some/one.git", "https://github.com/some/one"),
        ("https://github.com/some/one.git", "https://github.com/some/one"),
        ("https://gitlab-ci-token:s3cret@gitlab.example.com/g/sub/one.git", "https://gitlab.example.com/g/sub/one"),
        ("https://x-access-token:s3cr:et@github.com/some/one", "https://github.com/some/one"),
        ("ssh://git@git.example.com:2222/some/one.git", "https://git.example.com/some/one"),
        ("https://example.com/some/one?token=s3cret", "https://example.com/some/one"),
        ("/srv/git/one.git", ""),
        ("../one", ""),
        ("file:///srv/one.git", ""),
    ],
)
def test_the_source_is_a_web_address(repository: Path, remote: str, expected: str) -> None:
    """Of whatever kind the remote is; what a CI logs in with is not part of it."""
    git(repository, "remote", "add", "origin", remote)
    assert expected == Checkout(TRAVIS, repository).source


def test_labels_in_a_ci(repository: Path) -> None:
    """The commit, and where it is from; what is not known is left out."""
    assert {REVISION: git(repository, "rev-parse", "HEAD")} == Checkout(TRAVIS, repository).labels
    assert {REVISION: "c0", SOURCE: "https://github.com/a/b"} == Checkout(GITHUB, NOWHERE).labels


def test_no_variable_is_shown() -> None:
    """What holds the environment does not print it."""
    assert "s3cret" not in repr(Checkout({"DOCKER_PASSWORD": "s3cret"}, NOWHERE))

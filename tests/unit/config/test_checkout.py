"""What is checked out, as the variables of a CI and git describe it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from multiarch.config.checkout import REVISION, SOURCE, Checkout
from tests.unit.test_ci import GITHUB, TRAVIS

NOWHERE = Path("/nowhere")


def git(directory: Path, *words: str) -> str:
    """Run git as a user of no account; return what it prints."""
    user = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *user, "-C", str(directory), *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A working tree with one commit, on the branch ``feature/x``."""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "checkout", "--quiet", "-b", "feature/x")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "first")
    return tmp_path


def test_variables_describe_the_checkout_of_a_ci() -> None:
    """All of them are used, also where git knows nothing."""
    request = TRAVIS | {"TRAVIS_PULL_REQUEST": "3", "TRAVIS_PULL_REQUEST_BRANCH": "fix"}
    checkout = Checkout(request, NOWHERE)
    assert ("7", "fix", "", "c0", "", True) == (
        checkout.build,
        checkout.branch,
        checkout.tag,
        checkout.revision,
        checkout.source,
        checkout.is_pull_request,
    )
    assert "https://github.com/a/b" == Checkout(GITHUB, NOWHERE).source


def test_git_describes_the_checkout_of_a_person(repository: Path) -> None:
    """Of several tags of the commit the one with the highest version counts, as a release would take it."""
    for name in ("v1.9.0", "v1.10.0"):
        git(repository, "tag", name)
    checkout = Checkout({}, repository)
    assert ("", "feature/x", "v1.10.0", git(repository, "rev-parse", "HEAD")) == (
        checkout.build,
        checkout.branch,
        checkout.tag,
        checkout.revision,
    )
    assert ({}, False) == (checkout.labels, checkout.is_pull_request)


def test_git_describes_the_checkout_of_an_unknown_ci(repository: Path) -> None:
    """Its variables have names that are not known, so it is as on the machine of a person."""
    git(repository, "tag", "v1.0.0")
    checkout = Checkout({"CI": "true"}, repository)
    assert (None, "feature/x", "v1.0.0", {}) == (checkout.ci, checkout.branch, checkout.tag, checkout.labels)


def test_build_of_a_branch_has_no_tag(repository: Path) -> None:
    """A tag of the same commit belongs to another build: the CI makes one for the tag."""
    git(repository, "tag", "v1.0.0")
    checkout = Checkout(TRAVIS, repository)
    assert ("main", "") == (checkout.branch, checkout.tag)


def test_revision_is_the_commit_that_is_checked_out(repository: Path) -> None:
    """Labels must name what was built, whatever a variable says."""
    assert git(repository, "rev-parse", "HEAD") == Checkout(TRAVIS, repository).revision


def test_everything_is_empty_without_git_and_ci(tmp_path: Path) -> None:
    """A project need not be a repository, so this is no error."""
    checkout = Checkout({"CI": "true"}, tmp_path)
    assert ["", "", "", "", ""] == [
        checkout.build,
        checkout.branch,
        checkout.tag,
        checkout.revision,
        checkout.source,
    ]


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
def test_source_is_a_web_address_without_credentials(repository: Path, remote: str, expected: str) -> None:
    """It becomes a label of a public image; a CI's remote holds a token."""
    git(repository, "remote", "add", "origin", remote)
    assert expected == Checkout(TRAVIS, repository).source


def test_labels_leave_out_what_is_unknown(repository: Path) -> None:
    """An empty label would look like a value."""
    assert {REVISION: git(repository, "rev-parse", "HEAD")} == Checkout(TRAVIS, repository).labels
    assert {REVISION: "c0", SOURCE: "https://github.com/a/b"} == Checkout(GITHUB, NOWHERE).labels


def test_repr_shows_no_variable() -> None:
    """The environment of a CI holds passwords, and a traceback or a log may show the object."""
    assert "s3cret" not in repr(Checkout({"DOCKER_PASSWORD": "s3cret"}, NOWHERE))

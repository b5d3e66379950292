"""Tags from what git knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiarch.config.checkout import Checkout
from multiarch.config.tags import check_template, expand

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ALL = ("{branch}", "{tag}", "{semver}", "{major}.{minor}", "{major}", "{sha}", "latest")


def at(*, branch: str = "", tag: str = "") -> Checkout:
    """Return the checkout of a CI."""
    environ = {"TRAVIS": "true", "TRAVIS_COMMIT": COMMIT, "TRAVIS_BRANCH": branch, "TRAVIS_TAG": tag}
    return Checkout(environ, Path("/nowhere"))


@pytest.mark.parametrize(
    ("branch", "expected"),
    [
        ("main", ("main", "0123456", "latest")),
        ("feature/new thing", ("feature-new-thing", "0123456", "latest")),
    ],
)
def test_branch_gives_no_version(branch: str, expected: tuple[str, ...]) -> None:
    """A template that does not apply gives no tag; what a tag of an image cannot hold becomes a dash."""
    assert expected == expand(ALL, at(branch=branch))


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("v1.4.2", ("v1.4.2", "1.4.2", "1.4", "1", "0123456", "latest")),
        ("v1.4.2+b.5", ("v1.4.2-b.5", "1.4.2", "1.4", "1", "0123456", "latest")),
        ("1.4.2-rc.1+build.5", ("1.4.2-rc.1-build.5", "1.4.2-rc.1", "0123456", "latest")),
    ],
)
def test_release_candidate_moves_no_shorter_version(tag: str, expected: tuple[str, ...]) -> None:
    """People who pull 1.4 or 1 want releases. Build metadata make no other version."""
    assert expected == expand(ALL, at(tag=tag))


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("v1.4.2-rc_1", ("v1.4.2-rc_1", "0123456", "latest")),
        ("nightly", ("nightly", "0123456", "latest")),
        ("v1.4", ("v1.4", "0123456", "latest")),
        ("v01.4.2", ("v01.4.2", "0123456", "latest")),
        ("٣.1.2", ("1.2", "0123456", "latest")),
    ],
)
def test_tag_that_is_no_semantic_version_gives_none(tag: str, expected: tuple[str, ...]) -> None:
    """Not even part of one: a leading zero, a missing number or a digit of another script is not in the grammar."""
    assert expected == expand(ALL, at(tag=tag))


def test_same_tags_are_given_once() -> None:
    """Two templates may give the same tag, as {tag} and {semver} do for 1.4.2."""
    assert ("1.4.2", "latest") == expand(("{tag}", "{semver}", "latest", "latest"), at(tag="1.4.2"))


def test_text_may_stand_around_names() -> None:
    """Several applications of a repository may share one image."""
    assert ("app-main-0123456",) == expand(("app-{branch}-{sha}",), at(branch="main"))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{brunch}", "'{brunch}': unknown {brunch} (known: branch, tag, sha, semver, major, minor)"),
        ("{sha:5}", "'{sha:5}': unknown {sha:5} (known: branch, tag, sha, semver, major, minor)"),
        ("{sha", "'{sha': expected '}' before end of string"),
        ("{}", "'{}': unknown {} (known: branch, tag, sha, semver, major, minor)"),
    ],
)
def test_broken_template_is_named(template: str, expected: str) -> None:
    """With what is wrong in it, and the names that are known."""
    with pytest.raises(ValueError, match=r".") as caught:
        check_template(template)
    assert expected == str(caught.value)

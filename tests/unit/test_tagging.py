"""Tags made of what git knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiarch.config.checkout import Checkout
from multiarch.config.tags import check_template, expand

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ALL = ("{branch}", "{tag}", "{semver}", "{major}.{minor}", "{major}", "{sha}", "latest")


def at(*, branch: str = "", tag: str = "") -> Checkout:
    """Return what a CI checked out."""
    environ = {"TRAVIS": "true", "TRAVIS_COMMIT": COMMIT, "TRAVIS_BRANCH": branch, "TRAVIS_TAG": tag}
    return Checkout(environ, Path("/nowhere"))


@pytest.mark.parametrize(
    ("checkout", "expected"),
    [
        (at(branch="main"), ("main", "0123456", "latest")),
        (at(branch="feature/new thing"), ("feature-new-thing", "0123456", "latest")),
        (at(tag="v1.4.2"), ("v1.4.2", "1.4.2", "1.4", "1", "0123456", "latest")),
        # Each once; and a release candidate moves neither 1.4 nor 1.
        (at(tag="1.4.2-rc.1+build.5"), ("1.4.2-rc.1-build.5", "1.4.2-rc.1", "0123456", "latest")),
        (at(tag="v1.4.2+b.5"), ("v1.4.2-b.5", "1.4.2", "1.4", "1", "0123456", "latest")),
        (at(tag="v1.4.2-rc_1"), ("v1.4.2-rc_1", "0123456", "latest")),
        (at(tag="nightly"), ("nightly", "0123456", "latest")),
        (at(tag="v1.4"), ("v1.4", "0123456", "latest")),
        (at(tag="v01.4.2"), ("v01.4.2", "0123456", "latest")),
        (at(tag="٣.1.2"), ("1.2", "0123456", "latest")),
    ],
)
def test_what_applies(checkout: Checkout, expected: tuple[str, ...]) -> None:
    """A template that does not apply gives no tag; what a tag cannot hold becomes a dash."""
    assert expected == expand(ALL, checkout)


def test_a_template_around_it() -> None:
    """Text may stand around the names."""
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
def test_a_broken_template(template: str, expected: str) -> None:
    """It is named, and what is known."""
    with pytest.raises(ValueError, match=r".") as caught:
        check_template(template)
    assert expected == str(caught.value)

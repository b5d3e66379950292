"""Tags from what git knows; the table of them in docs/publishing.md is the table of these tests."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from multiarch.config.checkout import Checkout
from multiarch.config.load import load
from multiarch.config.tags import Sources, expand, read_rule
from tests.unit.config.test_checkout import git
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAMES = "branch, tag, sha, semver, version, major, minor"
NOWHERE = Path("/nowhere")


def at(directory: Path = NOWHERE, *, branch: str = "", tag: str = "") -> Checkout:
    """Return the checkout of a CI."""
    environ = {"TRAVIS": "true", "TRAVIS_COMMIT": COMMIT, "TRAVIS_BRANCH": branch, "TRAVIS_TAG": tag}
    return Checkout(environ, directory)


def tags(written: Iterable[str], checkout: Checkout, pattern: str | None = None) -> tuple[str, ...]:
    """Return the tags that apply, where main is the default branch."""
    rules = [read_rule(text) for text in written]
    return tuple(tag.text for tag in expand(rules, Sources(checkout, pattern, ("main",))))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit, and no tag."""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "first")
    return tmp_path


# The table.


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def table() -> tuple[list[str], list[list[str]]]:
    """Return the columns and the rows of the table of tags in docs/publishing.md."""
    lines = (ROOT / "docs" / "publishing.md").read_text().split("\n")
    begin = next(number for number, line in enumerate(lines) if line.startswith("| what is built |"))
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(_cells(line))
    return _cells(lines[begin]), rows


COLUMNS, ROWS = table()


@pytest.mark.parametrize("row", ROWS, ids=[row[0].replace("`", "") for row in ROWS])
def test_table_of_the_page_holds(repository: Path, row: list[str]) -> None:
    """Each cell is the tag that its column gives for what its row builds, where git knows the other tags too."""
    kind, (name, *pattern) = row[0].split()[0], _codes(row[0])
    for tag in _codes(row[1]):
        git(repository, "tag", tag)
    checkout = at(repository, **{kind: name})
    given = []
    for codes in map(_codes, COLUMNS[2:]):
        # What stands behind "beside" is only there.
        beside = tags(codes[1:], checkout, *pattern)
        given.append([text for text in tags(codes, checkout, *pattern) if text not in beside])
    assert [_codes(cell) for cell in row[2:]] == given


def test_table_of_the_readme_has_the_usual_cases() -> None:
    """Branches, and versions that are the highest, are not, are none yet, or are no semantic ones."""
    assert ["branch", "branch", "branch", "tag", "tag", "tag", "tag", "tag", "tag", "tag"] == [
        row[0].split()[0] for row in ROWS
    ]


# Conditions.


@pytest.mark.parametrize(
    ("known", "tag", "expected"),
    [
        ("v1.4.2", "v1.4.2", ("1.4", "1", "latest")),
        ("v1.4.2 v1.4.2-rc.1 v2.0.0-rc.1 v1.4.10-dev", "v1.4.2", ("1.4", "1", "latest")),
        ("v1.4.2 v1.4.10", "v1.4.2", ()),
        ("v1.4.2 v1.5.0", "v1.4.2", ("1.4",)),
        ("v1.4.2 v2.0.0", "v1.4.2", ("1.4", "1")),
        ("v1.4.2 nightly v99", "v1.4.2", ("1.4", "1")),
        ("v1.4.2 other-9.9.9 9.x", "v1.4.2", ("1.4", "1", "latest")),
        ("v1.10.0 v1.9.0", "v1.10.0", ("1.10", "1", "latest")),
    ],
)
def test_shared_tag_is_for_the_highest_stable_version(
    repository: Path, known: str, tag: str, expected: tuple[str, ...]
) -> None:
    """A correction of an old line does not take `latest` or the major line back to it."""
    for name in known.split():
        git(repository, "tag", name)
    assert expected == tags(("{major}.{minor}", "{major}", "latest"), at(repository, tag=tag))


@pytest.mark.parametrize(
    ("written", "branch", "tag", "expected"),
    [
        ("edge if default-branch", "main", "", ("edge",)),
        ("edge if default-branch", "fix", "", ()),
        ("edge if default-branch", "", "v1.5.0", ()),
        ("latest if stable", "", "v1.4.2", ("latest",)),
        ("latest if stable", "", "v1.4.2-rc.1", ()),
        ("latest if stable", "main", "", ()),
        ("stable if highest", "", "v1.4.2", ()),
        ("stable if highest", "", "v1.5.0", ("stable",)),
        ("v{major} if highest", "", "v1.4.2", ()),
        ("v{major} if any", "", "v1.4.2", ("v1",)),
        ("{semver} if stable", "", "v1.4.2-rc.1", ()),
        ("{version} if highest", "", "v1.4.2", ("1.4.2",)),
        ("{tag} if highest", "", "v1.4.2", ("v1.4.2",)),
        ("latest if any", "", "v1.4.2-rc.1", ("latest",)),
        ("latest if any", "fix", "", ("latest",)),
        ("latest \t if  any", "fix", "", ("latest",)),
    ],
)
def test_condition_says_when_a_tag_moves(
    repository: Path, written: str, branch: str, tag: str, expected: tuple[str, ...]
) -> None:
    """By the words of the field; `any` takes away what `latest` and `{major}` have by themselves."""
    for name in ("v1.4.2", "v1.5.0"):
        git(repository, "tag", name)
    assert expected == tags((written,), at(repository, branch=branch, tag=tag))


def test_unknown_tags_are_not_taken_for_none() -> None:
    """Where neither git nor the remote repository tells them, no version is the highest by chance."""
    with pytest.raises(
        ValueError, match=r"^is 1\.4\.2 the highest version that gives 'latest'\? git knows no tags, and"
    ):
        tags(["latest"], at(tag="v1.4.2"))
    assert ("1.4.2",) == tags(["{semver}", "latest if stable"], at(tag="v1.4.2"))[:1]


def test_tags_of_the_remote_repository_count(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A CI clones the newest commit alone, without tags."""
    git(repository, "tag", "v2.0.0")
    git(repository, "tag", "v1.4.2")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "second")
    clone = tmp_path_factory.mktemp("clone")
    git(clone, "clone", "--quiet", "--depth=1", "--no-tags", f"file://{repository}", ".")
    git(clone, "tag", "v1.4.2")
    for environ in ({}, {"TRAVIS": "true", "TRAVIS_TAG": "v1.4.2"}):
        assert frozenset({"v1.4.2", "v2.0.0"}) == Checkout(environ, clone).known_tags
    shutil.rmtree(repository)
    assert [None, None] == [Checkout(environ, clone).known_tags for environ in ({}, {"TRAVIS": "true"})]


@pytest.mark.parametrize(("written", "expected"), [(["latest"], ("latest",)), (["{semver}", "latest"], ())])
def test_person_without_versions_publishes_by_hand(
    repository: Path, written: list[str], expected: tuple[str, ...]
) -> None:
    """A git tag of the commit is none of a release, unless tags are made of versions."""
    git(repository, "tag", "nightly")
    assert expected == tags(written, Checkout({}, repository))


# Versions.


@pytest.mark.parametrize(
    ("tag", "pattern", "expected"),
    [
        ("v1.16", None, ("1.16", "1")),
        ("2024.05.1", None, ("2024.05.1", "2024.05", "2024")),
        ("v01.4.2", None, ("01.4.2", "01.4", "01")),
        ("7", None, ("7",)),
        ("1.2.0rc1", None, ("1.2.0rc1",)),
        ("1.2.dev3", None, ("1.2.dev3",)),
        ("v1.4.2+b.5", None, ("1.4.2", "1.4", "1")),
        ("v1.4.2-rc_1", None, ()),
        ("app-v1.2.3", None, ()),
        ("app-v1.2.3", "app-v{version}", ("1.2.3", "1.2", "1")),
        ("v1.2.3", "app-v{version}", ()),
        ("release/1.2.3/x", "release/{version}/x", ("1.2.3", "1.2", "1")),
        ("v1.2.3", "{version}", ()),
        ("٣.1.2", None, ()),
        ("1." + "9" * 5000, None, ()),
    ],
)
def test_version_need_not_be_a_semantic_one(
    repository: Path, tag: str, pattern: str | None, expected: tuple[str, ...]
) -> None:
    """Also with two numbers, a date, or the name of a program in front; never a part of something else."""
    written = ("{version}", "{major}.{minor}", "{major}")
    assert expected == tags(written, at(repository, tag=tag), pattern)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("v1.4.2", ("1.4.2",)), ("1.4.2-rc.1+b", ("1.4.2-rc.1",)), ("v1.4", ()), ("v01.4.2", ()), ("1.4.2rc1", ())],
)
def test_semver_is_for_semantic_versions_alone(tag: str, expected: tuple[str, ...]) -> None:
    """Three numbers without leading zeros, and a pre-release behind a dash (semver.org)."""
    assert expected == tags(("{semver}",), at(tag=tag))


# Names of branches.


def test_no_two_branches_give_one_tag() -> None:
    """Whatever stands in for a slash, and wherever a long name is cut; the same in each job of a build."""
    names = ["fix/a", "fix-a", "fix a", "f" * 60, "f" * 61, "f" * 300]
    given = [tags(["{branch}", "x-{branch}"], at(branch=name)) for name in names]
    assert given == [tags(["{branch}", "x-{branch}"], at(branch=name)) for name in names]
    assert 2 * len(names) == len({tag for pair in given for tag in pair})
    assert [60, 62] == [max(map(len, column)) for column in zip(*given, strict=True)]


def test_long_branch_leaves_room_for_a_staging_tag() -> None:
    """A tag has at most 128 characters, those of the build and of the platform included."""
    environ = {"TRAVIS": "true", "TRAVIS_BRANCH": "f" * 300, "TRAVIS_BUILD_NUMBER": "9" * 300}
    settings = load({"tags": ["{branch}"], "platforms": ["linux/mips64le"]}, environ, {}, directory=NOWHERE)
    assert 60 + len("-") + 40 + len("-mips64le") == len(settings.matrix[0].staging.tag)


# Templates.


def test_same_tags_are_given_once(repository: Path) -> None:
    """Two templates may give the same tag, as {tag} and {semver} do for 1.4.2."""
    assert ("1.4.2", "latest") == tags(("{tag}", "{semver}", "latest", "latest"), at(repository, tag="1.4.2"))


def test_text_may_stand_around_names() -> None:
    """Several applications of a repository may share one image."""
    assert ("app-main-0123456",) == tags(("app-{branch}-{sha}",), at(branch="main"))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{brunch}", f"'{{brunch}}': unknown {{brunch}} (known: {NAMES})"),
        ("{sha:5}", f"'{{sha:5}}': unknown {{sha:5}} (known: {NAMES})"),
        ("{sha", "'{sha': expected '}' before end of string"),
        ("{}", f"'{{}}': unknown {{}} (known: {NAMES})"),
        ("a if b", "'a if b': the condition is none of any, default-branch, stable, highest"),
        ("a if", "'a if': the condition is none of any, default-branch, stable, highest"),
        ("{x} if any", f"'{{x}}': unknown {{x}} (known: {NAMES})"),
    ],
)
def test_broken_template_is_named(written: str, expected: str) -> None:
    """With what is wrong in it, and the names that are known."""
    with pytest.raises(ValueError, match=r".") as caught:
        read_rule(written)
    assert expected == str(caught.value)

"""Values of build arguments, labels and annotations: from the run, from variables, and from git."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.buildkit.inputs import check_inputs
from multiarch.config.load import load
from multiarch.errors import ConfigurationError, MultiarchError
from tests.unit.config.test_checkout import git

if TYPE_CHECKING:
    from multiarch.config.settings import Settings

RELEASE = {"TRAVIS": "true", "TRAVIS_COMMIT": "0123456789abcdef", "TRAVIS_TAG": "v1.4.2"}
BRANCH = {"TRAVIS": "true", "TRAVIS_COMMIT": "0123456789abcdef", "TRAVIS_BRANCH": "fix/a b"}


def read(block: dict[str, Any], environ: dict[str, str] | None = None, flags: dict[str, Any] | None = None) -> Settings:
    """Return settings for arm64, whose tag always applies."""
    block = {"platforms": ["arm64"], "tags": ["x"], **block}
    return load(block, environ or {}, flags or {}, directory=Path("/nowhere"))


def arguments(block: dict[str, Any], environ: dict[str, str] | None = None, *flags: str) -> dict[str, str]:
    """Return the build arguments of the first platform."""
    return dict(read(block, environ, {"build_args": list(flags)}).matrix[0].build_args)


def test_build_argument_of_the_run_wins() -> None:
    """Over those for all platforms, and over a platform's own; what stands behind the first = is the value."""
    platforms = [{"platform": "arm64", "build_args": {"B": "platform"}}]
    block = {"build_args": {"A": "all", "B": "all", "C": "all"}, "platforms": platforms}
    expected = {"A": "all", "B": "run=1,{x}", "C": "", "D": "new"}
    assert expected == arguments(block, {}, "B=run=1,{x}", "C=", "D=new")


def test_build_argument_without_a_value_is_its_variable() -> None:
    """As for docker build, and by `env:` in the settings."""
    environ = {"VERSION": "7", "OTHER": "8"}
    assert {"A": "8", "VERSION": "7"} == arguments({"build_args": {"A": "env:OTHER"}}, environ, "VERSION")
    assert {"A": "env:", "B": "env:a b"} == arguments({"build_args": {"A": "env:", "B": "env:a b"}})


def test_labels_and_annotations_of_the_run() -> None:
    """They have flags of the same form."""
    settings = read(
        {"labels": {"a": "1", "b": "env:B"}, "annotations": {"c": "env:B"}},
        {"B": "2"},
        {"labels": ["a=x"], "annotations": ["d=y=z"]},
    )
    assert ({"a": "x", "b": "2"}, {"c": "2", "d": "y=z"}) == (settings.build.labels, settings.publish.annotations)
    assert ("B",) == settings.variables


@pytest.mark.parametrize(
    ("text", "release", "branch"),
    [
        ("{semver}", "1.4.2", None),
        ("v{major}.{minor}-{sha}", "v1.4-0123456", None),
        ("{branch}", None, "fix/a b"),
        ("{tag}+{version}", "v1.4.2+1.4.2", None),
        ("{sha}", "0123456", "0123456"),
        ('{"a": 1} {other} ${SHELL} {{sha}} {sha!r} }{', *['{"a": 1} {other} ${SHELL} {{sha}} {sha!r} }{'] * 2),
    ],
)
def test_names_of_git_stand_for_their_values(text: str, release: str | None, branch: str | None) -> None:
    """As they are, not made safe for a tag; a value that does not apply is left out, so that a default holds."""
    values = []
    for environ in (RELEASE, BRANCH):
        settings = read({"build_args": {"V": text}, "labels": {"V": text}, "annotations": {"V": text}}, environ)
        (entry,) = settings.matrix
        values.append({m.get("V") for m in (entry.build_args, settings.build.labels, settings.publish.annotations)})
    assert [{release}, {branch}] == values


def test_names_of_git_are_asked_for_where_nothing_else_tells(tmp_path: Path) -> None:
    """On the machine of a person."""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "first")
    git(tmp_path, "tag", "v2.0.0")
    settings = load({"labels": {"v": "{semver}"}}, {}, {}, directory=tmp_path)
    assert {"v": "2.0.0"} == settings.build.labels


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"build_args": ["=x"]}, "--build-arg: the name '' of a build argument is empty; choose another"),
        ({"build_args": ["a b"]}, "--build-arg: expected NAME=VALUE, or NAME of a variable, got 'a b'"),
        ({"build_args": ["A=1", "A=2"]}, "--build-arg: 'A' is given twice"),
        ({"labels": ["a"]}, "--label: expected NAME=VALUE, got 'a'"),
        ({"annotations": ["a"]}, "--annotation: expected NAME=VALUE, got 'a'"),
    ],
)
def test_wrong_pair_is_named(flags: dict[str, Any], expected: str) -> None:
    """With what is expected in its place."""
    with pytest.raises(ConfigurationError) as caught:
        read({}, {}, flags)
    assert expected == str(caught.value)


def test_secret_is_no_build_argument() -> None:
    """It would stay in the history of the image."""
    block = {"secrets": {"npm": "env:NPM_TOKEN"}, "build_args": {"T": "env:NPM_TOKEN"}}
    with pytest.raises(ConfigurationError) as caught:
        read(block, {"NPM_TOKEN": "hunter2"})
    assert (
        "multiarch.build_args.T: NPM_TOKEN is a secret (multiarch.secrets), and a build argument stays in the image;"
        " mount it where it is needed: RUN --mount=type=secret"
    ) == str(caught.value)


def test_missing_variable_is_an_error_where_it_is_needed(tmp_path: Path) -> None:
    """The job that publishes needs no build arguments, and the one that builds no annotations."""
    (tmp_path / "Dockerfile").touch()
    block = {"context": str(tmp_path), "build_args": {"A": "env:NOT_SET"}}
    building, publishing = read(block), read({"annotations": {"a": "env:NOT_SET"}})
    with pytest.raises(MultiarchError, match=r"^multiarch\.build_args\.A: the variable NOT_SET is not set$"):
        check_inputs(building, building.matrix[0])
    with pytest.raises(MultiarchError, match=r"^multiarch\.annotations\.a: the variable NOT_SET is not set$"):
        publishing.publish.check()
    building.publish.check()
    publishing.build.check()

"""Contexts and Dockerfiles on the command line of BuildKit's client, and on this machine."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.buildkit.builder import Builder
from multiarch.buildkit.command import build_command
from multiarch.buildkit.inputs import check_inputs
from multiarch.buildkit.schedule import groups
from multiarch.config.load import load
from multiarch.errors import MissingPathError

if TYPE_CHECKING:
    from multiarch.config.settings import Settings

GIT = "https://example.com/a.git#main"


def read(**block: Any) -> Settings:
    """Return settings for one platform."""
    return load({"platforms": ["arm64"], "attestations": [], **block}, {}, {})


def inputs(settings: Settings) -> list[str]:
    """Return the options and the directories of the build of the first platform, without the platform."""
    command = build_command(settings, settings.matrix[:1], Path("buildctl"), Builder("x"), "")
    pairs = [f"{flag[2:]} {value}" for flag, value in pairwise(command) if flag in ("--opt", "--local")]
    assert "opt platform=linux/arm64" == pairs[0]
    return pairs[1:]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({}, "opt filename=Dockerfile local context=. local dockerfile=."),
        ({"context": GIT}, f"opt filename=Dockerfile opt context={GIT}"),
        # Within the repository, as for docker build.
        ({"context": GIT, "dockerfile": "a/D"}, f"opt filename=a/D opt context={GIT}"),
        (
            {"context": GIT, "dockerfile": "/a/D"},
            f"opt filename=D opt context={GIT} opt dockerfilekey=dockerfile local dockerfile=/a",
        ),
        (
            {"contexts": {"base": "docker-image://alpine:3", "src": "lib", "dockerfile": "other"}},
            (
                "opt filename=Dockerfile opt context:base=docker-image://alpine:3 opt context:src=local:named-src"
                " opt context:dockerfile=local:named-dockerfile local context=. local dockerfile=."
                " local named-src=lib local named-dockerfile=other"
            ),
        ),
    ],
)
def test_contexts_are_options_of_the_frontend(block: dict[str, Any], expected: str) -> None:
    """The builder fetches an address, the client sends a directory; no name of a context takes another's place."""
    assert expected == " ".join(inputs(read(**block)))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Dockerfile", "dockerfile", "Containerfile"], "Dockerfile"),
        (["dockerfile", "Containerfile"], "dockerfile"),
        (["Containerfile"], "Containerfile"),
        (["containerfile"], "containerfile"),
    ],
)
def test_dockerfile_is_found_by_any_of_its_names(tmp_path: Path, names: list[str], expected: str) -> None:
    """`Containerfile` is what podman build calls it."""
    for name in names:
        (tmp_path / name).touch()
    settings = read(context=str(tmp_path))
    assert tmp_path / expected == check_inputs(settings, settings.matrix[0])
    assert f"opt filename={expected}" == inputs(settings)[0]


def test_dockerfile_of_a_remote_context_is_the_builders() -> None:
    """Nothing of it is looked for here."""
    settings = read(context=GIT)
    assert check_inputs(settings, settings.matrix[0]) is None


def test_missing_named_context_is_named(tmp_path: Path) -> None:
    """As the context itself is."""
    (tmp_path / "Dockerfile").touch()
    settings = read(context=str(tmp_path), contexts={"lib": "no/where"})
    with pytest.raises(MissingPathError) as caught:
        check_inputs(settings, settings.matrix[0])
    assert (
        "build context 'lib' not found: no/where; name the right one with --build-context or multiarch.contexts"
    ) == str(caught.value)


def test_platforms_with_other_contexts_are_built_apart() -> None:
    """One solve has one context."""
    entries = ["arm64", {"platform": "amd64", "context": "x"}, {"platform": "armhf", "contexts": {"a": "b"}}, "s390x"]
    matrix = read(platforms=entries).matrix
    assert [2, 1, 1] == [len(group) for group in groups(matrix, 99, "x86_64")]

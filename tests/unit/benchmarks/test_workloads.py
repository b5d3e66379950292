"""The contexts of the workloads: whole, on images that the lab makes, and without anything of this machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from benchmarks.workloads import GO, GO_EMULATED, PYTHON, WORKLOADS, C, Workload
from lab import debian, golang_image
from lab.errors import LabError

if TYPE_CHECKING:
    from pathlib import Path


def instructions(workload: Workload) -> list[list[str]]:
    """Return the words of each instruction of its Dockerfile, as far as the shapes of these go."""
    text = (workload.folder / workload.dockerfile).read_text()
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [line.split() for line in lines if line.strip()]


def bases(workload: Workload) -> set[str]:
    """Return the images that its Dockerfile starts from, stages and scratch left out."""
    from_lines = [
        [word for word in words[1:] if not word.startswith("--")]
        for words in instructions(workload)
        if words[0] == "FROM"
    ]
    stages = {names[2] for names in from_lines if len(names) == 3}
    return {names[0] for names in from_lines} - stages - {"scratch"}


def copied(workload: Workload) -> list[str]:
    """Return the patterns of what its Dockerfile copies from the context."""
    copies = [words[1:-1] for words in instructions(workload) if words[0] == "COPY"]
    return [word for words in copies if not words[0].startswith("--from") for word in words]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_context_holds_what_is_copied(workload: Workload) -> None:
    """A context that lacks a file would fail after minutes of emulation."""
    patterns = copied(workload)
    assert patterns
    assert [] == [pattern for pattern in patterns if not [*workload.folder.glob(pattern)]]


def test_context_is_written_with_one_dockerfile(tmp_path: Path) -> None:
    """Tools find it by its usual name; the other variant would only be something more to send."""
    GO_EMULATED.write(tmp_path)
    assert ["Dockerfile", "go.mod", "go.sum", "main.go"] == sorted(path.name for path in tmp_path.iterdir())
    assert "$BUILDPLATFORM" not in (tmp_path / "Dockerfile").read_text()


def test_bases_are_what_prepare_makes() -> None:
    """Another one would have to come from Docker Hub, which the lab has not; platforms are those of the base."""
    expected = {
        "c": ({"debian:bookworm-slim"}, ("linux/amd64", "linux/arm64", "linux/arm/v7")),
        "python": ({"debian:bookworm-slim"}, ("linux/amd64", "linux/arm64", "linux/arm/v7")),
        "go": ({"golang:1.26-bookworm"}, ("linux/amd64", "linux/arm64")),
        "go-emulated": ({"golang:1.26-bookworm"}, ("linux/amd64", "linux/arm64")),
    }
    assert expected == {workload.name: (bases(workload), workload.platforms) for workload in WORKLOADS}
    assert ("debian:bookworm-slim", "golang:1.26-bookworm") == (debian.NAME, golang_image.NAME)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_arguments_and_secrets_are_what_the_dockerfile_takes(workload: Workload) -> None:
    """An argument that no ARG declares does nothing; the platform's own come from BuildKit."""
    declared = {words[1] for words in instructions(workload) if words[0] == "ARG"}
    assert set(workload.arguments) == {name for name in declared if not name.startswith("TARGET")}
    text = (workload.folder / workload.dockerfile).read_text()
    assert workload.has_secrets == ("type=secret,id=certificates," in text)


def test_environment_says_where_packages_come_from() -> None:
    """Proxies go to every build, an index only where it is asked; what is empty counts as not set."""
    environment = {"HTTP_PROXY": "http://proxy:3128", "PIP_INDEX_URL": "https://a/simple", "GOPROXY": "", "OTHER": "x"}
    assert {"HTTP_PROXY": "http://proxy:3128"} == C.build_args(environment)
    assert environment.keys() - {"OTHER", "GOPROXY"} == PYTHON.build_args(environment).keys()
    assert {"HTTP_PROXY": "http://proxy:3128"} == GO.build_args(environment)


def test_login_never_becomes_a_build_argument() -> None:
    """Anyone could read it in the image and in the list of processes; the message does not repeat it."""
    with pytest.raises(LabError) as caught:
        GO.build_args({"GOPROXY": "https://me:hidden@proxy,direct"})
    expected = "GOPROXY: a login in it would be public as a build argument; give it one without"
    assert expected == str(caught.value)


def test_secrets_are_files_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates are handed over where the machine has them, to those that take them."""
    bundle = tmp_path / "bundle.crt"
    monkeypatch.setattr("benchmarks.workloads.CERTIFICATES", bundle)
    assert {} == PYTHON.secrets()
    bundle.touch()
    assert ({"certificates": bundle}, {}) == (PYTHON.secrets(), C.secrets())

"""build-arch --shell: what it does without a terminal, and where a Dockerfile is cut; the rest needs a Docker host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multiarch.steps.debug_shell import lines_before

if TYPE_CHECKING:
    from tests.unit.project import Project

DOCKERFILE = b"""\
# syntax=docker/dockerfile:1
FROM a AS one
RUN one && \\
# a comment
    RUN two
  run <<E
RUN three
E
ONBUILD RUN four
COPY RUN /
FROM one
RUNNING
RUN\\
  five"""


@pytest.mark.parametrize("line", [3, 6, 13])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_dockerfile_is_cut_before_a_run(line: int, ending: bytes) -> None:
    """Everything before the line stays as it is, byte for byte."""
    dockerfile = DOCKERFILE.replace(b"\n", ending)
    before = lines_before(dockerfile, line)
    assert before is not None
    assert (True, line - 1) == (dockerfile.startswith(before), before.count(b"\n"))
    assert dockerfile[len(before) :].lstrip().upper().startswith(b"RUN")


@pytest.mark.parametrize("line", [-1, 0, 1, 2, 4, 8, 9, 10, 11, 12, 14, 15, 99])
def test_what_is_no_run_has_no_state_before_it(line: int) -> None:
    """Another instruction, a comment, the end of a here-document, or no line at all."""
    assert None is lines_before(DOCKERFILE, line)


def test_a_shell_needs_a_terminal(project: Project) -> None:
    """Without one it is told at once, before anything is asked or built; --dry does not mind."""
    project.write(invoke_yaml="multiarch:\n  image: a/b\n  platforms: [linux/arm64]\n")
    words = ("build-arch", "--platform", "arm64")
    result = project.invoke(*words, "--shell")
    told = ["--shell: it needs a terminal, at standard input and error, and no CI"]
    assert (1, [], told) == (result.status, result.out, result.err)
    assert project.run("--dry", *words) == project.run("--dry", *words, "--shell")

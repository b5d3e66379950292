"""``build-arch --shell`` on the real parts, with a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.exhaustive.terminal import Shown, show
from tests.integration.docker_host import docker

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Project

pytestmark = pytest.mark.usefixtures("prepared")

PERSON = {"CI": "", "TRAVIS": "", "GITHUB_ACTIONS": "", "GITLAB_CI": "", "TERM": "xterm-256color"}
ASKED = b"echo $(uname -m) $(ls /) $HELLO in $PWD; exit\n"
CONTEXT = "FROM busybox:stable\nENV HELLO=there\nWORKDIR /work\n"
THREE = f"{CONTEXT}RUN echo > /first\nRUN true && \\\n  # a comment\n\n  test $(uname -m) = x86_64\nRUN echo > /third\n"
STAGES = (
    f"# syntax=docker/dockerfile:1\n{CONTEXT.replace('stable', 'stable AS one')}RUN echo > /first\nRUN <<E\nset -e\n"
    "test $(uname -m) = x86_64\nE\nRUN echo > /third\n\nFROM scratch AS last\nCOPY --from=one /third /\n"
)


def _build(project: Project, tmp_path: Path, dockerfile: str, *flags: str, shell: bool = True) -> Shown:
    """Build on a terminal, and answer the shell."""
    (tmp_path / "tmp").mkdir()
    project.write(Dockerfile=dockerfile)
    project.ok("start-buildkit")
    words = ("build-arch", "--platform", "linux/arm64", "--shell", *flags)
    env = project.env(**PERSON, TMPDIR=str(tmp_path / "tmp"))
    with (tmp_path / "out").open("wb") as out:
        return show(
            project.command(*words),
            env=env,
            cwd=project.path,
            columns=200,
            stdout=out,
            when=" # ",
            press=ASKED if shell else b"",
            timeout=120,
        )


def _left(tmp_path: Path) -> list[str]:
    """Return the images, containers and files that a shell left, and the results on standard output."""
    images = docker("image", "ls", "--quiet", "multiarch-shell").splitlines()
    containers = docker("ps", "--all", "--quiet", "--filter", "name=multiarch-shell").splitlines()
    files = [str(path) for path in (tmp_path / "tmp").iterdir()]
    return [*images, *containers, *files, *(tmp_path / "out").read_text().splitlines()]


@pytest.mark.parametrize(
    ("dockerfile", "place"), [(THREE, "Dockerfile:5"), (STAGES, "Dockerfile:6")], ids=["one stage", "stages"]
)
@pytest.mark.parametrize("flags", [(), ("--output", "oci,dest=x.tar"), ("--no-cache", "--verbose")])
def test_a_shell_opens_before_the_run_that_failed(
    project: Project, tmp_path: Path, dockerfile: str, place: str, flags: tuple[str, ...]
) -> None:
    """In the state that the RUN before it made, under its platform; then the build fails, and nothing is left."""
    shown = _build(project, tmp_path, dockerfile, *flags)
    (answer,) = [line for line in shown.after if line.startswith("aarch64 ")]
    assert ([True, False], True) == ([f" {name} " in answer for name in ("first", "third")], "there in /work" in answer)
    (line,) = [line for line in shown.written.splitlines() if "--shell: " in line]
    assert (True, True) == (f"({place}) failed; this is the state before it" in line, "RUN --mount" in line)
    assert f"({place}): process " in shown.after[-1]
    assert (1, True, []) == (shown.status, shown.sane, _left(tmp_path))


@pytest.mark.parametrize(
    ("dockerfile", "reason"),
    [
        ("FROM busybox:stable\nCOPY nothing /\n", "[2/2] COPY nothing / (Dockerfile:2) is no RUN of the Dockerfile"),
        ("FROM 127.0.0.1:5001/nothing:none\nRUN true\n", "nothing:none (Dockerfile:1) is no RUN of the Dockerfile"),
        ("FROM busybox:stable\nRUNN true\n", "what failed is no RUN of the Dockerfile"),
        (
            "FROM busybox:stable AS base\nONBUILD RUN false\nFROM base\n",
            "ONBUILD RUN false (Dockerfile:3) is no RUN of the Dockerfile",
        ),
        ("FROM scratch\nRUN true\n", "nothing is in the image before [1/1] RUN true (Dockerfile:2)"),
    ],
)
def test_no_shell_opens_where_there_is_no_state(project: Project, tmp_path: Path, dockerfile: str, reason: str) -> None:
    """One line says why, and the build fails as it would without --shell."""
    shown = _build(project, tmp_path, dockerfile, shell=False)
    lines = [line for line in shown.after if line.startswith("--shell: ")]
    assert [True] == [reason in line and ", so there is no" in line for line in lines], shown.after
    assert (1, True) == (shown.status, "linux/arm64: build failed" in "".join(shown.after))
    assert (True, []) == (shown.sane, _left(tmp_path))


def test_a_build_that_succeeds_opens_none(project: Project, tmp_path: Path) -> None:
    """Its result is on standard output, as without --shell."""
    shown = _build(project, tmp_path, "FROM busybox:stable\nRUN true\n", shell=False)
    (result,) = _left(tmp_path)
    assert (0, f"{project.image}:latest-arm64") == (shown.status, result.partition("@")[0])


def test_the_dockerfiles_shell_is_what_opens(project: Project, tmp_path: Path) -> None:
    """The first word of SHELL; secrets and build arguments are those of the build, the target is not."""
    (project.path / "token").write_text("s3cret")
    project.write(
        invoke_yaml="multiarch:\n  secrets: {token: 'file:token'}\n  build_args: {WORD: x}\n"
        "  platforms: [linux/amd64, {platform: linux/arm64, target: last}]\n"
    )
    dockerfile = (
        'FROM busybox:stable AS one\nARG WORD\nENV HELLO=$WORD\nSHELL ["/bin/ash", "-ec"]\nWORKDIR /first\n'
        'RUN --mount=type=secret,id=token false\nFROM one AS last\nENTRYPOINT ["false"]\n'
    )
    shown = _build(project, tmp_path, dockerfile, "--verbose")
    (command,) = [line for line in shown.written.splitlines() if "$ docker run " in line]
    assert (True, True) == (" --entrypoint /bin/ash " in command, " --platform linux/arm64 " in command)
    assert (1, True, []) == (shown.status, " x in /first" in "".join(shown.after), _left(tmp_path))

"""What an image is given when it is tried, and what is said where it lacks something."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Project

GIVEN = """\
  smoke_tmpfs: [/scratch]
  smoke_capabilities: [net_bind_service, CAP_CHOWN]
  smoke_user: "0:7"
  smoke_env: {GREETING: hello}
"""


def smoke(project: Project, script: str, given: str = "") -> None:
    """Write a project that is tried with a script of the shell."""
    words = json.dumps(["sh", "-c", script])
    project.write(
        Dockerfile="FROM busybox:stable\n",
        invoke_yaml=f"multiarch:\n  platforms: [linux/amd64]\n  smoke: {words}\n{given}",
    )


def test_image_is_given_what_it_needs_and_no_more(project: Project) -> None:
    """A directory in memory, two capabilities of all, another group, a variable."""
    checks = (
        "grep -q ' /scratch tmpfs ' /proc/mounts",
        "grep -q 'CapEff:.*0000000000000401$' /proc/self/status",
        '[ "$(id -u) $(id -g) $GREETING" = "0 7 hello" ]',
        "touch /x && chown 1 /x",
    )
    smoke(project, "set -ex; " + "; ".join(checks), GIVEN)
    project.ok("release")


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("touch /x; chown 1 /x", "it has no capabilities; name what it needs in smoke_capabilities"),
        ("wget -q http://registry.example/", "it has no network"),
        ("i=0; while [ $i -lt 600 ]; do sleep 9 & i=$((i+1)); done", "it may have 512 processes"),
    ],
)
def test_failure_says_which_restriction_may_be_the_cause(project: Project, script: str, cause: str) -> None:
    """By the words of the program."""
    smoke(project, script)
    result = project.run("release")
    (line,) = [line for line in result.err.splitlines() if "gate 'it runs'" in line]
    assert (1, []) == (result.status, result.out)
    assert f"; perhaps because {cause}" in line

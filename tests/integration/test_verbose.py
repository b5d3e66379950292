"""``--verbose`` on every step: commands and requests on standard error, results alone on standard output."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Project

pytestmark = pytest.mark.usefixtures("prepared")

INFO = r"docker GET /v[\d.]+/info: 200, \d+ ms"
EXEC = r"docker POST /v[\d.]+/containers/\w+/exec: 201, \d+ ms"
# 404 where no test before this one has started it: the step does.
REGISTRY = r"docker GET /v[\d.]+/containers/multiarch-registry/json: (?:200|404), \d+ ms"
VERSION = [r"docker GET /version: 200, \d+ ms"]
BUILDCTL = [r"\$ \S+/buildctl --addr unix://\S+ build .* --opt platform=linux/amd64\S* .*"]
BUILDCTL += [r"\$ buildctl: status 0, \d+\.\ds"]
READ = r"GET http://127\.0\.0\.1:5001/v2/\S+/manifests/\S+: 200, \d+ ms"
WRITE = r"PUT http://127\.0\.0\.1:5001/v2/\S+/manifests/latest: 201, \d+ ms"
ONE = "multiarch:\n  platforms: [linux/amd64, linux/arm64]\n"


@pytest.mark.parametrize(
    ("step", "results", "expected"),
    [
        ("setup-binfmt --platform linux/amd64", 1, [*VERSION, INFO]),
        ("start-buildkit", 1, [*VERSION, INFO, EXEC]),
        ("copy-buildctl", 1, [*VERSION, EXEC, r"\$ \S+/buildctl --version", r"\$ buildctl: status 0, \d+\.\ds"]),
        ("build-arch --platform linux/amd64", 1, [*VERSION, REGISTRY, *BUILDCTL]),
        ("manifest --platform linux/amd64", 1, [*VERSION, REGISTRY, READ, WRITE]),
        ("release", 1, [*VERSION, INFO, REGISTRY, *BUILDCTL, READ, WRITE]),
    ],
)
def test_every_step_shows_what_it_does(project: Project, step: str, results: int, expected: list[str]) -> None:
    """Each command with its status, each request with its status and time; the result is the same as without."""
    project.write(invoke_yaml=ONE)
    if step.startswith("manifest"):
        project.ok("build-arch", "--platform", "linux/amd64")
    result = project.run(*step.split(), "--verbose")
    lines = [line.partition("│ ")[2] or line for line in result.err.splitlines()]
    missing = [pattern for pattern in expected if not any(re.fullmatch(pattern, line) for line in lines)]
    assert (0, results, []) == (result.status, len(result.out), missing), result.err
    assert [] == [line for line in result.out if line.startswith(("$", "docker ", "GET ", "PUT "))]

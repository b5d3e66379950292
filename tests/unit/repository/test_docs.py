"""What docs/when-a-step-fails.md quotes is what the code says: each ``text`` block is one error, wrapped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multiarch import errors
from multiarch.buildkit.faults import hint_for
from multiarch.image.platform import Platform
from multiarch.publish import errors as refusals
from multiarch.registry.answers import Answer
from multiarch.registry.transport import refusal
from multiarch.steps.start_buildkit import port_taken
from tests.unit.cli.test_tasks import FLAGS
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from multiarch.errors import MultiarchError

PAGE = (ROOT / "docs" / "when-a-step-fails.md").read_text()
APP = "docker.io/someone/app:latest"
MAKE = 'process "/bin/sh -c make" did not complete successfully: exit code: 2'
NO_BASE = "no match for platform in manifest: not found"
LIMITED = "toomanyrequests: You have reached your pull rate limit"
MAY_NOT = f"failed to push {APP}-arm64: push access denied, repository does not exist or may require authorization: "
CARRIAGE_RETURN = "the first line of /start.sh ends in CR, as on Windows: save it with LF alone"
MAY_NOT += "server message: insufficient_scope: authorization failed"


def _failed(platform: str, step: str, cause: str, where: str = "") -> MultiarchError:
    """Return the error of a solve, as `multiarch.buildkit.solve` makes it."""
    hint = hint_for(cause)
    return errors.BuildFailedError(platform, f"{cause}; {hint}" if hint else cause, step=step, where=where)


def _refused(request: str, status: int, code: str, message: str) -> MultiarchError:
    """Return the error of a registry's answer."""
    body = f'{{"errors": [{{"code": "{code}", "message": "{message}"}}]}}'.encode()
    return refusal(request, Answer(status, "", {}, "", body))


def _words(text: object) -> str:
    return " ".join(str(text).split())


def test_every_line_that_is_quoted_can_be_met() -> None:
    """Word for word, made by the classes and functions that make it."""
    riscv = Platform.parse("linux/riscv64")
    denied = _refused("PUT ghcr.io/a/b/manifests/latest", 403, "DENIED", "denied")
    expected = [
        errors.NoDockerError("unix:///var/run/docker.sock", "no such socket"),
        errors.EmulatorError([riscv], "tonistiigi/binfmt:qemu-v10.2.3", ""),
        errors.ImageUnavailableError("busybox:stable", "probe_image", LIMITED),
        port_taken("127.0.0.1:1234"),
        errors.ForeignContainerError("buildkit"),
        errors.BuilderUnreachableError("tcp://127.0.0.1:1234", "Connection refused"),
        errors.BuildctlNotExecutableError("bin/buildctl", "Darwin on arm64: Exec format error"),
        errors.NoBuilderError(),
        _failed("linux/arm64", "[2/3] RUN make", MAKE, "Dockerfile:7"),
        _failed("linux/s390x", "[internal] load metadata for docker.io/someone/base:1", NO_BASE, "Dockerfile:1"),
        _failed("linux/arm64", "exporting to image", MAY_NOT),
        _failed("linux/arm64", "[2/3] RUN make", "write /out: no space left on device", "Dockerfile:7"),
        refusals.IncompleteMatrixError([refusals.MissingImage("linux/arm64", f"{APP}-arm64")]),
        refusals.DroppedPlatformError([refusals.DroppedPlatforms(APP, ("linux/s390x",))]),
        refusals.ForeignProgramError(f"{APP}-arm64", "linux/arm64", "/app", "amd64"),
        refusals.UnstartableError(f"{APP}-arm64", "linux/arm64", CARRIAGE_RETURN),
        _refused("GET docker.io/someone/app/manifests/latest-arm64", 401, "UNAUTHORIZED", "authentication required"),
        refusals.TagsNotMovedError(str(denied), [APP, "ghcr.io/a/b:latest"], []),
        refusals.SmokeError("linux/arm64", "app --version", "exit status 139"),
        refusals.SigningError("docker.io/someone/app@sha256:c0ffee", "signing digest: no quorum"),
        refusals.OtherCommitError(f"{APP}-arm64", "c0ffee1", "bada551"),
    ]
    assert list(map(_words, expected)) == [
        _words(quoted) for quoted in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    ]


def test_every_step_has_its_part() -> None:
    """In the order of the steps; and what it advises are flags that there are."""
    others = ("prune", "pipeline", "init", "fleet", "fleet-certs", "fleet-pods", "doctor", "cleanup", "log")
    steps = [step for step in FLAGS if step not in others]
    assert steps == re.findall(r"^## \d\. (\S+)$", PAGE, re.MULTILINE)
    words = re.sub(r"```text.*?```", "", PAGE, flags=re.DOTALL)
    advised = re.findall(r"invoke ([a-z-]+)([^`]*)", words)
    unknown = [
        (step, flag)
        for step, rest in advised
        for flag in re.findall(r"--(\S+)", rest)
        if flag not in FLAGS[step].split()
    ]
    assert ([], True) == (unknown, len(advised) > 5)


def test_security_tells_of_every_gate() -> None:
    """What a gate checks, and what it does not, is a row of the table in SECURITY.md."""
    section = (ROOT / "SECURITY.md").read_text().partition("## The gates")[2].partition("\n## ")[0]
    heading, *gates = re.findall(r"^\| ([a-z ]+) \| .+ \| .+ \|$", section, re.MULTILINE)
    assert ("gate", {error.gate for error in refusals.GateError.__subclasses__()}) == (heading, set(gates))

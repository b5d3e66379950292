"""The step ``doctor``: its lines, its data, and the commands that a person would ask with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from multiarch.buildkit.address import dry_address
from multiarch.buildkit.buildctl import default_path
from multiarch.errors import MultiarchError
from multiarch.steps.doctor import settings
from multiarch.steps.doctor.checks import all_checks
from multiarch.steps.doctor.examination import examine, failures
from multiarch.steps.doctor.finding import Finding, State, failure, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.config.project import Project
    from multiarch.run import Run

_VERSION = 1  # of the data; it counts up when a reader of the former one would misread it


class UnhealthyError(MultiarchError):
    """A release would fail."""

    def __init__(self, failed: int, all_findings: int) -> None:
        super().__init__(f"doctor: a release would fail: {failed} of {all_findings} findings say so, see above")


class Doctor(Struct):
    """The step with its options.

    :ivar as_json: whether the findings are one line of JSON.
    :ivar problem: of the settings, once they are loaded; empty where they can be used.
    """

    as_json: bool = False
    problem: str = ""
    findings: list[Finding] = field(default_factory=list)

    def load(self, configured: object, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Project:
        """Read the project, or, where its settings cannot be used, none; its problem is a finding like the others."""
        project, self.problem = settings.load(configured, environ, flags)
        return project

    def run(self, run: Run) -> tuple[str, ...]:
        """Return the findings as lines, or as data; `check` says what they come to."""
        run.policy, run.host, run.registries  # noqa: B018 (made once, before several threads want them)
        checks = [check for check in all_checks() if not (self.problem and check.needs_settings)]
        found = list(examine(run, checks))
        if self.problem:
            skipped = [check.name for check in all_checks() if check.needs_settings and check.name != settings.NAME]
            lost = [unknown(name, "not checked: the settings cannot be used", "correct them") for name in skipped]
            found = [failure(settings.NAME, self.problem), *found, *lost]
        self.findings = found
        return (_as_json(found),) if self.as_json else tuple(map(str, found))

    def check(self) -> None:
        """Check that nothing keeps a release from succeeding. :raises UnhealthyError: something does."""
        if failed := failures(self.findings):
            raise UnhealthyError(len(failed), len(self.findings))

    def commands(self, project: Project) -> list[list[str]]:
        """Return commands that ask about as much, one thing each."""
        buildctl = str(default_path(project.settings))
        server = [buildctl, "--addr", dry_address(project.settings)]
        lines = [["docker", "info"], ["cat", "/proc/sys/fs/binfmt_misc/status"], [*server, "debug", "info"]]
        for entry in project.matrix:
            image = str(entry.staging.with_tag(""))
            lint = ["docker", "build", "--check", "--platform", str(entry.platform), entry.context.place]
            lines += [line for line in ([*lint], ["docker", "manifest", "inspect", image]) if line not in lines]
        return lines


def _as_json(findings: Sequence[Finding]) -> str:
    """Return the findings as one line: ``version``, ``ok`` (whether a release would do), and ``findings``."""
    is_ok = all(finding.state is not State.FAILURE for finding in findings)
    return json.dumps({"version": _VERSION, "ok": is_ok, "findings": [finding.json for finding in findings]})

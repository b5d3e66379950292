"""The pipeline of GitHub Actions: a workflow (docs.github.com, "Workflow syntax for GitHub Actions").

Secrets reach the two steps that push, and no other; those of a repository are not given to pull requests from forks.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from multiarch.config.schema import PREFIX
from multiarch.pipelines.model import IMAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.pipelines.model import Build, Pipeline

PATH = ".github/workflows/multiarch.yml"
LISTS: frozenset[tuple[str, ...]] = frozenset()
_RUNNER = "ubuntu-latest"
_OWN = "ghcr.io"
# The system's Python takes no packages (PEP 668).
_VENV = """\
python3 -m venv "$RUNNER_TEMP/venv"
. "$RUNNER_TEMP/venv/bin/activate"
echo "$VIRTUAL_ENV/bin" >> "$GITHUB_PATH"
"""


def write(pipeline: Pipeline, there: dict[str, Any] | None) -> dict[str, Any]:  # noqa: ARG001 (as all writers have it)
    """Return what the file holds of ours, as plain data."""
    push = {"branches": list(pipeline.branches), "tags": ["**"]} if pipeline.branches else {"tags": ["**"]}
    packages = {"packages": "write"} if _OWN in pipeline.logins else {}
    image = {IMAGE: f"${{{{ vars.{IMAGE} }}}}"} if pipeline.needs_image else {}
    variables = {**image, **pipeline.variables}
    return {
        "name": "multiarch",
        "on": {"push": push, "pull_request": None},
        "permissions": {"contents": "read", **packages},
        "env": variables,
        "jobs": {"build": _build(pipeline), "manifest": _publish(pipeline)},
    }


def is_ours(place: tuple[str, ...], key: str, value: Any) -> bool:  # noqa: ARG001 (as all writers have it)
    """Tell whether what is in a file, and would not be written any more, is ours to remove."""
    if place[-2:] == ("steps", "[]"):
        return key == "if"
    if place[-1:] == ("env",):
        return key.startswith(PREFIX) or key.endswith(("_USERNAME", "_PASSWORD"))
    return (place[-1:], key) in ((("permissions",), "packages"), (("push",), "branches"), (("[]",), "builder"))


def settings_of(pipeline: Pipeline) -> str:
    """Return what has to be set at the CI."""
    secrets = pipeline.secrets(given=_OWN)
    told = [f"the secrets {', '.join(secrets)}"] if secrets else []
    return " and ".join([*told, *([f"the variable {IMAGE}"] if pipeline.needs_image else [])])


def _build(pipeline: Pipeline) -> dict[str, Any]:
    # One job for all platforms: what not all of them need is conditional.
    platform = "${{ matrix.platform }}"
    steps = []
    for command in pipeline.prepare(pipeline.most, platform):
        step: dict[str, Any] = {"run": command}
        if "setup-binfmt" in command:
            step = {"if": "matrix.emulated", **step}
        elif "start-buildkit" in command and pipeline.some_elsewhere:
            step = {"if": "! matrix.builder", **step}
        steps.append(step)
    return {
        "name": f"build {platform}",
        "runs-on": "${{ matrix.runner }}",
        "strategy": {
            "matrix": {"include": [_entry(build, builder=pipeline.some_elsewhere) for build in pipeline.builds]}
        },
        "steps": [
            *_start(pipeline),
            *steps,
            {"run": pipeline.build(platform), "env": {**_logins(pipeline), **_secrets(pipeline.build_secrets)}},
        ],
    }


def _publish(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "needs": "build",
        "if": f"github.event_name != 'pull_request' && ({_published(pipeline)})",
        "runs-on": _RUNNER,
        "steps": [
            *_start(pipeline),
            *({"run": command} for command in pipeline.try_out),
            {"run": pipeline.publish, "env": _logins(pipeline)},
        ],
    }


def _start(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [{"uses": "actions/checkout@v6"}, {"name": "install", "run": f"{_VENV}{pipeline.install}\n"}]


def _entry(build: Build, *, builder: bool) -> dict[str, Any]:
    entry = {"platform": build.platform, "runner": build.runner or _RUNNER, "emulated": build.emulated}
    return {**entry, "builder": build.builder} if builder else entry


def _published(pipeline: Pipeline) -> str:
    """Return the condition of what is published, whatever has started the workflow."""
    names = json.dumps(list(pipeline.branches))
    branch = [f"contains(fromJSON('{names}'), github.ref_name)"] if pipeline.branches else []
    return " || ".join(["github.ref_type == 'tag'", *branch])


def _logins(pipeline: Pipeline) -> dict[str, str]:
    """Return where the credentials come from: the repository's secrets; GitHub's own registry takes the job's token."""
    found: dict[str, str] = {}
    for registry, (user, password) in pipeline.logins.items():
        own = {user: "${{ github.actor }}", password: "${{ secrets.GITHUB_TOKEN }}"}
        found |= own if registry == _OWN else _secrets((user, password))
    return found


def _secrets(names: Sequence[str]) -> dict[str, str]:
    return {name: f"${{{{ secrets.{name} }}}}" for name in names}

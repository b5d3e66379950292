"""The pipeline of GitHub Actions: a workflow (docs.github.com, "Workflow syntax for GitHub Actions").

Secrets reach the two steps that push, and no other; those of a repository are not given to pull requests from forks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiarch.pipeline import Build, Pipeline

PATH = ".github/workflows/multiarch.yml"
# Where a project may have jobs and triggers of its own.
OPEN = frozenset({(), ("on",), ("jobs",)})
_RUNNER = "ubuntu-latest"
_OWN = "ghcr.io"
# The system's Python takes no packages (PEP 668).
_VENV = """\
python3 -m venv "$RUNNER_TEMP/venv"
. "$RUNNER_TEMP/venv/bin/activate"
echo "$VIRTUAL_ENV/bin" >> "$GITHUB_PATH"
"""


def write(pipeline: Pipeline) -> dict[str, Any]:
    """Return the file as plain data."""
    push = {"branches": list(pipeline.branches), "tags": ["*"]} if pipeline.branches else {"tags": ["*"]}
    packages = {"packages": "write"} if _OWN in pipeline.logins else {}
    image = {"INVOKE_MULTIARCH_IMAGE": "${{ vars.INVOKE_MULTIARCH_IMAGE }}"} if pipeline.needs_image else {}
    variables = {**image, **pipeline.variables}
    return {
        "name": "multiarch",
        "on": {"push": push, "pull_request": None},
        "permissions": {"contents": "read", **packages},
        **({"env": variables} if variables else {}),
        "jobs": {"build": _build(pipeline), "manifest": _publish(pipeline)},
    }


def is_ours(place: tuple[str, ...], entry: object) -> bool:  # noqa: ARG001 (as all writers have it)
    """Tell whether an entry that the pipeline has not any more was written by us: ours have fixed names here."""
    return False


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
        "steps": [*_start(pipeline), *steps, {"run": pipeline.build(platform), "env": _secrets(pipeline)}],
    }


def _publish(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "needs": "build",
        "if": "github.event_name != 'pull_request'",
        "runs-on": _RUNNER,
        "steps": [
            *_start(pipeline),
            *({"run": command} for command in pipeline.try_out),
            {"run": pipeline.publish, "env": _secrets(pipeline)},
        ],
    }


def _start(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [{"uses": "actions/checkout@v6"}, {"name": "install", "run": f"{_VENV}{pipeline.install}\n"}]


def _entry(build: Build, *, builder: bool) -> dict[str, Any]:
    entry = {"platform": build.platform, "runner": build.runner or _RUNNER, "emulated": build.emulated}
    return {**entry, "builder": build.builder} if builder else entry


def _secrets(pipeline: Pipeline) -> dict[str, str]:
    """Return where the credentials come from: the repository's secrets; GitHub's own registry takes the job's token."""
    found: dict[str, str] = {}
    for registry, (user, password) in pipeline.logins.items():
        own = registry == _OWN
        found[user] = "${{ github.actor }}" if own else f"${{{{ secrets.{user} }}}}"
        found[password] = "${{ secrets.GITHUB_TOKEN }}" if own else f"${{{{ secrets.{password} }}}}"
    return found

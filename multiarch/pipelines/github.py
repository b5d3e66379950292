"""Pipeline of GitHub Actions: a workflow (docs.github.com, "Workflow syntax for GitHub Actions").

Logins reach the two steps that push, and no other. Pull requests are built in a job of their own, whose token may only
read, and which has no logins: also those from a branch of the repository, whose code runs in it. The secrets of builds
and of builders reach its building step too; GitHub gives pull requests from forks none.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from multiarch.config.schema import PREFIX
from multiarch.pipelines.model import Purpose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.pipelines.component import Build
    from multiarch.pipelines.model import Pipeline
    from multiarch.pipelines.yaml_merge import Place

PATH = ".github/workflows/multiarch.yml"
LISTS: frozenset[Place] = frozenset()
_RUNNER = "ubuntu-latest"
# Its jobs have a token for it.
_OWN_REGISTRY = "ghcr.io"
# The system's Python takes no packages (PEP 668).
_VENV = """\
python3 -m venv "$RUNNER_TEMP/venv"
. "$RUNNER_TEMP/venv/bin/activate"
echo "$VIRTUAL_ENV/bin" >> "$GITHUB_PATH"
"""

# What BuildKit's client needs for the cache service; GitHub gives it to actions, and not to commands.
_CACHE_SCRIPT = """\
for (const name of ['ACTIONS_RUNTIME_TOKEN', 'ACTIONS_RESULTS_URL', 'ACTIONS_CACHE_URL', 'ACTIONS_CACHE_SERVICE_V2'])
  if (process.env[name]) core.exportVariable(name, process.env[name])
"""


def write(pipeline: Pipeline, existing: dict[str, Any] | None) -> dict[str, Any]:  # noqa: ARG001 (as all writers have it)
    """Return the part of the file that is ours, as plain data."""
    push = {"branches": list(pipeline.branches), "tags": ["**"]} if pipeline.branches else {"tags": ["**"]}
    variables = {name: f"${{{{ vars.{name} }}}}" for name in pipeline.public_variables} | dict(pipeline.variables)
    return {
        "name": "multiarch",
        "on": {"push": push, "pull_request": None},
        "permissions": {"contents": "read"},
        "env": variables,
        "jobs": {
            "pull-request": _build(pipeline, pushes=False),
            "build": _build(pipeline, pushes=True),
            "manifest": _publish(pipeline),
        },
    }


def is_ours(place: Place, key: str, value: Any) -> bool:  # noqa: ARG001 (as all writers have it)
    """Whether a part of the file that is not written any more is ours, and to be removed."""
    if place[-2:] == ("steps", "[]"):
        return key == "if"
    if place[-1:] == ("env",):
        return key.startswith((PREFIX, "FLEET_")) or key.endswith(("_USERNAME", "_PASSWORD"))
    return (place[-1:], key) in ((("permissions",), "packages"), (("push",), "branches"), (("[]",), "builder"))


def settings_of(pipeline: Pipeline) -> str:
    """Return what has to be set at the CI."""
    names = ", ".join(pipeline.secrets(provided=_OWN_REGISTRY))
    secrets = [f"the secrets {names}"] if names else []
    variables = pipeline.public_variables
    of_them = f"the variable{'s' if len(variables) > 1 else ''} {', '.join(variables)}"
    return " and ".join([*secrets, *([of_them] if variables else [])])


def _build(pipeline: Pipeline, *, pushes: bool) -> dict[str, Any]:
    """Return the job that builds everything; a step that only some of its entries need is conditional."""
    name, flags = "${{ matrix.platform }}", "--platform ${{ matrix.platform }}"
    if pipeline.has_targets:
        name, flags = "${{ matrix.name }}", "${{ matrix.flags }}"
    conditions = {Purpose.EMULATOR: "matrix.emulated"}
    if pipeline.has_mixed_builders:
        conditions[Purpose.SERVER] = "! matrix.builder"
    steps = [
        {**({"if": conditions[command.purpose]} if command.purpose in conditions else {}), "run": command.text}
        for command in pipeline.prepare(pipeline.fullest_build, flags)
    ]
    credentials = _logins(pipeline) if pushes else {}
    secrets = (*pipeline.build_secrets, *pipeline.builder_secrets)
    return {
        "name": f"build {name}",
        "if": f"github.event_name {'!=' if pushes else '=='} 'pull_request'",
        **(_permissions(pipeline) if pushes else {}),
        "runs-on": "${{ matrix.runner }}",
        "strategy": {"matrix": {"include": [_entry(pipeline, build) for build in pipeline.builds]}},
        "steps": [
            *_start(pipeline),
            *_export_cache(pipeline),
            *steps,
            {"run": pipeline.build(flags), "env": {**credentials, **_secrets(secrets)}},
            *(_upload(pipeline) if pushes else []),
        ],
    }


def _publish(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "needs": "build",
        "if": f"github.event_name != 'pull_request' && ({_published(pipeline)})",
        **_permissions(pipeline),
        "runs-on": _RUNNER,
        "steps": [
            *_start(pipeline),
            *_download(pipeline),
            *({"run": command} for command in pipeline.prepare_trials),
            {"run": pipeline.publish, "env": {**_logins(pipeline), **_secrets(pipeline.trial_secrets)}},
        ],
    }


def _permissions(pipeline: Pipeline) -> dict[str, Any]:
    """Return the permissions of a job that pushes: to GitHub's own registry with the job's token."""
    packages = {"packages": "write"} if any(login.registry == _OWN_REGISTRY for login in pipeline.logins) else {}
    return {"permissions": {"contents": "read", **packages}}


def _start(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [{"uses": "actions/checkout@v6"}, {"name": "install", "run": f"{_VENV}{pipeline.install}\n"}]


def _export_cache(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Return the step that lets commands use GitHub's cache, where the builds do."""
    step = {"name": "cache", "uses": "actions/github-script@v8", "with": {"script": _CACHE_SCRIPT}}
    return [step] if pipeline.uses_github_cache else []


def _upload(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Return the step that hands the digest of a build over, where there is no staging tag."""
    what = {"name": "digests-${{ strategy.job-index }}", "path": pipeline.digests, "if-no-files-found": "error"}
    return [{"uses": "actions/upload-artifact@v4", "with": what}] if pipeline.digests else []


def _download(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Return the step that takes the digests of all builds."""
    what = {"pattern": "digests-*", "path": pipeline.digests, "merge-multiple": True}
    return [{"uses": "actions/download-artifact@v4", "with": what}] if pipeline.digests else []


def _entry(pipeline: Pipeline, build: Build) -> dict[str, Any]:
    """Return an entry of the matrix; where some are built elsewhere, it says whether this one is."""
    what = {"name": build.name, "flags": build.flags} if pipeline.has_targets else {"platform": build.name}
    entry = {**what, "runner": build.runner or _RUNNER, "emulated": build.emulated}
    return {**entry, "builder": build.has_builder} if pipeline.has_mixed_builders else entry


def _published(pipeline: Pipeline) -> str:
    """Return the condition for publishing, whatever has started the workflow."""
    names = json.dumps(list(pipeline.branches))
    branch = [f"contains(fromJSON('{names}'), github.ref_name)"] if pipeline.branches else []
    return " || ".join(["github.ref_type == 'tag'", *branch])


def _logins(pipeline: Pipeline) -> dict[str, str]:
    """Return the credentials: the repository's secrets, and for GitHub's own registry the job's token."""
    variables: dict[str, str] = {}
    for login in pipeline.logins:
        own = {login.username: "${{ github.actor }}", login.password: "${{ secrets.GITHUB_TOKEN }}"}
        variables |= own if login.registry == _OWN_REGISTRY else _secrets([login.username, login.password])
    return variables


def _secrets(names: Sequence[str]) -> dict[str, str]:
    return {name: f"${{{{ secrets.{name} }}}}" for name in names}

"""The pipeline of CircleCI: ``.circleci/config.yml`` (circleci.com/docs, "Configuration reference").

Two workflows: one publishes, from branches and tags that are asked for; the other builds everything else, and pushes
nothing, so that pull requests are tried. The number of the pipeline is no variable there; the file hands it on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiarch.pipeline import Pipeline

PATH = ".circleci/config.yml"
# Where a project may have jobs and workflows of its own.
OPEN = frozenset({(), ("jobs",), ("workflows",)})
_MACHINE = {"image": "ubuntu-2404:current"}
_USUAL = "medium"
_VENV = """\
python3 -m venv "$HOME/multiarch"
. "$HOME/multiarch/bin/activate"
echo ". $VIRTUAL_ENV/bin/activate" >> "$BASH_ENV"
"""


def write(pipeline: Pipeline) -> dict[str, Any]:
    """Return the file as plain data."""
    only = {"branches": {"only": list(pipeline.branches)} if pipeline.branches else {"ignore": "/.*/"}}
    only["tags"] = {"only": "/.*/"}
    others = {"branches": {"ignore": list(pipeline.branches)}} if pipeline.branches else {}
    names = [f"build {build.platform}" for build in pipeline.builds]
    builds = _jobs(pipeline, "image", only)
    publish = {"multiarch-publish": {"requires": names, "filters": only}}
    return {
        "version": 2.1,
        "jobs": {"multiarch-build": _build(pipeline), "multiarch-publish": _publish(pipeline)},
        "workflows": {"release": {"jobs": [*builds, publish]}, "check": {"jobs": _jobs(pipeline, "none", others)}},
    }


def is_ours(place: tuple[str, ...], entry: object) -> bool:  # noqa: ARG001 (as all writers have it)
    """Tell whether an entry that the pipeline has not any more was written by us: ours have fixed names here."""
    return False


def _jobs(pipeline: Pipeline, output: str, filters: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "multiarch-build": {
                "name": f"build {build.platform}",
                "platform": build.platform,
                **({"resource_class": build.runner} if build.runner else {}),
                **({"emulated": True} if build.emulated else {}),
                **({"builder": True} if build.builder and pipeline.some_elsewhere else {}),
                **({"output": output} if output != "image" else {}),
                **({"filters": filters} if filters else {}),
            }
        }
        for build in pipeline.builds
    ]


def _build(pipeline: Pipeline) -> dict[str, Any]:
    platform = "<< parameters.platform >>"
    steps: list[Any] = []
    for command in pipeline.prepare(pipeline.most, platform):
        step: dict[str, Any] = {"run": command}
        if "setup-binfmt" in command:
            step = {"when": {"condition": "<< parameters.emulated >>", "steps": [step]}}
        elif "start-buildkit" in command and pipeline.some_elsewhere:
            step = {"unless": {"condition": "<< parameters.builder >>", "steps": [step]}}
        steps.append(step)
    emulated = {"emulated": {"type": "boolean", "default": False}} if pipeline.most.emulated else {}
    builder = {"builder": {"type": "boolean", "default": False}} if pipeline.some_elsewhere else {}
    return {
        "parameters": {
            "platform": {"type": "string"},
            "resource_class": {"type": "string", "default": _USUAL},
            **emulated,
            **builder,
            "output": {"type": "string", "default": "image"},
        },
        "machine": _MACHINE,
        "resource_class": "<< parameters.resource_class >>",
        "environment": {**_variables(pipeline), "INVOKE_MULTIARCH_OUTPUT": "<< parameters.output >>"},
        "steps": [*_start(pipeline), *steps, {"run": pipeline.build(platform)}],
    }


def _publish(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "machine": _MACHINE,
        "resource_class": _USUAL,
        "environment": _variables(pipeline),
        "steps": [*_start(pipeline), *({"run": command} for command in pipeline.try_out), {"run": pipeline.publish}],
    }


def _variables(pipeline: Pipeline) -> dict[str, str]:
    return {"INVOKE_MULTIARCH_BUILD": "<< pipeline.number >>", **pipeline.variables}


def _start(pipeline: Pipeline) -> list[Any]:
    return ["checkout", {"run": {"name": "install", "command": f"{_VENV}{pipeline.install}\n"}}]

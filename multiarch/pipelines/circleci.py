"""Pipeline of CircleCI: ``.circleci/config.yml`` (circleci.com/docs, "Configuration reference").

Two workflows: one publishes, from the branches of the settings and from tags; the other builds everything else, pull
requests too, and pushes nothing. The number of the pipeline is no variable there; the file hands it on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiarch.config.schema import PREFIX
from multiarch.formatting import one_line
from multiarch.pipelines.builder_secrets import dropped
from multiarch.pipelines.errors import PipelineError
from multiarch.pipelines.model import Purpose

if TYPE_CHECKING:
    from multiarch.pipelines.model import Pipeline
    from multiarch.pipelines.yaml_merge import Place

PATH = ".circleci/config.yml"
_WORKFLOW, _CHECK = "multiarch", "multiarch-check"
_BUILD, _PUBLISH = "multiarch-build", "multiarch-publish"
LISTS: frozenset[Place] = frozenset({("workflows", _WORKFLOW, "jobs"), ("workflows", _CHECK, "jobs")})
_MACHINE = {"image": "ubuntu-2404:current"}
_USUAL_CLASS = "medium"
_VENV = """\
python3 -m venv "$HOME/multiarch"
. "$HOME/multiarch/bin/activate"
echo ". $VIRTUAL_ENV/bin/activate" >> "$BASH_ENV"
"""


def write(pipeline: Pipeline, existing: dict[str, Any] | None) -> dict[str, Any]:
    """Return the part of the file that is ours, as plain data.

    :param existing: the file as it is.
    :raises PipelineError: it is of another version.
    """
    if existing and str(existing.get("version", 2.1)) != "2.1":
        raise PipelineError(
            f"{PATH}: its version is {one_line(str(existing['version']))}, and parameters of jobs need 2.1"
        )
    only: dict[str, Any] = {"branches": {"only": list(pipeline.branches)} if pipeline.branches else {"ignore": "/.*/"}}
    only["tags"] = {"only": "/.*/"}
    others = {"branches": {"ignore": list(pipeline.branches)}} if pipeline.branches else {}
    names = [f"build {build.name}" for build in pipeline.builds]
    publish = {_PUBLISH: {"requires": names, "filters": only}}
    return {
        **({} if existing and "version" in existing else {"version": 2.1}),
        "jobs": {_BUILD: _build(pipeline), _PUBLISH: _publish(pipeline)},
        "workflows": {
            _WORKFLOW: {"jobs": [*_jobs(pipeline, "image", only), publish]},
            _CHECK: {"jobs": _jobs(pipeline, "none", others)},
        },
    }


def is_ours(place: Place, key: str, value: Any) -> bool:
    """Whether a part of the file that is not written any more is ours, and to be removed."""
    if place in LISTS:
        return isinstance(value, dict) and (_BUILD in value or _PUBLISH in value)
    if place[:1] == ("workflows",) and place[-1:] in ((_BUILD,), (_PUBLISH,)):
        return key in ("resource_class", "emulated", "builder", "output", "filters")
    if place[:1] == ("workflows",) and "filters" in place:
        return True
    return place == ("jobs", _BUILD, "parameters") or (place[-1:] == ("environment",) and key.startswith(PREFIX))


def settings_of(pipeline: Pipeline) -> str:
    """Return what has to be set at the CI."""
    return pipeline.variables_to_set()


def _jobs(pipeline: Pipeline, output: str, filters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the jobs of a workflow that build, one for each build of the pipeline.

    :param output: a kind of the setting ``output``: ``image``, or ``none`` to push nothing.
    :param filters: the branches and tags that they run for; empty for all branches.
    """
    return [
        {
            _BUILD: {
                "name": f"build {build.name}",
                **({"flags": build.flags} if pipeline.has_targets else {"platform": build.name}),
                **({"resource_class": build.runner} if build.runner else {}),
                **({"emulated": True} if build.emulated else {}),
                **({"builder": True} if build.has_builder and pipeline.has_mixed_builders else {}),
                **({"output": output} if output != "image" else {}),
                **({"filters": filters} if filters else {}),
            }
        }
        for build in pipeline.builds
    ]


def _build(pipeline: Pipeline) -> dict[str, Any]:
    parameter = "flags" if pipeline.has_targets else "platform"
    flags = f"{'' if pipeline.has_targets else '--platform '}<< parameters.{parameter} >>"
    steps: list[Any] = []
    drop = dropped(pipeline.builder_secrets)
    for command in pipeline.prepare(pipeline.fullest_build, flags):
        step: dict[str, Any] = {"run": f"{drop}{command.text}"}
        if command.purpose is Purpose.EMULATOR:
            step = {"when": {"condition": "<< parameters.emulated >>", "steps": [step]}}
        elif command.purpose is Purpose.SERVER and pipeline.has_mixed_builders:
            step = {"unless": {"condition": "<< parameters.builder >>", "steps": [step]}}
        steps.append(step)
    emulated = {"emulated": {"type": "boolean", "default": False}} if pipeline.fullest_build.emulated else {}
    builder = {"builder": {"type": "boolean", "default": False}} if pipeline.has_mixed_builders else {}
    return {
        "parameters": {
            parameter: {"type": "string"},
            "resource_class": {"type": "string", "default": _USUAL_CLASS},
            **emulated,
            **builder,
            "output": {"type": "string", "default": "image"},
        },
        "machine": _MACHINE,
        "resource_class": "<< parameters.resource_class >>",
        "environment": {**_variables(pipeline), "INVOKE_MULTIARCH_OUTPUT": "<< parameters.output >>"},
        "steps": [*_start(pipeline), *steps, {"run": pipeline.build(flags)}],
    }


def _publish(pipeline: Pipeline) -> dict[str, Any]:
    drop = dropped(pipeline.builder_secrets)
    return {
        "machine": _MACHINE,
        "resource_class": _USUAL_CLASS,
        "environment": _variables(pipeline),
        "steps": [
            *_start(pipeline),
            *({"run": f"{drop}{command}"} for command in pipeline.prepare_trials),
            # Where it tries images on them, it is the step that has them.
            {"run": pipeline.publish if pipeline.trial_secrets else f"{drop}{pipeline.publish}"},
        ],
    }


def _variables(pipeline: Pipeline) -> dict[str, str]:
    return {"INVOKE_MULTIARCH_BUILD": "<< pipeline.number >>", **pipeline.variables}


def _start(pipeline: Pipeline) -> list[Any]:
    command = f"{dropped(pipeline.builder_secrets)}{_VENV}{pipeline.install}\n"
    return ["checkout", {"run": {"name": "install", "command": command}}]

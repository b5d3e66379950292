"""Pipeline of Travis: ``.travis.yml`` (docs.travis-ci.com, "Build Stages", "Conditions", "Job Lifecycle").

Our jobs hold all that they need, and leave the top level to the project's own. The commands that prepare are in
before_script, where the first that fails ends the job; the one that pushes is in script, and not in after_success,
whose failures leave a job green.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from multiarch.config.schema import PREFIX
from multiarch.errors import ConfigurationError
from multiarch.pipelines.builder_secrets import handed_out, withheld
from multiarch.pipelines.errors import PipelineError
from multiarch.pipelines.travis.conditions import ConditionError, parse

if TYPE_CHECKING:
    from multiarch.pipelines.component import Build
    from multiarch.pipelines.model import Pipeline
    from multiarch.pipelines.yaml_merge import Place

PATH = ".travis.yml"
LISTS: frozenset[Place] = frozenset({("stages",), ("jobs", "include"), ("jobs", "include", "[]", "env")})
_BUILD, _PUBLISH = "build", "publish"
# Containers without privileges (Travis, "Building on Multiple CPU Architectures"): BuildKit cannot run there.
_UNPRIVILEGED = ("arm64", "ppc64le", "s390x")
_PHASES = ("before_install", "before_script", "after_success", "after_failure", "after_script")
_NOTHING = "true"
# The keys of a job that runs on a machine, by its label.
_NATIVE = {"arm64-graviton2": {"arch": "arm64-graviton2", "virt": "vm", "group": "edge"}, "amd64": {"arch": "amd64"}}


def write(pipeline: Pipeline, existing: dict[str, Any] | None) -> dict[str, Any]:
    """Return the part of the file that is ours, as plain data.

    :param existing: the file as it is.
    :raises ConfigurationError: BuildKit cannot run on a runner.
    :raises PipelineError: the jobs of the file are not written as a list that ours can be added to.
    """
    jobs = (existing or {}).get("jobs") or {}
    if not isinstance(jobs, dict) or not isinstance(jobs.get("include") or [], list) or "matrix" in (existing or {}):
        raise PipelineError(f"{PATH}: its jobs are no list jobs.include, to add to; write them so, and run it again")
    # Without this list, stages run in the order of the jobs.
    stages = {"stages": [_BUILD, _PUBLISH]} if not existing or "stages" in existing else {}
    builds = (_build(pipeline, build, existing) for build in pipeline.builds)
    return {**stages, "jobs": {"include": [*builds, _publish(pipeline, existing)]}}


def is_ours(place: Place, key: str, value: Any) -> bool:
    """Whether a job, or a key of one, that is not written any more is ours, and to be removed."""
    if place == ("jobs", "include"):
        script = value.get("script") if isinstance(value, dict) and value.get("stage") in (_BUILD, _PUBLISH) else ""
        return bool(
            re.match(r"(invoke|multiarch)\b", str(script[0] if isinstance(script, list) and script else script))
        )
    if place == ("jobs", "include", "[]", "env"):
        return key.startswith(PREFIX)
    if place != ("jobs", "include", "[]"):
        return False
    first = value[0] if isinstance(value, list) and value else value
    return key in ("virt", "group") or (key in _PHASES and (first == _NOTHING or "setup-binfmt" in str(first)))


def settings_of(pipeline: Pipeline) -> str:
    """Return what has to be set at the CI."""
    return pipeline.variables_to_set()


def _machine(pipeline: Pipeline, existing: dict[str, Any] | None) -> dict[str, Any]:
    secrets = pipeline.builder_secrets
    return {
        "os": "linux",
        "dist": "jammy",
        "arch": "amd64",
        "language": "python",
        "python": "3.12",
        "services": "docker",
        "env": [f"{name}={value}" for name, value in pipeline.variables.items()],
        # Each phase is in the shell of the job.
        "install": [withheld(secrets), pipeline.install] if secrets else pipeline.install,
        # Jobs inherit the phases of the top level, which are for the project's own.
        **{phase: _NOTHING for phase in _PHASES if phase in (existing or {})},
    }


def _build(pipeline: Pipeline, build: Build, existing: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "stage": _BUILD,
        "name": build.name,
        "if": f"type = pull_request OR {_published(pipeline)}",
        **_machine(pipeline, existing),
        **_runner(build),
        "before_script": [
            *(command.text for command in pipeline.prepare(build, build.flags)),
            *([handed_out(build.secrets)] if build.secrets else []),
        ],
        "script": pipeline.build(build.flags),
    }


def _publish(pipeline: Pipeline, existing: dict[str, Any] | None) -> dict[str, Any]:
    before = [*pipeline.prepare_trials, *([handed_out(pipeline.trial_secrets)] if pipeline.trial_secrets else [])]
    return {
        "stage": _PUBLISH,
        "name": "manifest",
        "if": f"type != pull_request AND ({_published(pipeline)})",
        **_machine(pipeline, existing),
        **({"before_script": before} if before else {}),
        "script": pipeline.publish,
    }


def _runner(build: Build) -> dict[str, str]:
    """Return the keys of a job by which it runs on its machine.

    :raises ConfigurationError: BuildKit cannot run there.
    """
    if build.runner is None:
        return {}
    if build.runner in _UNPRIVILEGED:
        problem = f"the runner {build.runner} of Travis is a container without privileges, where BuildKit cannot run"
    elif build.runner not in _NATIVE:
        problem = f"Travis has no runner {build.runner}; name one for each CI: {{travis: arm64-graviton2, github: …}}"
    else:
        return _NATIVE[build.runner]
    raise ConfigurationError("multiarch.platforms", f"{build.name}: {problem}")


def _published(pipeline: Pipeline) -> str:
    """Return the condition for publishing."""
    names = ", ".join(map(_word, pipeline.branches))
    return f"branch IN ({names}) OR tag IS present" if names else "tag IS present"


def _word(branch: str) -> str:
    """Return a branch as a condition takes it: in quotes where conditions give the word another meaning."""
    try:
        condition = parse(f"branch IN ({branch})")
    except ConditionError:
        return f"'{branch}'"
    means_itself = condition.evaluate({"branch": branch}, {}) and not condition.evaluate({"branch": f"{branch}x"}, {})
    return branch if means_itself else f"'{branch}'"

"""The pipeline of Travis: ``.travis.yml`` (docs.travis-ci.com, "Build Stages", "Conditions", "Job Lifecycle").

What our jobs need stands in them, so that what a project has for its own stays its own. The steps that prepare stand in
before_script, where the first that fails ends the job; the one that pushes is the last of script, never in
after_success, whose failures leave a job green.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from multiarch.config.schema import PREFIX
from multiarch.errors import ConfigurationError, PipelineError
from multiarch.pipelines.travis.conditions import ConditionError, parse

if TYPE_CHECKING:
    from multiarch.pipelines.model import Build, Pipeline

PATH = ".travis.yml"
LISTS = frozenset({("stages",), ("jobs", "include"), ("jobs", "include", "[]", "env")})
_BUILD, _PUBLISH = "build", "publish"
# Containers without privileges: BuildKit cannot run there.
_UNPRIVILEGED = ("arm64", "ppc64le", "s390x")
_PHASES = ("before_install", "before_script", "after_success", "after_failure", "after_script")
_NOTHING = "true"
_NATIVE = {"arm64-graviton2": {"arch": "arm64-graviton2", "virt": "vm", "group": "edge"}, "amd64": {"arch": "amd64"}}


def write(pipeline: Pipeline, there: dict[str, Any] | None) -> dict[str, Any]:
    """Return what the file holds of ours, as plain data.

    :param there: what is in the file already.
    :raises ConfigurationError: a runner on which BuildKit cannot run.
    :raises PipelineError: jobs that are written in a way that there is no room in.
    """
    jobs = (there or {}).get("jobs") or {}
    if not isinstance(jobs, dict) or not isinstance(jobs.get("include") or [], list) or "matrix" in (there or {}):
        raise PipelineError(f"{PATH}: its jobs are no list jobs.include, to add to; write them so, and run it again")
    # A file without stages runs them as its jobs come.
    stages = {"stages": [_BUILD, _PUBLISH]} if not there or "stages" in there else {}
    ours = [*(_build(pipeline, build, there) for build in pipeline.builds), _publish(pipeline, there)]
    return {**stages, "jobs": {"include": ours}}


def is_ours(place: tuple[str, ...], key: str, value: Any) -> bool:
    """Tell whether what is in a file, and would not be written any more, is ours to remove: a job, or a key of one."""
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
    return pipeline.told()


def _machine(pipeline: Pipeline, there: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "os": "linux",
        "dist": "jammy",
        "arch": "amd64",
        "language": "python",
        "python": "3.12",
        "services": "docker",
        "env": [f"{name}={value}" for name, value in pipeline.variables.items()],
        "install": pipeline.install,
        # What a project's jobs do in these is not for ours, which would inherit it.
        **{phase: _NOTHING for phase in _PHASES if phase in (there or {})},
    }


def _build(pipeline: Pipeline, build: Build, there: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "stage": _BUILD,
        "name": build.platform,
        "if": f"type = pull_request OR {_published(pipeline)}",
        **_machine(pipeline, there),
        **_runner(build),
        "before_script": pipeline.prepare(build, build.platform),
        "script": pipeline.build(build.platform),
    }


def _publish(pipeline: Pipeline, there: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "stage": _PUBLISH,
        "name": "manifest",
        "if": f"type != pull_request AND ({_published(pipeline)})",
        **_machine(pipeline, there),
        **({"before_script": pipeline.try_out} if pipeline.try_out else {}),
        "script": pipeline.publish,
    }


def _runner(build: Build) -> dict[str, str]:
    if build.runner is None:
        return {}
    if build.runner in _UNPRIVILEGED:
        problem = f"the runner {build.runner} of Travis is a container without privileges, where BuildKit cannot run"
    elif build.runner not in _NATIVE:
        problem = f"Travis has no runner {build.runner}; name one for each CI: {{travis: arm64-graviton2, github: …}}"
    else:
        return _NATIVE[build.runner]
    raise ConfigurationError("multiarch.platforms", f"{build.platform}: {problem}")


def _published(pipeline: Pipeline) -> str:
    """Return the condition of what is published."""
    names = ", ".join(map(_word, pipeline.branches))
    return f"branch IN ({names}) OR tag IS present" if names else "tag IS present"


def _word(branch: str) -> str:
    """Return a branch as a condition takes it: in quotes where it is a word of theirs."""
    try:
        condition = parse(f"branch IN ({branch})")
    except ConditionError:
        return f"'{branch}'"
    means_itself = condition.evaluate({"branch": branch}, {}) and not condition.evaluate({"branch": f"{branch}x"}, {})
    return branch if means_itself else f"'{branch}'"

"""The pipeline of Travis: ``.travis.yml`` (docs.travis-ci.com, "Build Stages", "Conditions", "Job Lifecycle").

The steps that prepare stand in before_script, where the first that fails ends the job; the one that pushes is the last
of script, never in after_success, whose failures leave a job green.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from multiarch.pipeline import Build, Pipeline

PATH = ".travis.yml"
# Where a project may have stages and jobs of its own.
OPEN = frozenset({(), ("stages",), ("jobs", "include"), ("env",), ("env", "global")})
_STAGES = ("build", "publish")
# Containers without privileges: BuildKit cannot run there.
_UNPRIVILEGED = ("arm64", "ppc64le", "s390x")
_VIRTUAL = {"arm64-graviton2": {"virt": "vm", "group": "edge"}}


def write(pipeline: Pipeline) -> dict[str, Any]:
    """Return the file as plain data.

    :raises ConfigurationError: a runner on which BuildKit cannot run.
    """
    branches = f"branch IN ({', '.join(pipeline.branches)}) OR " if pipeline.branches else ""
    publish: dict[str, Any] = {"stage": "publish", "name": "manifest"}
    if pipeline.try_out:
        publish["before_script"] = pipeline.try_out
    return {
        "os": "linux",
        "dist": "jammy",
        "language": "python",
        "python": "3.12",
        "services": "docker",
        "if": f"type = pull_request OR {branches}tag IS present",
        **({"env": {"global": [f"{n}={v}" for n, v in pipeline.variables.items()]}} if pipeline.variables else {}),
        "install": pipeline.install,
        "stages": ["build", {"name": "publish", "if": "type != pull_request"}],
        "jobs": {"include": [*(_job(pipeline, b) for b in pipeline.builds), {**publish, "script": pipeline.publish}]},
    }


def is_ours(place: tuple[str, ...], entry: object) -> bool:
    """Tell whether a job or stage that the file has, and the pipeline has not any more, was written by us."""
    return place == ("jobs", "include") and isinstance(entry, dict) and entry.get("stage") in _STAGES


def _job(pipeline: Pipeline, build: Build) -> dict[str, Any]:
    if build.runner in _UNPRIVILEGED:
        problem = f"the runner {build.runner} of Travis is a container without privileges, where BuildKit cannot run"
        raise ConfigurationError("multiarch.platforms", f"{build.platform}: {problem}; use arm64-graviton2, or none")
    machine = {"arch": build.runner, **_VIRTUAL.get(build.runner, {})} if build.runner else {}
    return {
        "stage": "build",
        "name": build.platform,
        **machine,
        "before_script": pipeline.prepare(build, build.platform),
        "script": pipeline.build(build.platform),
    }

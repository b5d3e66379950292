"""Pipeline of GitLab: ``.gitlab-ci.yml`` (docs.gitlab.com, "CI/CD YAML syntax reference", "Use Docker to build").

The jobs run in Docker's own image beside Docker in Docker, as GitLab's hosted runners allow; credentials are masked
variables of the project, which merge requests from forks do not get.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiarch.config.schema import PREFIX
from multiarch.pipelines.builder_secrets import handed_out, withheld
from multiarch.pipelines.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.pipelines.component import Build
    from multiarch.pipelines.model import Pipeline
    from multiarch.pipelines.yaml_merge import Place

PATH = ".gitlab-ci.yml"
LISTS: frozenset[Place] = frozenset({("stages",)})
# Its jobs have credentials for it.
_OWN_REGISTRY = "registry.gitlab.com"
_DOCKER = "docker:28"
_DOCKER_IN_DOCKER = {
    "DOCKER_HOST": "tcp://docker:2376",
    "DOCKER_TLS_CERTDIR": "/certs",
    "DOCKER_TLS_VERIFY": "1",
    "DOCKER_CERT_PATH": "/certs/client",
}
_BASE, _PUBLISH = ".multiarch", "publish manifest"
# Those of a file that declares none.
_DEFAULT_STAGES = ["build", "test", "deploy"]


def write(pipeline: Pipeline, existing: dict[str, Any] | None) -> dict[str, Any]:
    """Return the part of the file that is ours, as plain data.

    :param existing: the file as it is.
    :raises PipelineError: it has a job of the project's with a name of ours.
    """
    for name in [_PUBLISH, *map(_name, pipeline.builds)]:
        if existing and name in existing and not _extends_base(existing[name]):
            raise PipelineError(f"{PATH}: its job {name!r} is not ours, and has our name; rename it")
    published = ["$CI_COMMIT_TAG", *(f'$CI_COMMIT_BRANCH == "{branch}"' for branch in pipeline.branches)]
    built = ['$CI_PIPELINE_SOURCE == "merge_request_event"', *published]
    default = _DEFAULT_STAGES if existing and "stages" not in existing else []
    return {
        "stages": [*default, *(stage for stage in ("build", "publish") if stage not in default)],
        _BASE: _base(pipeline, built),
        **{_name(build): _job(pipeline, build) for build in pipeline.builds},
        _PUBLISH: {
            "extends": _BASE,
            "stage": "publish",
            "rules": _rules(published),
            "script": [*pipeline.prepare_trials, *_handed_out(pipeline.trial_secrets), pipeline.publish],
        },
    }


def _base(pipeline: Pipeline, rules: Sequence[str]) -> dict[str, Any]:
    """Return what all jobs extend: a Docker host of their own, and the tasks."""
    return {
        "image": _DOCKER,
        "services": [f"{_DOCKER}-dind"],
        "variables": {**_DOCKER_IN_DOCKER, **pipeline.variables},
        "rules": _rules(rules),
        "before_script": [
            *([withheld(pipeline.builder_secrets)] if pipeline.builder_secrets else []),
            *_credentials(pipeline),
            "command -v python3 || apk add --no-cache python3 git",
            'venv=$(mktemp -d) && python3 -m venv "$venv" && . "$venv/bin/activate"',
            pipeline.install,
        ],
    }


def is_ours(place: Place, key: str, value: Any) -> bool:
    """Whether a job, or a variable of one, that is not written any more is ours, and to be removed."""
    if place == ():
        return key.startswith("build ") and _extends_base(value)
    return place == (_BASE, "variables") and key.startswith(PREFIX)


def settings_of(pipeline: Pipeline) -> str:
    """Return what has to be set at the CI."""
    return pipeline.variables_to_set(provided=_OWN_REGISTRY)


def _extends_base(job: Any) -> bool:
    """Whether a job is one of ours."""
    return isinstance(job, dict) and job.get("extends") == _BASE


def _rules(conditions: Sequence[str]) -> list[dict[str, str]]:
    return [{"if": condition} for condition in conditions]


def _name(build: Build) -> str:
    return f"build {build.name}"


def _job(pipeline: Pipeline, build: Build) -> dict[str, Any]:
    return {
        "extends": _BASE,
        "stage": "build",
        **({"tags": [build.runner]} if build.runner else {}),
        "script": [
            *(command.text for command in pipeline.prepare(build, build.flags)),
            *_handed_out(build.secrets),
            pipeline.build(build.flags),
        ],
        **({"artifacts": {"paths": [pipeline.digests]}} if pipeline.digests else {}),
    }


def _handed_out(secrets: Sequence[str]) -> list[str]:
    return [handed_out(secrets)] if secrets else []


def _credentials(pipeline: Pipeline) -> list[str]:
    """Return the commands that export GitLab's own login for its registry under the names that the steps read."""
    # In a command, because a variable of the project or group wins over one of the job (GitLab, "CI/CD variable
    # precedence").
    return [
        f'export {login.username}="$CI_REGISTRY_USER" {login.password}="$CI_REGISTRY_PASSWORD"'
        for login in pipeline.logins
        if login.registry == _OWN_REGISTRY
    ]

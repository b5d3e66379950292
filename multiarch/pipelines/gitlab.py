"""The pipeline of GitLab: ``.gitlab-ci.yml`` (docs.gitlab.com, "CI/CD YAML syntax reference", "Use Docker to build").

The jobs run in Docker's own image beside Docker in Docker, as GitLab's hosted runners allow; credentials are masked
variables of the project, which merge requests from forks do not get.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiarch.config.schema import PREFIX
from multiarch.errors import PipelineError

if TYPE_CHECKING:
    from multiarch.pipelines.model import Build, Pipeline

PATH = ".gitlab-ci.yml"
LISTS = frozenset({("stages",)})
_OWN = "registry.gitlab.com"
_DOCKER = "docker:28"
_BASE, _PUBLISH = ".multiarch", "publish manifest"
# What a file without stages has.
_DEFAULT_STAGES = ["build", "test", "deploy"]


def write(pipeline: Pipeline, there: dict[str, Any] | None) -> dict[str, Any]:
    """Return what the file holds of ours, as plain data.

    :param there: what is in the file already.
    :raises PipelineError: it has another job of a name of ours.
    """
    for name in [_PUBLISH, *map(_name, pipeline.builds)]:
        if there and name in there and not _extends(there[name]):
            raise PipelineError(f"{PATH}: its job {name!r} is not ours, and has our name; rename it")
    published = ["$CI_COMMIT_TAG", *(f'$CI_COMMIT_BRANCH == "{branch}"' for branch in pipeline.branches)]
    built = ['$CI_PIPELINE_SOURCE == "merge_request_event"', *published]
    default = _DEFAULT_STAGES if there and "stages" not in there else []
    return {
        "stages": [*default, *(stage for stage in ("build", "publish") if stage not in default)],
        _BASE: {
            "image": _DOCKER,
            "services": [f"{_DOCKER}-dind"],
            "variables": {
                "DOCKER_HOST": "tcp://docker:2376",
                "DOCKER_TLS_CERTDIR": "/certs",
                "DOCKER_TLS_VERIFY": "1",
                "DOCKER_CERT_PATH": "/certs/client",
                **pipeline.variables,
            },
            "rules": _rules(built),
            "before_script": [
                *_credentials(pipeline),
                "command -v python3 || apk add --no-cache python3 git",
                'venv=$(mktemp -d) && python3 -m venv "$venv" && . "$venv/bin/activate"',
                pipeline.install,
            ],
        },
        **{_name(build): _job(pipeline, build) for build in pipeline.builds},
        _PUBLISH: {
            "extends": _BASE,
            "stage": "publish",
            "rules": _rules(published),
            "script": [*pipeline.try_out, pipeline.publish],
        },
    }


def is_ours(place: tuple[str, ...], key: str, value: Any) -> bool:
    """Tell whether what is in a file, and would not be written any more, is ours to remove: a job, or a key of one."""
    if place == ():
        return key.startswith("build ") and _extends(value)
    return place == (_BASE, "variables") and key.startswith(PREFIX)


def settings_of(pipeline: Pipeline) -> str:
    """Return what has to be set at the CI."""
    return pipeline.told(given=_OWN)


def _extends(job: Any) -> bool:
    return isinstance(job, dict) and job.get("extends") == _BASE


def _rules(conditions: list[str]) -> list[dict[str, str]]:
    return [{"if": condition} for condition in conditions]


def _name(build: Build) -> str:
    return f"build {build.platform}"


def _job(pipeline: Pipeline, build: Build) -> dict[str, Any]:
    return {
        "extends": _BASE,
        "stage": "build",
        **({"tags": [build.runner]} if build.runner else {}),
        "script": [*pipeline.prepare(build, build.platform), pipeline.build(build.platform)],
    }


def _credentials(pipeline: Pipeline) -> list[str]:
    """Return what gives our names to the credentials of GitLab's own registry, which its jobs have."""
    names = pipeline.logins.get(_OWN)
    if names is None:
        return []
    # Here, as a variable of the project or group would win over one of the job.
    user, password = names
    return [f'export {user}="$CI_REGISTRY_USER" {password}="$CI_REGISTRY_PASSWORD"']

"""The pipeline of GitLab: ``.gitlab-ci.yml`` (docs.gitlab.com, "CI/CD YAML syntax reference", "Use Docker to build").

The jobs run in Docker's own image beside Docker in Docker, as GitLab's hosted runners allow; credentials are masked
variables of the project, which merge requests from forks do not get.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiarch.pipeline import Build, Pipeline

PATH = ".gitlab-ci.yml"
# Where a project may have jobs and stages of its own.
OPEN = frozenset({(), ("stages",)})
_OWN = "registry.gitlab.com"
_DOCKER = "docker:28"
_BASE = ".multiarch"
_PUBLISH = "manifest"


def write(pipeline: Pipeline) -> dict[str, Any]:
    """Return the file as plain data."""
    branches = [f'$CI_COMMIT_BRANCH == "{branch}"' for branch in pipeline.branches]
    conditions = ['$CI_PIPELINE_SOURCE == "merge_request_event"', "$CI_COMMIT_TAG", *branches]
    publish = {
        "extends": _BASE,
        "stage": "publish",
        "rules": [{"if": condition} for condition in conditions[1:]],
        "script": [*pipeline.try_out, pipeline.publish],
    }
    return {
        "stages": ["build", "publish"],
        "workflow": {"rules": [{"if": condition} for condition in conditions]},
        _BASE: {
            "image": _DOCKER,
            "services": [f"{_DOCKER}-dind"],
            "variables": {
                "DOCKER_HOST": "tcp://docker:2376",
                "DOCKER_TLS_CERTDIR": "/certs",
                "DOCKER_TLS_VERIFY": "1",
                "DOCKER_CERT_PATH": "/certs/client",
                **_credentials(pipeline),
                **pipeline.variables,
            },
            "before_script": [
                "command -v python3 || apk add --no-cache python3 git",
                'venv=$(mktemp -d) && python3 -m venv "$venv" && . "$venv/bin/activate"',
                pipeline.install,
            ],
        },
        **{_name(build): _job(pipeline, build) for build in pipeline.builds},
        _PUBLISH: publish,
    }


def is_ours(place: tuple[str, ...], entry: object) -> bool:
    """Tell whether a job that the file has, and the pipeline has not any more, was written by us."""
    return place == () and str(entry).startswith("build linux/")


def _name(build: Build) -> str:
    return f"build {build.platform}"


def _job(pipeline: Pipeline, build: Build) -> dict[str, Any]:
    return {
        "extends": _BASE,
        "stage": "build",
        **({"tags": [build.runner]} if build.runner else {}),
        "script": [*pipeline.prepare(build, build.platform), pipeline.build(build.platform)],
    }


def _credentials(pipeline: Pipeline) -> dict[str, str]:
    """Return those of GitLab's own registry, which the job has; the others are the project's variables by name."""
    user, password = pipeline.logins.get(_OWN, ("", ""))
    return {user: "$CI_REGISTRY_USER", password: "$CI_REGISTRY_PASSWORD"} if user else {}

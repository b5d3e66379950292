"""The CI that runs this process, and what its variables say of the build and the commit.

Sources: Travis ("Default Environment Variables"), GitHub ("Default environment variables"), GitLab ("Predefined CI/CD
variables"), CircleCI ("Built-in environment variables").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


# bytes; GitHub cuts the payload of an event at 25 MB ("Webhook events and payloads")
_LARGEST_EVENT = 32 << 20


class CIKind(Enum):
    """The CIs whose variables are known, by their names in settings; OTHER is every other CI."""

    TRAVIS = "travis"
    GITHUB = "github"
    GITLAB = "gitlab"
    CIRCLECI = "circleci"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class CI:
    """A CI and what its variables say; a field is empty where they say nothing.

    :ivar build: what all jobs of this build share, and no other build of the repository has.
    :ivar branch: branch of a push, or the source branch of a pull request; empty for a tag.
    :ivar tag: git tag that is built.
    :ivar revision: hash of the commit.
    :ivar source: web address of the repository.
    :ivar is_pull_request: whether a proposed change is built, from which nothing may be published.
    """

    kind: CIKind
    build: str = ""
    branch: str = ""
    tag: str = ""
    revision: str = ""
    source: str = ""
    is_pull_request: bool = False


def running_in(environ: Mapping[str, str]) -> CI | None:
    """Return the CI that set the variables in *environ*; None where no CI did."""
    for variable, read in _READERS.items():
        if environ.get(variable) == "true":
            return read(environ)
    # Other CIs set CI to "true" or "1"; a person sets it to "false" or "0" to be taken for a person.
    is_ci = environ.get("CI", "").lower() not in ("", "0", "false") or any(map(environ.get, _OTHERS))
    return CI(kind=CIKind.OTHER) if is_ci else None


def default_branch(environ: Mapping[str, str]) -> str:
    """Return the default branch of the repository, as GitLab and GitHub tell it; empty where nothing does."""
    if name := environ.get("CI_DEFAULT_BRANCH"):
        return name
    try:
        with Path(environ.get("GITHUB_EVENT_PATH", "")).open("rb") as file:
            event = json.loads(file.read(_LARGEST_EVENT))
        name = event["repository"]["default_branch"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""
    return name if isinstance(name, str) else ""


def _travis(e: Mapping[str, str]) -> CI:
    is_request = e.get("TRAVIS_PULL_REQUEST", "false") not in ("", "false")
    tag = e.get("TRAVIS_TAG", "")
    return CI(
        kind=CIKind.TRAVIS,
        build=e.get("TRAVIS_BUILD_NUMBER", ""),
        # TRAVIS_BRANCH is the tag's name for a tag, and the target branch for a pull request.
        branch="" if tag else e.get("TRAVIS_PULL_REQUEST_BRANCH" if is_request else "TRAVIS_BRANCH", ""),
        tag=tag,
        revision=e.get("TRAVIS_COMMIT", ""),
        is_pull_request=is_request,
    )


def _github(e: Mapping[str, str]) -> CI:
    is_tag = e.get("GITHUB_REF_TYPE") == "tag"
    place = (e.get("GITHUB_SERVER_URL", ""), e.get("GITHUB_REPOSITORY", ""))
    return CI(
        kind=CIKind.GITHUB,
        build=e.get("GITHUB_RUN_ID", ""),
        branch="" if is_tag else e.get("GITHUB_HEAD_REF") or e.get("GITHUB_REF_NAME", ""),
        tag=e.get("GITHUB_REF_NAME", "") if is_tag else "",
        revision=e.get("GITHUB_SHA", ""),
        source="/".join(place) if all(place) else "",
        is_pull_request=e.get("GITHUB_EVENT_NAME", "").startswith(("pull_request", "merge_group")),
    )


def _gitlab(e: Mapping[str, str]) -> CI:
    return CI(
        kind=CIKind.GITLAB,
        build=e.get("CI_PIPELINE_ID", ""),
        branch=e.get("CI_COMMIT_BRANCH") or e.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", ""),
        tag=e.get("CI_COMMIT_TAG", ""),
        revision=e.get("CI_COMMIT_SHA", ""),
        source=e.get("CI_PROJECT_URL", ""),
        is_pull_request=bool(e.get("CI_MERGE_REQUEST_IID") or e.get("CI_EXTERNAL_PULL_REQUEST_IID")),
    )


def _circleci(e: Mapping[str, str]) -> CI:
    # No build: CIRCLE_BUILD_NUM is the job's, and the pipeline's number is no variable; the pipeline file passes it.
    return CI(
        kind=CIKind.CIRCLECI,
        branch=e.get("CIRCLE_BRANCH", ""),
        tag=e.get("CIRCLE_TAG", ""),
        revision=e.get("CIRCLE_SHA1", ""),
        # CIRCLE_PULL_REQUEST is also set for a branch of the repository itself that has an open pull request.
        is_pull_request=bool(e.get("CIRCLE_PR_NUMBER")),
    )


# Variables of CIs that do not set CI: Azure Pipelines ("Predefined variables"), TeamCity ("Predefined parameters").
_OTHERS = ("TF_BUILD", "TEAMCITY_VERSION")
# By the variable that each CI sets to "true".
_READERS = {"TRAVIS": _travis, "GITHUB_ACTIONS": _github, "GITLAB_CI": _gitlab, "CIRCLECI": _circleci}

"""Which CI runs us, and what its variables say of the commit and the build.

Sources: Travis ("Default Environment Variables"), GitHub ("Default environment variables"), GitLab ("Predefined CI/CD
variables"), CircleCI ("Built-in environment variables").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a CI's variables tell; empty is what they do not.

    :ivar build: what no other build of the same repository has, and all jobs of this one have.
    :ivar branch: that of a push, or the one that a pull request comes from; none for a tag.
    :ivar is_pull_request: whether somebody only asks for a change: nothing may be published from it.
    """

    build: str = ""
    branch: str = ""
    tag: str = ""
    revision: str = ""
    source: str = ""
    is_pull_request: bool = False


def _travis(e: Mapping[str, str]) -> Facts:
    is_request = e.get("TRAVIS_PULL_REQUEST", "false") not in ("", "false")
    tag = e.get("TRAVIS_TAG", "")
    return Facts(
        build=e.get("TRAVIS_BUILD_NUMBER", ""),
        # TRAVIS_BRANCH is the tag's name for a tag, and the target of a pull request.
        branch="" if tag else e.get("TRAVIS_PULL_REQUEST_BRANCH" if is_request else "TRAVIS_BRANCH", ""),
        tag=tag,
        revision=e.get("TRAVIS_COMMIT", ""),
        is_pull_request=is_request,
    )


def _github(e: Mapping[str, str]) -> Facts:
    is_tag = e.get("GITHUB_REF_TYPE") == "tag"
    place = (e.get("GITHUB_SERVER_URL", ""), e.get("GITHUB_REPOSITORY", ""))
    return Facts(
        build=e.get("GITHUB_RUN_ID", ""),
        branch="" if is_tag else e.get("GITHUB_HEAD_REF") or e.get("GITHUB_REF_NAME", ""),
        tag=e.get("GITHUB_REF_NAME", "") if is_tag else "",
        revision=e.get("GITHUB_SHA", ""),
        source="/".join(place) if all(place) else "",
        is_pull_request=e.get("GITHUB_EVENT_NAME", "").startswith(("pull_request", "merge_group")),
    )


def _gitlab(e: Mapping[str, str]) -> Facts:
    return Facts(
        build=e.get("CI_PIPELINE_ID", ""),
        branch=e.get("CI_COMMIT_BRANCH") or e.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", ""),
        tag=e.get("CI_COMMIT_TAG", ""),
        revision=e.get("CI_COMMIT_SHA", ""),
        source=e.get("CI_PROJECT_URL", ""),
        is_pull_request=bool(e.get("CI_MERGE_REQUEST_IID") or e.get("CI_EXTERNAL_PULL_REQUEST_IID")),
    )


def _circleci(e: Mapping[str, str]) -> Facts:
    # CIRCLE_BUILD_NUM is the job's; the pipeline's number is no variable, so the pipeline file hands it on.
    return Facts(
        branch=e.get("CIRCLE_BRANCH", ""),
        tag=e.get("CIRCLE_TAG", ""),
        revision=e.get("CIRCLE_SHA1", ""),
        # CIRCLE_PULL_REQUEST is there for any branch that somebody asks to be merged, the main one too.
        is_pull_request=bool(e.get("CIRCLE_PR_NUMBER")),
    )


# The variable by which each is known, and what reads the others.
_CIS = {"TRAVIS": _travis, "GITHUB_ACTIONS": _github, "GITLAB_CI": _gitlab, "CIRCLECI": _circleci}


def facts_of(environ: Mapping[str, str]) -> Facts | None:
    """Return what the CI tells that we run in; None outside of those that are known."""
    known = (read for name, read in _CIS.items() if environ.get(name) == "true")
    return next((read(environ) for read in known), None)

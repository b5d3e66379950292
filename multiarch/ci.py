"""The CI that runs this process, and what its variables say of the build and the commit.

Sources: Travis ("Default Environment Variables"), GitHub ("Default environment variables"), GitLab ("Predefined CI/CD
variables"), CircleCI ("Built-in environment variables"), Drone ("Pipeline environment reference"), Woodpecker
("Built-in environment variables"), Jenkins ("env-vars.html", Git plugin), Azure ("Predefined variables"), Buildkite
("Environment variables"), AppVeyor ("Environment variables"), Bitbucket ("Variables and secrets").
"""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

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
    DRONE = "drone"
    WOODPECKER = "woodpecker"
    JENKINS = "jenkins"
    AZURE = "azure"
    BUILDKITE = "buildkite"
    APPVEYOR = "appveyor"
    BITBUCKET = "bitbucket"
    OTHER = "other"


class CI(Struct, frozen=True, kw_only=True):
    """A CI and what its variables say; a field is empty where they say nothing.

    :ivar build: what all jobs of this build share, and no other build of the repository has.
    :ivar branch: branch of a push, or the source branch of a pull request; empty for a tag.
    :ivar tag: git tag that is built.
    :ivar revision: hash of the commit.
    :ivar source: web address of the repository.
    :ivar default_branch: that of the repository.
    :ivar is_pull_request: whether a proposed change is built, from which nothing may be published.
    """

    kind: CIKind
    build: str = ""
    branch: str = ""
    tag: str = ""
    revision: str = ""
    source: str = ""
    default_branch: str = ""
    is_pull_request: bool = False


class _Variables(Struct, frozen=True, kw_only=True):
    """The names of a CI's variables; empty for what it has none for.

    :ivar marker: set in every build; to *value*, whatever its case, or to anything where that is empty.
    :ivar branches: of a push; the first that is set counts. Some hold the tag's name for a tag.
    :ivar prefix: what may stand in front of a branch.
    :ivar requests: one is set for a pull request alone, or "false" where there is none.
    :ivar request_branches: source branch of a pull request, where *branches* hold another then.
    :ivar ref: git's whole name of the branch or tag, such as refs/heads/main.
    """

    kind: CIKind
    marker: str
    value: str = "true"
    build: str
    branches: tuple[str, ...] = ()
    tag: str = ""
    ref: str = ""
    prefix: str = ""
    requests: tuple[str, ...]
    request_branches: tuple[str, ...] = ()
    revision: str
    source: str = ""
    default_branch: str = ""

    def is_set(self, environ: Mapping[str, str]) -> bool:
        """Whether this CI runs the process."""
        value = environ.get(self.marker, "").lower()
        return value == self.value if self.value else bool(value)

    def read(self, environ: Mapping[str, str]) -> CI:
        """Return what the variables say."""
        is_request = any(environ.get(name, "").lower() not in ("", "false") for name in self.requests)
        ref = environ.get(self.ref, "")
        tag = environ.get(self.tag, "") or (ref.removeprefix("refs/tags/") if ref.startswith("refs/tags/") else "")
        names = self.request_branches if is_request and self.request_branches else self.branches
        branch = next((environ[name] for name in names if environ.get(name)), "")
        if not branch and ref.startswith("refs/heads/"):
            branch = ref
        return CI(
            kind=self.kind,
            build=environ.get(self.build, ""),
            branch="" if tag else branch.removeprefix("refs/heads/").removeprefix(self.prefix),
            tag=tag,
            revision=environ.get(self.revision, ""),
            source=environ.get(self.source, ""),
            default_branch=environ.get(self.default_branch, ""),
            is_pull_request=is_request,
        )


def running_in(environ: Mapping[str, str]) -> CI | None:
    """Return the CI that set the variables in *environ*; None where no CI did."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return _github(environ)
    for variables in _CIS:
        if variables.is_set(environ):
            return variables.read(environ)
    # Other CIs set CI to "true" or "1"; a person sets it to "false" or "0" to be taken for a person.
    is_ci = environ.get("CI", "").lower() not in ("", "0", "false") or any(map(environ.get, _OTHERS))
    return CI(kind=CIKind.OTHER) if is_ci else None


def github_default_branch(environ: Mapping[str, str]) -> str:
    """Return the default branch, which GitHub tells in the file of the event alone; empty where there is none."""
    try:
        with Path(environ.get("GITHUB_EVENT_PATH", "")).open("rb") as file:
            event = json.loads(file.read(_LARGEST_EVENT))
        name = event["repository"]["default_branch"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""
    return name if isinstance(name, str) else ""


def _github(e: Mapping[str, str]) -> CI:
    """Return what GitHub's variables say: those of branches and tags are the same, and pull requests are events."""
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


_CIS = (
    _Variables(
        kind=CIKind.TRAVIS,
        marker="TRAVIS",
        build="TRAVIS_BUILD_NUMBER",
        branches=("TRAVIS_BRANCH",),
        tag="TRAVIS_TAG",
        requests=("TRAVIS_PULL_REQUEST",),
        request_branches=("TRAVIS_PULL_REQUEST_BRANCH",),
        revision="TRAVIS_COMMIT",
    ),
    _Variables(
        kind=CIKind.GITLAB,
        marker="GITLAB_CI",
        build="CI_PIPELINE_ID",
        branches=("CI_COMMIT_BRANCH", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"),
        tag="CI_COMMIT_TAG",
        requests=("CI_MERGE_REQUEST_IID", "CI_EXTERNAL_PULL_REQUEST_IID"),
        revision="CI_COMMIT_SHA",
        source="CI_PROJECT_URL",
        default_branch="CI_DEFAULT_BRANCH",
    ),
    # No build: CIRCLE_BUILD_NUM is the job's, and the pipeline's number is no variable; the pipeline file passes it.
    # CIRCLE_PULL_REQUEST is also set for a branch of the repository itself that has an open pull request.
    _Variables(
        kind=CIKind.CIRCLECI,
        marker="CIRCLECI",
        build="",
        branches=("CIRCLE_BRANCH",),
        tag="CIRCLE_TAG",
        requests=("CIRCLE_PR_NUMBER",),
        revision="CIRCLE_SHA1",
    ),
    _Variables(
        kind=CIKind.DRONE,
        marker="DRONE",
        build="DRONE_BUILD_NUMBER",
        branches=("DRONE_BRANCH",),
        tag="DRONE_TAG",
        requests=("DRONE_PULL_REQUEST",),
        request_branches=("DRONE_SOURCE_BRANCH",),
        revision="DRONE_COMMIT_SHA",
        source="DRONE_REPO_LINK",
        default_branch="DRONE_REPO_BRANCH",
    ),
    _Variables(
        kind=CIKind.WOODPECKER,
        marker="CI",
        value="woodpecker",
        build="CI_PIPELINE_NUMBER",
        branches=("CI_COMMIT_BRANCH",),
        tag="CI_COMMIT_TAG",
        requests=("CI_COMMIT_PULL_REQUEST",),
        request_branches=("CI_COMMIT_SOURCE_BRANCH",),
        revision="CI_COMMIT_SHA",
        source="CI_REPO_URL",
        default_branch="CI_REPO_DEFAULT_BRANCH",
    ),
    # BUILD_NUMBER counts the builds of one branch; BUILD_TAG has the name of its job too.
    _Variables(
        kind=CIKind.JENKINS,
        marker="JENKINS_URL",
        value="",
        build="BUILD_TAG",
        branches=("BRANCH_NAME", "GIT_BRANCH"),
        prefix="origin/",
        tag="TAG_NAME",
        requests=("CHANGE_ID",),
        request_branches=("CHANGE_BRANCH",),
        revision="GIT_COMMIT",
    ),
    _Variables(
        kind=CIKind.AZURE,
        marker="TF_BUILD",
        build="BUILD_BUILDID",
        ref="BUILD_SOURCEBRANCH",
        requests=("SYSTEM_PULLREQUEST_PULLREQUESTID",),
        request_branches=("SYSTEM_PULLREQUEST_SOURCEBRANCH",),
        revision="BUILD_SOURCEVERSION",
    ),
    _Variables(
        kind=CIKind.BUILDKITE,
        marker="BUILDKITE",
        build="BUILDKITE_BUILD_NUMBER",
        branches=("BUILDKITE_BRANCH",),
        tag="BUILDKITE_TAG",
        requests=("BUILDKITE_PULL_REQUEST",),
        revision="BUILDKITE_COMMIT",
        default_branch="BUILDKITE_PIPELINE_DEFAULT_BRANCH",
    ),
    _Variables(
        kind=CIKind.APPVEYOR,
        marker="APPVEYOR",
        build="APPVEYOR_BUILD_ID",
        branches=("APPVEYOR_REPO_BRANCH",),
        tag="APPVEYOR_REPO_TAG_NAME",
        requests=("APPVEYOR_PULL_REQUEST_NUMBER",),
        request_branches=("APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH",),
        revision="APPVEYOR_REPO_COMMIT",
    ),
    _Variables(
        kind=CIKind.BITBUCKET,
        marker="BITBUCKET_BUILD_NUMBER",
        value="",
        build="BITBUCKET_BUILD_NUMBER",
        branches=("BITBUCKET_BRANCH",),
        tag="BITBUCKET_TAG",
        requests=("BITBUCKET_PR_ID",),
        revision="BITBUCKET_COMMIT",
    ),
)
# A variable of a CI that sets CI in no build: TeamCity ("Predefined parameters").
_OTHERS = ("TEAMCITY_VERSION",)

"""What is checked out, and for whom: the branch, tag and commit, and the build of a CI that this run is part of.

A CI checks out a commit without its branch, so its variables come first: Travis ("Default Environment Variables"),
GitHub ("Default environment variables"), GitLab ("Predefined CI/CD variables"), CircleCI ("Built-in environment
variables"). Where they say nothing, git does.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The keys that the OCI image-spec (annotations.md) has for where an image comes from.
REVISION = "org.opencontainers.image.revision"
SOURCE = "org.opencontainers.image.source"


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


@dataclass(frozen=True)
class Checkout:
    """The working tree in *directory*, as the variables in *environ* and git tell of it; empty is what they do not.

    git is asked when something is wanted that no variable tells, and once.
    """

    environ: Mapping[str, str] = field(repr=False)
    directory: Path

    @cached_property
    def ci(self) -> Facts | None:
        """What the CI tells; None outside of those that are known."""
        known = (read for name, read in _CIS.items() if self.environ.get(name) == "true")
        return next((read(self.environ) for read in known), None)

    @property
    def build(self) -> str:
        """What tells the builds of a CI apart."""
        return self.ci.build if self.ci else ""

    @property
    def is_pull_request(self) -> bool:
        """Whether nothing may be published from it."""
        return self.ci is not None and self.ci.is_pull_request

    @cached_property
    def branch(self) -> str:
        """The branch; none for a tag's build, or where the commit alone is checked out."""
        return self.ci.branch if self.ci else self._git("symbolic-ref", "--quiet", "--short", "HEAD")

    @cached_property
    def tag(self) -> str:
        """The tag that a CI builds; on another machine the latest of those that name the commit."""
        if self.ci:
            return self.ci.tag
        return self._git("tag", "--points-at", "HEAD", "--sort=-version:refname").partition("\n")[0]

    @cached_property
    def revision(self) -> str:
        """The whole hash of the commit."""
        return self._git("rev-parse", "--verify", "--quiet", "HEAD") or (self.ci.revision if self.ci else "")

    @cached_property
    def source(self) -> str:
        """The web address of the repository, without what a CI logs in with."""
        return (self.ci.source if self.ci else "") or _web_address(self._git("remote", "get-url", "origin"))

    @cached_property
    def labels(self) -> dict[str, str]:
        """What images and their index tell of their origin: in a CI, where what is built is the commit and no more."""
        told = {REVISION: self.revision, SOURCE: self.source} if self.ci else {}
        return {name: value for name, value in told.items() if value}

    def _git(self, *words: str) -> str:
        try:
            done = subprocess.run(
                ["git", "-C", str(self.directory), *words], capture_output=True, text=True, check=False, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""


def _web_address(remote: str) -> str:
    """Return where a browser finds a remote: ``git@host:some/one.git`` becomes ``https://host/some/one``."""
    remote = re.split(r"[?#]", remote)[0]
    match = re.fullmatch(
        r"(?:(?:https?|ssh|git)://)?(?:[^/@]*@)?([\w.-]+\.\w+)(?::\d+(?=/))?[:/](.+?)(?:\.git)?/?", remote
    )
    return f"https://{match[1]}/{match[2].lstrip('/')}" if match else ""

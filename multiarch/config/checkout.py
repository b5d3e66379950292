"""What is checked out: branch, tag, commit and repository, and the CI build that this run is part of.

A CI checks out a commit without its branch, so its variables come first. Where they say nothing, git does.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from multiarch.ci import CI, CIKind, github_default_branch, running_in
from multiarch.image.reference import safe_tag

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Keys that the OCI image-spec (annotations.md) has for where an image comes from.
REVISION = "org.opencontainers.image.revision"
SOURCE = "org.opencontainers.image.source"
# characters; beside them a tag has those of the published one and of the platform
_LONGEST_BUILD = 40
# seconds; git answers in milliseconds, where it answers at all
_GIT_SECONDS = 30


@dataclass(frozen=True)
class Checkout:
    """The working tree in *directory*, as the variables of a CI in *environ* and git describe it.

    git is asked only for what no variable says, and only once for each value. A value that neither knows is empty.
    """

    environ: Mapping[str, str] = field(repr=False)
    directory: Path

    @cached_property
    def ci(self) -> CI | None:
        """The CI whose variables describe the commit; None where no known CI runs this process."""
        ci = running_in(self.environ)
        return ci if ci and ci.kind is not CIKind.OTHER else None

    @property
    def build(self) -> str:
        """The identifier of a CI's build, as a part of a tag; empty outside of a CI."""
        return safe_tag(self.ci.build, _LONGEST_BUILD) if self.ci and self.ci.build else ""

    @property
    def is_pull_request(self) -> bool:
        """Whether a proposed change is checked out, from which nothing may be published."""
        return self.ci is not None and self.ci.is_pull_request

    @cached_property
    def branch(self) -> str:
        """The branch; empty for the build of a tag, or where HEAD is detached."""
        return self.ci.branch if self.ci else self._git("symbolic-ref", "--quiet", "--short", "HEAD")

    @cached_property
    def tag(self) -> str:
        """The tag that a CI builds; on another machine the latest tag of the commit."""
        if self.ci:
            return self.ci.tag
        return self._git("tag", "--points-at", "HEAD", "--sort=-version:refname").partition("\n")[0]

    @cached_property
    def known_tags(self) -> frozenset[str] | None:
        """The names of all tags of the repository; None where they are not known.

        A CI clones a part of it, mostly without tags: there, and in any clone that is not whole, the remote repository
        is asked.
        """
        local, remote = self._git_lines("tag", "--list"), None
        is_whole = self._git("rev-parse", "--is-shallow-repository") == "false"
        if self.ci or not is_whole:
            remote = self._git_lines("ls-remote", "--tags", "--refs", "origin")
        if local is None or (remote is None and not is_whole):
            return None
        return frozenset([*local, *(line.partition("refs/tags/")[2] for line in remote or ())])

    @cached_property
    def default_branch(self) -> str:
        """The default branch of the repository; empty where neither the CI nor the clone knows it."""
        known = (self.ci.default_branch or github_default_branch(self.environ)) if self.ci else ""
        return known or self._git("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD").partition("/")[2]

    @cached_property
    def revision(self) -> str:
        """The whole hash of the commit."""
        return self._git("rev-parse", "--verify", "--quiet", "HEAD") or (self.ci.revision if self.ci else "")

    @cached_property
    def commit_seconds(self) -> str:
        """The time of the commit, in seconds since 1970; empty where git knows none."""
        return self._git("log", "-1", "--format=%ct", "HEAD")

    @cached_property
    def source(self) -> str:
        """The web address of the repository, without credentials."""
        return (self.ci.source if self.ci else "") or _web_address(self._git("remote", "get-url", "origin"))

    @cached_property
    def labels(self) -> dict[str, str]:
        """Labels of images and their index: where they come from. Only in a CI, which builds exactly the commit."""
        labels = {REVISION: self.revision, SOURCE: self.source} if self.ci else {}
        return {name: value for name, value in labels.items() if value}

    def is_ancestor(self, older: str, newer: str) -> bool | None:
        """Whether a commit is an ancestor of another; None where git cannot know.

        A CI clones its commit while newer ones do not exist yet: a whole clone gets them from the remote repository.

        :param older: a whole hash, as *newer*.
        """
        is_whole = self._git("rev-parse", "--is-shallow-repository") == "false"
        if self.ci and is_whole and not self._knows(newer):
            self._git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "origin", newer)
        if not (self._knows(older) and self._knows(newer)):
            return None
        # Where the history is cut off, what is not found may only be out of sight.
        bases = self._git_lines("merge-base", older, newer)
        return True if bases and bases[0] == older else (False if is_whole else None)

    def _knows(self, commit: str) -> bool:
        return self._git_lines("cat-file", "-e", f"{commit}^{{commit}}") is not None

    def _git(self, *words: str) -> str:
        """Return what a git command prints; empty where it fails."""
        return "\n".join(self._git_lines(*words) or ())

    def _git_lines(self, *words: str) -> list[str] | None:
        """Return the lines that a git command prints; None where it fails."""
        command = ["git", "-C", str(self.directory), *words]
        # It asks nobody for a password: there may be nobody.
        environ = {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes", **os.environ, "GIT_TERMINAL_PROMPT": "0"}
        try:
            result = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                timeout=_GIT_SECONDS,
                env=environ,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return result.stdout.strip().split("\n") if result.returncode == 0 else None


def _web_address(remote: str) -> str:
    """Return where a browser finds a remote: ``git@host:some/one.git`` becomes ``https://host/some/one``."""
    remote = re.split(r"[?#]", remote)[0]
    match = re.fullmatch(
        r"(?:(?:https?|ssh|git)://)?(?:[^/@]*@)?([\w.-]+\.\w+)(?::\d+(?=/))?[:/](.+?)(?:\.git)?/?", remote
    )
    return f"https://{match[1]}/{match[2].lstrip('/')}" if match else ""

"""What is checked out, and for whom: the branch, tag and commit, and the build of a CI that this run is part of.

A CI checks out a commit without its branch, so its variables come first. Where they say nothing, git does.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from multiarch.ci import Facts, facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The keys that the OCI image-spec (annotations.md) has for where an image comes from.
REVISION = "org.opencontainers.image.revision"
SOURCE = "org.opencontainers.image.source"


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
        return facts_of(self.environ)

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

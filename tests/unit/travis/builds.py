"""Builds of the small Travis, and what their jobs wrote."""

from __future__ import annotations

import subprocess
from textwrap import dedent
from typing import TYPE_CHECKING

from tests.travis.config import Event
from tests.travis.executor import Outcome, Result, Travis, build

if TYPE_CHECKING:
    from pathlib import Path

FORK = Event("pull_request", pull_request=7, head_repo="stranger/app", head_branch="change")
PASSED, FAILED, ERRORED, CANCELED = "passed", "failed", "errored", "canceled"


def git(source: Path, *words: str) -> str:
    """Run git in a repository; return its output."""
    names = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    return subprocess.run(
        ["git", "-C", str(source), *names, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(source: Path, message: str) -> str:
    """Commit all files; return the hash."""
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "-m", message)
    return git(source, "rev-parse", "HEAD")


def ran(travis: Travis, text: str, event: Event | None = None) -> Outcome:
    """Run a build of a .travis.yml."""
    return build(travis, event or Event(), text=dedent(text))


def job(travis: Travis, text: str, event: Event | None = None) -> tuple[str, list[str]]:
    """Run a build of one job; return its status, and the lines that its commands wrote."""
    (result,) = ran(travis, text, event).jobs
    return result.status, said(result)


def said(result: Result) -> list[str]:
    """Return the lines that the commands of a job wrote, without Travis's own."""
    of_travis = ("$ ", "The command ", "Your build ", "Done. ")
    return [line for line in result.output if line and not line.startswith(of_travis)]

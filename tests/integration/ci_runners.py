"""GitHub workflows and GitLab pipelines, run on this machine without either: by act and by gitlab-ci-local."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import gitlab_ci_local as lab
from tests.integration.ci_machine import Machine, Turns, follow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# What runners of Linux are called. Jobs for the ARM ones run on this machine too.
LABELS = ("ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04", "ubuntu-24.04-arm", "ubuntu-22.04-arm", "self-hosted")


@dataclass(frozen=True)
class Job:
    """Result of a job.

    :ivar name: its key in the pipeline.
    :ivar values: those of its matrix, as text: in the order of their names for GitHub, of the pipeline for GitLab.
    :ivar status: ``success``, ``failure`` or ``skipped``.
    :ivar seconds: how long it ran, without the time that it waited for its turn.
    :ivar output: what it wrote, line by line.
    """

    name: str
    values: tuple[str, ...] = ()
    status: str = "skipped"
    seconds: float = 0.0
    output: str = ""


@dataclass(frozen=True)
class Run:
    """Result of a pipeline.

    :ivar status: ``success`` or ``failure``.
    :ivar jobs: all of the pipeline, in the order in which they began; then those that were skipped.
    :ivar output: all that the runner wrote.
    """

    status: str
    jobs: tuple[Job, ...]
    output: str

    def job(self, name: str, *values: str) -> Job:
        """Return the one job of a name, and of some values of its matrix. :raises AssertionError: there is not one."""
        jobs = [job for job in self.jobs if job.name == name and set(values) <= set(job.values)]
        assert 1 == len(jobs), f"{name} {values}: {self.statuses()}\n{self.output}"
        return jobs[0]

    def statuses(self) -> dict[str, str]:
        """Return the status of each job, by its name and values with blanks between them."""
        return {" ".join((job.name, *job.values)): job.status for job in self.jobs}


def commit(repository: Path) -> None:
    """Commit all files of a directory on the branch main; make it a git repository where it is none."""
    identity = ["-c", "user.name=someone", "-c", "user.email=someone@localhost"]
    init = [] if (repository / ".git").exists() else [["init", "-q", "--initial-branch=main"]]
    for words in (*init, ["add", "-A"], [*identity, "commit", "-qm", "change"]):
        subprocess.run(["git", *words], cwd=repository, check=True)


_Key = tuple[str, tuple[str, ...]]


@dataclass
class _Record:
    """Jobs of a running pipeline: when each began and ended, and its output."""

    turns: Turns
    began: dict[_Key, float] = field(default_factory=dict)
    ended: dict[_Key, tuple[str, float]] = field(default_factory=dict)
    said: dict[_Key, list[str]] = field(default_factory=dict)
    everything: list[str] = field(default_factory=list)

    def say(self, key: _Key, now: float, *words: str) -> None:
        self.began.setdefault(key, now)
        self.said.setdefault(key, []).extend(words)

    def end(self, key: _Key, now: float, status: str) -> None:
        self.began.setdefault(key, now)
        self.ended[key] = (status, self.turns.end(key[0], self.began[key], now))

    def run(self, status: int, known: Iterable[_Key]) -> Run:
        # What began and never ended was given up by its runner.
        begun = [Job(*key, *self.ended.get(key, ("failure", 0.0)), "\n".join(self.said[key])) for key in self.began]
        # Of a matrix that did not begin, act knows the name alone.
        seen = {*self.began, *((name, ()) for name, _ in self.began)}
        skipped = [Job(*key) for key in known if key not in seen]
        bad = status or self.began.keys() - self.ended.keys()
        return Run("failure" if bad else "success", (*begun, *skipped), "\n".join(self.everything))


def act(
    repository: Path,
    workflow: str,
    machine: Machine,
    *,
    event: str = "push",
    payload: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    actions: Mapping[str, Path] | None = None,
    timeout: float = 600,
) -> Run:
    """Run a GitHub workflow of a git repository, one job at a time.

    `workflow` is its path in the repository, `payload` the event as GitHub describes it. `env` sets what GitHub would:
    GITHUB_REPOSITORY, GITHUB_RUN_ID, GITHUB_RUN_NUMBER … `actions` maps ``owner/name@ref`` to a directory with an
    action.yml that stands in for it; ``actions/checkout`` needs none, the repository is copied.

    :raises AssertionError: it did not end in time.
    """
    with tempfile.TemporaryDirectory(prefix="ci-") as name:
        folder = Path(name)
        environ = machine.install(folder)
        # Also what is empty: the default of each is a file in the repository.
        files = {"eventpath": payload, "secret-file": secrets, "var-file": variables, "env-file": env, "input-file": {}}
        words = [str(Path(sys.executable).with_name("act")), event, "--workflows", workflow]
        words += [f"--{option}={_write(folder / f'{option}.yaml', value or {})}" for option, value in files.items()]
        known = [(name, ()) for name in _act_jobs([*words, "--list"], repository, environ)]
        words += ["--json", "--no-cache-server", "--action-offline-mode", "--container-daemon-socket=-"]
        words += [f"--action-cache-path={folder / 'act'}", *(f"--platform={label}=-self-hosted" for label in LABELS)]
        words += [f"--local-repository={action}={path}" for action, path in (actions or {}).items()]
        record = _Record(Turns(folder))
        failed: set[_Key] = set()
        status = follow(words, repository, environ, timeout, lambda now, line: _read_act(record, failed, now, line))
        return record.run(status, known)


def _act_jobs(words: list[str], repository: Path, environ: Mapping[str, str]) -> list[str]:
    # Stage, key, name …; the heading has no number.
    listed = subprocess.run(words, cwd=repository, env=environ, capture_output=True, text=True, timeout=60)
    return [row[1] for row in map(str.split, listed.stdout.splitlines()) if row and row[0].isdigit()]


def _read_act(record: _Record, failed: set[_Key], now: float, line: str) -> None:
    record.everything.append(line)
    entry = json.loads(line) if line.startswith("{") else {}
    if "jobID" not in entry:
        return
    values = tuple(value if isinstance(value, str) else json.dumps(value) for value in entry["matrix"].values())
    key = (entry["jobID"], values)
    shown = entry.get("raw_output") or entry["level"] == "error" or "unsupported platform" in entry["msg"]
    record.say(key, now, *([entry["msg"].rstrip("\n")] if shown else []))
    if entry.get("stepResult") == "failure" or entry["level"] == "error":
        failed.add(key)
    if "jobResult" in entry:
        # act calls all jobs of a matrix failed once one has; those without a failed step have not.
        record.end(key, now, "failure" if entry["jobResult"] != "success" and key in failed else "success")


def gitlab_ci_local(
    repository: Path,
    machine: Machine,
    *,
    file: str = ".gitlab-ci.yml",
    pipeline: int = 1,
    secrets: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    unset: Sequence[str] = (),
    timeout: float = 600,
) -> Run:
    """Run a GitLab pipeline of a git repository, one job at a time, on this machine whatever image it names.

    `pipeline` is CI_PIPELINE_IID; CI_PIPELINE_ID is 1000 more. `variables` and `unset` also change what GitLab sets: a
    merge request has CI_PIPELINE_SOURCE=merge_request_event and CI_MERGE_REQUEST_IID, but no CI_COMMIT_BRANCH. Services
    are not started.

    :raises LabError: gitlab-ci-local cannot be installed.
    :raises AssertionError: it did not end in time.
    """
    with tempfile.TemporaryDirectory(prefix="ci-") as name:
        folder = Path(name)
        environ = machine.install(folder)
        state = folder / "state"
        state.mkdir()
        (state / "state.yml").write_text(f"pipelineIid: {pipeline - 1}\n")
        # In this form no value is taken for the path of a file.
        values = {**(variables or {}), **(secrets or {})}
        scoped = {key: {"type": "variable", "values": {"*": value}} for key, value in values.items()}
        _write(folder / "variables.yml", scoped)
        words = [*lab.command(), f"--file={file}", f"--home={environ['HOME']}"]
        # It takes these for relative ones.
        words += [f"--state-dir={os.path.relpath(state, repository)}"]
        words += [f"--variables-file={os.path.relpath(folder / 'variables.yml', repository)}"]
        words += [f"--unset-variable={key}" for key in unset]
        known = _gitlab_jobs([*words, "--list-json"], repository, environ)
        words += ["--force-shell-executor", "--shell-isolation", "--no-artifacts-to-source", "--concurrency=1"]
        words += ["--no-color", "--max-job-name-padding=0", f"--container-executable={_without_services(folder)}"]
        record = _Record(Turns(folder))
        # The longest first: one name may begin with another.
        names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
        line_of = re.compile(rf"(?P<name>{names}) +(?P<rest>.*)") if known else re.compile(r"(?!)")
        read = partial(_read_gitlab, record, line_of)
        return record.run(follow(words, repository, environ, timeout, read), map(_key, known))


def _gitlab_jobs(words: list[str], repository: Path, environ: Mapping[str, str]) -> list[str]:
    listed = subprocess.run(words, cwd=repository, env=environ, capture_output=True, text=True, timeout=60)
    # Warnings stand before it.
    match = re.search(r"^\[\n.*", listed.stdout, re.DOTALL | re.MULTILINE)
    return [str(job["name"]) for job in json.loads(match.group())] if match else []


def _read_gitlab(record: _Record, line_of: re.Pattern[str], now: float, line: str) -> None:
    record.everything.append(line)
    match = line_of.match(line)
    if not match:
        return
    key, rest = _key(match["name"]), match["rest"]
    record.say(key, now, *([rest.removeprefix("> ")] if rest.startswith(("> ", "$ ")) else []))
    if done := re.fullmatch(r"finished in [\d.]+ \S+( +(?:FAIL|WARN) .*)?", rest):
        record.end(key, now, "failure" if done[1] else "success")


def _key(name: str) -> _Key:
    """Return name and values of a job of a matrix, which gitlab-ci-local calls ``build: [linux/amd64,x]``."""
    match = re.fullmatch(r"(.*): \[(.*)\]", name)
    return (match[1], tuple(match[2].split(","))) if match else (name, ())


def _without_services(folder: Path) -> Path:
    """Write a stand-in of docker for gitlab-ci-local: it starts nothing, and describes an image without ports."""
    path = folder / "docker"
    path.write_text("#!/bin/sh\necho '[{\"Config\": {}}]'\n")
    path.chmod(0o700)
    return path


def _write(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a mapping as YAML that this user alone can read, and return its path."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
    return path

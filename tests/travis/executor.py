"""Executor of the jobs of a build: each in a clone, a home directory and one bash of its own.

Source: https://docs.travis-ci.com (Build Stages, Customizing the Build), and step_run_script.go and
step_update_state.go of https://github.com/travis-ci/worker.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.travis.config import expand
from tests.travis.script import environment, script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.travis.config import Event, Job

# The status of a job by that of its bash; any other is errored.
_STATUS = {0: "passed", 1: "failed"}
_POLL_SECONDS = 0.05  # short beside the limits of the tests


@dataclass(frozen=True)
class Travis:
    """Repository at Travis, and the limits of its jobs.

    :ivar source: a directory with a git repository.
    :ivar path: the PATH of all jobs; put a virtualenv first where the language is python.
    :ivar variables: of the repository's settings.
    :ivar secrets: those of the settings that are not shown.
    :ivar environ: other variables of the machine, which conditions do not see.
    :ivar at_once: how many jobs of a stage run at the same time.
    :ivar silence: seconds that a job may write nothing.
    :ivar limit: seconds that a job may take.
    :ivar before_job: called with a job and its environment, which it may change, before its bash begins.
    :ivar after_job: called with the job afterwards, however it ended, also when *before_job* failed.
    """

    source: Path
    path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    at_once: int = 2
    silence: float = 600
    limit: float = 3000
    before_job: Callable[[Job, dict[str, str]], None] = lambda _job, _env: None
    after_job: Callable[[Job], None] = lambda _job: None


@dataclass(frozen=True)
class Result:
    """Result of a job.

    :ivar status: passed, failed, errored or canceled.
    :ivar output: all lines that it wrote.
    """

    name: str
    stage: str
    number: str
    status: str
    seconds: float
    output: tuple[str, ...]
    allow_failure: bool = False


@dataclass(frozen=True)
class Outcome:
    """Result of a build.

    :ivar status: passed, failed or errored, or skipped where it has no job.
    :ivar jobs: in order.
    """

    status: str
    jobs: tuple[Result, ...]


def build(travis: Travis, event: Event, *, commit: str = "HEAD", number: int = 1, text: str | None = None) -> Outcome:
    """Run a whole build: one stage after another, the jobs of a stage at the same time.

    A job that may not fail and did not pass ends the build after its stage; the jobs of later stages are canceled.

    :param commit: of the source; each job gets a clone of it.
    :param number: of the build.
    :param text: the .travis.yml; None for that of the commit.
    :raises subprocess.CalledProcessError: there is no such commit, or no .travis.yml in it.
    """
    sha = _git(travis, "rev-parse", f"{commit}^{{commit}}").strip()
    text = _git(travis, "show", f"{sha}:.travis.yml") if text is None else text
    event = (
        event if event.commit_message else replace(event, commit_message=_git(travis, "log", "-1", "--format=%B", sha))
    )
    settings = {**travis.variables, **(travis.secrets if event.trusted else {})}
    results: list[Result] = []
    broken = False
    for stage in expand(text, event, settings):
        if broken:
            results += [_result(job, number, "canceled", 0.0, ()) for job in stage.jobs]
            continue
        results += _run_stage(travis, event, stage.jobs, commit=sha, number=number)
        broken = any(result.status != "passed" and not result.allow_failure for result in results)
    counted = [result.status for result in results if not result.allow_failure]
    worst = next((status for status in ("errored", "failed", "canceled") if status in counted), "passed")
    return Outcome(worst if results else "skipped", tuple(results))


def run_job(
    travis: Travis, event: Event, job: Job, *, commit: str, number: int, stopped: threading.Event | None = None
) -> Result:
    """Run one job in a directory of its own, and remove that.

    :param commit: its full hash.
    :param stopped: when set, the job is canceled.
    """
    begun = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="travis-"))
    home, clone = directory / "home", directory / "home" / "build" / event.repo
    env = environment(
        job,
        event,
        number=number,
        commit=commit,
        home=str(home),
        directory=str(clone),
        path=travis.path,
        variables=travis.variables,
        secrets=travis.secrets,
    )
    env.update(travis.environ)
    try:
        clone.parent.mkdir(parents=True)
        checkout = _checkout(travis, commit, clone, env)
        if checkout.returncode:
            return _result(job, number, "errored", time.monotonic() - begun, checkout.stdout.splitlines())
        try:
            travis.before_job(job, env)
            program = directory / "build.sh"
            program.write_text(script(job))
            status, output = _run(travis, ["bash", str(program)], clone, env, stopped or threading.Event())
        finally:
            travis.after_job(job)
        return _result(job, number, status, time.monotonic() - begun, output)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run_stage(travis: Travis, event: Event, jobs: tuple[Job, ...], *, commit: str, number: int) -> list[Result]:
    stopped = threading.Event()
    with ThreadPoolExecutor(travis.at_once) as pool:
        running = [
            pool.submit(run_job, travis, event, job, commit=commit, number=number, stopped=stopped) for job in jobs
        ]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
            if any(future.done() and future.exception() for future in running):
                stopped.set()
            return [future.result() for future in running]
        except BaseException:
            # An interrupt or a failed hook ends all jobs.
            stopped.set()
            for future in running:
                future.cancel()
            raise


def _run(
    travis: Travis, command: list[str], directory: Path, env: Mapping[str, str], stopped: threading.Event
) -> tuple[str, list[str]]:
    """Run a program until it ends or must end, and then kill its process group."""
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    output = bytearray()
    begun = heard = time.monotonic()
    reason = ""
    try:
        while not reason and not _has_ended(process.pid):
            if _read(process, output, _POLL_SECONDS):
                heard = time.monotonic()
            now = time.monotonic()
            if stopped.is_set():
                reason = "Done: Job Cancelled"
            elif now - begun > travis.limit:
                reason = "The job exceeded the maximum time limit for jobs, and has been terminated."
            elif now - heard > travis.silence:
                reason = (
                    f"No output has been received in the last {travis.silence:g} seconds. The build has been terminated"
                )
    finally:
        # The group has the number of bash, which no other process gets before bash is waited for.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while _read(process, output, 0):
            pass
        assert process.stdout
        process.stdout.close()
    lines = output.decode(errors="replace").splitlines()
    if reason:
        return "canceled" if stopped.is_set() else "errored", [*lines, reason]
    return _STATUS.get(process.returncode, "errored"), lines


def _read(process: subprocess.Popen[bytes], output: bytearray, seconds: float) -> int:
    """Read the output of up to some seconds; return its bytes' number. A closed output is waited for in vain."""
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    chunk = os.read(process.stdout.fileno(), 65536) if ready else b""
    output += chunk
    if ready and not chunk and seconds:
        time.sleep(seconds)
    return len(chunk)


def _has_ended(process: int) -> bool:
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _checkout(travis: Travis, commit: str, clone: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Clone the source with its whole history, where Travis takes 50 commits of the branch."""
    for command in (
        ["git", "clone", "--quiet", "--no-checkout", f"file://{travis.source.resolve()}", str(clone)],
        ["git", "-C", str(clone), "checkout", "--quiet", "--force", commit],
    ):
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode:
            break
    return done


def _git(travis: Travis, *words: str) -> str:
    return subprocess.run(["git", "-C", str(travis.source), *words], check=True, capture_output=True, text=True).stdout


def _result(job: Job, number: int, status: str, seconds: float, output: list[str] | tuple[str, ...]) -> Result:
    name = f"{number}.{job.number}"
    return Result(job.name or name, job.stage, name, status, seconds, tuple(output), job.allow_failure)

"""Program that bash runs for a job, and the environment that it begins with.

Source: lib/travis/build/stages.rb, bash/travis_cmd.bash, travis_assert.bash, travis_result.bash and env/ of
https://github.com/travis-ci/travis-build, whose names are kept: a command sees the variables of the function around it.
"""

from __future__ import annotations

import platform
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.travis.config import Event, Job

_FUNCTIONS = r"""
travis_cmd() {
  local assert cmd result
  cmd="${1}"
  export TRAVIS_CMD="${cmd}"
  [[ "${2}" == --assert ]] && assert=true
  echo "\$ ${cmd}"
  eval "${cmd} "
  result="${?}"
  if [[ -n "${assert}" ]]; then
    travis_assert "${result}"
  fi
  return "${result}"
}

travis_assert() {
  if [[ "${1}" -ne 0 ]]; then
    printf 'The command "%s" failed and exited with %s during %s.\n' "${TRAVIS_CMD}" "${1}" "${TRAVIS_STAGE}"
    printf '\nYour build has been stopped.\n'
    exit 2
  fi
}

travis_result() {
  export TRAVIS_TEST_RESULT=$((${TRAVIS_TEST_RESULT:-0} | $((${1} != 0))))
  printf 'The command "%s" exited with %s.\n' "${TRAVIS_CMD}" "${1}"
}

travis_retry() {
  local result=0 count
  for count in 1 2 3; do
    "${@}" && return 0
    result="${?}"
    printf 'The command "%s" failed. Retrying, %s of 3.\n' "${*}" "${count}" >&2
    sleep 1
  done
  return "${result}"
}
"""
_STOP_AT_ONCE = ("before_install", "install", "before_script")


def script(job: Job) -> str:
    """Return the program of a job for one bash, which begins in the clone.

    An item of a phase is run by ``eval``. The default ``install`` of a language (``pip install -r requirements.txt``),
    for files without that phase, is left out. A job without ``script`` fails, as with Python.
    """
    lines = ["#!/bin/bash", _FUNCTIONS, "export TRAVIS_TEST_RESULT=", ""]
    lines += [f"travis_cmd {shlex.quote(f'export {name}={value}')}" for name, value in job.env]
    for phase in (*_STOP_AT_ONCE, "script"):
        lines += _phase(job, phase)
    lines += [
        _function(job, "after_success"),
        'if [[ "${TRAVIS_TEST_RESULT}" = 0 ]]; then travis_run_after_success; fi',
    ]
    lines += [
        _function(job, "after_failure"),
        'if [[ "${TRAVIS_TEST_RESULT}" != 0 ]]; then travis_run_after_failure; fi',
    ]
    lines += _phase(job, "after_script")
    lines += ['echo "Done. Your build exited with ${TRAVIS_TEST_RESULT}."', 'exit "${TRAVIS_TEST_RESULT}"', ""]
    return "\n".join(lines)


def environment(
    job: Job,
    event: Event,
    *,
    number: int,
    commit: str,
    home: str,
    directory: str,
    path: str,
    variables: Mapping[str, str],
    secrets: Mapping[str, str],
) -> dict[str, str]:
    """Return the environment that a job's bash begins with.

    :param number: of the build.
    :param directory: of the clone.
    :param variables: of the repository's settings. Unlike in Travis, bash expands nothing in them.
    :param secrets: those of the settings that are not shown, and that a pull request of a fork does not get.
    """
    pull_request = event.type == "pull_request"
    given = secrets if event.trusted else {}
    machine = platform.machine()
    return {
        "PATH": path,
        "HOME": home,
        "USER": "travis",
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "PAGER": "cat",
        "DEBIAN_FRONTEND": "noninteractive",
        "CI": "true",
        "TRAVIS": "true",
        "CONTINUOUS_INTEGRATION": "true",
        "TRAVIS_ALLOW_FAILURE": str(job.allow_failure).lower(),
        "TRAVIS_EVENT_TYPE": event.type,
        "TRAVIS_PULL_REQUEST": str(event.pull_request) if pull_request else "false",
        "TRAVIS_PULL_REQUEST_SLUG": event.head_repo if pull_request else "",
        "TRAVIS_PULL_REQUEST_BRANCH": event.head_branch if pull_request else "",
        "TRAVIS_SECURE_ENV_VARS": "true" if given else "false",
        "TRAVIS_BUILD_ID": str(number),
        "TRAVIS_BUILD_NUMBER": str(number),
        "TRAVIS_BUILD_DIR": directory,
        "TRAVIS_BUILD_STAGE_NAME": job.stage,
        "TRAVIS_JOB_ID": f"{number}{job.number:03}",
        "TRAVIS_JOB_NAME": job.name,
        "TRAVIS_JOB_NUMBER": f"{number}.{job.number}",
        "TRAVIS_BRANCH": event.tag or event.branch,
        "TRAVIS_COMMIT": commit,
        "TRAVIS_COMMIT_MESSAGE": event.commit_message,
        "TRAVIS_REPO_SLUG": event.repo,
        "TRAVIS_LANGUAGE": job.language,
        "TRAVIS_TAG": event.tag,
        "TRAVIS_OS_NAME": platform.system().lower(),
        "TRAVIS_CPU_ARCH": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
        **variables,
        **given,
    }


def _phase(job: Job, phase: str) -> list[str]:
    return [_function(job, phase), f"travis_run_{phase}"]


def _function(job: Job, phase: str) -> str:
    """Return the definition of the function that runs a phase, as Travis has one for each."""
    items = job.phases.get(phase, ())
    lines = [f"export TRAVIS_STAGE={phase}"]
    if items in (("skip",), ("ignore",)):
        lines.append(f"echo 'Skipping the {phase} step, as specified in the configuration.'")
        lines += ["travis_result 0"] if phase == "script" else []
    elif phase == "script" and not items:
        lines += ["echo 'Please override the script: key in your .travis.yml to run tests.'", "travis_result 1"]
    for item in items if len(lines) == 1 else ():
        assertion = " --assert" if phase in _STOP_AT_ONCE else ""
        lines.append(f"travis_cmd {shlex.quote(item)}{assertion}")
        lines += ["travis_result $?"] if phase == "script" else []
    return "\n".join([f"travis_run_{phase}() {{", *lines, "}"])

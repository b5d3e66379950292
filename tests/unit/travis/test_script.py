"""Phases and environment of one job, in real bash: each sentence about Travis that others rely on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.travis.config import Event
from tests.unit.travis.builds import ERRORED, FAILED, FORK, PASSED, git, job

if TYPE_CHECKING:
    from tests.travis.executor import Travis


def test_phases_in_order(travis: Travis) -> None:
    """The phases run in the order of a job, whatever their order in the file."""
    text = """
        after_script: echo 6
        after_failure: echo never
        after_success: echo 5
        script: echo 4
        before_script: echo 3
        install: echo 2
        before_install: echo 1
        """
    assert (PASSED, ["1", "2", "3", "4", "5", "6"]) == job(travis, text)


def test_one_bash(travis: Travis) -> None:
    """All phases run in one bash by eval: cd, export, variables and functions persist."""
    text = """
        before_install: cd sub
        install:
          - export EXPORTED=1
          - own=2
        before_script: say() { echo "$@"; }
        script: cat file; say "$EXPORTED $own"; bash -c 'echo "$EXPORTED$own"'
        """
    assert (PASSED, ["two", "1 2", "1"]) == job(travis, text)


def test_every_item_of_script(travis: Travis) -> None:
    """There is no set -e: in script every item runs, and the job fails if any failed."""
    assert (FAILED, ["1", "2"]) == job(travis, "script: [echo 1, 'false', echo 2]\n")


@pytest.mark.parametrize("phase", ["before_install", "install", "before_script"])
def test_before_script(travis: Travis, phase: str) -> None:
    """A failing item in the phases before script stops the job at once, errored; no phase after it runs."""
    text = f"""
        {phase}: [echo 1, 'false', echo never]
        script: echo never
        after_success: echo never
        after_failure: echo never
        after_script: echo never
        """
    assert (ERRORED, ["1"]) == job(travis, text)


def test_items_of_several_lines(travis: Travis) -> None:
    """An item of several lines reports only its last command."""
    for phase, last, expected in (
        ("script", "true", PASSED),
        ("script", "false", FAILED),
        ("install", "true", PASSED),
        ("install", "false", ERRORED),
    ):
        other = "script" if phase == "install" else "install"
        status, lines = job(travis, f"{phase}:\n- |\n  false\n  echo o''ne\n  {last}\n{other}: skip\n")
        assert (expected, True) == (status, "one" in lines)


def test_pipes(travis: Travis) -> None:
    """There is no pipefail: a pipe reports its last command."""
    assert (PASSED, ["1"]) == job(travis, "install: false | true\nscript: false | echo 1\n")


def test_after_success(travis: Travis) -> None:
    """After_success failing leaves the job green; every item of it runs."""
    assert (PASSED, ["1", "2"]) == job(travis, "script: echo 1\nafter_success: ['false', echo 2]\n")


def test_after_failure(travis: Travis) -> None:
    """After_failure runs in the place of after_success, and after_script in any case; neither changes the status."""
    text = "script: 'false'\nafter_success: echo never\nafter_failure: [echo 1, 'true']\nafter_script: echo 2\n"
    assert (FAILED, ["1", "2"]) == job(travis, text)
    assert (PASSED, ["1"]) == job(travis, "script: 'true'\nafter_script: [echo 1, 'false']\n")


def test_result(travis: Travis) -> None:
    """TRAVIS_TEST_RESULT is empty before script, and 0 or 1 afterwards."""
    text = """
        install: echo "<$TRAVIS_TEST_RESULT>"
        script: [echo 1, %s]
        after_success: echo "<$TRAVIS_TEST_RESULT>"
        after_failure: echo "<$TRAVIS_TEST_RESULT>"
        """
    assert (PASSED, ["<>", "1", "<0>"]) == job(travis, text % "'true'")
    assert (FAILED, ["<>", "1", "<1>"]) == job(travis, text % "'false'")


def test_exit(travis: Travis) -> None:
    """An exit ends the bash of the job: with 0 it passed, with 1 it failed, with another status it errored."""
    for status, expected in ((0, PASSED), (1, FAILED), (3, ERRORED)):
        assert (expected, ["1"]) == job(travis, f"script: [echo 1, exit {status}, echo never]\n")


def test_set_e(travis: Travis) -> None:
    """After a set -e, the first command that fails ends the bash, in any phase."""
    assert (FAILED, ["1"]) == job(travis, "install: set -e\nscript: [echo 1, 'false', echo never]\n")


def test_skip(travis: Travis) -> None:
    """The word skip skips a phase; a job whose script is skipped passes, and one without script fails."""
    assert PASSED == job(travis, "install: skip\nscript: skip\n")[0]
    assert FAILED == job(travis, "language: python\n")[0]
    assert (PASSED, ["1"]) == job(travis, "language: python\nscript: echo 1\n")


def test_retry(travis: Travis) -> None:
    """Travis_retry runs a command again."""
    assert PASSED == job(travis, "script: travis_retry eval 'test -e x || { touch x; false; }'\n")[0]


def test_env_is_expanded_by_bash(travis: Travis) -> None:
    """Variables of env are exported by eval, one after another, after those that Travis sets."""
    text = """
        env:
          global:
            - FIRST=$TRAVIS_BUILD_NUMBER SECOND="$FIRST $(echo x)"
            - THIRD='$FIRST {a}'
            - FOURTH: 4
        script: bash -c 'echo "$FIRST/$SECOND/$THIRD/$FOURTH"'
        """
    assert (PASSED, ["1/1 x/$FIRST {a}/4"]) == job(travis, text)


def test_what_travis_sets(travis: Travis) -> None:
    """The variables TRAVIS_* describe the commit, the event and the directory of a job."""
    sha = git(travis.source, "rev-parse", "HEAD")
    names = (
        "BUILD_ID JOB_NUMBER BRANCH COMMIT COMMIT_MESSAGE REPO_SLUG EVENT_TYPE PULL_REQUEST PULL_REQUEST_SLUG TAG "
        "SECURE_ENV_VARS OS_NAME BUILD_STAGE_NAME"
    )
    text = f"""
        script:
          - echo "$CI"; echo "$TRAVIS"; for name in {names}; do name=TRAVIS_$name; echo "${{!name}}"; done
          - '[ "$PWD" = "$TRAVIS_BUILD_DIR" ] && [ -n "$TRAVIS_CPU_ARCH" ]'
        """
    common = ["true", "true", "1", "1.1"]
    status, lines = job(travis, text)
    assert (PASSED, [*common, "main", sha, "First", "someone/app", "push", "false"]) == (status, lines[:10])
    assert ["false", "linux", "test"] == lines[10:]
    tagged = job(travis, text, Event(tag="v1"))[1]
    assert ("v1", "v1") == (tagged[4], tagged[10])
    assert ["pull_request", "7", "stranger/app", "false", "linux", "test"] == job(travis, text, FORK)[1][8:]


def test_clean_environment(travis: Travis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment of this process, a job sees only the variables that are passed to it."""
    monkeypatch.setenv("LEAKED", "yes")
    given = replace(travis, environ={"EXTRA": "extra"}, variables={"SHOWN": "a $b"})
    text = "script: echo \"<$LEAKED> $EXTRA $SHOWN\"; env | cut -d= -f1 | grep -vE '^(TRAVIS|CI$|_$)' | sort | xargs\n"
    known = "CONTINUOUS_INTEGRATION DEBIAN_FRONTEND EXTRA HOME LANG OLDPWD PAGER PATH PWD SHELL SHLVL SHOWN USER"
    status, (values, names) = job(given, text)
    assert (PASSED, "<> extra a $b") == (status, values)
    assert set() == set(names.split()) - set(known.split())


def test_secrets(travis: Travis) -> None:
    """Pull requests of forks get no secrets, and TRAVIS_SECURE_ENV_VARS is false; all other builds get them."""
    given = replace(travis, secrets={"PASSWORD": "p$w"}, variables={"SHOWN": "s"})
    text = 'script: echo "<$PASSWORD> $SHOWN $TRAVIS_SECURE_ENV_VARS"\n'
    assert (PASSED, ["<p$w> s true"]) == job(given, text)
    assert (PASSED, ["<p$w> s true"]) == job(given, text, replace(FORK, head_repo="someone/app"))
    assert (PASSED, ["<> s false"]) == job(given, text, FORK)

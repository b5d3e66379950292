"""Check of a .travis.yml: every rule with a file that breaks it, and one that does not."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from multiarch.pipelines.travis.lint import check
from tests.unit.pipelines.files import schema_errors
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from tests.unit.project import Project

PRIVATE = "remove it, or begin it with _ if it only holds what an anchor names"
JOBS = "jobs:\n  include:\n  - "
IN_A_JOB = "in an entry of jobs.include"
UNDECLARED = "is not in stages, and so runs after those that are"
NO_JOB = "has a condition, and no job is of this stage"
NO_NAME = "is no name, so it stands for itself"
NAMES = (
    "type, repo, head_repo, os, dist, group, sudo, language, sender, fork, draft, branch, head_branch, tag, "
    "commit_message, and env(NAME)"
)
NO_TEXT = "neither text nor a list of text"
COLON = "quote it: a colon and a blank make a mapping of text"


def mistakes(text: str) -> list[str]:
    """Return the mistakes in a file, each of which is one line that begins with the file's name, without that."""
    lines = check(dedent(text), ".travis.yml")
    assert [1] * len(lines) == [len(line.splitlines()) for line in lines]
    assert [True] * len(lines) == [line.startswith(".travis.yml:") for line in lines]
    return [line.removeprefix(".travis.yml:") for line in lines]


def test_our_own() -> None:
    """The file of this repository has no mistake."""
    assert [] == check((ROOT / ".travis.yml").read_text(), ".travis.yml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scirpt: make\n", "1: unknown key 'scirpt' at the top level; did you mean script?"),
        (
            "script: make\nbefore-install: x\n",
            "2: unknown key 'before-install' at the top level; did you mean before_install?",
        ),
        (
            "script: make\nstage: test\n",
            "2: unknown key 'stage' at the top level; it belongs into a job, below jobs: include:",
        ),
        ("prepare: x\nscript: make\n", f"1: unknown key 'prepare' at the top level; {PRIVATE}"),
        (JOBS + "name: a\n    scripts: x\n", f"4: unknown key 'scripts' {IN_A_JOB}; did you mean script?"),
        (JOBS + "stages: [a]\n", f"3: unknown key 'stages' {IN_A_JOB}; it belongs to the top level"),
        ("matrix:\n  include:\n  - pyhton: 3\n", f"3: unknown key 'pyhton' {IN_A_JOB}; did you mean python?"),
        ("jobs:\n- scripts: x\n", "2: unknown key 'scripts' in an entry of jobs; did you mean script?"),
        ("jobs:\n  inlcude: []\n", "2: unknown key 'inlcude' in jobs; did you mean include?"),
        (
            "jobs:\n  allow_failures:\n  - nmae: a\n",
            "3: unknown key 'nmae' in an entry of jobs.allow_failures; did you mean name?",
        ),
        ("stages:\n- name: a\n  unless: x\n", f"3: unknown key 'unless' in an entry of stages; {PRIVATE}"),
        (
            "_job: &job\n  scirpt: x\n" + JOBS + "<<: *job\n  - <<: *job\n",
            f"2: unknown key 'scirpt' {IN_A_JOB}; did you mean script?",
        ),
    ],
)
def test_unknown_keys(text: str, expected: str) -> None:
    """A key that nothing reads is a mistake, with the key that was meant or the place where it belongs."""
    assert [expected] == mistakes(text)


def test_known_keys() -> None:
    """Keys of any language, of jobs, and private ones, also through anchors, are none."""
    text = """
        language: python
        python: ["3.11", "3.12"]
        services: [docker]
        aliases: [&a b]
        shared: &shared [c]
        x-more: 1
        .more: 2
        _prepare: &prepare {addons: {apt: {packages: [jq]}}, vm: {size: large}}
        env: {global: [A=1], jobs: [B=1, B=2]}
        script: make
        jobs:
          fast_finish: true
          include:
            - <<: *prepare
              name: one
              stage: test
              arch: arm64
              workspaces: {create: {name: x, paths: [x]}}
              allow_failure: true
          exclude:
            - env: B=1
          allow_failures:
            - branch: main
        notifications: {email: false}
        """
    assert [] == mistakes(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "stages: [build, publish]\n" + JOBS + "stage: build\n  - stage: pubish\n",
            f"5: stage 'pubish' {UNDECLARED}; did you mean publish?",
        ),
        (
            "stages: [build]\n" + JOBS + "stage: build\n  - stage: deploy\n",
            f"5: stage 'deploy' {UNDECLARED}; add deploy to stages",
        ),
        (
            "stages: [build]\n" + JOBS + "script: x\n  - stage: build\n",
            (f"4: this job has no stage, so it is of 'test', which {UNDECLARED}; add test to stages"),
        ),
        (
            "stages:\n- build\n- name: pubish\n  if: tag\n" + JOBS + "stage: build\n",
            f"3: stage 'pubish' {NO_JOB}; give a job this stage, or remove it",
        ),
        (
            "stages:\n- name: publihs\n  if: tag\n- publish\n" + JOBS + "stage: publish\n",
            f"2: stage 'publihs' {NO_JOB}; did you mean publish?",
        ),
        (
            "stages:\n- if: tag\nscript: x\n",
            "2: an entry of stages has no name; write the stage's name, or name: and if:",
        ),
        (
            "stages: [a]\n" + JOBS + "stage: [a]\n  - stage: a\n",
            "4: the stage is a list, not text; write the name of a stage",
        ),
    ],
)
def test_stages_that_do_not_fit(text: str, expected: str) -> None:
    """Each stage of a job is declared, and each stage with a condition has jobs."""
    assert [expected] == mistakes(text)


@pytest.mark.parametrize(
    "text",
    [
        JOBS + "stage: anything\n",
        "stages: [Build, publish]\n" + JOBS + "stage: build\n  - script: x\n  - stage: Publish\n",
        "stages: [build, later]\n" + JOBS + "stage: build\n",
        "stages:\n- name: test\n  if: tag\nscript: x\n",
        "python: [1, 2]\nstages:\n- name: test\n  if: tag\n- a\n" + JOBS + "stage: a\n",
        "env: [A=1, A=2]\nstages:\n- name: test\n  if: tag\n- a\n" + JOBS + "stage: a\n",
        "env: {jobs: [A=1, A=2]}\nstages:\n- name: test\n  if: tag\n- a\n" + JOBS + "stage: a\n",
    ],
)
def test_stages_that_fit(text: str) -> None:
    """Without `stages` a job may name any; case does not matter; jobs of the matrix are of the stage test."""
    assert [] == mistakes(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "script: x\nif: branch IS main\n",
            (
                "2: the condition 'branch IS main' does not parse; column 11: expected present, blank, true or false "
                "after IS; to compare a value, use ="
            ),
        ),
        (
            "stages:\n- name: test\n  if: brnach = main\nscript: x\n",
            f"3: column 1 of the condition: 'brnach' {NO_NAME}; did you mean branch?",
        ),
        (
            JOBS + "if: TRAVIS_TAG =~ ^v\n",
            f"3: column 1 of the condition: 'TRAVIS_TAG' {NO_NAME}; known are {NAMES}",
        ),
        (
            "script: x\nif: type = pull-request\n",
            "2: column 8 of the condition: 'pull-request' is no event type; did you mean pull_request?",
        ),
        (
            "jobs:\n  exclude:\n  - if: $X = 1\n",
            (
                "3: the condition '$X = 1' does not parse; column 1: expected no $: no shell reads this; "
                "write env(NAME), or quote the text"
            ),
        ),
        ("script: x\nif: [tag]\n", "2: the condition is a list, not text; quote it"),
        (
            "_c: &c branch main\nscript: x\nif: *c\n",
            "1: the condition 'branch main' does not parse; column 8: expected AND, OR or the end, not 'main'",
        ),
    ],
)
def test_conditions_that_do_not_hold_what_they_say(text: str, expected: str) -> None:
    """A condition must parse, and its names must be known, wherever it stands."""
    assert [expected] == mistakes(text)


@pytest.mark.parametrize(
    "text",
    [
        "if: branch = main AND env(X) IS present\nscript: x\n",
        "if: true\nscript: x\n",
        "if: |\n  branch = main\n  AND fork = false\nscript: x\n",
        "stages:\n- name: test\n  if: type != pull_request\nscript: x\n",
        "conditions: v0\nif: anything\nscript: x\n",
    ],
)
def test_conditions(text: str) -> None:
    """A condition that parses is no mistake; the first version of conditions is not checked."""
    assert [] == mistakes(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("script: 1\n", f"1: script is a number, {NO_TEXT}; quote it"),
        ("script: {a: b}\n", f"1: script is a mapping, {NO_TEXT}; {COLON}"),
        ("script:\ninstall: skip\n", f"1: script is empty, {NO_TEXT}; write a command, or skip"),
        ("script:\n- a\n- echo this: that\n", f"3: item 2 of script is a mapping, not text; {COLON}"),
        (JOBS + "after_success: [a, 3.5]\n", "3: item 2 of after_success is a number, not text; quote it"),
        ("jobs: x\n", "1: jobs is text; write include: below it, and a list of jobs below that"),
        ("jobs:\n  include: [make]\n", "2: an entry of jobs.include is text; write a mapping, such as script: make"),
    ],
)
def test_wrong_types(text: str, expected: str) -> None:
    """A phase is text or a list of text, and a job a mapping."""
    assert [expected] == mistakes(text)


@pytest.mark.parametrize(
    "text",
    [
        "script: make\n",
        "install: true\nscript:\n- make\n- |\n  a\n  b\n",
        "_a: &a [make, make test]\nscript: [*a, make install]\n",
    ],
)
def test_right_types(text: str) -> None:
    """Lists within lists, as anchors make them, are joined; true is a command."""
    assert [] == mistakes(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("script: make\nscript: test\n", "2: 'script' stands here again, after line 1; only one of them counts"),
        (
            JOBS + "name: a\n    env: A=1\n    env: A=2\n",
            "5: 'env' stands here again, after line 4; only one of them counts",
        ),
    ],
)
def test_duplicate_keys(text: str, expected: str) -> None:
    """The same key twice in a mapping is a mistake, at any depth."""
    assert [expected] == mistakes(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("script: a\nenv: b: c\n", "2: not YAML: mapping values are not allowed here; correct it, or quote the text"),
        (
            "script: a\nenv: [b\n",
            "3: not YAML: expected ',' or ']', but got '<stream end>'; correct it, or quote the text",
        ),
        ("script: *a\n", "1: not YAML: found undefined alias 'a'; correct it, or quote the text"),
        ("script: a\n---\nscript: b\n", "2: not YAML: but found another document; correct it, or quote the text"),
        ("script: a\nenv: \x00\n", "2: not YAML: the character U+0000 may not be in it; correct it, or quote the text"),
        ("", "1: a mapping of keys is expected here, and this is nothing; write script: and what it runs"),
        ("- make\n", "1: a mapping of keys is expected here, and this is a list; write script: and what it runs"),
    ],
)
def test_what_is_no_yaml(text: str, expected: str) -> None:
    """It is one mistake, with the number of its line."""
    assert [expected] == mistakes(text)


def test_anchors() -> None:
    """A name that is anchored again and a mapping merged twice are no mistake."""
    text = "_a: &a {script: x}\n_b: &a {name: b}\n_c: &c {if: tag}\n" + JOBS + "<<: [*a, *c, *a]\n    script: y\n"
    assert [] == mistakes(text)


def test_all_mistakes() -> None:
    """All are listed in one run, by line, and each once."""
    text = "if: tag =\nscirpt: x\ninstall: 1\njobs:\n  include:\n  - nmae: a\nlnaguage: c\nlnaguage: d\n"
    assert [
        "1: the condition 'tag =' does not parse; column 6: expected a name, a value or env(NAME)",
        "2: unknown key 'scirpt' at the top level; did you mean script?",
        f"3: install is a number, {NO_TEXT}; quote it",
        f"6: unknown key 'nmae' {IN_A_JOB}; did you mean name?",
        "8: 'lnaguage' stands here again, after line 7; only one of them counts",
        "8: unknown key 'lnaguage' at the top level; did you mean language?",
    ] == mistakes(text)


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        ("      script: invoke build-arch", "      scirpt: invoke build-arch", r":\d+: .*scirpt.*script"),
        ("    - stage: publish", "    - stage: pubish", r":\d+: .*pubish.*"),
        ("      if: type != pull_request AND", "      if: type !== pull_request AND", r":\d+: .*"),
    ],
)
def test_a_mistake_that_the_schema_misses(project: Project, wrong: str, right: str, expected: str) -> None:
    """A typo in a job's key, a stage that is not declared, a condition that does not parse: each with its line."""
    project.write(invoke_yaml="multiarch:\n  platforms: [linux/arm64]\n  install: make tools\n")
    project.run("pipeline", "--ci", "travis")
    path = project.path / ".travis.yml"
    before = path.read_text()
    path.write_text(before.replace(wrong, right))
    result = project.run("pipeline", "--ci", "travis", "--check")
    number = next(n for n, line in enumerate(path.read_text().splitlines(), 1) if right in line)
    assert 1 == result.status
    (line,) = [line for line in result.err if line.startswith(f".travis.yml:{number}: ")]
    assert re.match(rf"\.travis\.yml{expected}", line)
    assert "" == schema_errors("travis", path)

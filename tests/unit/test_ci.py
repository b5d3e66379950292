"""The CI that runs this process, read from its variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multiarch.ci import CI, CIKind, github_default_branch, running_in

if TYPE_CHECKING:
    from pathlib import Path

TRAVIS = {"TRAVIS": "true", "TRAVIS_BUILD_NUMBER": "7", "TRAVIS_COMMIT": "c0", "TRAVIS_BRANCH": "main"}
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_RUN_ID": "7",
    "GITHUB_SHA": "c0",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_REF_NAME": "main",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "a/b",
}
GITLAB = {"GITLAB_CI": "true", "CI_PIPELINE_ID": "7", "CI_COMMIT_SHA": "c0", "CI_COMMIT_BRANCH": "main"}
CIRCLECI = {"CIRCLECI": "true", "CIRCLE_SHA1": "c0", "CIRCLE_BRANCH": "main"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, CI(kind=CIKind.TRAVIS, build="7", branch="main", revision="c0")),
        ({"TRAVIS_PULL_REQUEST": "false"}, CI(kind=CIKind.TRAVIS, build="7", branch="main", revision="c0")),
        ({"TRAVIS_TAG": "v1", "TRAVIS_BRANCH": "v1"}, CI(kind=CIKind.TRAVIS, build="7", tag="v1", revision="c0")),
        (
            {"TRAVIS_PULL_REQUEST": "3", "TRAVIS_PULL_REQUEST_BRANCH": "fix"},
            CI(kind=CIKind.TRAVIS, build="7", branch="fix", revision="c0", is_pull_request=True),
        ),
    ],
)
def test_travis_names_the_branch_of_a_pull_request_apart(variables: dict[str, str], expected: CI) -> None:
    """TRAVIS_BRANCH is the branch of a push alone: a tag's name for a tag, the target for a pull request."""
    assert expected == running_in(TRAVIS | variables)


@pytest.mark.parametrize(
    ("variables", "branch", "tag", "is_pull_request"),
    [
        ({}, "main", "", False),
        ({"GITHUB_REF_TYPE": "tag", "GITHUB_REF_NAME": "v1"}, "", "v1", False),
        (
            {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF_NAME": "3/merge", "GITHUB_HEAD_REF": "fix"},
            "fix",
            "",
            True,
        ),
        (
            {"GITHUB_EVENT_NAME": "merge_group", "GITHUB_REF_NAME": "gh-readonly-queue/main/pr-1"},
            "gh-readonly-queue/main/pr-1",
            "",
            True,
        ),
    ],
)
def test_github_names_branches_and_tags_by_one_variable(
    variables: dict[str, str], branch: str, tag: str, is_pull_request: bool
) -> None:
    """GITHUB_REF_TYPE says which of them it is; a merge queue proposes a change too."""
    expected = CI(
        kind=CIKind.GITHUB,
        build="7",
        branch=branch,
        tag=tag,
        revision="c0",
        source="https://github.com/a/b",
        is_pull_request=is_pull_request,
    )
    assert expected == running_in(GITHUB | variables)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"CI_PROJECT_URL": "https://x/a/b"},
            CI(kind=CIKind.GITLAB, build="7", branch="main", revision="c0", source="https://x/a/b"),
        ),
        ({"CI_COMMIT_BRANCH": "", "CI_COMMIT_TAG": "v1"}, CI(kind=CIKind.GITLAB, build="7", tag="v1", revision="c0")),
        (
            {"CI_COMMIT_BRANCH": "", "CI_MERGE_REQUEST_IID": "3", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "fix"},
            CI(kind=CIKind.GITLAB, build="7", branch="fix", revision="c0", is_pull_request=True),
        ),
    ],
)
def test_gitlab_has_no_branch_for_a_merge_request(variables: dict[str, str], expected: CI) -> None:
    """CI_COMMIT_BRANCH is empty there; the source branch has a variable of its own."""
    assert expected == running_in(GITLAB | variables)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, CI(kind=CIKind.CIRCLECI, branch="main", revision="c0")),
        ({"CIRCLE_TAG": "v1", "CIRCLE_BRANCH": ""}, CI(kind=CIKind.CIRCLECI, tag="v1", revision="c0")),
        (
            {"CIRCLE_PULL_REQUEST": "https://github.com/a/b/pull/3"},
            CI(kind=CIKind.CIRCLECI, branch="main", revision="c0"),
        ),
        (
            {"CIRCLE_PR_NUMBER": "3", "CIRCLE_BRANCH": "pull/3"},
            CI(kind=CIKind.CIRCLECI, branch="pull/3", revision="c0", is_pull_request=True),
        ),
    ],
)
def test_circleci_marks_pull_requests_of_forks_alone(variables: dict[str, str], expected: CI) -> None:
    """CIRCLE_PULL_REQUEST is set for any branch with an open pull request, also for the main one."""
    assert expected == running_in(CIRCLECI | variables)


@pytest.mark.parametrize("value", ["true", "1", "yes"])
def test_another_ci_is_known_by_the_variable_that_all_set(value: str) -> None:
    """Its other variables are not known, so it says nothing of the commit."""
    assert CI(kind=CIKind.OTHER) == running_in({"CI": value, "CI_COMMIT_TAG": "v1"})


@pytest.mark.parametrize("environ", [{}, {"CI": ""}, {"CI": "0"}, {"CI": "False"}, {"TRAVIS": "false"}])
def test_a_machine_without_these_variables_is_no_ci(environ: dict[str, str]) -> None:
    """Some people set CI to a negative value, so that programs take them for persons."""
    assert running_in(environ) is None


def test_ci_that_does_not_set_ci_is_known_by_a_variable_of_its_own() -> None:
    """TeamCity reads commands in a log too, and nobody sits at its terminal."""
    assert CI(kind=CIKind.OTHER) == running_in({"TEAMCITY_VERSION": "2024.12 (build 1)"})


# What the documents of the other CIs say of a push to main, a tag v1, and pull request 3 from the branch fix to main.
_ALL = {"CI": "true"}
DRONE = _ALL | {
    "DRONE": "true",
    "DRONE_BUILD_NUMBER": "7",
    "DRONE_COMMIT_SHA": "c0",
    "DRONE_BRANCH": "main",
    "DRONE_REPO_LINK": "https://x/a/b",
    "DRONE_REPO_BRANCH": "trunk",
}
WOODPECKER = {
    "CI": "woodpecker",
    "CI_PIPELINE_NUMBER": "7",
    "CI_COMMIT_SHA": "c0",
    "CI_COMMIT_BRANCH": "main",
    "CI_REPO_URL": "https://x/a/b",
    "CI_REPO_DEFAULT_BRANCH": "trunk",
}
JENKINS = _ALL | {"JENKINS_URL": "https://x/", "BUILD_NUMBER": "7", "BUILD_TAG": "jenkins-b-main-7", "GIT_COMMIT": "c0"}
AZURE = {"TF_BUILD": "True", "BUILD_BUILDID": "7", "BUILD_SOURCEVERSION": "c0"}
BUILDKITE = _ALL | {
    "BUILDKITE": "true",
    "BUILDKITE_BUILD_NUMBER": "7",
    "BUILDKITE_COMMIT": "c0",
    "BUILDKITE_BRANCH": "main",
    "BUILDKITE_TAG": "",
    "BUILDKITE_PULL_REQUEST": "false",
    "BUILDKITE_PIPELINE_DEFAULT_BRANCH": "trunk",
}
APPVEYOR = {
    "CI": "True",
    "APPVEYOR": "True",
    "APPVEYOR_BUILD_ID": "7",
    "APPVEYOR_REPO_COMMIT": "c0",
    "APPVEYOR_REPO_BRANCH": "main",
}
BITBUCKET = _ALL | {"BITBUCKET_BUILD_NUMBER": "7", "BITBUCKET_COMMIT": "c0"}


@pytest.mark.parametrize(
    ("kind", "push", "tag", "request_"),
    [
        (
            CIKind.DRONE,
            DRONE,
            {"DRONE_TAG": "v1"},
            {"DRONE_PULL_REQUEST": "3", "DRONE_SOURCE_BRANCH": "fix"},
        ),
        (
            CIKind.WOODPECKER,
            WOODPECKER,
            {"CI_COMMIT_TAG": "v1", "CI_COMMIT_BRANCH": ""},
            {"CI_COMMIT_PULL_REQUEST": "3", "CI_COMMIT_SOURCE_BRANCH": "fix"},
        ),
        (
            CIKind.JENKINS,
            JENKINS | {"BRANCH_NAME": "main"},
            {"BRANCH_NAME": "v1", "TAG_NAME": "v1"},
            {"BRANCH_NAME": "PR-3", "CHANGE_ID": "3", "CHANGE_BRANCH": "fix"},
        ),
        (
            CIKind.AZURE,
            AZURE | {"BUILD_SOURCEBRANCH": "refs/heads/main"},
            {"BUILD_SOURCEBRANCH": "refs/tags/v1"},
            {
                "BUILD_SOURCEBRANCH": "refs/pull/3/merge",
                "SYSTEM_PULLREQUEST_PULLREQUESTID": "3",
                "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/fix",
            },
        ),
        (
            CIKind.BUILDKITE,
            BUILDKITE,
            {"BUILDKITE_TAG": "v1", "BUILDKITE_BRANCH": "v1"},
            {"BUILDKITE_PULL_REQUEST": "3", "BUILDKITE_BRANCH": "fix"},
        ),
        (
            CIKind.APPVEYOR,
            APPVEYOR,
            {"APPVEYOR_REPO_TAG_NAME": "v1", "APPVEYOR_REPO_BRANCH": "v1"},
            {"APPVEYOR_PULL_REQUEST_NUMBER": "3", "APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH": "fix"},
        ),
        (
            CIKind.BITBUCKET,
            BITBUCKET | {"BITBUCKET_BRANCH": "main"},
            {"BITBUCKET_TAG": "v1", "BITBUCKET_BRANCH": ""},
            {"BITBUCKET_PR_ID": "3", "BITBUCKET_BRANCH": "fix"},
        ),
    ],
    ids=lambda value: value.value if isinstance(value, CIKind) else "",
)
def test_every_ci_tells_of_pushes_tags_and_pull_requests(
    kind: CIKind, push: dict[str, str], tag: dict[str, str], request_: dict[str, str]
) -> None:
    """By its documented variables; HEAD is detached in all of them."""
    told = [running_in(push), running_in(push | tag), running_in(push | request_)]
    assert [(kind, "main", "", False), (kind, "", "v1", False), (kind, "fix", "", True)] == [
        ci and (ci.kind, ci.branch, ci.tag, ci.is_pull_request) for ci in told
    ]
    build = "jenkins-b-main-7" if kind is CIKind.JENKINS else "7"
    assert [(build, "c0")] * 3 == [ci and (ci.build, ci.revision) for ci in told]


def test_jenkins_may_name_a_branch_by_its_remote() -> None:
    """A job that is of no multibranch project has the variable of the Git plugin alone."""
    ci = running_in(JENKINS | {"GIT_BRANCH": "origin/feature/x"})
    assert "feature/x" == (ci and ci.branch)


@pytest.mark.parametrize("variables", [DRONE, WOODPECKER, BUILDKITE, GITLAB | {"CI_DEFAULT_BRANCH": "trunk"}])
def test_cis_tell_the_default_branch(variables: dict[str, str]) -> None:
    """Those that have a variable for it."""
    ci = running_in(variables)
    assert "trunk" == (ci and ci.default_branch)


@pytest.mark.parametrize("variables", [DRONE, WOODPECKER])
def test_cis_tell_the_web_address(variables: dict[str, str]) -> None:
    """Of the others git knows it."""
    ci = running_in(variables)
    assert "https://x/a/b" == (ci and ci.source)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"repository": {"default_branch": "trunk"}}', "trunk"),
        ('{"repository": {"default_branch": 1}}', ""),
        ('{"repository": []}', ""),
        ("[" * 100_000, ""),
        ("", ""),
    ],
)
def test_github_tells_the_default_branch_in_its_event(tmp_path: Path, text: str, expected: str) -> None:
    """No variable has it; whatever the file holds, it is a name or nothing."""
    (tmp_path / "event.json").write_text(text)
    assert expected == github_default_branch({"GITHUB_EVENT_PATH": str(tmp_path / "event.json")})
    assert "" == github_default_branch({})

"""Steps in a CI: every build has images of its own, pull requests are built, and commits never mix."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.integration.docker_host import docker
from tests.integration.test_publishing import index_of

if TYPE_CHECKING:
    from tests.integration.conftest import Project

pytestmark = pytest.mark.usefixtures("prepared")
REVISION = "org.opencontainers.image.revision"
PLATFORM = ("--platform", "linux/arm64")


def build(number: int, commit: str, **variables: str) -> dict[str, str]:
    """Return the variables of a job of Travis."""
    return {
        "TRAVIS": "true",
        "CI": "true",
        "TRAVIS_BUILD_NUMBER": str(number),
        "TRAVIS_COMMIT": commit,
        "TRAVIS_BRANCH": "main",
        **variables,
    }


def test_a_build_publishes_its_own_commit(project: Project) -> None:
    """Its number is in the staging tag, its commit in the label of the image and the annotation of the index."""
    (pushed,) = project.ok("build-arch", *PLATFORM, **build(7, "c0"))
    (published,) = project.ok("manifest", *PLATFORM, **build(7, "c0"))
    assert f"{project.image}:latest-7-arm64" == pushed.partition("@")[0]
    assert {REVISION: "c0"} == index_of(f"{project.image}:latest")["annotations"]
    docker("pull", "--quiet", "--platform", "linux/arm64", published)
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", published))
    assert "c0" == labels[REVISION]


def test_builds_do_not_take_each_others_images(project: Project) -> None:
    """A build without images publishes nothing, although another has staged some."""
    project.ok("build-arch", *PLATFORM, **build(7, "c0"))
    result = project.run("manifest", *PLATFORM, **build(8, "c1"))
    assert (1, []) == (result.status, result.out)
    assert f"no image for linux/arm64 ({project.image}:latest-8-arm64)" in result.err


def test_another_commit_under_the_same_staging_tag_is_refused(project: Project) -> None:
    """Where staging tags are shared, the label of the commit decides."""
    shared = {"INVOKE_MULTIARCH_ARCH_TAG": "{tag}-{platform}"}
    project.ok("build-arch", *PLATFORM, **build(7, "c0"), **shared)
    result = project.run("manifest", *PLATFORM, **build(8, "c1"), **shared)
    assert (1, []) == (result.status, result.out)
    assert "gate 'the commit matches'" in result.err
    assert "was built from commit c0, and this is c1" in result.err


def test_a_pull_request_is_built_and_not_pushed(project: Project) -> None:
    """By the step alone and by the whole release; it succeeds, and there is no tag and no result."""
    request = build(7, "c0", TRAVIS_PULL_REQUEST="3", DOCKER_USERNAME="somebody")
    for words, said in {
        ("build-arch", *PLATFORM): "built; nothing is pushed",
        ("release",): "built; nothing is pushed",
    }.items():
        result = project.run(*words, **request)
        assert (0, []) == (result.status, result.out), result.err
        assert f"{said}: of a pull request" in result.err
    for tag in ("latest", "latest-7-arm64", "pull-request"):
        result = project.run("manifest", "--inspect", "--tag", tag)
        assert (1, f"{project.image}:{tag} is not published: there is no such tag") == (
            result.status,
            result.err.strip(),
        )


def test_a_pull_request_publishes_no_staged_images(project: Project) -> None:
    """Even of its own build: `manifest` says so, and leaves the tag alone."""
    project.ok("build-arch", *PLATFORM, **build(7, "c0"))
    result = project.run("manifest", *PLATFORM, **build(7, "c0", TRAVIS_PULL_REQUEST="3"))
    assert (0, [], "nothing is published: of a pull request") == (result.status, result.out, result.err.strip())
    assert 1 == project.run("manifest", "--inspect").status


def test_where_no_tag_applies_nothing_is_pushed(project: Project) -> None:
    """A build of a branch, whose tags are made of a version: it passes. Where it is not in a CI, that is an error."""
    tags = {"INVOKE_MULTIARCH_TAGS": "{semver}"}
    for words in (("build-arch", *PLATFORM), ("manifest", *PLATFORM)):
        result = project.run(*words, **build(7, "c0"), **tags)
        assert (0, []) == (result.status, result.out), result.err
        assert "none of {semver} applies to what is checked out (main, no tag)" in result.err
    here = project.run("build-arch", *PLATFORM, **tags)
    assert (1, []) == (here.status, here.out)
    assert "INVOKE_MULTIARCH_TAGS: none of {semver} applies to what is checked out" in here.err
    assert [] != project.ok("setup-binfmt", **tags)

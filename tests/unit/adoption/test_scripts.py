"""Travis and workflows with the commands of a script: after those of cron-connector and other public projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multiarch.adoption.builds import Text
from multiarch.adoption.shell import commands
from tests.unit.adoption.adopted import adopt

if TYPE_CHECKING:
    from tests.unit.project import Project

TRAVIS = """\
dist: xenial
language: minimal
before_install:
  - sudo docker run --privileged linuxkit/binfmt:v0.6
  - sudo docker run -d --privileged --name buildkit moby/buildkit:latest --addr tcp://0.0.0.0:1234 \
--oci-worker-platform linux/amd64 --oci-worker-platform linux/armhf
  - sudo docker cp buildkit:/usr/bin/buildctl /usr/bin/
script:
  - ./build.sh
after_success: |
  export DOCKER_CLI_EXPERIMENTAL=enabled
  docker manifest create someone/my-image:latest \\
              someone/my-image:latest-${PLATFORM_1} \\
              someone/my-image:latest-${PLATFORM_2}
  docker manifest annotate someone/my-image:latest someone/my-image:latest-${PLATFORM_1} --arch ${PLATFORM_1}
  docker manifest push someone/my-image:latest
"""
BUILD = """\
#!/bin/bash
PLATFORM=arm # equivalent to armhf
DOCKERFILE_LOCATION="./Dockerfile.armhf"
DOCKER_USER="someone"
DOCKER_IMAGE="some_server"

buildctl build --frontend dockerfile.v0 \\
        --frontend-opt platform=linux/${PLATFORM} \\
        --frontend-opt filename=./${DOCKERFILE_LOCATION} \\
        --exporter image \\
        --exporter-opt name=docker.io/${DOCKER_USER}/${IMAGE}:${TAG}-${PLATFORM} \\
        --exporter-opt push=true \\
        --local dockerfile=. \\
        --local context=.
"""


def test_the_commands_of_the_document(project: Project) -> None:
    """Also in the script that Travis calls; a variable that nothing sets (IMAGE, PLATFORM_1) makes no value."""
    told = adopt(project, {".travis.yml": TRAVIS, "build.sh": BUILD, "Dockerfile": "", "Dockerfile.armhf": ""})
    assert (
        """\
multiarch:
  image: docker.io/someone/my-image
  tags: [latest]
  platforms:
    - linux/amd64
    - platform: linux/arm/v7
      dockerfile: Dockerfile.armhf
"""
        == told.settings
    )
    assert [
        ".travis.yml:11 -> multiarch.image",
        ".travis.yml:11 -> multiarch.tags",
        ".travis.yml:5 -> multiarch.platforms",
    ] == told.sources
    assert [
        ".travis.yml:14: platforms: not sure: linux/${PLATFORM_1} is not sure, or none",
        ".travis.yml:5: platforms: not sure: it is not told from which Dockerfile linux/amd64 is built",
    ] == told.doubts
    assert 0 == project.run("--dry", "release").status


def test_a_script_that_is_called_for_each_platform(project: Project) -> None:
    """Its arguments and the variables before it are literal; a loop is not evaluated, and says so."""
    told = adopt(
        project,
        {
            ".travis.yml": "env:\n  global:\n    - REPO=someone/app\n    - secure: abc\n"
            "script:\n  - ARCH=amd64 scripts/build.sh Dockerfile\n"
            "  - ARCH=arm64 bash scripts/build.sh Dockerfile.arm64\n"
            "  - for a in s390x ppc64le; do ARCH=$a bash scripts/build.sh Dockerfile; done\n"
            "deploy:\n  provider: script\n  script: docker manifest create $REPO:1.0 $REPO:amd64 $REPO:arm64\n",
            "scripts/build.sh": "buildctl build --opt platform=linux/$ARCH --opt filename=$1 --opt build-arg:A=1"
            " --local context=. --local dockerfile=. --output type=image,name=$REPO:$ARCH,push=true\n",
            "Dockerfile": "",
            "Dockerfile.arm64": "",
        },
    )
    assert (
        """\
multiarch:
  image: docker.io/someone/app
  tags: ["1.0"]
  platforms:
    - linux/amd64
    - platform: linux/arm64
      dockerfile: Dockerfile.arm64
  build_args:
    A: "1"
"""
        == told.settings
    )
    assert 0 == project.run("--dry", "release").status
    assert ["scripts/build.sh:1: platforms: not sure: linux/$ARCH is not sure, or none"] == told.doubts


def test_a_matrix_of_travis_is_not_evaluated(project: Project) -> None:
    """Each of its jobs has another value."""
    told = adopt(
        project,
        {
            ".travis.yml": "env: [P=arm64, P=s390x]\nscript:\n"
            "  - buildctl build --opt platform=linux/$P --output type=image,name=someone/app:$P,push=true\n",
            "Dockerfile": "",
        },
    )
    assert "multiarch:\n  image: docker.io/someone/app\n" == told.settings
    assert [
        ".travis.yml:3: platforms: not sure: linux/$P is not sure, or none",
        "tags: not sure: nothing names a tag; the usual one is latest",
    ] == told.doubts


def test_several_images_of_one_script_are_not_mixed(project: Project) -> None:
    """Which commands are for which is not told."""
    told = adopt(
        project,
        {
            ".travis.yml": "script:\n  - docker manifest create someone/app:1 a b\n"
            "  - docker manifest create someone/worker:1 c d\n",
            "Dockerfile": "",
        },
    )
    assert "multiarch:\n" == told.settings
    assert ".travis.yml:2: image: not sure: several are made: someone/app:1, someone/worker:1" in told.doubts


def test_tags_behind_conditions_are_in_doubt(project: Project) -> None:
    """A nightly tag beside that of a release: both are not moved at once. The image is sure."""
    told = adopt(
        project,
        {
            ".travis.yml": "script: |\n  if [ $TRAVIS_EVENT_TYPE = cron ]; then\n"
            "    docker manifest create someone/app:nightly a b\n  else\n"
            "    docker manifest create someone/app:latest a b\n  fi\n",
            "Dockerfile": "",
        },
    )
    assert "multiarch:\n  image: docker.io/someone/app\n" == told.settings
    assert ".travis.yml:3: tags: not sure: which of them are moved depends on a condition" in told.doubts


def test_paths_in_another_directory_are_in_doubt(project: Project) -> None:
    """After a cd, the same path is another file."""
    told = adopt(
        project,
        {
            ".travis.yml": "script:\n  - cd app && buildctl build --opt platform=linux/arm64 --local context=.\n"
            "  - ./build.sh\n",
            "build.sh": "docker manifest create someone/other:1 a\n",
            "app/": "",
            "Dockerfile": "",
        },
    )
    assert "multiarch:\n  platforms: [linux/arm64]\n" == told.settings
    assert ".travis.yml:2: context: not sure: $PWD/. is not sure" in told.doubts


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("A=1; echo $A ${A}x '$A' \\$A", ["echo 1 1x \ue000A \ue000A"]),
        ("A=1\nA=2\necho $A", ["echo $A"]),
        ("if x; then\n  A=1\nfi\necho $A", ["x", "echo $A"]),
        ("for a in 1 2; do\n  echo $a\ndone", ["a in 1 2", "echo $a"]),
        ("A=$(date)\necho $A", ["echo $A"]),
        ("cat <<EOF\ndocker manifest create a b\nEOF\necho", ["cat <<EOF", "echo"]),
        ('echo "\ndocker manifest create a b\n"', ["echo \ndocker manifest create a b\n"]),
        ("a b \\\n  c # d\n# e\nsudo f && g || h | i", ["a b c", "f", "g", "h", "i"]),
        ("it's\nnever closed", []),
    ],
)
def test_words_are_those_of_a_shell(script: str, expected: list[str]) -> None:
    """As far as they are sure: what is set twice, in a block or by a command stays a variable."""
    assert expected == [" ".join(command.words) for command in commands([Text(script, 1)], {})]


def test_a_large_script_is_read_in_time() -> None:
    """Open quotes in each line would make each line the beginning of another search."""
    assert [] == list(commands([Text("a 'b\n" * 1001, 1)], {}))[1000:]

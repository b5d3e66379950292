"""Whole shapes of public projects: no value is wrong, what is missing is said, and a release of the rest can begin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.unit.adoption.adopted import Adopted, adopt

if TYPE_CHECKING:
    from tests.unit.project import Project

FILE = ".github/workflows/build.yml"
ONLY_THERE = "is known only while the workflow runs"
VARIANTS = """\
env:
  DOCKER_ORG: someone
jobs:
  build:
    strategy:
      matrix:
        node: [18, 20]
        suffix: ["", "-minimal"]
    steps:
      - uses: actions/checkout@v4
      - id: meta
        uses: docker/metadata-action@v5
        with:
          flavor: |
            latest=false
            suffix=-${{ matrix.node }}${{ matrix.suffix }}
          images: ${{ env.DOCKER_ORG }}/flow
          tags: type=semver,pattern={{version}}
      - uses: docker/build-push-action@v6
        with:
          context: .
          platforms: linux/amd64, linux/arm64, linux/arm/v7
          push: true
          file: ./docker/Dockerfile${{ matrix.suffix }}
          tags: ${{ steps.meta.outputs.tags }}
          build-args: |
            NODE_VERSION=${{ matrix.node }}
            FLOW_VERSION=v4.0.2
"""
BY_DIGEST = """\
env: {IMAGE: ghcr.io/someone/hole}
jobs:
  build:
    strategy:
      matrix: {platform: [linux/amd64, linux/riscv64]}
    steps:
      - uses: docker/build-push-action@v6
        with:
          context: ./src
          platforms: ${{ matrix.platform }}
          build-args: |
            SOURCE=remote
            "NOTES=one
            A=two"
          outputs: type=image,name=${{ env.IMAGE }},push-by-digest=true,name-canonical=true,push=true,compression=zstd
  merge:
    steps:
      - run: docker buildx imagetools create -t $TAG $(printf '${{ env.IMAGE }}@sha256:%s ' *)
"""
BUILDX_ALONE = """\
jobs:
  docker:
    steps:
      - run: |
          VERSION=$(cat VERSION)
          docker buildx build --platform linux/amd64,linux/arm64 -t someone/tool:$VERSION --push .
"""
BAKE: dict[str, Any] = {
    "group": {"default": {"targets": ["api", "web"]}, "nightly": {"targets": ["web"]}},
    "target": {
        "api": {
            "context": "./api",
            "tags": ["quay.io/someone/api:1.0", "quay.io/someone/api:latest"],
            "platforms": ["linux/amd64", "linux/arm64"],
            "args": {"GO": "1.23", "UNSET": None},
            "entitlements": ["network.host"],
            "output": ["type=image,push=true,compression=zstd"],
        },
        "web": {
            "context": "web",
            "dockerfile": "Dockerfile.prod",
            "dockerfile-inline": "FROM scratch",
            "tags": ["quay.io/someone/web:1.0"],
            "platforms": ["linux/amd64"],
            "output": ["type=image,push=false"],
        },
    },
}
BAKE_ACTION = """\
jobs:
  bake:
    steps:
      - uses: docker/bake-action@v6
        with:
          targets: nightly
          push: true
"""
COMPOSE = """\
services:
  front:
    image: registry.example.com/meal/front:${VERSION:-nightly}
    build:
      context: ./front
      args: {PORT: 8080, OCTAL: 0123, MASK: 0x10, AT: 12:30, DAY: 2024-01-01, WHEN: "${DAY:+now}", SURE: yes}
      platforms: [linux/amd64, linux/arm64/v8]
      secrets: [npm, {source: tok, target: token}]
  job:
    extends: {service: front}
secrets:
  npm: {file: ./npmrc}
  tok: {environment: TOKEN}
"""
TRAVIS = """\
env:
  global:
    - ORG=someone IMAGE="tool"
    - secure: "abc="
jobs:
  include:
    - env: ARCH=amd64
      script: &build ./ci/build.sh "$ARCH"
    - env: ARCH=arm
      script: *build
    - stage: publish
      if: tag IS present
      script:
        - docker manifest create "$ORG/$IMAGE:$TRAVIS_TAG" "$ORG/$IMAGE:latest-amd64" "$ORG/$IMAGE:latest-arm"
        - docker manifest push "$ORG/$IMAGE:$TRAVIS_TAG"
"""
SCRIPT = """\
#!/usr/bin/env bash
case $1 in
  arm) file=Dockerfile.armhf platform=linux/arm/v7 ;;
  *) file=Dockerfile platform=linux/$1 ;;
esac
docker run -d moby/buildkit --oci-worker-platform linux/amd64 --oci-worker-platform linux/armhf
buildctl build --frontend-opt platform=$platform --frontend-opt filename=./$file \\
  --exporter-opt name=docker.io/$ORG/$IMAGE:latest-$1 --local dockerfile=. --local context=.
"""


def released(project: Project, files: dict[str, str]) -> Adopted:
    """Adopt a project whose release can begin with what was found."""
    told = adopt(project, files)
    result = project.run("--dry", "release")
    assert 0 == result.status, result
    return told


def test_variants_of_a_matrix_of_jobs(project: Project) -> None:
    """What the matrix fills in is said; what all variants have in common is taken."""
    told = released(project, {FILE: VARIANTS, "docker/": "", "docker/Dockerfile-minimal": "FROM scratch\n"})
    assert (
        """\
multiarch:
  image: docker.io/someone/flow
  platforms: [linux/amd64, linux/arm64, linux/arm/v7]
  build_args:
    FLOW_VERSION: v4.0.2
"""
        == told.settings
    )
    assert [
        f"{FILE}:16: tags: not sure: flavor suffix has no placeholder of the same meaning",
        f"{FILE}:24: dockerfile: not sure: ./docker/Dockerfile${{{{ matrix.suffix }}}} {ONLY_THERE}",
        f"{FILE}:27: build_args.NODE_VERSION: not sure: its value {ONLY_THERE}",
    ] == told.doubts


def test_platforms_pushed_by_digest_and_joined(project: Project) -> None:
    """The output names the repository; a value in quotes goes on in the next line, which is no argument."""
    told = adopt(project, {FILE: BY_DIGEST, "src/": ""})
    assert (
        "multiarch:\n  image: ghcr.io/someone/hole\n  context: src\n  build_args:\n    SOURCE: remote\n"
        == told.settings
    )
    assert [
        f"{FILE}:15: output: not sure: compression of it is not taken",
        f"{FILE}:10: platforms: not sure: ${{{{ matrix.platform }}}} {ONLY_THERE}",
        f'{FILE}:13: build_args: not sure: "NOTES=one is in quotes; it is not taken, nor what follows',
        "tags: not sure: nothing names a tag; the usual one is latest",
        f"{FILE}:18: docker buildx imagetools is not read; write what it says",
    ] == told.doubts


def test_commands_of_buildx_are_named(project: Project) -> None:
    """They are not read, and the file is said."""
    told = adopt(project, {FILE: BUILDX_ALONE, "Dockerfile": ""})
    assert ("multiarch:\n", f"{FILE}:6: docker buildx build is not read; write what it says") == (
        told.settings,
        told.doubts[-1],
    )


def test_bake_that_a_workflow_releases_in_part(project: Project) -> None:
    """An inline Dockerfile, an output's attributes, and targets of the action are said, and none is a value."""
    bake = json.dumps(BAKE, indent=1)
    told = released(project, {"docker-bake.json": bake, FILE: BAKE_ACTION, "api/": "", "web/Dockerfile.prod": ""})
    assert (
        """\
multiarch:
  targets:
    api:
      image: quay.io/someone/api
      tags: ["1.0", latest]
      platforms: [linux/amd64, linux/arm64]
      context: api
      build_args:
        GO: "1.23"
    web:
      image: quay.io/someone/web
      tags: ["1.0"]
      platforms: [linux/amd64]
      context: web
"""
        == told.settings
    )
    assert [
        "targets.api.build_args.UNSET: not sure: its value is no text",
        "targets.api.output: not sure: compression of it is not taken",
        "targets.api.entitlements: not sure: it is the whole project's; write multiarch.entitlements",
        "targets.web.output: not sure: it goes to somewhere else than to a registry",
        "targets.web.dockerfile-inline: not sure: there is no setting that means the same",
        "it releases bake's nightly; here the group default is taken",
    ] == [doubt.partition(": ")[2] for doubt in told.doubts]


def test_compose_with_secrets_of_another_name(project: Project) -> None:
    """A secret is known to the Dockerfile as its target; numbers that YAML has in two ways are no text."""
    told = released(project, {"compose.yaml": COMPOSE, "front/": "", "npmrc": ""})
    assert (
        """\
multiarch:
  image: registry.example.com/meal/front
  tags: [nightly]
  platforms: [linux/amd64, linux/arm64]
  context: front
  build_args:
    PORT: "8080"
    AT: "12:30"
    WHEN: ""
    SURE: "yes"
  secrets:
    npm: file:./npmrc
    token: env:TOKEN
"""
        == told.settings
    )
    assert [
        *(f"compose.yaml:6: build_args.{name}: not sure: it is no text; quote it" for name in ("OCTAL", "MASK", "DAY")),
        "compose.yaml:10: service job extends another one, and is not taken",
    ] == told.doubts


def test_script_that_chooses_by_its_argument(project: Project) -> None:
    """The server's platforms are sure; from which Dockerfile each is built is not, and is said."""
    told = released(project, {".travis.yml": TRAVIS, "ci/build.sh": SCRIPT, "Dockerfile": "", "Dockerfile.armhf": ""})
    assert "multiarch:\n  image: docker.io/someone/tool\n  platforms: [linux/amd64, linux/arm/v7]\n" == told.settings
    assert [
        ".travis.yml:14: tags: not sure: someone/tool:$TRAVIS_TAG has variables that are not sure",
        "ci/build.sh:7: platforms: not sure: $platform is not sure, or none",
        "ci/build.sh:7: dockerfile: not sure: $file is not sure",
    ] == told.doubts

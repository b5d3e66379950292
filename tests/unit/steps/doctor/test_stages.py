"""Which images a Dockerfile needs for a platform, as BuildKit reads it."""

from __future__ import annotations

import pytest

from multiarch.image.platform import Platform
from multiarch.steps.doctor.instructions import Instruction, UnreadableError, read_dockerfile
from multiarch.steps.doctor.stages import Build, base_images

ARM64 = Build(Platform.parse("linux/arm64"), Platform.parse("linux/amd64"))


def needed(text: str, build: Build = ARM64) -> list[str]:
    """Return the images of Docker Hub with their architectures, in the order of their lines."""
    found = base_images(read_dockerfile(text), build)
    names = [str(image.reference).removeprefix("docker.io/library/") for image in found]
    return [f"{image.line} {name} {image.platform.architecture}" for image, name in zip(found, names, strict=True)]


def with_build(**options: object) -> Build:
    """Return a build for arm64 on amd64 with some options."""
    return Build(ARM64.platform, ARM64.build_platform, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM alpine:3", ["1 alpine:3 arm64"]),
        ("from alpine:3 as x\nFROM x", ["1 alpine:3 arm64"]),
        ("FROM scratch", []),
        ("ARG V=3\nFROM alpine:$V", ["2 alpine:3 arm64"]),
        ("ARG A=al B=${A}pine\nFROM ${B}:${V:-3}", ["2 alpine:3 arm64"]),
        ("ARG V\nFROM alpine${V:+:$V}", ["unreadable"]),
        ('ARG V="3"\nFROM "alpine:${V}"', ["2 alpine:3 arm64"]),
        ("FROM --platform=$BUILDPLATFORM golang:1", ["1 golang:1 amd64"]),
        ("FROM --platform=linux/s390x alpine", ["1 alpine s390x"]),
        ("FROM debian AS base-amd64\nFROM alpine AS base-arm64\nFROM base-$TARGETARCH", ["2 alpine arm64"]),
        ("FROM nowhere AS unused\nFROM alpine", ["2 alpine arm64"]),
        ("FROM golang AS b\nFROM alpine\nCOPY --from=b /a /a", ["1 golang arm64", "2 alpine arm64"]),
        ("FROM golang\nFROM alpine\nCOPY --link --from=0 /a /a", ["1 golang arm64", "2 alpine arm64"]),
        ("FROM alpine\nCOPY --from=busybox:1 /a /a", ["1 alpine arm64", "2 busybox:1 arm64"]),
        ("FROM golang AS b\nFROM alpine\nRUN --mount=from=b,target=/b ls", ["1 golang arm64", "2 alpine arm64"]),
        ("FROM alpine\nRUN <<EOF\nFROM nowhere\nEOF\n", ["1 alpine arm64"]),
        ("FROM alpine\nRUN <<-'A' cat <<B\nFROM x\n\tA\nFROM y\nB\nFROM busybox", ["7 busybox arm64"]),
        ("FROM alpine\nRUN echo \\\n# a comment\n\n  FROM nowhere", ["1 alpine arm64"]),
        ("# escape=`\nFROM `\n alpine\nRUN dir c:\\", ["2 alpine arm64"]),
        ("# syntax=docker/dockerfile:1\n# escape=`\nFROM `\nalpine", ["3 alpine arm64"]),
        ("\ufeff# a comment\r\nFROM alpine\r\n", ["2 alpine arm64"]),
        ("RUN x", ["unreadable"]),
        ("FROM alpine:${V#1}", ["unreadable"]),
        ("FROM alpine\nRUN <<EOF\n", ["unreadable"]),
        ("FROM alpine\nCOPY --from=$X /a /a", ["unreadable"]),
        ("FROM --platform=linux/nope alpine", ["unreadable"]),
        ("FROM Alpine", ["unreadable"]),
        ("FROM ${V:?}", ["unreadable"]),
    ],
)  # fmt: skip
def test_images_are_those_that_buildkit_resolves(text: str, expected: list[str]) -> None:
    """Stages that nothing needs are not built; what is not read here is said to be so, and never guessed."""
    try:
        found = needed(text)
    except UnreadableError:
        found = ["unreadable"]
    assert expected == found


def test_arguments_of_the_build_win_over_defaults() -> None:
    """Only where an ARG declares them, as for BuildKit."""
    text = "ARG V=3\nFROM alpine:$V$W"
    assert ["2 alpine:4 arm64"] == needed(text, with_build(build_args={"V": "4", "W": "5"}))


def test_a_named_context_takes_the_place_of_an_image_or_a_stage() -> None:
    """An image in its place is looked up, a directory or another target is none."""
    text = "FROM alpine:latest AS b\nFROM b\nCOPY --from=tools /a /a"
    contexts = {"alpine": "docker-image://busybox:1", "tools": ""}
    assert ["1 busybox:1 arm64"] == needed(text, with_build(contexts=contexts))


def test_a_stage_that_is_asked_for_is_the_end() -> None:
    """By its name, in any case, or its number; one that is not there cannot be read."""
    text = "FROM alpine AS First\nFROM busybox"
    assert [["1 alpine arm64"]] * 2 == [needed(text, with_build(stage=stage)) for stage in ("first", "0")]
    with pytest.raises(UnreadableError, match="it has no stage 'third'"):
        needed(text, with_build(stage="third"))


def test_stages_in_a_circle_end() -> None:
    """A stage cannot be built on a later one: that name is an image's."""
    assert ["1 b arm64"] == needed("FROM b AS a\nFROM a AS b")


def test_instructions_have_their_first_line() -> None:
    """With continuations joined, as BuildKit counts."""
    read = read_dockerfile("FROM a\n\nRUN b \\\n  c\nENV  D=1").instructions
    assert (Instruction("FROM", "a", 1), Instruction("RUN", "b   c", 3), Instruction("ENV", "D=1", 5)) == read

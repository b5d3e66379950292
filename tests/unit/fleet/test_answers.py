"""What a builder says of itself: native or emulated by its CPU, and nothing that it says breaks a run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from multiarch.fleet.answers import Health, read_version, read_workers
from multiarch.image.platform import Platform


def worker(*platforms: str) -> bytes:
    """Return the answer of a worker that lists these platforms."""
    fields = ("os", "architecture", "variant")
    listed = [dict(zip(fields, name.split("/"), strict=False)) for name in platforms]
    return json.dumps([{"id": "x", "labels": {}, "platforms": listed}]).encode()


def health(*platforms: str) -> Health:
    """Return the health of a worker that lists these platforms."""
    return Health(read_workers(worker(*platforms)), "v0.32.2", 0.1)


def test_native_is_told_by_the_cpu_and_not_by_the_list() -> None:
    """A worker lists its CPU first, and what it emulates too."""
    amd64 = health("linux/amd64", "linux/amd64/v2", "linux/386", "linux/arm64", "linux/arm/v7")
    assert ["linux/amd64", "linux/amd64/v2", "linux/386"] == list(map(str, amd64.native))
    names = ("amd64", "386", "arm64", "arm/v7", "s390x")
    assert [True, True, False, False, False] == [amd64.is_native(Platform.parse(f"linux/{name}")) for name in names]
    arm64 = health("linux/arm64", "linux/arm/v7", "linux/amd64")
    assert ["linux/arm64"] == list(map(str, arm64.native))
    assert [False, False, True, True, False] == [arm64.is_native(Platform.parse(f"linux/{name}")) for name in names]
    assert not health("linux/amd64").is_native(Platform.parse("windows/amd64"))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[{}]",
        b'[{"platforms": null}]',
        b'[{"platforms": []}]',
        b'[{"platforms": [{"os": 7}]}]',
        worker("linux/z80", "linux/amd64"),
        worker("linux/arm64/v99", "linux/amd64"),
        b"[" * 100_000,
        b'[{"platforms": [{"os": "linux", "architecture": "amd64"}], "x": "' + b"x" * (1 << 20) + b'"}]',
        b"\xff\xfe",
    ],
)
def test_answer_that_cannot_be_read_is_none(text: bytes) -> None:
    """In particular, a CPU that nobody knows is not taken for the next one of the list."""
    with pytest.raises(ValueError, match="cannot be read"):
        read_workers(text)


def test_platforms_that_nobody_knows_yet_are_passed_over() -> None:
    """Behind the CPU; and no more are read than a worker may have."""
    assert ["linux/amd64", "linux/386"] == list(map(str, read_workers(worker("linux/amd64", "linux/z80", "linux/386"))))
    assert 1 == len(read_workers(worker("linux/amd64", *["linux/z80"] * 300, "linux/386")))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"buildkitVersion": {"version": "v0.32.2"}}, "v0.32.2"),
        ({"buildkitVersion": {"version": "v0.33.0-rc1+unknown"}}, "v0.33.0-rc1+unknown"),
        ({"buildkitVersion": {"version": "\x1b[2J"}}, "unknown"),
        ({"buildkitVersion": {"version": "v" + "1" * 100}}, "unknown"),
        ({"buildkitVersion": 3}, "unknown"),
        ([], "unknown"),
    ],
)
def test_version_is_one_or_unknown(answer: Any, expected: str) -> None:
    """It is shown in a table."""
    assert expected == read_version(json.dumps(answer).encode())

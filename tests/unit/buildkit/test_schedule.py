"""Which platforms are built together, and how many at the same time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from multiarch.buildkit.schedule import Slots, default_jobs, groups, is_emulated, weight
from multiarch.config.load import load
from multiarch.docker_info import HostInfo


def grouped(*platforms: Any, slots: int = 100, machine: str = "x86_64", apart: bool = False) -> list[str]:
    """Return the groups of a matrix, each as the architectures in it."""
    settings = load({"image": "a/b", "platforms": list(platforms)}, {}, {})
    found = groups(settings.matrix, slots, machine, apart=apart)
    return [" ".join(target.platform.architecture for target in group) for group in found]


def test_platforms_that_differ_in_nothing_else_go_together() -> None:
    """In the order of the matrix, and each with those like it, wherever they stand."""
    assert ["amd64 arm64 s390x"] == grouped("amd64", "arm64", "s390x")
    arm = {"platform": "arm", "dockerfile": "Dockerfile.armhf"}
    assert ["amd64 arm64", "arm"] == grouped("amd64", arm, "arm64")
    assert ["amd64", "arm64", "s390x"] == grouped("amd64", "arm64", "s390x", apart=True)


@pytest.mark.parametrize(
    "own",
    [
        {"dockerfile": "D"},
        {"target": "t"},
        {"build_args": {"A": "1"}},
        {"builder": "ssh://arm-box"},
    ],
)
def test_a_difference_sets_apart(own: dict[str, Any]) -> None:
    """What a solve has only one of must be the same for all of it."""
    assert ["amd64 s390x", "arm64"] == grouped("amd64", {"platform": "arm64", **own}, "s390x")


def test_a_group_is_no_larger_than_the_slots() -> None:
    """An emulated platform takes two; one that is larger than all slots goes by itself."""
    four = ("amd64", "arm64", "s390x", "ppc64le")
    assert ["amd64 arm64", "s390x", "ppc64le"] == grouped(*four, slots=3)
    assert ["amd64 arm64", "s390x ppc64le"] == grouped(*four, slots=4)
    assert ["amd64", "arm64", "s390x", "ppc64le"] == grouped(*four, slots=1)
    assert ["amd64 arm64", "s390x ppc64le"] == grouped(*four, slots=4, machine="riscv64")


def test_what_is_emulated() -> None:
    """What the machine does not run itself, unless a builder of its own builds it."""
    matrix = load(
        {"image": "a/b", "platforms": ["amd64", "386", "arm64", {"platform": "s390x", "builder": "ssh://z"}]}, {}, {}
    ).matrix
    assert [False, False, True, False] == [is_emulated(target, "x86_64") for target in matrix]
    assert [True, True, False, False] == [is_emulated(target, "aarch64") for target in matrix]
    assert 5 == weight(matrix, "x86_64")


@pytest.mark.parametrize(
    ("cores", "gibibytes", "expected"), [(2, 24, 8), (1, 1, 4), (8, 64, 32), (8, 4, 8), (64, 8, 16), (2, 0, 8)]
)
def test_slots_follow_cores_and_memory(cores: int, gibibytes: int, expected: int) -> None:
    """Four for each core, as far as the memory goes, and never fewer than four."""
    assert expected == default_jobs(HostInfo("x86_64", cpus=cores, memory=gibibytes << 30))


def test_no_more_than_the_slots_at_once() -> None:
    """Work waits for room; what is larger than all of it runs alone."""
    slots = Slots(3)
    running: dict[int, int] = {}
    most = 0
    lock = threading.Lock()

    def work(number: int, size: int) -> None:
        nonlocal most
        with slots.take(size):
            with lock:
                running[number] = size
                most = max(most, sum(running.values()))
                assert sum(running.values()) <= 3 or len(running) == 1
            time.sleep(0.005)
            with lock:
                del running[number]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(12), [1, 2, 5, 1, 1, 3, 2, 1, 5, 2, 1, 1]))
    assert 5 == most

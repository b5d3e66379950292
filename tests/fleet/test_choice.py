"""Which builder builds what: by slots, by what its CPU runs, and once for each context."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from tests.emulators import kept
from tests.fleet.parts import Forwarder, commands_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fleet.parts import Builder, Project

    Start = Callable[..., Builder]

ENTRYPOINT = 'FROM busybox:stable\nENTRYPOINT ["sh", "-c"]\n'


def solves_of(project: Project) -> list[tuple[str, tuple[str, ...]]]:
    """Return the builder and the platforms of each solve of the report."""
    data = json.loads((project.path / "report.json").read_text())
    return [(solve["builder"], tuple(solve["platforms"])) for solve in data["solves"]]


def spans_of(project: Project) -> dict[str, tuple[float, float]]:
    """Return when the RUN of each platform began and ended."""
    data = json.loads((project.path / "report.json").read_text())
    steps = [step for solve in data["solves"] for step in solve["steps"] if step["instruction"].startswith("RUN")]
    return {step["target"]: (step["started"], step["completed"]) for step in steps}


def test_slots_of_a_builder_hold(project: Project, local: Start) -> None:
    """Two platforms that one builder alone has, with one slot: one after the other; another builder works beside it."""
    one, two = local("one"), local("two")
    project.write(
        "FROM busybox:stable\nRUN sleep 1 && true\n",
        "  platforms:\n    - {platform: linux/amd64, builder: one, build_args: {A: a}}\n"
        "    - {platform: linux/386, builder: one}\n    - {platform: linux/amd64/v2, builder: two}\n"
        f"  builders:\n    one: {{address: '{one.address}', jobs: 1}}\n"
        f"    two: {{address: '{two.address}', jobs: 1}}\n",
    )
    result = project.run("release", "--report", "report.json")
    assert 0 == result.status, result.err
    expected = [("one", ("linux/386",)), ("one", ("linux/amd64",)), ("two", ("linux/amd64/v2",))]
    assert expected == sorted(solves_of(project))
    spans = spans_of(project)
    first, second = sorted(spans[name] for name in ("linux/amd64", "linux/386"))
    beside = spans["linux/amd64/v2"]
    assert (True, True) == (first[1] <= second[0], beside[0] < first[1])


def test_builders_that_are_alike_share_the_work(project: Project, local: Start) -> None:
    """The one with the fewest slots taken relative to its jobs: the platforms go to both, in one solve on each."""
    one, two = local("one"), local("two")
    project.write(
        "FROM busybox:stable\nRUN true\n",
        "  platforms: [linux/amd64, linux/386, linux/amd64/v2]\n"
        f"  builders:\n    one: {{address: '{one.address}', jobs: 4}}\n"
        f"    two: {{address: '{two.address}', jobs: 2}}\n",
    )
    result = project.run("release", "--report", "report.json")
    assert 0 == result.status, result.err
    assert [("one", ("linux/amd64", "linux/amd64/v2")), ("two", ("linux/386",))] == sorted(solves_of(project))


def test_context_travels_once_for_each_builder(project: Project, secured: Start, client: Path) -> None:
    """Counted in bytes between buildctl and two builders, for four platforms; it does not compress."""
    size = 8 << 20
    (project.path / "large").write_bytes(os.urandom(size))
    machines = [secured("one"), secured("two")]
    forwarders = [Forwarder(("127.0.0.1", int(m.address.rpartition(":")[2]))) for m in machines]
    settings = "".join(
        f"    {name}: {{address: 'tcp://{forwarder.address}', tls: {client}}}\n"
        for name, forwarder in zip(("one", "two"), forwarders, strict=True)
    )
    project.write(
        "FROM busybox:stable\nCOPY large /\n",
        f"  platforms: [linux/amd64, linux/386, linux/amd64/v2, linux/amd64/v3]\n  builders:\n{settings}",
    )
    result = project.run("release", "--report", "report.json")
    assert 0 == result.status, result.err
    assert {"one": 2, "two": 2} == {name: len(platforms) for name, platforms in solves_of(project)}
    for forwarder in forwarders:
        forwarder.end()
    for forwarder in forwarders:
        assert (True, True) == (len(forwarder.text) > size, len(forwarder.text) < 1.5 * size)


def test_what_a_worker_only_emulates_is_shown_as_emulated(project: Project, local: Start) -> None:
    """Its worker lists it, by an emulator of this kernel; with emulate: false nothing is built."""
    with kept("linux/arm64"):
        one = local("one")
        assert "linux/arm64" in project_listing(project, one)
        check_emulated(project, one)


def check_emulated(project: Project, one: Builder) -> None:
    """Check what is said of a platform that a builder emulates."""
    settings = (
        f"  platforms: [linux/arm64]\n  builders:\n    z: {{address: '{one.address}', platforms: [linux/arm64]}}\n"
    )
    project.write("FROM scratch\nCOPY Dockerfile /\n", settings)
    state = project.run("fleet")
    assert (0, True) == (state.status, re.fullmatch(r"z +linux/arm64 +emulated +v[\d.]+ .*", state.out[1]) is not None)
    result = project.run("release")
    assert (0, True) == (result.status, "emulated on z" in result.err), result.err
    project.write("FROM scratch\nCOPY Dockerfile /\n", settings + "  emulate: false\n")
    refused = project.run("release")
    problem = "z would only emulate linux/arm64, and nothing is to be emulated; nothing was built"
    assert (1, [f"multiarch.emulate: {problem}"]) == (refused.status, refused.err.splitlines())


def project_listing(project: Project, builder: Builder) -> str:
    """Return what a builder lists."""
    import subprocess

    from tests.fleet.parts import BUILDCTL

    words = [str(BUILDCTL), "--addr", builder.address, "debug", "workers"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_platform_that_a_builder_does_not_list_is_told(project: Project, local: Start) -> None:
    """A wrong claim is an error of the settings, and not of the build that would follow."""
    one = local("one")
    project.write(
        "FROM scratch\n",
        "  platforms: [linux/mips64le]\n  builders:\n"
        f"    arm-1: {{address: '{one.address}', platforms: [linux/mips64le]}}\n",
    )
    result = project.run("release")
    (line,) = result.err.splitlines()
    assert line.startswith("builder arm-1 cannot run linux/mips64le (it lists linux/amd64, ")
    assert line.endswith("; correct multiarch.builders.arm-1.platforms")


def test_builder_that_is_an_address_may_build_what_it_does_not_list(project: Project, local: Start) -> None:
    """As it always could: without a RUN, no program of the platform runs."""
    one = local("one")
    platform = f"{{platform: linux/mips64le, builder: '{one.address}'}}"
    project.write("FROM scratch\nCOPY Dockerfile /\n", f"  platforms: [{platform}]\n")
    result = project.run("release")
    assert (0, True) == (result.status, f"emulated on {one.address}" in result.err), result.err


def test_image_is_tried_where_it_was_built(project: Project, local: Start) -> None:
    """By its digest, with its ENTRYPOINT, without a network; a command that fails or does not end keeps the tag."""
    one = local("one")
    base = f"  platforms: [linux/amd64]\n  builders:\n    one: {{address: '{one.address}'}}\n"
    project.write(ENTRYPOINT, base + "  smoke: ['test $(ls /sys/class/net) = lo']\n")
    result = project.run("release")
    assert (0, True) == (result.status, "running 'test $(ls /sys/class/net) = lo' on one" in result.err), result.err
    for command, problem in (("exit 7", "exit status 7"), ("sleep 60", "no end after 1 s")):
        project.write(ENTRYPOINT, base + f"  smoke: ['{command}']\n  smoke_seconds: 1\n")
        failed = project.run("release", "--tag", "other")
        expected = f"not published, gate 'it runs': linux/amd64: '{command}': {problem}"
        assert (1, [], expected) == (failed.status, failed.out, failed.err.splitlines()[-1])
    wait_until(lambda: not commands_of("sleep 60"), "the end of the command", 10)

"""Builders on another machine: a network that is cut without a word, and addresses where nobody answers."""

from __future__ import annotations

import io
import re
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from multiarch.config.project import load_project
from multiarch.display.progress import Progress
from multiarch.fleet.heartbeat import Limits
from multiarch.run import Run
from multiarch.steps.release import step as release
from tests.fleet.network import another_network
from tests.fleet.parts import BUILDCTL, Builder, Forwarder, Project, Registry, commands_of, processes_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fleet.certificates import Authority
    from tests.fleet.network import Network

QUICK = Limits(every=0.5, patience=2)  # seconds; a machine that is busy takes one for an answer


@pytest.fixture
def network() -> Iterator[Network]:
    """Another machine's network."""
    with another_network() as network:
        yield network


@pytest.fixture
def reachable(tmp_path: Path, network: Network) -> Iterator[Registry]:
    """A registry of this machine that the other one reaches."""
    registry = Registry(tmp_path / "reachable", network.here).start()
    yield registry
    registry.daemon.end()


@pytest.fixture
def builders(
    tmp_path: Path, network: Network, reachable: Registry, authority: Authority
) -> Iterator[tuple[Builder, Builder]]:
    """A builder on the other machine, over mTLS, and one here."""
    mirror = Forwarder(("127.0.0.1", 5055), network.here)
    with ExitStack() as stack:
        stack.callback(mirror.end)
        certificates = authority.make(tmp_path / "far-server", (network.there,))
        far = Builder(
            tmp_path / "far",
            f"tcp://{network.there}:1234",
            certificates,
            mirror.address,
            network.inside,
            (reachable.host,),
        )
        near = Builder(tmp_path / "near", f"unix://{tmp_path}/near.sock", plain_registries=(reachable.host,))
        for builder in (far, near):
            builder.start()
            stack.callback(builder.end)
        yield far, near


@dataclass(frozen=True)
class Release:
    """A release that was run. :ivar text: what was shown. :ivar seconds: from the cut to going on elsewhere."""

    run: Run
    tag: str
    text: str
    seconds: float

    @property
    def builders(self) -> list[str]:
        """The builders of its solves, in order."""
        return [solve.builder.name for solve in self.run.solves if solve.builder]


class Shown(io.StringIO):
    """What a run shows. :ivar went_on: when it said that it goes on elsewhere; 0 before."""

    went_on = 0.0

    def write(self, text: str) -> int:
        """Take note of the time."""
        if "going on on" in text:
            self.went_on = time.monotonic()
        return super().write(text)


@pytest.fixture
def released(
    project: Project,
    network: Network,
    reachable: Registry,
    builders: tuple[Builder, Builder],
    client: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Release]:
    """Release an image whose RUN sleeps, with a preferred builder on the other machine; maybe cut it off meanwhile."""
    far, near = builders
    settings = {
        "image": f"{reachable.host}/app",
        "insecure_registries": [reachable.host],
        "dest": str(BUILDCTL.parent),
        "attestations": [],
        "platforms": ["linux/amd64"],
        "builders": {"far": {"address": far.address, "tls": str(client)}, "near": {"address": near.address}},
    }
    monkeypatch.chdir(project.path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    def release_of(seconds: int, limits: Limits | None, *, cuts: bool) -> Release:
        project.write(f"FROM busybox:stable\nRUN sleep {seconds} && true\n", "")
        shown, moments = Shown(), []
        run = Run(load_project(settings, {}, {}), Progress(shown), limits=limits)

        def cut() -> None:
            wait_until(lambda: bool(commands_of(f"sleep {seconds} &&")), "the RUN")
            moments.append(time.monotonic())
            network.cut()

        thread = threading.Thread(target=cut if cuts else lambda: None)
        thread.start()
        (tag,) = release.run(run)
        thread.join()
        return Release(run, str(tag), shown.getvalue(), shown.went_on - moments[0] if moments else 0.0)

    return release_of


@pytest.mark.parametrize("limits", [QUICK, None], ids=["quick", "real"])
def test_release_goes_on_elsewhere_after_a_cut_of_the_network(
    released: Callable[..., Release],
    network: Network,
    reachable: Registry,
    builders: tuple[Builder, Builder],
    limits: Limits | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing says that a packet was dropped: the heartbeat notices, ends buildctl, and the platform goes on.

    Once at its real times, which promise that it does so within a minute.
    """
    far, _ = builders
    done = released(5, limits, cuts=True)
    assert done.tag.startswith(f"{reachable.host}/app:latest@sha256:")
    assert ["far", "near"] == done.builders
    assert f"builder far ({far.address}) was lost: it does not answer any more; going on on near" in done.text
    assert "natively on near; far was lost" in done.text
    assert [] == processes_of(network.there)
    # The promise itself: one pause of 15 s and two answers of 10 s are 35 s.
    assert 0 < done.seconds < 60
    with capsys.disabled():
        print(f"\nfleet: went on elsewhere {done.seconds:.1f} s after the network was cut")


def test_heartbeat_leaves_a_slow_build_alone(released: Callable[..., Release]) -> None:
    """A RUN that says nothing for long is no loss."""
    assert ["far"] == released(4, QUICK, cuts=False).builders


def test_fleet_tells_of_each_builder(
    project: Project, network: Network, secured: Callable[..., Builder], local: Callable[[str], Builder], client: Path
) -> None:
    """Five, two of them dead: one refuses at once, one's machine drops all packets. All are asked at the same time."""
    one, two, three = local("one"), secured("two"), local("three")
    three.end()
    network.cut()
    four = secured("four", days=30)
    project.write(
        "FROM scratch\n",
        "  platforms: [linux/amd64, linux/s390x]\n  builders:\n"
        f"    one: {{address: '{one.address}', platforms: [linux/amd64, linux/386]}}\n"
        f"    two: {{address: '{two.address}', tls: {client}, platforms: [linux/amd64]}}\n"
        f"    three: {{address: '{three.address}', platforms: [linux/386]}}\n"
        f"    four: {{address: '{four.address}', tls: {client}, platforms: [linux/386]}}\n"
        f"    five: {{address: 'tcp://{network.there}:1234', tls: {client}, platforms: [linux/s390x]}}\n",
    )
    state = project.run("fleet", seconds=12)
    lines = [re.sub(" {2,}", "  ", re.sub(r"\d\.\d+s", "TIME", line)) for line in state.out]
    assert [
        "BUILDER  PLATFORMS  BUILT  BUILDKIT  ANSWERED  CERTIFICATE",
        "one  linux/amd64,linux/386  natively  v0.32.2  TIME  -",
        "two  linux/amd64  natively  v0.32.2  TIME  89 days",
        "three  linux/386  does not answer  -  -  -",
        "four  linux/386  natively  v0.32.2  TIME  30 days",
        "five  linux/s390x  does not answer  -  -  89 days",
    ] == lines
    assert (1, "linux/s390x: no builder has it, or the one that has it cannot be used") == (
        state.status,
        state.err.splitlines()[-1],
    )
    project.write(
        "FROM scratch\n",
        f"  platforms: [linux/amd64]\n  builders:\n    one: {{address: '{one.address}'}}\n",
    )
    assert 0 == project.run("fleet").status


def test_plain_text_to_another_machine_is_refused(project: Project, network: Network) -> None:
    """Before anything is sent there."""
    address = f"tcp://{network.there}:1234"
    project.write("FROM scratch\n", f"  platforms: [linux/amd64]\n  builders:\n    arm-1: {{address: '{address}'}}\n")
    result = project.run("release")
    problem = "secrets and credentials would cross the network in the clear; add tls: DIR (fleet-certs makes one), "
    line = f"multiarch.builders.arm-1: {address} without tls: {problem}use ssh://, or write tls: none"
    assert (1, [line]) == (result.status, result.err.splitlines())


def test_loopback_is_out_of_reach_of_another_machine(project: Project, network: Network) -> None:
    """An image there would be pushed to the registry of that machine, if it has one."""
    project.write(
        "FROM scratch\n",
        f"  platforms: [linux/amd64]\n  builders:\n    arm-1: {{address: 'tcp://{network.there}:1', tls: none, "
        "platforms: [linux/amd64]}\n",
    )
    result = project.run("release")
    reason = "is on this machine's loopback, which builder arm-1 cannot reach; name another registry"
    assert (1, [f"{project.image} {reason}"]) == (result.status, result.err.splitlines())

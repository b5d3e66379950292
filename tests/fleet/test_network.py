"""Builders on another machine: a network that is cut without a word, and addresses where nobody answers."""

from __future__ import annotations

import io
import re
from contextlib import ExitStack
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

QUICK = Limits(answer=3, every=0.5, patience=1)


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


def settings(registry: Registry, far: Builder, near: Builder, client: Path) -> dict[str, object]:
    """Return settings in which the builder on the other machine is the preferred one."""
    return {
        "image": f"{registry.host}/app",
        "insecure_registries": [registry.host],
        "dest": str(BUILDCTL.parent),
        "attestations": [],
        "platforms": ["linux/amd64"],
        "builders": {"far": {"address": far.address, "tls": str(client)}, "near": {"address": near.address}},
    }


def test_release_goes_on_elsewhere_after_a_cut_of_the_network(
    project: Project,
    network: Network,
    reachable: Registry,
    builders: tuple[Builder, Builder],
    client: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing says that a packet was dropped: the heartbeat notices, ends buildctl, and the platform goes on."""
    far, near = builders
    project.write("FROM busybox:stable\nRUN sleep 5 && true\n", "")
    monkeypatch.chdir(project.path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    text = io.StringIO()
    run = Run(load_project(settings(reachable, far, near, client), {}, {}), Progress(text), limits=QUICK)

    def cut() -> None:
        wait_until(lambda: bool(commands_of("sleep 5 &&")), "the RUN")
        network.cut()

    import threading

    thread = threading.Thread(target=cut)
    thread.start()
    (tag,) = release.run(run)
    thread.join()
    assert str(tag).startswith(f"{reachable.host}/app:latest@sha256:")
    assert ["far", "near"] == [solve.builder.name for solve in run.solves if solve.builder]
    assert f"builder far ({far.address}) was lost: it does not answer any more; going on on near" in text.getvalue()
    assert "natively on near; far was lost" in text.getvalue()
    assert [] == processes_of(network.there)


def test_heartbeat_leaves_a_slow_build_alone(
    project: Project,
    reachable: Registry,
    builders: tuple[Builder, Builder],
    client: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A RUN that says nothing for long is no loss."""
    far, near = builders
    project.write("FROM busybox:stable\nRUN sleep 4 && true\n", "")
    monkeypatch.chdir(project.path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    run = Run(load_project(settings(reachable, far, near, client), {}, {}), Progress(io.StringIO()), limits=QUICK)
    release.run(run)
    assert ["far"] == [solve.builder.name for solve in run.solves if solve.builder]


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

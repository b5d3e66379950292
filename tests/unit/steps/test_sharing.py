"""One Docker host for several runs: which server each gets, and that nobody's build is cut for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.buildkit import use
from multiarch.buildkit.server import Server, wanted
from multiarch.config.load import load
from multiarch.docker_host import DockerHost
from multiarch.docker_info import read_info
from multiarch.errors import ForeignContainerError, MultiarchError, StoppedError
from multiarch.retry import Policy
from multiarch.steps import start_buildkit
from tests.unit.shared_host import SharedHost

if TYPE_CHECKING:
    from pathlib import Path

    from docker.models.containers import Container

    from tests.unit.registry_server import RegistryServer

BUSY = (0, "TYPE\tREF\nSTARTED\tx\t2026-01-01T00:00:00Z\n")
IDLE = (0, "TYPE\tREF\nCOMPLETE\tx\n")
OTHER = {"insecure_registries": ["registry.lan"]}


class Steps:
    """As much of a run as the step asks for."""

    def __init__(self, block: dict[str, Any]) -> None:
        self.said: list[str] = []
        self.held: list[str] = []
        self.host = DockerHost(Policy(attempts=1), self.said.append)
        self.settings = load(settings_of(block), {}, {})

    def hold(self, server: Container) -> None:
        """Take note of the server that the run holds."""
        self.held.append(str(server.name))


def settings_of(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block of settings with what each needs; through Docker, as there is no real socket."""
    return {"platforms": ["arm64"], "image": "someone/app", **block}


def server_of(block: dict[str, Any]) -> Server:
    """Return the server that a block of settings needs."""
    return wanted(load(settings_of(block), {}, {}), read_info({"Architecture": "aarch64"}), local=False)


@pytest.fixture
def shared(server: RegistryServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SharedHost:
    """The Docker host that DOCKER_HOST names; nothing is on it."""
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{server.host}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return SharedHost(server)


def start(block: dict[str, Any]) -> tuple[str, str]:
    """Start a server; return its address, and what was said."""
    steps = Steps(block)
    try:
        (address,) = start_buildkit.run(steps)  # type: ignore[arg-type]
    finally:
        steps.host.client.close()
    assert [address.removeprefix("docker-container://")] == steps.held
    return address, "\n".join(steps.said)


def test_a_server_is_configured_before_it_has_its_name(shared: SharedHost) -> None:
    """Whoever finds it by its name may start it."""
    assert "docker-container://buildkit" == start(OTHER)[0]
    changes = [line.partition("/containers/")[2] for line in shared.asked if not line.startswith("GET")]
    assert ["create", "id1/archive", "id1/rename", "id1/start"] == changes[:4]
    assert (1, True) == (len(shared.containers), b"registry.lan" in shared.containers["id1"].archives[0])


def test_the_server_of_a_faster_run_is_used(shared: SharedHost) -> None:
    """Its name is taken between the look and the rename: the own container goes, and the other one serves."""

    def before(line: str) -> None:
        if line.endswith("/rename") and not shared.named("buildkit"):
            shared.hold("buildkit", server_of({}).labels("sha256:1"), "created")

    shared.before = before
    assert "docker-container://buildkit" == start({})[0]
    assert [("buildkit", "running")] == [(each.name, each.status) for each in shared.containers.values()]


@pytest.mark.parametrize("moment", ["/exec", "/start", "/json"])
def test_a_server_that_vanishes_is_started_again(shared: SharedHost, moment: str) -> None:
    """Another run removes it while this one waits for it."""
    shared.hold("buildkit", server_of({}).labels("sha256:1"), "exited")

    def before(line: str) -> None:
        if line.endswith(moment) and "id1" in line:
            shared.containers.pop("id1", None)

    shared.before = before
    assert "docker-container://buildkit" == start({})[0]
    assert ["id2"] == list(shared.containers)


@pytest.mark.parametrize("use_of_it", ["build", "run", "unseen"])
def test_beside_a_server_in_use_another_is_started(
    shared: SharedHost, use_of_it: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build in progress, a run between its builds, and a server that does not answer are left alone."""
    held = shared.hold("buildkit", server_of({}).labels("sha256:1"))
    if use_of_it == "run":
        held.processes["e7"] = ["dial-stdio"]
    else:
        shared.histories = BUSY if use_of_it == "build" else (1, "no such command")
        monkeypatch.setattr(use, "_STARTING_SECONDS", 0.1 if use_of_it == "unseen" else 60.0)
    address, said = start(OTHER)
    name = server_of(OTHER).apart().name
    assert f"docker-container://{name}" == address
    assert f"buildkit: it is in use, and its configuration differs; starting {name} beside it" in said
    assert ("buildkit", "running") == (shared.containers["id1"].name, shared.containers["id1"].status)
    assert [f"{name}-state:/var/lib/buildkit"] == shared.containers["id2"].body["HostConfig"]["Binds"]
    # The next run of the same project finds it.
    assert (address, 2) == (start(OTHER)[0], len(shared.containers))


@pytest.mark.parametrize("processes", [{}, {"e7": ["debug", "workers"]}, {"e8": ["unshare"]}])
def test_a_server_that_nobody_uses_is_joined(shared: SharedHost, processes: dict[str, list[str]]) -> None:
    """It has what both want afterwards; commands that ask it something do not keep it from that."""
    shared.hold("buildkit", server_of({"insecure_registries": ["first.lan"]}).labels("sha256:1")).processes = processes
    address, said = start(OTHER)
    assert ("docker-container://buildkit", ["id2"]) == (address, list(shared.containers))
    assert "buildkit: recreating the container, its configuration differs; its cache is kept" in said
    toml = shared.containers["id2"].archives[0]
    assert [True, True] == [name in toml for name in (b"first.lan", b"registry.lan")]


def test_a_run_that_has_ended_holds_nothing(shared: SharedHost) -> None:
    """Podman still lists its process."""
    held = shared.hold("buildkit", server_of({}).labels("sha256:1"))
    held.processes["e7"], held.ended = ["dial-stdio"], {"e7"}
    assert ("docker-container://buildkit", ["id2"]) == (start(OTHER)[0], list(shared.containers))


def test_a_stopped_server_is_nobodys(shared: SharedHost) -> None:
    """It is not asked whether it builds."""
    shared.hold("buildkit", server_of({}).labels("sha256:1"), "exited")
    shared.histories = BUSY
    assert ("docker-container://buildkit", ["id2"]) == (start(OTHER)[0], list(shared.containers))


def test_recreate_waits_for_builds(shared: SharedHost) -> None:
    """However long they take: it was asked for, and cuts nobody."""
    shared.hold("buildkit", server_of({}).labels("sha256:1"))
    shared.histories = BUSY
    looks = 0

    def before(line: str) -> None:
        nonlocal looks
        looks += line.endswith("/exec")
        if looks > 5:
            shared.histories = IDLE
        assert looks > 5 or not line.startswith("DELETE")

    shared.before = before
    _, said = start({"recreate": True})
    assert "buildkit: it is in use; waiting until its builds have ended" in said
    assert ["id2"] == list(shared.containers)


def test_recreate_ends_a_server_that_does_not_answer(shared: SharedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a time that is said: it may hang."""
    monkeypatch.setattr(use, "_STARTING_SECONDS", 0.1)
    monkeypatch.setattr(use, "_UNSEEN_SECONDS", 0.3)
    shared.hold("buildkit", server_of({}).labels("sha256:1"))
    shared.histories = (1, "error: failed to list: Unavailable")
    _, said = start({"recreate": True})
    assert "buildkit: it does not say what it builds; waiting for 0 s" in said
    assert ["id2"] == list(shared.containers)


def test_server_without_a_socket_is_not_waited_for(shared: SharedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory was removed with a home that is gone: nobody reaches it, and only a run that holds it uses it."""
    monkeypatch.setattr(use, "_STARTING_SECONDS", 0.1)
    shared.hold("buildkit", server_of({}).labels("sha256:1"))
    shared.histories = (1, "dial unix /run/buildkit/buildkitd.sock: connect: no such file or directory")
    _, said = start({"recreate": True})
    assert [] == [line for line in said if "waiting" in line]
    assert ["id2"] == list(shared.containers)


def test_slow_server_with_builds_is_not_restarted(shared: SharedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that lists its builds is only busy: they are waited for, and then it answers again."""
    monkeypatch.setattr(start_buildkit, "_ANSWER_SECONDS", 0.0)
    shared.hold("buildkit", server_of({}).labels("sha256:1"))
    shared.histories, shared.workers = BUSY, (1, "deadline exceeded")
    looks = 0

    def before(line: str) -> None:
        nonlocal looks
        looks += line.endswith("/exec")
        if looks > 5:
            shared.histories, shared.workers = IDLE, (0, "")

    shared.before = before
    _, said = start({})
    assert "buildkit: it is in use; waiting until its builds have ended" in said
    assert [] == [line for line in shared.asked if re.search("/containers/buildkit/(re)?(start|stop)", line)]


def test_a_wait_ends_with_the_run(shared: SharedHost) -> None:
    """An interrupt is not put off until somebody else's build has ended."""
    shared.hold("buildkit", server_of({}).labels("sha256:1"))
    shared.histories = BUSY
    steps = Steps({"recreate": True})
    shared.before = lambda line: steps.host.policy.stopped.set() if line.endswith("/exec") else None
    try:
        with pytest.raises(StoppedError):
            start_buildkit.run(steps)  # type: ignore[arg-type]
    finally:
        steps.host.client.close()
    assert ["id1"] == list(shared.containers)


def test_one_address_is_waited_for(shared: SharedHost) -> None:
    """Two servers cannot listen on it: the builds of the other end first."""
    tcp = {"address": "tcp://127.0.0.1:1"}
    shared.hold("buildkit", server_of(tcp).labels("sha256:1"))
    shared.histories = BUSY
    looks = 0

    def before(line: str) -> None:
        nonlocal looks
        looks += line.endswith("/exec")
        shared.histories = BUSY if looks < 4 else IDLE

    shared.before = before
    with pytest.raises(MultiarchError, match="no BuildKit answers at tcp:"):  # nothing really listens
        start({**tcp, **OTHER})
    assert [("buildkit", "running")] == [(each.name, each.status) for each in shared.containers.values()]


def test_containers_of_others_are_left_alone(shared: SharedHost) -> None:
    """By whichever of the names."""
    shared.hold("buildkit", server_of({}).labels("sha256:1"))
    shared.histories = BUSY
    shared.hold(server_of(OTHER).apart().name, {})
    with pytest.raises(ForeignContainerError):
        start(OTHER)
    assert ["id1", "id2"] == list(shared.containers)

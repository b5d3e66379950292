"""Why a server did not start: told from its log, whatever the log holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multiarch.config.load import load
from multiarch.docker_host import DockerHost
from multiarch.errors import ConfigurationError, DockerNotFoundError, MultiarchError, NotReadyError, PortTakenError
from multiarch.retry import Policy
from multiarch.steps import start_buildkit
from tests.unit.docker_daemon import API, Daemon
from tests.unit.registry_server import Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.registry_server import RegistryServer, Request

NO_BRIDGE = b'buildkitd: failed to find CNI bridge "/opt/cni/bin/bridge" or buildkit-cni-bridge: no such file'


class Steps:
    """As much of a run as the step asks for."""

    def __init__(self, host: DockerHost, address: str | None) -> None:
        self.host = host
        block = {"platforms": ["arm64"], "image": "someone/app", **({"address": address} if address else {})}
        self.settings = load(block, {}, {})

    def hold(self, server: object) -> None:
        """Hold nothing: the server of these tests does not start."""


@pytest.fixture
def daemon(server: RegistryServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Daemon:
    """The daemon that DOCKER_HOST names; it has the image, and no server."""
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{server.host}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    daemon = Daemon(server)
    daemon.hold_nothing("buildkit")
    image = json_reply({"Id": "sha256:1", "Architecture": "arm64"})
    server.table[f"GET {API}/images/moby/buildkit:v0.32.2/json"] = [image]
    return daemon


def start(daemon: Daemon, log: bytes, address: str | None = None) -> MultiarchError:
    """Start a server that ends, and leaves a log; return the error."""

    def started(_: Request) -> Reply:
        daemon.hold("buildkit", "exited")
        frame = b"\x02\0\0\0" + len(log).to_bytes(4, "big") + log
        daemon.server.table[f"GET {API}/containers/buildkit/logs"] = [Reply(200, frame)]
        return Reply(204)

    return failure(daemon, started, address)


def failure(daemon: Daemon, started: Callable[[Request], Reply], address: str | None = None) -> MultiarchError:
    """Return the error of a start that the daemon answers so."""

    def create(_: Request) -> Reply:
        daemon.hold("buildkit", "created")
        daemon.server.table[f"POST {API}/containers/buildkit/start"] = [started]
        return json_reply({"Id": "buildkit"}, 201)

    daemon.server.table[f"POST {API}/containers/create"] = [create]
    host = DockerHost(Policy(attempts=1), lambda _: None)
    try:
        with pytest.raises(MultiarchError) as caught:
            start_buildkit.run(Steps(host, address))  # type: ignore[arg-type]
    finally:
        host.client.close()
    return caught.value


@pytest.mark.parametrize("trace", [b"", b"\ngithub.com/moby/buildkit\n\tcmd/buildkitd/main.go:1" * 150])
@pytest.mark.parametrize(
    "line", [NO_BRIDGE, b'invalid network mode: "bridge"', b"failed to locate iptables: exec: not found"]
)
def test_image_without_a_bridge_is_named(daemon: Daemon, line: bytes, trace: bytes) -> None:
    """Also where a long trace of its stack follows the cause; and the container is removed."""
    error = start(daemon, line + trace, "tcp://127.0.0.1:1234")
    expected = (
        "multiarch.buildkit_image: moby/buildkit:v0.32.2 cannot keep a RUN from the loopback interface of the"
        " Docker host: "
        "it is too old, or lacks CNI's plug-ins or iptables; name another, such as moby/buildkit:v0.32.2"
    )
    assert (ConfigurationError, expected) == (type(error), str(error))
    assert f"DELETE {API}/containers/buildkit" in daemon.server.asked


def test_taken_port_is_named(daemon: Daemon) -> None:
    """The server has the host's network, so it is the one that meets the other listener."""
    error = start(daemon, b"listen tcp 127.0.0.1:1234: bind: address already in use", "tcp://127.0.0.1:1234")
    assert isinstance(error, PortTakenError)
    assert str(error).endswith("choose another port: --address tcp://127.0.0.1:1235")


@pytest.mark.parametrize("log", [b"", b"\xff\xfe\0\x1b[2J\r\n" * 50, b"x" * 100_000])
def test_any_other_log_is_shown_in_part(daemon: Daemon, log: bytes) -> None:
    """Its last lines, below the one that says what happened."""
    error = start(daemon, log)
    assert isinstance(error, NotReadyError)
    first, *shown = str(error).splitlines()
    assert "the server ends as soon as it starts" in first
    assert len(shown) <= 20 * 2


def test_server_that_vanishes_is_one_line(daemon: Daemon) -> None:
    """Another process removes the container while it starts."""

    def started(_: Request) -> Reply:
        daemon.hold_nothing("buildkit")
        return Reply(204)

    error = failure(daemon, started)
    assert isinstance(error, DockerNotFoundError)
    assert "Docker could not look at container buildkit: No such container" == str(error)

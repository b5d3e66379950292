"""Why a server did not start: told from its log, whatever the log holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multiarch.buildkit import use
from multiarch.buildkit.server import wanted
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


def answer_clients(daemon: Daemon, status: Callable[[], int]) -> None:
    """Let a client in the container end with a status."""
    daemon.server.table[f"POST {API}/containers/buildkit/exec"] = [json_reply({"Id": "e"}, 201)]
    # Docker ends the connection after the output.
    daemon.server.table[f"POST {API}/exec/e/start"] = [Reply(200, b"\x01\0\0\0\0\0\0\x02no!", sent=10)]
    daemon.server.table[f"GET {API}/exec/e/json"] = [lambda _: json_reply({"ExitCode": status()})]


@pytest.fixture
def docker_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The docker command is there, which an address of a container needs."""
    (tmp_path / "docker").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


REFUSALS = [
    ("start", b"error while creating mount source path '{directory}': mkdir /home/me: read-only file system"),
    ("start", b"statfs {directory}: no such file or directory"),
    ("create", b'invalid mount config for type "bind": bind source path does not exist: {directory}'),
    ("log", b"buildkitd: failed to create unix socket on /run/buildkit/buildkitd.sock: permission denied"),
    ("log", b"buildkitd: listen unix /run/buildkit/buildkitd.sock: bind: operation not supported"),
]


@pytest.mark.usefixtures("docker_command")
@pytest.mark.parametrize(("when", "words"), REFUSALS)
def test_home_that_docker_cannot_mount_is_done_without(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, words: bytes
) -> None:
    """A snap, NFS, the virtual machine of a Mac: the server has no directory then, and is reached through Docker."""
    monkeypatch.setattr(DockerHost, "is_local", True)
    directory = tmp_path / "multiarch/buildkit"
    problem = words.replace(b"{directory}", str(directory).encode())
    mounted, lines = list[bool](), list[str]()

    def create(request: Request) -> Reply:
        mounted.append(str(directory).encode() in request.body)
        daemon.hold("buildkit", "created")
        if mounted[-1] and when == "create":
            return json_reply({"message": problem.decode()}, 400)
        daemon.server.table[f"POST {API}/containers/buildkit/start"] = [start_server]
        return json_reply({"Id": "buildkit"}, 201)

    def start_server(_: Request) -> Reply:
        if mounted[-1] and when == "start":
            return json_reply({"message": problem.decode()}, 500)
        daemon.hold("buildkit", "exited" if mounted[-1] else "running")
        answer_clients(daemon, lambda: 0)
        frame = b"\x02\0\0\0" + len(problem).to_bytes(4, "big") + problem
        daemon.server.table[f"GET {API}/containers/buildkit/logs"] = [Reply(200, frame)]
        return Reply(204)

    daemon.server.table[f"POST {API}/containers/create"] = [create]
    host = DockerHost(Policy(), lines.append)
    assert ("docker-container://buildkit",) == start_buildkit.run(Steps(host, None))  # type: ignore[arg-type]
    host.client.close()
    assert [True, False] == mounted
    (said,) = [line for line in lines if "cannot be shared" in line]
    assert said.startswith(f"buildkit: {directory} cannot be shared with it (")
    assert not any("attempt" in line for line in lines)


@pytest.mark.usefixtures("docker_command")
@pytest.mark.parametrize("recovers", [True, False])
def test_server_that_does_not_answer_is_restarted_once(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, recovers: bool
) -> None:
    """It hangs, or lost its socket: its log is shown; only a server that does not answer then is an error."""
    monkeypatch.setattr(use, "_STARTING_SECONDS", 0.0)
    monkeypatch.setattr(use, "_UNSEEN_SECONDS", 0.0)
    monkeypatch.setattr(start_buildkit, "_ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(start_buildkit, "_READY_SECONDS", 0.0)
    lines, restarts = list[str](), list[str]()
    host = DockerHost(Policy(attempts=1), lines.append)
    steps = Steps(host, None)
    daemon.hold("buildkit")
    labels = wanted(steps.settings, host.info, local=False).labels("sha256:1")
    shown = {
        "Id": "buildkit",
        "Name": "/buildkit",
        "State": {"Status": "running"},
        "Config": {"Labels": labels, "Tty": False},
    }
    daemon.server.table[f"GET {API}/containers/buildkit/json"] = [json_reply(shown)]
    frame = b"\x02\0\0\0\0\0\0\x05stuck"
    daemon.server.table[f"GET {API}/containers/buildkit/logs"] = [Reply(200, frame)]

    def restart(request: Request) -> Reply:
        restarts.append(request.path.rpartition("/")[2].partition("?")[0])
        return Reply(204)

    for action in ("stop", "start"):
        daemon.server.table[f"POST {API}/containers/buildkit/{action}"] = [restart]
    answer_clients(daemon, lambda: 0 if "start" in restarts and recovers else 1)
    if recovers:
        assert ("docker-container://buildkit",) == start_buildkit.run(steps)  # type: ignore[arg-type]
    else:
        with pytest.raises(NotReadyError):
            start_buildkit.run(steps)  # type: ignore[arg-type]
    host.client.close()
    assert ["stop", "start"] == restarts
    (index,) = [i for i, line in enumerate(lines) if line.startswith("buildkit: it does not answer (")]
    assert lines[index].endswith(") and is restarted; its last log lines:")
    assert "  | stuck" == lines[index + 1]


def test_server_that_another_run_has_restarted_is_not_restarted_again(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at it ended with the old process, and said that there was no answer."""
    monkeypatch.setattr(use, "_STARTING_SECONDS", 0.0)
    monkeypatch.setattr(use, "_UNSEEN_SECONDS", 0.0)
    monkeypatch.setattr(start_buildkit, "_ANSWER_SECONDS", 0.0)
    host = DockerHost(Policy(attempts=1), lambda _: None)
    steps = Steps(host, None)
    labels = wanted(steps.settings, host.info, local=False).labels("sha256:1")
    read_logs, changed = list[str](), list[str]()

    def show(_: Request) -> Reply:
        state = {"Status": "running", "StartedAt": "2026-01-01T00:01:00Z" if read_logs else "2026-01-01T00:00:00Z"}
        config = {"Labels": labels, "Tty": False}
        return json_reply({"Id": "buildkit", "Name": "/buildkit", "State": state, "Config": config})

    def log(_: Request) -> Reply:
        read_logs.append("read")
        return Reply(200, b"")

    def change(request: Request) -> Reply:
        changed.append(request.path)
        return Reply(204)

    daemon.server.table[f"GET {API}/containers/buildkit/json"] = [show]
    daemon.server.table[f"GET {API}/containers/buildkit/logs"] = [log]
    for action in ("stop", "start", "restart"):
        daemon.server.table[f"POST {API}/containers/buildkit/{action}"] = [change]
    answer_clients(daemon, lambda: 0 if read_logs else 1)
    assert ("docker-container://buildkit",) == start_buildkit.run(steps)  # type: ignore[arg-type]
    host.client.close()
    assert (["read"], []) == (read_logs, changed)

"""The Docker host: what is asked of it once, where it is, and what is said when it cannot be asked."""

from __future__ import annotations

import gc
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TYPE_CHECKING

import docker
import pytest

from multiarch.buildkit.address import running_address
from multiarch.buildkit.builder import Builder
from multiarch.config.load import load
from multiarch.config.server_settings import EmbeddedRegistry
from multiarch.docker_host import DockerHost
from multiarch.docker_info import HostInfo
from multiarch.errors import (
    DockerError,
    DockerNotFoundError,
    DockerPermissionError,
    ForeignContainerError,
    ImageUnavailableError,
    NoDockerError,
)
from multiarch.image.platform import Platform
from multiarch.registry.embedded import start_registry
from multiarch.retry import Policy
from multiarch.steps.setup_binfmt import read_state
from tests.unit.docker_daemon import API, Daemon
from tests.unit.registry_server import Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from multiarch.config.settings import Settings
    from tests.unit.registry_server import RegistryServer

THREADS = 8


@pytest.fixture
def daemon(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """The daemon that DOCKER_HOST names; nothing is in it yet."""
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{server.host}")
    return Daemon(server)


@pytest.fixture
def host(daemon: Daemon) -> Iterator[DockerHost]:
    """A connection to that daemon, which tries once."""
    host = DockerHost(Policy(attempts=1), lambda _: None)
    yield host
    host.client.close()


def by_all_threads(function: Callable[[], object]) -> list[object]:
    """Return the results of a function that several threads call at the same moment."""
    together = Barrier(THREADS)

    def call() -> object:
        together.wait(5)
        return function()

    with ThreadPoolExecutor(THREADS) as pool:
        return [future.result() for future in [pool.submit(call) for _ in range(THREADS)]]


# What is asked once.


def test_threads_share_one_connection_and_one_answer(daemon: Daemon, host: DockerHost) -> None:
    """The steps of a release run side by side; each of them wants to know what the host is."""
    assert 1 == len({id(client) for client in by_all_threads(lambda: host.client)})
    assert ["aarch64"] * THREADS == by_all_threads(lambda: host.machine)
    assert Platform("linux", "arm64") == host.platform
    assert ["GET /version", f"GET {API}/info"] == daemon.server.asked


def test_threads_share_one_look_at_a_container(daemon: Daemon, host: DockerHost) -> None:
    """setup-binfmt and start-buildkit want the same server, and the address of it is checked afterwards."""
    daemon.hold("buildkit")
    assert [True] * THREADS == by_all_threads(lambda: host.find("buildkit") is not None)
    assert host.is_running("buildkit")
    assert 1 == daemon.looks("buildkit")


@pytest.mark.parametrize("status", ["created", "exited"])
def test_container_is_looked_at_again_after_its_start(daemon: Daemon, host: DockerHost, status: str) -> None:
    """What was not running is running now: the next step must see that."""
    daemon.hold("buildkit", status)
    container = host.find("buildkit")
    assert container is not None
    assert not host.is_running("buildkit")
    host.start(container, "tcp://127.0.0.1:1234", "stop it")
    assert host.is_running("buildkit")
    assert 2 == daemon.looks("buildkit")


def test_removed_container_is_not_found_any_more(daemon: Daemon, host: DockerHost) -> None:
    """A server that is recreated must not be taken for the one that was there before."""
    daemon.hold("buildkit")
    container = host.find("buildkit")
    assert container is not None
    host.remove(container)
    assert host.find("buildkit") is None


def test_container_that_cannot_start_is_not_found_any_more(daemon: Daemon, host: DockerHost) -> None:
    """It is removed again, so the next look must not return it."""
    daemon.hold("buildkit", "created")
    daemon.server.table[f"POST {API}/containers/buildkit/start"] = [json_reply({"message": "x509: no"}, 500)]
    container = host.find("buildkit")
    assert container is not None
    with pytest.raises(Exception, match="x509: no"):
        host.start(container, "tcp://127.0.0.1:1234", "stop it")
    assert host.find("buildkit") is None


def test_missing_container_is_looked_for_again(daemon: Daemon, host: DockerHost) -> None:
    """A step creates it by the SDK alone, or another process does: that there was none says nothing later."""
    daemon.hold_nothing("buildkit")
    assert host.find("buildkit") is None
    daemon.hold("buildkit")
    assert host.find("buildkit") is not None


def test_other_containers_are_looked_for_by_their_own_name(daemon: Daemon, host: DockerHost) -> None:
    """One container's state is not another's."""
    daemon.hold("buildkit")
    daemon.hold("multiarch-registry", "exited")
    names = ("buildkit", "multiarch-registry", "buildkit", "multiarch-registry")
    assert [True, False, True, False] == [host.is_running(name) for name in names]


def test_foreign_container_is_refused_each_time(daemon: Daemon, host: DockerHost) -> None:
    """A container without our label is in nobody's way as a builder, and never used as our server."""
    daemon.hold("buildkit", owner="com.docker.compose.project")
    for _ in range(2):
        with pytest.raises(ForeignContainerError):
            host.find("buildkit")
    assert host.is_running("buildkit")
    assert 1 == daemon.looks("buildkit")


@pytest.mark.parametrize(
    ("status", "words", "advice"),
    [
        (404, "manifest for some:image not found: manifest unknown", ""),
        (404, "Get https://r.lan/v2/: dial tcp: lookup r.lan: no such host", ""),
        (500, "unauthorized: authentication required", ""),
        (
            500,
            "toomanyrequests: You have reached your pull rate limit",
            "log in with docker login, give the Docker daemon a mirror, or ",
        ),
    ],
)
def test_image_that_cannot_be_pulled_is_told_in_the_daemons_words(
    daemon: Daemon, host: DockerHost, status: int, words: str, advice: str
) -> None:
    """And with the setting that names another; what the daemon says of its network is not that there is no image."""
    daemon.server.table[f"GET {API}/images/some:image/json"] = [json_reply({"message": "No such image"}, 404)]
    daemon.server.table[f"POST {API}/images/create"] = [json_reply({"message": words}, status)]
    with pytest.raises(ImageUnavailableError) as caught:
        host.need_image("some:image", "probe_image")
    expected = f"Docker could not pull image some:image: {words}; {advice}name another with multiarch.probe_image"
    assert expected == str(caught.value)


@pytest.mark.parametrize(
    ("setting", "ask"),
    [
        ("registry_image", lambda settings, host: start_registry(settings.publish.embedded, host)),
        ("probe_image", lambda settings, host: read_state(host, settings.builder)),
    ],
)
def test_each_image_has_its_setting(
    daemon: Daemon, host: DockerHost, setting: str, ask: Callable[[Settings, DockerHost], object]
) -> None:
    """The one that is named is the one that changes it."""
    for name in ("buildkit", "multiarch-registry"):
        daemon.hold_nothing(name)
    daemon.server.table[f"GET {API}/images/some:image/json"] = [json_reply({"message": "No such image"}, 404)]
    daemon.server.table[f"POST {API}/images/create"] = [json_reply({"message": "not found"}, 404)]
    with pytest.raises(ImageUnavailableError, match=f"; name another with multiarch.{setting}$"):
        ask(load({"platforms": ["arm64"], setting: "some:image"}, {}, {}), host)


def test_container_that_fails_is_called_by_the_name_of_its_image(daemon: Daemon, host: DockerHost) -> None:
    """An id of 64 digits says nothing to a reader."""
    daemon.server.table[f"POST {API}/containers/create"] = [json_reply({"message": "privileged is denied"}, 403)]
    with pytest.raises(DockerError, match=r"^Docker could not run busybox:stable: privileged is denied$"):
        host.run_once("sha256:1234", ["true"], name="busybox:stable")


def test_embedded_registry_is_looked_for_once(daemon: Daemon, host: DockerHost, server: RegistryServer) -> None:
    """A release needs it when it builds and when it publishes."""
    daemon.hold("multiarch-registry")
    server.table["GET /v2/"] = [Reply(200)]
    registry = EmbeddedRegistry("multiarch-registry", int(server.host.rpartition(":")[2]), "registry:2")
    for _ in range(2):
        start_registry(registry, host)
    assert 1 == daemon.looks("multiarch-registry")


def test_builder_is_looked_at_again_when_its_address_is_asked_for(daemon: Daemon, host: DockerHost) -> None:
    """A shell is opened after a build that failed, maybe because the server has ended: that must be noticed."""
    daemon.hold("buildkit")
    settings = load({"platforms": ["linux/arm64"]}, {}, {})
    assert "docker-container://buildkit" == running_address(settings, host)
    Builder("docker-container://buildkit").check(host)
    assert 1 == daemon.looks("buildkit")
    daemon.hold("buildkit", "exited")
    with pytest.raises(Exception, match="no BuildKit is running"):
        running_address(settings, host)


# Where it is.


@pytest.mark.parametrize(
    ("address", "system", "shares_loopback", "is_local"),
    [
        ("unix:///var/run/docker.sock", "Debian GNU/Linux 12", True, True),
        ("unix:///var/run/docker.sock", "Docker Desktop", True, False),
        ("ssh://me@docker", "Debian GNU/Linux 12", False, False),
        ("ssh://localhost", "Debian GNU/Linux 12", False, False),
        ("tcp://127.0.0.1:2375", "Debian GNU/Linux 12", True, False),
        ("tcp://127.0.0.1.example.com:2375", "Debian GNU/Linux 12", False, False),
        ("tcp://[::1]:2375", "Debian GNU/Linux 12", True, False),
        ("tcp://localhost:2375", "Debian GNU/Linux 12", True, False),
        ("tcp://docker:2375", "Debian GNU/Linux 12", False, False),
    ],
)
def test_what_a_host_shares_with_this_machine(
    monkeypatch: pytest.MonkeyPatch, address: str, system: str, shares_loopback: bool, is_local: bool
) -> None:
    """A socket on Linux shares the files, a Docker Desktop its ports alone, and another machine neither."""
    monkeypatch.setenv("DOCKER_HOST", address)
    monkeypatch.setattr(DockerHost, "info", HostInfo(machine="x86_64", operating_system=system))
    monkeypatch.setattr(sys, "platform", "linux")
    host = DockerHost(Policy(attempts=1), print)
    assert (shares_loopback, is_local) == (host.shares_loopback, host.is_local)


# Answers that are none.

NONE = [b"", b"[]", b"null", b"1", b'"text"', b"{", b"\xff", b"[" * 100_000, b"{}"]


@pytest.mark.parametrize("body", NONE)
def test_malformed_answer_is_one_line(daemon: Daemon, host: DockerHost, body: bytes) -> None:
    """Whatever answers in the daemon's place: the error is ours, says what was asked, and holds no traceback."""
    daemon.server.table[f"GET {API}/info"] = [Reply(200, body)]
    daemon.server.table[f"GET {API}/containers/buildkit/json"] = [Reply(200, body)]
    daemon.server.table[f"GET {API}/images/some:image/json"] = [Reply(200, body)]
    for ask, action in (
        (lambda: host.info, "tell about itself"),
        (lambda: host.find("buildkit"), "look for container buildkit"),
        (lambda: host.need_image("some:image", "image"), "tell about itself"),
    ):
        with pytest.raises(DockerError, match=f"^Docker could not {action}: ") as caught:
            ask()
        assert 1 == len(str(caught.value).splitlines())


@pytest.mark.parametrize("body", NONE)
def test_malformed_answers_about_an_image_or_a_run_are_one_line(daemon: Daemon, host: DockerHost, body: bytes) -> None:
    """An image that is pulled, and a container that is created, are asked about as well."""
    daemon.server.table[f"GET {API}/images/some:image/json"] = [Reply(200, body)]
    daemon.server.table[f"POST {API}/images/create"] = [Reply(200, body)]
    daemon.server.table[f"POST {API}/containers/create"] = [Reply(200, body)]
    with pytest.raises(DockerError, match=r"^Docker could not (look for|pull|run|create) "):
        host.need_image("some:image", "image")
    with pytest.raises(DockerError, match=r"^Docker could not run some:image: "):
        host.run_once("some:image", ["true"])
    with pytest.raises(DockerError, match=r"^Docker could not create it: "):
        host.create("create it", "some:image")


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"ApiVersion": 1}', b'{"ApiVersion": "x"}'])
def test_host_that_is_no_docker_is_named(daemon: Daemon, body: bytes) -> None:
    """Something else listens at DOCKER_HOST."""
    daemon.server.table["GET /version"] = [Reply(200, body)]
    with pytest.raises(NoDockerError, match=r"^no Docker host at tcp://127\.0\.0\.1:"):
        DockerHost(Policy(attempts=1), print).client.info()


def test_password_of_the_hosts_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is the user, which may be a token."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://me:hidden@127.0.0.1:1")
    with pytest.raises(NoDockerError, match=r"^no Docker host at tcp://127\.0\.0\.1:1 ") as caught:
        DockerHost(Policy(attempts=1), print).client.ping()
    assert "hidden" not in str(caught.value)


def test_platform_that_no_image_is_built_for_is_named(daemon: Daemon, host: DockerHost) -> None:
    """The kernel's name of the machine is the daemon's to choose."""
    daemon.server.table[f"GET {API}/info"] = [json_reply({"Architecture": "vax"})]
    with pytest.raises(DockerError, match=r"^Docker could not name its platform: unknown platform 'vax'"):
        host.need_image("some:image", "image")


def test_container_that_vanishes_is_one_line(daemon: Daemon, host: DockerHost) -> None:
    """Another process removes it while we look, read its log, or run something in it; to remove it is done, then."""
    daemon.hold("buildkit")
    container = host.find("buildkit")
    assert container is not None
    daemon.hold_nothing("buildkit")
    for ask, action in (
        (lambda: host.reload(container), "look at container buildkit"),
        (lambda: host.last_lines(container, 1), "read the log of container buildkit"),
        (lambda: host.execute(container, ["true"]), "run true in buildkit"),
    ):
        with pytest.raises(DockerNotFoundError, match=f"^Docker could not {action}: "):
            ask()
    host.remove(container)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (b"\xff\xfe\x00", ["\ufffd\ufffd\0"]),
        (b"", []),
        (b"a\nb\r\nc\x1b[31m\n" * 2, ["c\x1b[31m", "a", "b", "c\x1b[31m"][-3:]),
    ],
)
def test_log_may_hold_any_bytes(daemon: Daemon, host: DockerHost, log: bytes, expected: list[str]) -> None:
    """What is no text is marked; more lines than asked for are cut."""
    daemon.hold("buildkit")
    daemon.server.table[f"GET {API}/containers/buildkit/logs"] = [
        Reply(200, b"\x01\0\0\0" + len(log).to_bytes(4, "big") + log)
    ]
    container = host.find("buildkit")
    assert container is not None
    assert expected == host.last_lines(container, 3)


# What is said when it cannot be asked.


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be a user without root's permissions: root passes every check of a file's mode."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_forbidden_socket_says_how_to_be_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon listens, and this user may not connect: the line names the group and sudo."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o000)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        host = DockerHost(Policy(seconds=0.0), print)
        # The SDK is imported before, because another user may not be able to read it.
        assert docker.__version__
        with unprivileged():
            line = _refusal(host)
    gc.collect()
    assert (
        f"permission denied on the Docker socket unix://{path}: add this user to the docker group"
        " (sudo usermod -aG docker $USER, then log in again) or use sudo"
    ) == line


def _refusal(host: DockerHost) -> str:
    """Return the error of a host that may not be used; its traceback, which holds the socket, ends here."""
    with pytest.raises(DockerPermissionError) as caught:
        host.client.ping()
    return str(caught.value)

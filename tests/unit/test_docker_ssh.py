"""A Docker host over ssh: what ssh is asked for, its words in errors, and requests through a process in its place."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from multiarch.docker_host import DockerHost
from multiarch.docker_ssh import SshError, command
from multiarch.errors import NoDockerError
from multiarch.retry import Policy, is_transient
from multiarch.trace import Trace
from tests.unit.docker_daemon import Daemon

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry_server import RegistryServer

OPTIONS = ["ssh", "-o", "ConnectTimeout=30", "-T"]
# Stands where ssh does: carries bytes between its standard streams and the daemon, as dial-stdio does.
RELAY = """\
#!{python}
import os, select, socket, sys
open({log!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
daemon = socket.create_connection(("127.0.0.1", {port}))
while True:
    for ready in select.select([0, daemon], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else daemon.recv(65536)
        if not data:
            sys.exit()
        daemon.sendall(data) if ready == 0 else os.write(1, data)
"""


def put_ssh(directory: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a program be the ssh that is found."""
    program = directory / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@box")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ssh://box", ["--", "box", "docker system dial-stdio"]),
        ("ssh://me@box:2222", ["-l", "me", "-p", "2222", "--", "box", "docker system dial-stdio"]),
        ("ssh://box/run/d.sock", ["--", "box", "docker --host=unix:///run/d.sock system dial-stdio"]),
        ("ssh://box/a;b", ["--", "box", "docker '--host=unix:///a;b' system dial-stdio"]),
        ("ssh://-oProxyCommand=x", ["--", "-oProxyCommand=x", "docker system dial-stdio"]),
        ("ssh://me@MyBuilder:22", ["-l", "me", "-p", "22", "--", "MyBuilder", "docker system dial-stdio"]),
        ("ssh://[FE80::1]:22", ["-p", "22", "--", "FE80::1", "docker system dial-stdio"]),
    ],
)
def test_ssh_is_asked_as_docker_asks_it(address: str, expected: list[str]) -> None:
    """No part of an address is an option of ssh, or a word of the shell over there."""
    assert [*OPTIONS, *expected] == command(address)


def test_requests_go_through_ssh(server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them over one connection, also where each is shown."""
    daemon, shown = Daemon(server), list[str]()
    daemon.hold("buildkit")
    log = tmp_path / "log"
    port = int(server.host.rpartition(":")[2])
    put_ssh(tmp_path, RELAY.format(python=sys.executable, log=str(log), port=port), monkeypatch)
    host = DockerHost(Policy(attempts=1), print, Trace(lambda text, _=(): shown.append(text)))
    assert ("aarch64", True, False) == (host.machine, host.is_running("buildkit"), host.is_local)
    host.client.close()
    assert ["-o ConnectTimeout=30 -T -l me -- box docker system dial-stdio"] == log.read_text().splitlines()
    assert ["docker GET /version: 200", "docker GET /v1.41/info: 200"] == [line.rpartition(",")[0] for line in shown][
        :2
    ]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("echo 'me@box: Permission denied (publickey).' >&2; exit 255", "me@box: Permission denied (publickey)."),
        ("cat >/dev/null & echo 'sh: docker: not found' >&2; exit 127", "sh: docker: not found"),
        ("printf 'a\nb\n' >&2; exit 1", "a b"),
        ("exit 1", "ssh ended before the Docker host answered, and said nothing"),
    ],
)
def test_error_has_the_words_of_ssh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, expected: str
) -> None:
    """One line; a key that is refused is no matter of the docker group."""
    put_ssh(tmp_path, f"#!/bin/sh\n{program}\n", monkeypatch)
    with pytest.raises(NoDockerError) as caught:
        DockerHost(Policy(attempts=1), print).client.ping()
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"no Docker host at ssh://me@box ({expected}): ")


def test_missing_ssh_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package that has it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "ssh://box")
    with pytest.raises(NoDockerError, match=r"\(cannot run ssh: No such file or directory; install openssh-client\)"):
        DockerHost(Policy(attempts=1), print).client.ping()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("kex_exchange_identification: Connection closed by remote host", True),
        ("client_loop: send disconnect: Broken pipe", True),
        ("ssh: connect to host box port 22: Connection timed out", True),
        ("me@box: Permission denied (publickey).", False),
        ("Host key verification failed.", False),
        ("sh: docker: not found", False),
    ],
)
def test_lost_connection_passes_by_itself(words: str, expected: bool) -> None:
    """A release of an hour is not given up for one; a key that is refused stays refused."""
    assert expected == is_transient(SshError(words))

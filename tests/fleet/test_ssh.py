"""Builders over ssh, with a key that may do nothing else than reach BuildKit."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.packages import need
from tests.fleet.parts import BUILDCTL, Daemon, commands_of, free_port, listens, processes_of, published, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fleet.parts import Builder, Project

_SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
"""
_CLIENT = """\
Host *
  IdentityFile {folder}/{key}
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
"""
PLATFORM = "  platforms: [linux/amd64]\n  builders:\n    arm-2: {{address: '{}', platforms: [linux/amd64]}}\n"
RUNNING = "; is it running, and its address right?"


@dataclass
class Machine:
    """A machine with sshd, whose key may reach BuildKit alone."""

    folder: Path
    port: int
    daemon: Daemon

    @property
    def address(self) -> str:
        """As buildctl takes it."""
        return f"ssh://root@127.0.0.1:{self.port}"

    @property
    def path(self) -> str:
        """The PATH of a client: ssh reads its configuration in the home of its user, wherever HOME is."""
        return f"{self.folder}/bin:{os.environ['PATH']}"

    def allow(self, command: str) -> None:
        """Let the key run this command alone."""
        key = (self.folder / "key.pub").read_text()
        (self.folder / "authorized_keys").write_text(f'restrict,command="{command}" {key}')

    def use(self, key: str) -> None:
        """Let the client show a key."""
        (self.folder / "config").write_text(_CLIENT.format(folder=self.folder, key=key))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine of ours."""
    need({"sshd": "openssh-server", "ssh": "openssh-client"}, ("ssh.service", "ssh.socket"))
    folder = tmp_path / "ssh"
    (folder / "bin").mkdir(parents=True)
    for name in ("host", "key", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = free_port()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "sshd_config").write_text(_SSHD.format(folder=folder, port=port))
    (folder / "bin" / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
    (folder / "bin" / "ssh").chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    daemon = Daemon([shutil.which("sshd") or "sshd", "-D", "-e", "-f", f"{folder}/sshd_config"], folder / "log")
    daemon.start()
    wait_until(lambda: listens("127.0.0.1", port), "the start of sshd")
    machine = Machine(folder, port, daemon)
    machine.use("key")
    yield machine
    daemon.end()


def test_release_over_a_restricted_key(project: Project, local: Callable[[str], Builder], machine: Machine) -> None:
    """It reaches the socket of BuildKit there, and leaves no process."""
    builder = local("there")
    machine.allow(f"{BUILDCTL} --addr {builder.address} dial-stdio")
    project.write("FROM busybox:stable\nRUN true\n", PLATFORM.format(machine.address))
    result = project.run("release", PATH=machine.path)
    assert (0, [f"{project.image}:latest@{published(project)}"]) == (result.status, result.out), result.err
    assert "natively on arm-2" in result.err
    assert [] == processes_of(str(machine.port))


def test_key_out_of_variables_is_gone_with_the_run(
    project: Project, local: Callable[[str], Builder], machine: Machine
) -> None:
    """As in a CI, where ssh knows neither the key nor the host; the key is no word of any command."""
    builder = local("there")
    machine.allow(f"{BUILDCTL} --addr {builder.address} dial-stdio")
    machine.use("other")
    known, key = machine.folder / "known_hosts", (machine.folder / "key").read_text()
    variables = {"FLEET_SSH_KEY": key, "FLEET_KNOWN_HOSTS": known.read_text(), "PATH": machine.path}
    known.unlink()
    project.write("FROM busybox:stable\nRUN sleep 3 && true\n", PLATFORM.format(machine.address))
    run = project.begin("release", **variables)
    wait_until(lambda: bool(commands_of("sleep 3 &&")), "the RUN")
    files = [path for path in Path("/dev/shm").glob("multiarch-login-*/key") if path.read_text() == key]
    programs = [
        path for path in Path(tempfile.gettempdir()).glob("multiarch-login-*/ssh") if str(files[0]) in path.read_text()
    ]
    (file, program) = (*files, *programs)
    assert (0o600, key) == (file.stat().st_mode & 0o777, file.read_text())
    assert [] == processes_of(key.splitlines()[1])
    result = project.end(run)
    assert (0, [f"{project.image}:latest@{published(project)}"]) == (result.status, result.out), result.err
    assert [False, False] == [path.parent.exists() for path in (file, program)]
    assert 1 == project.end(project.begin("release", **{**variables, "FLEET_SSH_KEY": ""})).status


def test_ssh_ends_with_its_run(project: Project, local: Callable[[str], Builder], machine: Machine) -> None:
    """Also where the builder's machine is cut off in the middle, and where the run is interrupted."""
    builder = local("there")
    machine.allow(f"{BUILDCTL} --addr {builder.address} dial-stdio")
    project.write("FROM busybox:stable\nRUN sleep 7 && true\n", PLATFORM.format(machine.address))
    run = project.begin("release", PATH=machine.path)
    wait_until(lambda: bool(commands_of("sleep 7 &&")), "the RUN")
    run.terminate()
    assert 143 == project.end(run).status
    wait_until(lambda: not processes_of(str(machine.port)), "the end of ssh", 5)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            "unknown host",
            ": its host key is not known; run ssh root@127.0.0.1:{port} once, or add it to known_hosts",
        ),
        (
            "other key",
            " refuses the key: add the public one to authorized_keys there, or name the right one in ~/.ssh/config",
        ),
        (
            "no buildctl",
            " has no buildctl on its PATH: install BuildKit there, or name its place in authorized_keys (command=)",
        ),
        (
            "no server",
            " does not answer: error: dial unix /nowhere.sock: connect: no such file or directory" + RUNNING,
        ),
        (
            "no sshd",
            " does not answer: ssh: connect to host 127.0.0.1 port {port}: Connection refused" + RUNNING,
        ),
    ],
)
def test_fault_of_ssh_is_told_at_once(project: Project, machine: Machine, fault: str, expected: str) -> None:
    """One line with builder, cause and remedy, and nothing is retried."""
    machine.allow(
        "buildctl dial-stdio" if fault == "no buildctl" else f"{BUILDCTL} --addr unix:///nowhere.sock dial-stdio"
    )
    if fault == "unknown host":
        (machine.folder / "known_hosts").unlink()
    if fault == "other key":
        machine.use("other")
    if fault == "no sshd":
        machine.daemon.end()
    project.write("FROM scratch\n", PLATFORM.format(machine.address))
    result = project.run("release", seconds=25, PATH=machine.path)
    line = f"builder arm-2 ({machine.address}){expected.format(port=machine.port)}"
    assert (1, [], [line]) == (result.status, result.out, result.err.splitlines())


def test_missing_ssh_is_named(project: Project, tmp_path: Path) -> None:
    """It is what buildctl dials through."""
    project.write("FROM scratch\n", PLATFORM.format("ssh://build@localhost"))
    result = project.run("release", seconds=25, PATH=str(tmp_path))
    problem = "is reached through the ssh command, which is not there: install it, or choose another address"
    assert (1, [f"builder arm-2 (ssh://build@localhost) {problem}"]) == (result.status, result.err.splitlines())

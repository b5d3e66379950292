"""Keys of builders out of variables: files of this user alone, and programs that are given them."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from multiarch.errors import ConfigurationError
from multiarch.fleet.access import provide, text_of
from multiarch.registry import login_files

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----"
HOSTS = "arm-2 ssh-ed25519 AAAA"
KUBECONFIG = "clusters: [{name: prod}]"


@pytest.fixture(autouse=True)
def _removed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of this machine, and no directory that stays."""
    for name in ("FLEET_SSH_KEY", "FLEET_KNOWN_HOSTS", "FLEET_KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    yield
    login_files.remove()


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ssh that writes its words, and the files that they name."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "ssh"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nls -l "$2"\ncat "$2"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


@pytest.mark.parametrize("scheme", ["ssh", "kube-pod", "tcp", "unix"])
def test_nothing_is_given_where_no_variable_is_set(scheme: str) -> None:
    """Then ssh and kubectl have what the user has."""
    assert () == provide(scheme)


def test_ssh_is_given_its_key_and_the_keys_of_hosts(ssh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a program that comes before it on the PATH; it asks nobody, and takes no other host."""
    monkeypatch.setenv("FLEET_SSH_KEY", KEY)
    monkeypatch.setenv("FLEET_KNOWN_HOSTS", HOSTS)
    ((name, path),) = provide("ssh")
    command = ["ssh", "-l", "build", "arm-2"]
    lines = subprocess.run(command, env={name: path}, capture_output=True, text=True, check=True).stdout.splitlines()
    secret = Path(lines[1]).parent
    assert [
        "-i", f"{secret}/key", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
        "-o", f'UserKnownHostsFile="{secret}/known_hosts"', "-o", "StrictHostKeyChecking=yes",
        "-l", "build", "arm-2",
    ] == lines[:13]  # fmt: skip
    assert ("-rw-------", KEY.splitlines()) == (lines[13].split()[0], lines[14:])
    assert HOSTS + "\n" == (secret / "known_hosts").read_text()
    assert (0o700, 0o600) == (secret.stat().st_mode & 0o777, (secret / "known_hosts").stat().st_mode & 0o777)
    assert f":{ssh.parent}:/usr/bin:/bin" == path[path.index(":") :]
    directories = [secret, Path(path.partition(":")[0])]
    login_files.remove()
    assert [False, False] == [directory.exists() for directory in directories]


def test_keys_of_hosts_hold_for_a_key_of_an_agent_too(ssh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They alone are given then, and no other host is taken."""
    monkeypatch.setenv("FLEET_KNOWN_HOSTS", HOSTS)
    ssh.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    ((name, path),) = provide("ssh")
    lines = subprocess.run(["ssh", "arm-2"], env={name: path}, capture_output=True, text=True, check=True).stdout
    option, hosts, *rest = lines.splitlines()
    assert ("-o", ["-o", "StrictHostKeyChecking=yes", "arm-2"]) == (option, rest)
    assert f"{HOSTS}\n" == Path(hosts.split('"')[1]).read_text()


def test_kubectl_is_given_its_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of this user alone, by the variable that it reads."""
    monkeypatch.setenv("FLEET_KUBECONFIG", KUBECONFIG)
    ((name, path),) = provide("kube-pod")
    assert ("KUBECONFIG", KUBECONFIG + "\n", 0o600) == (
        name,
        Path(path).read_text(),
        Path(path).stat().st_mode & 0o777,
    )


@pytest.mark.parametrize("width", [0, 64])
def test_variable_may_be_in_base64(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """GitLab masks no variable of several lines; `base64` breaks its lines, unless told otherwise."""
    encoded = base64.b64encode(f"{KEY}\r\n".encode()).decode()
    lines = [encoded[at : at + width] for at in range(0, len(encoded), width)] if width else [encoded]
    monkeypatch.setenv("FLEET_SSH_KEY", "\n".join(lines))
    assert f"{KEY}\n" == text_of("FLEET_SSH_KEY")


@pytest.mark.parametrize(
    ("scheme", "variables", "line"),
    [
        ("ssh", {"FLEET_SSH_KEY": "ssh-ed25519 AAAA"}, "FLEET_SSH_KEY: holds no private key: "),
        ("ssh", {"FLEET_SSH_KEY": f"{KEY}{' ' * (1 << 20)}"}, "FLEET_SSH_KEY: holds no private key: "),
        ("ssh", {"FLEET_SSH_KEY": KEY, "FLEET_KNOWN_HOSTS": "x"}, "FLEET_KNOWN_HOSTS: holds no host key: "),
        ("kube-pod", {"FLEET_KUBECONFIG": "/root/.kube/config"}, "FLEET_KUBECONFIG: holds no kubeconfig: "),
    ],
)
def test_variable_of_something_else_is_refused(
    ssh: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, variables: dict[str, str], line: str
) -> None:
    """One line names it, and what is to be in it; never what is in it."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        provide(scheme)
    assert (True, False) == (str(caught.value).startswith(line), "AAAA" in str(caught.value))
    assert ssh.exists()
    assert os.environ["PATH"].startswith(f"{ssh.parent}")


def test_bytes_that_are_no_text_are_kept(ssh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be said of them says the program that reads them."""
    written = b"clusters: []  # \xe9\n"
    monkeypatch.setenv("FLEET_KUBECONFIG", os.fsdecode(written))
    monkeypatch.setenv("FLEET_SSH_KEY", f"{KEY}\udcff")
    ((_, path),) = provide("kube-pod")
    assert (written, 1) == (Path(path).read_bytes(), len(provide("ssh")))

"""Certificates of a fleet: who may do what with them, for how long, and what is never written over."""

from __future__ import annotations

import datetime
import ipaddress
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from multiarch.errors import ConfigurationError, MultiarchError
from multiarch.fleet import x509 as ours
from multiarch.fleet.certification import Store, issue
from multiarch.fleet.nodes import read_nodes
from multiarch.fleet.setup import copy_commands, openssl_commands

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.project import Project

ARM = read_nodes(["arm-1.example,10.0.0.7"])
IPV6 = read_nodes(["fd00::7"])


def issued(directory: Path, *, renew: bool = False, nodes: tuple[str, ...] = ("arm-1.example,10.0.0.7",)) -> list[str]:
    """Make certificates; return the lines about them."""
    lines: list[str] = []
    issue(Store(directory), read_nodes(nodes), lines.append, renew=renew)
    return lines


def read(path: Path) -> x509.Certificate:
    """Read a certificate."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def verify(directory: Path, certificate: str, purpose: str) -> int:
    """Return the status of openssl's check of a certificate."""
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", purpose, certificate]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode


def check_store(directory: Path, server: str) -> None:
    """Check what openssl says of each certificate, and who may read its key."""
    checks = {(name, purpose): verify(directory, name, purpose) for name, purpose in (
        ("cert.pem", "sslclient"), ("cert.pem", "sslserver"),
        (f"{server}/cert.pem", "sslserver"), (f"{server}/cert.pem", "sslclient"),
    )}  # fmt: skip
    assert {
        ("cert.pem", "sslclient"): 0,
        ("cert.pem", "sslserver"): 2,
        (f"{server}/cert.pem", "sslserver"): 0,
        (f"{server}/cert.pem", "sslclient"): 2,
    } == checks
    keys = sorted(str(path.relative_to(directory)) for path in directory.rglob("*key.pem"))
    assert ["ca-key.pem", "key.pem", f"{server}/key.pem"] == keys
    assert {0o600} == {(directory / key).stat().st_mode & 0o7777 for key in keys}
    assert (0o700, 0o700) == ((directory).stat().st_mode & 0o7777, (directory / server).stat().st_mode & 0o7777)
    assert (directory / "ca.pem").read_bytes() == (directory / server / "ca.pem").read_bytes()


def test_each_certificate_is_for_one_purpose(tmp_path: Path) -> None:
    """A builder's key opens no other builder, and a client's is no server."""
    directory = tmp_path / "fleet"
    lines = issued(directory)
    check_store(directory, "servers/arm-1.example")
    server = read(directory / "servers/arm-1.example/cert.pem")
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ["arm-1.example"] == names.get_values_for_type(x509.DNSName)
    assert [ipaddress.ip_address("10.0.0.7")] == names.get_values_for_type(x509.IPAddress)
    usage = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [ExtendedKeyUsageOID.SERVER_AUTH] == list(usage)
    assert 3 == len({read(path).serial_number for path in (*directory.glob("c*t.pem"), *directory.rglob("ca.pem"),
                                                           directory / "servers/arm-1.example/cert.pem")})  # fmt: skip
    assert 3 == len(lines)


def test_times_are_those_of_the_design(tmp_path: Path) -> None:
    """Keys that travel end after 90 days; the CA does not, or a machine could not be added later."""
    issued(tmp_path / "fleet")
    now = datetime.datetime.now(datetime.timezone.utc)
    days = {
        name: round((read(tmp_path / "fleet" / name).not_valid_after_utc - now).total_seconds() / 86400)
        for name in ("ca.pem", "cert.pem", "servers/arm-1.example/cert.pem")
    }
    assert {"ca.pem": 3650, "cert.pem": 90, "servers/arm-1.example/cert.pem": 90} == days
    authority = ours.make_authority(ours.new_key(), "short", 10)
    assert authority.ends == ours.make_pair(authority, "client", 90).ends


def test_machine_that_is_added_later_needs_no_new_ca(tmp_path: Path) -> None:
    """The CA, and the certificates of before, stay byte for byte."""
    directory = tmp_path / "fleet"
    issued(directory)
    before = {path: path.read_bytes() for path in directory.rglob("*.pem")}
    lines = issued(directory, nodes=("arm-2.example", "[fd00::7]"))
    assert before == {path: path.read_bytes() for path in before}
    assert (2, 0) == (len(lines), verify(directory, "servers/arm-2.example/cert.pem", "sslserver"))
    assert 0 == verify(directory, "servers/fd00--7/cert.pem", "sslserver")


def test_nothing_is_written_over_without_being_asked(tmp_path: Path) -> None:
    """What a machine has may be in use; ``--renew`` replaces it, with the CA of before."""
    directory = tmp_path / "fleet"
    issued(directory)
    before = {path.name: path.read_bytes() for path in (directory / "servers/arm-1.example").iterdir()}
    client = (directory / "cert.pem").read_bytes()
    with pytest.raises(ConfigurationError, match=r"^--for: arm-1\.example has a certificate in .*; --renew replaces"):
        issued(directory)
    assert before == {path.name: path.read_bytes() for path in (directory / "servers/arm-1.example").iterdir()}
    issued(directory, renew=True)
    after = {path.name: path.read_bytes() for path in (directory / "servers/arm-1.example").iterdir()}
    assert [("ca.pem", True), ("cert.pem", False), ("key.pem", False)] == [
        (name, before[name] == after[name]) for name in sorted(after)
    ]
    assert client != (directory / "cert.pem").read_bytes()
    check_store(directory, "servers/arm-1.example")


def test_ca_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    """A run that ended between the key and the certificate leaves the key, which may be on its way already."""
    directory = tmp_path / "fleet"
    issued(directory)
    key = (directory / "ca-key.pem").read_bytes()
    for path in directory.glob("c*t.pem"):
        path.unlink()
    (directory / "ca.pem").unlink()
    issued(directory, nodes=("arm-2.example",))
    assert (key, 0) == ((directory / "ca-key.pem").read_bytes(), verify(directory, "cert.pem", "sslclient"))


def spoil(directory: Path, what: str) -> None:
    """Spoil a store."""
    other = ours.make_authority(ours.new_key(), "other", 10)
    old = ours.make_authority(ours.new_key(), "old", 0)
    if what == "no key":
        (directory / "ca-key.pem").unlink()
    elif what == "other key":
        (directory / "ca-key.pem").write_bytes(other.key_pem)
    elif what == "no PEM":
        (directory / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n!\n")
    elif what == "old CA":
        (directory / "ca.pem").write_bytes(old.pem)
        (directory / "ca-key.pem").write_bytes(old.key_pem)
    elif what == "other client":
        (directory / "cert.pem").write_bytes(ours.make_pair(other, "client", 90).pem)
    elif what == "open":
        directory.chmod(0o755)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("no key", r"ca\.pem is there without its key, ca-key\.pem: its CA was made elsewhere; "),
        ("other key", r"ca-key\.pem is not the key of .*ca\.pem; "),
        ("no PEM", r"ca\.pem holds no certificate, or no key of one as fleet-certs makes it; "),
        ("old CA", r"the CA .*ca\.pem has expired on \d{4}-\d\d-\d\d: "),
        ("other client", r"cert\.pem is not of the CA beside it, or its key another; --renew replaces both"),
        ("open", r"fleet is not this user's alone, and is to hold keys: chmod 700 it"),
    ],
)
def test_store_that_is_spoilt_is_one_line(tmp_path: Path, what: str, expected: str) -> None:
    """Nothing is made beside what does not belong together."""
    directory = tmp_path / "fleet"
    issued(directory)
    spoil(directory, what)
    with pytest.raises(ConfigurationError, match=rf"^--dest: .*{expected}") as caught:
        issued(directory, nodes=("arm-2.example",))
    assert (1, False) == (len(str(caught.value).splitlines()), (directory / "servers/arm-2.example").exists())


def test_commands_of_openssl_make_the_same(tmp_path: Path) -> None:
    """They are what ``--dry`` prints, and are run here as they stand there; ours are added to what they made."""
    directory = tmp_path / "fleet"
    for command in openssl_commands(Store(directory), ARM):
        subprocess.run(command, check=True, capture_output=True)
    check_store(directory, "servers/arm-1.example")
    assert [] == openssl_commands(Store(directory), [])
    issued(directory, nodes=("arm-2.example",))
    assert 0 == verify(directory, "servers/arm-2.example/cert.pem", "sslserver")
    for command in openssl_commands(Store(directory), IPV6):
        subprocess.run(command, check=True, capture_output=True)
    assert 0 == verify(directory, "servers/fd00--7/cert.pem", "sslserver")


def test_commands_that_bring_the_files_name_each_machine(tmp_path: Path) -> None:
    """scp takes a colon for the end of a host; an address of IPv6 stands in brackets there, and in no path."""
    commands = [shlex.join(command) for command in copy_commands(Store(tmp_path), IPV6)]
    files = " ".join(f"{tmp_path}/servers/fd00--7/{name}.pem" for name in ("ca", "cert", "key"))
    assert [
        "ssh root@fd00::7 mkdir -p -m 700 /etc/buildkit/tls",
        f"scp -p {files} 'root@[fd00::7]:/etc/buildkit/tls/'",
    ] == commands


@pytest.mark.parametrize(
    ("ignored", "tracked", "refused"),
    [("", False, True), ("/keys/\n", False, False), ("/keys/\n", True, True)],
)
def test_directory_that_git_keeps_is_refused(tmp_path: Path, ignored: str, tracked: bool, refused: bool) -> None:
    """Whoever has a copy of the repository would be root on the builders; also in a repository of somebody else's."""
    environ = {"GIT_CONFIG_GLOBAL": "/dev/null", "PATH": os.environ["PATH"]}
    subprocess.run(["git", "init", "-q", tmp_path], check=True, env=environ)
    (tmp_path / ".gitignore").write_text(ignored)
    if tracked:
        (tmp_path / "keys").mkdir(mode=0o700)
        (tmp_path / "keys" / "old.pem").touch()
        subprocess.run(["git", "add", "-f", "keys"], cwd=tmp_path, check=True, env=environ)
    if not refused:
        assert 3 == len(issued(tmp_path / "keys"))
        return
    with pytest.raises(ConfigurationError, match=r"^--dest: .*keys is in a git repository, .*have git ignore it$"):
        issued(tmp_path / "keys")
    assert not (tmp_path / "keys" / "ca-key.pem").exists()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "arm 1",
        "arm-1:1234",
        "tcp://arm-1",
        "-arm",
        "a..b",
        "a,",
        "*.example",
        "1.2.3",
        "a" * 64,
        "a/../b",
        "ä.example",
    ],
)
def test_what_is_no_host_is_refused(name: str) -> None:
    """It would be in a certificate that nobody takes, or in a path."""
    with pytest.raises(ConfigurationError, match=r"^--for: .* is no host: a name or an address alone, "):
        read_nodes([name])


def test_hosts_are_read_as_tls_compares_them() -> None:
    """Case and a dot at the end do not matter; brackets are the address's, not the name's."""
    names = [node.names for node in read_nodes(["ARM-1.Example.,10.0.0.7,arm-1.example", "[FD00::7]"])]
    address = ipaddress.ip_address
    assert [("arm-1.example", address("10.0.0.7")), (address("fd00::7"),)] == names
    with pytest.raises(ConfigurationError, match=r"^--for: arm-1 is given twice; "):
        read_nodes(["arm-1", "arm-1,10.0.0.7"])
    with pytest.raises(ConfigurationError, match=r"^--for: name the machines of the builders"):
        read_nodes([])


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, since few projects make certificates; openssl does as well."""
    monkeypatch.setitem(sys.modules, "multiarch.fleet.x509", None)
    monkeypatch.delattr("multiarch.fleet.x509")
    with pytest.raises(MultiarchError, match=r"pip install 'invoke-multiarch\[fleet\]'; or run openssl's commands"):
        issued(tmp_path / "fleet")
    assert [] == os.listdir(tmp_path)


def test_task_prints_commands_and_writes_nothing_when_dry(project: Project, tmp_path: Path) -> None:
    """Standard output has what is to be run, and nothing else."""
    words = ("fleet-certs", "--for", "arm-1.example", "--dest", str(tmp_path / "fleet"))
    dry = project.run("--dry", *words)
    assert (0, [], False) == (dry.status, dry.err, (tmp_path / "fleet").exists())
    assert ["mkdir", "openssl", "openssl", "mkdir", "openssl", "cp"] == [line.split()[0] for line in dry.out]
    done = project.run(*words)
    assert (0, ["ssh", "scp"]) == (done.status, [line.split()[0] for line in done.out])
    again = project.run(*words)
    assert (1, [], 1) == (again.status, again.out, len(again.err))

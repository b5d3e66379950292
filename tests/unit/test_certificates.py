"""Certificates that Docker has for registries: what is found, and what a server gets copies of."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from multiarch.buildkit.builder import Builder
from multiarch.buildkit.command import build_command
from multiarch.buildkit.server import Server, wanted
from multiarch.certificates import Identity, certificates_of, copied_certificates, known_certificates
from multiarch.config.load import load
from multiarch.docker_info import HostInfo, read_info
from multiarch.errors import ConfigurationError
from multiarch.registry.trust import trusting
from tests.unit.certificates import make_certificate

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HOST = "registry.lan:5000"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a registry, with a CA, a client certificate and its key; this user names no bundle."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "docker/certs.d" / HOST
    folder.mkdir(parents=True)
    for name in ("ca.crt", "client.cert", "client.key", "README"):
        (folder / name).write_text(name)
    return folder


def server(insecure: str = "") -> Server:
    """Return the server that a project needs."""
    block = {"image": "someone/app", "platforms": ["arm64"], "insecure_registries": insecure}
    return wanted(load(block, {}, {}), HostInfo(machine="x86_64"), local=False)


def directories_of(server: Server) -> list[str]:
    """Return the directories of certificates that its buildkitd.toml names for the registry."""
    found: list[str] = tomllib.loads(server.toml())["registry"][HOST]["tlsconfigdir"]
    return found


def test_files_are_known_by_their_endings(folder: Path) -> None:
    """As the Docker daemon knows them; a registry without a directory has none."""
    expected = (folder / "ca.crt",), (Identity(folder / "client.cert", folder / "client.key"),)
    known = certificates_of(HOST)
    assert expected == (known.authorities, known.identities)
    assert [HOST] == [each.host for each in known_certificates() if each.host == HOST]
    assert ((), ()) == (certificates_of("other.lan").authorities, certificates_of("other.lan").identities)


def test_server_gets_copies_and_reads_them(folder: Path) -> None:
    """Its buildkitd.toml names the directory in its container; only a key is private."""
    (directory,) = directories_of(server())
    assert directory.startswith(f"/etc/buildkit/certs/{HOST}/")
    copies = {path: content for path, content in server().configuration.files.items() if HOST in path}
    assert {
        f"{directory}/0.crt": b"ca.crt",
        f"{directory}/0.cert": b"client.cert",
        f"{directory}/0.key": b"client.key",
    } == copies
    assert "client.key" not in repr(copied_certificates())


def test_insecure_registry_may_have_certificates_too(folder: Path) -> None:
    """One table for both, as TOML allows no second of one name."""
    assert 1 == server(HOST).toml().count(f'[registry."{HOST}"]')


def test_server_with_other_certificates_does_not_serve(folder: Path) -> None:
    """A certificate that was renewed reaches the server."""
    labels = server().labels("sha256:1")
    assert server().serves(labels, "sha256:1")
    (former,) = directories_of(server())
    (folder / "ca.crt").write_text("renewed")
    assert not server().serves(labels, "sha256:1")
    joined = server().replacing(labels)
    # The first certificate that fits is shown, so the renewed one is before the former, which another user may need.
    assert [*directories_of(server()), former] == directories_of(joined)
    assert joined.serves(joined.labels("sha256:1"), "sha256:1")
    assert server().serves(joined.labels("sha256:1"), "sha256:1")


def test_certificate_without_its_key_is_left_out(folder: Path) -> None:
    """BuildKit would refuse all of that registry for it; our own client names the file when it asks the registry."""
    (folder / "client.key").unlink()
    assert ["0.crt"] == [path.rpartition("/")[2] for path in copied_certificates().files if HOST in path]
    (folder / "ca.crt").unlink()
    assert HOST not in copied_certificates().directories


def test_client_gets_the_paths(folder: Path) -> None:
    """BuildKit's client asks for the tokens of a registry, also with the certificate of an insecure one."""
    settings = load({"image": "a/b", "platforms": ["arm64"], "insecure_registries": ["c.lan"]}, {}, {})
    builder = Builder("unix:///s")
    command = build_command(settings, settings.matrix, Path("/b"), builder, "", insecure=["d.lan"])
    values = [value for flag, value in pairwise(command) if flag == "--registry-auth-tlscontext"]
    assert [
        "host=c.lan,insecure=true",
        "host=d.lan,insecure=true",
        f"host={HOST},ca={folder}/ca.crt",
        f"host={HOST},cert={folder}/client.cert,key={folder}/client.key",
    ] == [value for value in values if "lan" in value]


def test_bundle_of_the_user_is_trusted_for_all(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As behind the proxy of a company: our own client trusts it, so the server has to."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "bundle"))
    assert () == server().bundles
    (tmp_path / "bundle").write_text("bundle")
    (path,) = server().bundles
    assert (b"bundle", True) == (server().configuration.files[path], path.startswith("/etc/buildkit/certs/bundles/"))


def test_bundles_of_two_users_are_beside_each_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server that has one does not serve the other; what replaces it has both, and serves either."""
    labels, bundles = dict[str, str](), list[str]()
    for name in ("first", "second"):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / name))
        (tmp_path / name).write_text(name)
        assert not labels or not server().serves(labels, "sha256:1")
        bundles += server().bundles
        labels = server().replacing(labels).labels("sha256:1")
        assert server().serves(labels, "sha256:1")
    assert 2 == len(set(bundles)) == len(labels["multiarch.bundles"].split(","))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "first"))
    assert server().serves(labels, "sha256:1")


@pytest.mark.parametrize(
    ("registries", "host", "expected"),
    [
        ({"IndexConfigs": {"r.lan:5000": {"Secure": False}}}, "r.lan:5000", True),
        ({"IndexConfigs": {"r.lan:5000": {"Secure": False}}}, "r.lan", False),
        ({"IndexConfigs": {"r.lan": {"Secure": True}}, "InsecureRegistryCIDRs": ["0.0.0.0/0"]}, "r.lan", False),
        ({"InsecureRegistryCIDRs": ["10.0.0.0/8"]}, "10.1.2.3:5000", True),
        ({"InsecureRegistryCIDRs": ["10.0.0.0/8"]}, "192.168.1.1", False),
        ({"InsecureRegistryCIDRs": ["fd00::/8"]}, "[fd00::7]:5000", True),
        # A name is looked up; without a network to find it in, it is not.
        ({"InsecureRegistryCIDRs": ["10.0.0.0/8", "127.0.0.0/8"]}, "localhost:5000", True),
        ({"InsecureRegistryCIDRs": ["127.0.0.0/8"]}, "localhost:5000", False),
        ({}, "docker.io", False),
    ],
)
def test_insecure_registries_of_the_daemon(registries: dict[str, object], host: str, expected: bool) -> None:
    """By their entry, or else by their addresses."""
    info = read_info({"Architecture": "x86_64", "RegistryConfig": registries})
    assert expected == info.is_insecure(host)


def test_what_is_no_certificate_holds_nobody_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file without an end nor a name that no registry has reaches the server; our own client tells of one."""
    (folder / "device.crt").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.crt")
    other = os.fsencode(folder.parent) + b"/bad\xff"
    os.mkdir(other)
    Path(os.fsdecode(other), "ca.crt").write_text("x")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/dev/zero")
    copies = copied_certificates()
    assert [HOST] == [host for host in copies.directories if host == HOST or "bad" in host]
    assert [b"ca.crt"] == [content for path, content in copies.files.items() if HOST in path and path.endswith(".crt")]
    assert () == copies.bundles
    with pytest.raises(ConfigurationError, match=r"^REQUESTS_CA_BUNDLE: /dev/zero cannot be used: .*no file of up to"):
        trusting(HOST, identified=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    (folder / "ca.crt").unlink()
    with pytest.raises(ConfigurationError, match=r"device\.crt: cannot be used for TLS with .*no file of up to"):
        trusting(HOST, identified=False)


def test_password_of_a_key_is_asked_of_nobody(folder: Path) -> None:
    """Without a terminal OpenSSL reads it from standard input."""
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = serialization.BestAvailableEncryption(b"word")
    make_certificate(folder).rename(folder / "client.cert")
    (folder / "client.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    program = f"from multiarch.registry.trust import unverified; unverified({HOST!r})"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input="word\n", capture_output=True, text=True, start_new_session=True)
    assert "pass phrase" not in done.stderr
    assert "client.cert: cannot be used for TLS with registry.lan:5000" in done.stderr.splitlines()[-1]

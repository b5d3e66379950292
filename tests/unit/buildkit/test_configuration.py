"""buildkitd.toml: what is composed of the settings, the user's file and the Docker daemon, and how two are joined."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.buildkit.configuration import Configuration, compose, joined, registry_tables
from multiarch.config.load import load
from multiarch.docker_info import read_info
from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

INFO = {"Architecture": "x86_64", "RegistryConfig": {"InsecureRegistryCIDRs": ["127.0.0.0/8"], "IndexConfigs": {}}}


@pytest.mark.parametrize(
    ("config", "registries", "expected"),
    [
        ({}, [], {}),
        ({"InsecureRegistryCIDRs": None, "IndexConfigs": None}, ["docker.io"], {}),
        # Debian's docker.io without any configuration.
        (
            {
                "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"],
                "IndexConfigs": {"docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True}},
            },
            ["docker.io", "127.0.0.1:5001"],
            {},
        ),
        # --registry-mirror http://127.0.0.1:5055
        (
            {"IndexConfigs": {"docker.io": {"Mirrors": ["http://127.0.0.1:5055/"], "Secure": True}}},
            [],
            {"127.0.0.1:5055": {"http": True}, "docker.io": {"mirrors": ["127.0.0.1:5055"]}},
        ),
        # Two mirrors, one of them below a path.
        (
            {
                "IndexConfigs": {
                    "docker.io": {"Mirrors": ["https://mirror.gcr.io/", "http://cache:80/hub/"], "Secure": True}
                }
            },
            [],
            {"cache:80": {"http": True}, "docker.io": {"mirrors": ["mirror.gcr.io", "cache:80/hub"]}},
        ),
        # --insecure-registry registry.lan:5000
        (
            {"IndexConfigs": {"registry.lan:5000": {"Mirrors": [], "Secure": False}}},
            [],
            {"registry.lan:5000": {"http": True, "insecure": True}},
        ),
        # --insecure-registry 10.0.0.0/8 says nothing of the one that is pushed to, but means it.
        (
            {"InsecureRegistryCIDRs": ["10.0.0.0/8"]},
            ["10.1.2.3:5000", "192.168.1.1:5000", "10.registry.lan", "docker.io"],
            {"10.1.2.3:5000": {"http": True, "insecure": True}},
        ),
        (
            {"InsecureRegistryCIDRs": ["10.0.0.0/8"]},
            ["10.1.2.3"],
            {"10.1.2.3": {"http": True, "insecure": True}},
        ),
        (
            {"InsecureRegistryCIDRs": ["fd00::/8"]},
            ["[fd00::7]:5000"],
            {"[fd00::7]:5000": {"http": True, "insecure": True}},
        ),
        # BuildKit takes loopback for insecure by itself.
        ({"InsecureRegistryCIDRs": ["127.0.0.0/8"]}, ["127.0.0.1:5001"], {}),
    ],
)
def test_what_docker_info_says_of_registries(
    config: dict[str, Any], registries: list[str], expected: dict[str, Any]
) -> None:
    """Mirrors and insecure registries of the Docker daemon become those of BuildKit."""
    assert expected == registry_tables(read_info({**INFO, "RegistryConfig": config}), registries)


def composed(block: dict[str, Any], registries: dict[str, Any] | None = None) -> Configuration:
    """Return the configuration for a block of settings."""
    return compose(load(block, {}, {}).builder.buildkitd, registries or {})


def written(directory: Path, text: str) -> dict[str, Any]:
    """Return the setting of a file with a text."""
    (directory / "buildkitd.toml").write_text(text)
    return {"buildkitd_config": str(directory / "buildkitd.toml")}


def test_the_toml_is_read_as_it_is_meant() -> None:
    """The text means the tables that BuildKit expects, whatever a registry is called."""
    tomllib = pytest.importorskip("tomllib")
    tables = {
        "registry": {
            "docker.io": {"mirrors": ["127.0.0.1:5055"]},
            'odd "name" \N{PILE OF POO}': {"http": True, "insecure": True},
        }
    }
    assert tables == tomllib.loads(Configuration(tables).toml())
    assert "" == Configuration().toml()


def test_settings_are_called_as_buildkit_calls_them() -> None:
    """Each is in its place of buildkitd.toml."""
    block = {"nameservers": ["10.0.0.53"], "max_used_space": "20GB", "max_parallelism": 4}
    worker = {"maxUsedSpace": "20GB", "max-parallelism": 4}
    assert {"worker": {"oci": worker}, "dns": {"nameservers": ["10.0.0.53"]}} == composed(block).tables


def test_the_users_file_is_joined_with_what_is_carried_over(tmp_path: Path) -> None:
    """Settings win over the file, the file over the daemon; mirrors of both are kept, the file's first."""
    text = """
[registry."docker.io"]
mirrors = ["mirror.lan"]
[registry."registry.lan"]
insecure = false
[worker.oci]
max-parallelism = 2
gc = true
"""
    daemon = {"docker.io": {"mirrors": ["127.0.0.1:5055"]}, "registry.lan": {"insecure": True, "http": True}}
    configuration = composed({**written(tmp_path, text), "max_parallelism": 4}, daemon)
    assert {
        "worker": {"oci": {"max-parallelism": 4, "gc": True}},
        "registry": {
            "docker.io": {"mirrors": ["mirror.lan", "127.0.0.1:5055"]},
            "registry.lan": {"insecure": False, "http": True},
        },
    } == configuration.tables


def test_certificates_go_into_the_container(tmp_path: Path) -> None:
    """By paths that their content decides; relative ones begin at the file, and the label holds none of a key."""
    for name in ("ca", "key", "cert"):
        (tmp_path / f"{name}.pem").write_text(name.upper())
    text = f"""
[registry."a"]
ca = ["{tmp_path}/ca.pem"]
[[registry."a".keypair]]
key = "key.pem"
cert = "cert.pem"
"""
    configuration = composed(written(tmp_path, text))
    table = configuration.tables["registry"]["a"]
    named = [*table["ca"], table["keypair"][0]["key"], table["keypair"][0]["cert"]]
    assert [b"CA", b"KEY", b"CERT"] == [configuration.files[place] for place in named]
    assert [True] * 3 == [place.startswith("/etc/buildkit/certs/") for place in named]
    assert "KEY" not in configuration.label()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[registry", "is not TOML"),
        ("a = " + "[" * 5000, "is not TOML"),
        (".".join("a" * 5000) + " = 1", "is nested too deeply"),
        ("[grpc]\naddress = ['tcp://0.0.0.0:1234']", "sets grpc, which belongs to the container of the server"),
        ("root = '/elsewhere'", "sets root"),
        ("when = 2024-01-01", "holds a date"),
        ("number = nan", "holds a date, or a number that is none"),
        ("registry = 7", "registry needs a table for each host"),
        ("[registry]\na = 7", "registry needs a table for each host"),
        ("[registry.a]\nca = [7]", "need paths as text"),
        ("[registry.a]\nca = 'missing.pem'", "cannot read"),
        ("[registry.a]\nkeypair = 7", "keypair"),
        ("[registry.a]\nkeypair = [7]", "keypair"),
        ("#" * (1 << 20) + "#", "has more than 1048576 bytes"),
    ],
)
def test_a_file_that_the_server_may_not_have_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    """The error names the setting, the file and what is wrong."""
    with pytest.raises(ConfigurationError, match=problem) as caught:
        composed(written(tmp_path, text))
    assert str(caught.value).startswith("multiarch.buildkitd_config: ")
    assert 1 == len(str(caught.value).splitlines())


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Before anything is started."""
    with pytest.raises(ConfigurationError, match=r"^multiarch.buildkitd_config: cannot read .*/none: No such file"):
        composed({"buildkitd_config": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("running", "wanted", "expected"),
    [
        ({}, {}, {}),
        ({"registry": {"a": {"http": True}}}, {}, {"registry": {"a": {"http": True}}}),
        (
            {"registry": {"a": {"mirrors": ["x"]}}},
            {"registry": {"a": {"mirrors": ["y", "x"]}, "b": {"http": True}}},
            {"registry": {"a": {"mirrors": ["x", "y"]}, "b": {"http": True}}},
        ),
        ({"registry": {"a": {"insecure": False}}}, {"registry": {"a": {"insecure": True}}}, None),
        ({"worker": {"oci": {"gc": True}}}, {"worker": {"oci": {"n": 1}}}, {"worker": {"oci": {"gc": True, "n": 1}}}),
        ({"worker": {"oci": {"n": 2}}}, {"worker": {"oci": {"n": 1}}}, None),
        ({"dns": {"nameservers": ["1.1.1.1"]}}, {"dns": {"nameservers": ["8.8.8.8"]}}, None),
        ({"debug": True}, {"debug": 1}, None),
        ({"worker": 1}, {"worker": {"oci": {}}}, None),
    ],
)
def test_two_configurations_in_one(
    running: dict[str, Any], wanted: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    """What only one has is kept, lists of a registry are joined, and what both set differently cannot be."""
    before = json.dumps([running, wanted])
    assert expected == joined(running, wanted)
    assert before == json.dumps([running, wanted])

"""What the BuildKit server must be, worked out from the settings and from what `docker info` says."""

from __future__ import annotations

import json
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from multiarch.buildkit.server import Server, wanted
from multiarch.config.load import load
from multiarch.docker_info import read_info
from multiarch.image.platform import Platform

# What the Engine API's /info says, as far as it is read.
INFO = {"Architecture": "x86_64", "RegistryConfig": {"InsecureRegistryCIDRs": ["127.0.0.0/8"], "IndexConfigs": {}}}
IMAGE_ID = "sha256:1234"


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> None:
    """The private socket lies where the user's state does; there are no certificates."""
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/state")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/proc/nowhere")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def server_for(
    block: dict[str, Any] | None = None, info: dict[str, Any] | None = None, *, local: bool = True
) -> Server:
    """Return the server for a block of settings, by default for two foreign platforms and an image elsewhere."""
    settings = load({"image": "someone/app", "platforms": ["arm64", "armhf"], **(block or {})}, {}, {})
    return wanted(settings, read_info({**INFO, **(info or {})}), local=local)


# Arguments.


def test_the_usual_server() -> None:
    """A private socket, a volume for the cache, the host's own platform first, then the matrix; no open port."""
    server = server_for()
    assert [
        *("--addr", "unix:///run/buildkit/buildkitd.sock", "--group", str(os.getgid())),
        *("--oci-worker-platform", "linux/amd64"),
        *("--oci-worker-platform", "linux/arm64"),
        *("--oci-worker-platform", "linux/arm/v7"),
    ] == server.command()
    assert ["buildkit-state:/var/lib/buildkit", "/home/me/state/multiarch/buildkit:/run/buildkit"] == server.volumes()
    assert ("", False) == (server.toml(), server.host_network)


@pytest.mark.parametrize(
    ("machine", "platforms", "expected"),
    [
        ("x86_64", ["arm64", "amd64"], "linux/amd64 linux/arm64"),
        ("aarch64", ["amd64", "arm64"], "linux/arm64 linux/amd64"),
        ("armv7l", ["arm/v6"], "linux/arm/v7 linux/arm/v6"),
        ("vax", ["amd64"], "linux/amd64"),
    ],
)
def test_the_hosts_own_platform_leads(machine: str, platforms: list[str], expected: str) -> None:
    """$BUILDPLATFORM of a Dockerfile is the first platform; each is named once."""
    server = server_for({"platforms": platforms}, {"Architecture": machine})
    assert expected == " ".join(str(platform) for platform in server.platforms)


def test_a_platform_with_a_builder_is_not_the_servers() -> None:
    """What is built elsewhere is not announced here."""
    server = server_for({"platforms": ["amd64", {"platform": "arm64", "builder": "ssh://arm-box"}]})
    assert "linux/amd64" == " ".join(map(str, server.platforms))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("tcp://127.0.0.1:1234", ["tcp://127.0.0.1:1234"]),
        ("tcp://localhost:9", ["tcp://localhost:9"]),
        ("tcp://[::1]:9", ["tcp://[::1]:9"]),
        ("docker-container://buildkit", []),
        ("unix:///run/me/buildkitd.sock", []),
    ],
)
def test_tcp_address_is_listened_on_as_given(address: str, expected: list[str]) -> None:
    """On the host's network, so that no address of a container listens too; and no RUN shares that network."""
    server = server_for({"address": address})
    assert expected == [word for word in server.command() if word.startswith("tcp://")]
    assert bool(expected) == server.host_network == ("--oci-worker-net bridge" in " ".join(server.command()))
    assert "unix:///run/buildkit/buildkitd.sock" in server.command()


@pytest.mark.parametrize(
    ("block", "registry_config"),
    [
        ({"image": "127.0.0.1:5001/app"}, {}),
        ({"image": []}, {}),
        ({}, {"IndexConfigs": {"docker.io": {"Mirrors": ["http://127.0.0.1:5055"]}}}),
    ],
)
def test_server_has_the_hosts_network_where_a_registry_is_on_loopback(
    block: dict[str, Any], registry_config: dict[str, Any]
) -> None:
    """A registry or mirror on 127.0.0.1 is only reached from the host's network; a RUN has a network of its own."""
    server = server_for(block, {"RegistryConfig": registry_config})
    assert server.host_network
    assert "--oci-worker-net bridge" in " ".join(server.command())


def test_an_address_of_ones_own_choice() -> None:
    """unix:// names the directory that is shared with the container."""
    server = server_for({"address": "unix:///run/me/buildkitd.sock"})
    assert (Path("/run/me"), True) == (server.sockets, server.sockets_asked)
    assert "/run/me:/run/buildkit" in server.volumes()


def test_a_docker_host_elsewhere_shares_no_directory() -> None:
    """A socket in another machine's file system is of no use here."""
    assert ["buildkit-state:/var/lib/buildkit"] == server_for(local=False).volumes()


def test_each_docker_host_has_a_directory_of_its_own() -> None:
    """The socket of one that is gone is in no other's way; and the name is the same each time."""
    first, again, other = (server_for(info={"ID": name}).sockets for name in ("a", "a", "b"))
    assert (True, True) == (first == again, first != other)
    assert "/home/me/state/multiarch/buildkit-ca978112ca1b" == str(first)


def test_server_that_is_reached_through_docker_mounts_nothing() -> None:
    """Neither is a directory made for it."""
    server = server_for({"address": "docker-container://buildkit"})
    assert (None, ["buildkit-state:/var/lib/buildkit"]) == (server.sockets, server.volumes())


def test_a_path_too_long_for_a_socket_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """unix(7) allows 107 bytes; beyond them the server is reached through Docker."""
    room = 107 - len("/multiarch/buildkit/buildkitd.sock")
    monkeypatch.setenv("XDG_STATE_HOME", "/" + "x" * (room - 1))
    assert server_for().sockets is not None
    monkeypatch.setenv("XDG_STATE_HOME", "/" + "x" * room)
    assert server_for().sockets is None


def test_a_rootless_docker_host_knows_only_its_own_root() -> None:
    """There the user's gid is root's, inside."""
    assert 0 == server_for(info={"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}).group
    assert os.getgid() == server_for(info={"SecurityOptions": ["name=seccomp,profile=builtin"]}).group


# Which server serves.


@pytest.mark.parametrize(
    ("running", "block", "expected"),
    [
        ({}, {}, True),
        ({}, {"platforms": ["armhf"]}, True),
        ({}, {"platforms": ["arm64", "armhf", "s390x"]}, True),
        ({"address": "tcp://127.0.0.1:1234"}, {}, True),
        ({}, {"address": "tcp://127.0.0.1:1234"}, False),
        ({"address": "tcp://127.0.0.1:1234"}, {"address": "tcp://127.0.0.1:1234"}, True),
        ({"address": "tcp://127.0.0.1:1234"}, {"address": "tcp://127.0.0.1:1235"}, False),
        ({}, {"address": "docker-container://buildkit"}, True),
        ({}, {"address": "unix:///run/me/buildkitd.sock"}, False),
        ({"address": "unix:///run/me/buildkitd.sock"}, {"address": "unix:///run/me/buildkitd.sock"}, True),
        ({"address": "unix:///run/me/buildkitd.sock"}, {}, True),
        ({}, {"image": "127.0.0.1:5001/app"}, False),
        ({"image": "127.0.0.1:5001/app"}, {}, True),
        ({"image": "someone/app"}, {"image": "someone/else"}, True),
        ({}, {"tags": ["other"], "context": "elsewhere"}, True),
        ({}, {"insecure_registries": ["registry.lan"]}, False),
        ({"insecure_registries": ["registry.lan", "b"]}, {"insecure_registries": ["registry.lan"]}, True),
        ({"max_parallelism": 4}, {}, True),
        ({"max_parallelism": 4}, {"max_parallelism": 4}, True),
        ({"max_parallelism": 4}, {"max_parallelism": 5}, False),
        ({}, {"max_used_space": "20GB"}, False),
        ({}, {"nameservers": ["10.0.0.53"]}, False),
        ({"nameservers": ["10.0.0.53"]}, {}, False),
        ({}, {"buildkitd_env": {"A": "b"}}, False),
        ({"buildkitd_env": {"A": "b"}}, {"buildkitd_env": {"A": "b"}}, True),
    ],
)
def test_a_server_serves_who_asks_for_no_more(running: dict[str, Any], block: dict[str, Any], expected: bool) -> None:
    """A running server is taken when it is all that is asked for, even if it is more."""
    labels = server_for(running).labels(IMAGE_ID)
    assert expected == server_for(block).serves(labels, IMAGE_ID)


@pytest.mark.parametrize(
    ("labels", "block"),
    [
        ({"multiarch.network": "host"}, {}),
        ({"multiarch.network": "host"}, {"image": "127.0.0.1:5001/app"}),
        ({"multiarch.network": "bridge", "multiarch.tcp": "127.0.0.1:1234"}, {}),
        ({"multiarch.network": "bridge", "multiarch.tcp": "127.0.0.1:1234"}, {"address": "tcp://127.0.0.1:1234"}),
        ({"multiarch.network": "something later"}, {}),
    ],
)
def test_server_that_others_reach_is_replaced(labels: dict[str, str], block: dict[str, Any]) -> None:
    """Earlier versions gave a RUN the host's network, or listened on Docker's bridge: both end at the next start."""
    server = server_for(block)
    former = {**server.labels(IMAGE_ID), **labels}
    assert not server.serves(former, IMAGE_ID)
    later = server.replacing(former)
    assert (True, labels.get("multiarch.tcp", "")) == (later.host_network, ",".join(later.tcp))
    assert server.serves(later.labels(IMAGE_ID), IMAGE_ID)


def test_platform_of_an_unknown_name_is_not_kept() -> None:
    """The label of a container may hold anything; what is no platform is not announced."""
    labels = {"multiarch.platforms": "linux/s390x,vax/780,,linux/arm/v99"}
    assert "linux/amd64 linux/arm64 linux/arm/v7 linux/s390x" == " ".join(
        map(str, server_for().replacing(labels).platforms)
    )


def test_another_image_or_configuration_does_not_serve() -> None:
    """A server of another version, or one that does not know the daemon's mirrors of today, is not the same."""
    server = server_for()
    labels = server.labels(IMAGE_ID)
    mirrored = {"RegistryConfig": {"IndexConfigs": {"docker.io": {"Mirrors": ["https://mirror.gcr.io"]}}}}
    assert [True, False, False, False] == [
        server.serves(labels, IMAGE_ID),
        server.serves(labels, "sha256:5678"),
        server_for(info=mirrored).serves(labels, IMAGE_ID),
        server.serves({}, IMAGE_ID),
    ]
    # Where only the name of the image is known, that decides.
    assert [True, False] == [
        served.serves(labels, None) for served in (server, server_for({"buildkit_image": "moby/buildkit:v0.30.0"}))
    ]


@pytest.mark.parametrize(
    "label", ["", "{", "[]", "null", "7", '"text"', "[" * 100_000, '{"a": null}', '{"registry": 1}']
)
def test_configuration_that_cannot_be_read_is_not_joined(label: str) -> None:
    """A label holds what somebody wrote: such a server does not serve, and is replaced by what is asked for alone."""
    server = server_for({"insecure_registries": ["registry.lan"]})
    labels = {**server.labels(IMAGE_ID), "multiarch.buildkitd": label}
    assert not server.serves(labels, IMAGE_ID)
    assert server.configuration == server.replacing(labels).configuration


def test_a_server_that_replaces_another_keeps_what_it_had() -> None:
    """Two projects do not take turns in recreating it: the second recreation serves both."""
    first = server_for({"platforms": ["arm64"], "insecure_registries": ["a"], "address": "tcp://127.0.0.1:1"})
    second = server_for({"platforms": ["s390x"], "insecure_registries": ["b"], "address": "tcp://127.0.0.1:2"})
    both = second.replacing(first.labels(IMAGE_ID))
    assert "linux/amd64 linux/s390x linux/arm64" == " ".join(map(str, both.platforms))
    assert (["a", "b"], ("127.0.0.1:2", "127.0.0.1:1")) == (sorted(both.configuration.tables["registry"]), both.tcp)
    labels = both.labels(IMAGE_ID)
    assert [True, True] == [server.serves(labels, IMAGE_ID) for server in (first, second)]
    assert second == second.replacing({})
    assert (Platform.parse("amd64"), Platform.parse("s390x")) == second.platforms


def test_a_server_apart_shares_nothing() -> None:
    """Its name tells what it is for; cache, socket and bridge are its own."""
    block = {"image": "127.0.0.1:5001/app"}
    server, other = server_for(block), server_for({**block, "buildkit_image": "moby/buildkit:v0.30.0"})
    assert (
        server.apart().name
        != other.apart().name
        == server_for({**block, "buildkit_image": "moby/buildkit:v0.30.0"}).apart().name
    )
    name = server.apart().name
    assert [
        f"{name}-state:/var/lib/buildkit",
        f"/home/me/state/multiarch/{name}:/run/buildkit",
    ] == server.apart().volumes()
    bridges = [bridge_of(each) for each in (server, server.apart(), other.apart())]
    assert (3, False) == (len(set(bridges)), None in bridges)


def test_servers_of_two_docker_hosts_share_no_bridge() -> None:
    """They may be in one network, such as Docker's and Podman's on one machine; the bridge is the same each time."""
    block = {"image": "127.0.0.1:5001/app"}
    first, again, other = (bridge_of(server_for(block, info={"ID": name})) for name in ("a", "a", "b"))
    assert (True, True, True) == (first is not None, first == again, first != other)
    assert bridge_of(server_for(info={"ID": "a"})) is None


def test_names_of_container_and_volume_may_be_set() -> None:
    """So that the jobs of one runner are apart; the usual name keeps the usual volume."""
    server = server_for({"buildkit_container": "job-7"})
    assert ("job-7", "job-7-state", Path("/home/me/state/multiarch/job-7")) == (
        server.name,
        server.volume,
        server.sockets,
    )
    assert "buildkit-state" == server_for().volume


@pytest.mark.parametrize(
    ("running", "block", "expected"),
    [
        ({}, {}, False),
        ({"address": "tcp://127.0.0.1:1234"}, {"address": "tcp://127.0.0.1:1234"}, True),
        ({"address": "tcp://127.0.0.1:1234"}, {"address": "tcp://127.0.0.1:1235"}, False),
        ({"address": "unix:///run/me/buildkitd.sock"}, {"address": "unix:///run/me/buildkitd.sock"}, True),
        ({"address": "unix:///run/me/buildkitd.sock"}, {}, False),
    ],
)
def test_one_address_is_not_listened_on_twice(running: dict[str, Any], block: dict[str, Any], expected: bool) -> None:
    """A server apart that would take the address of one in use is not started."""
    assert expected == server_for(block).meets(server_for(running).labels(IMAGE_ID))


def test_password_of_a_proxy_is_in_no_label(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment has it; a label, and what is shown of a server, has its digest at most."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    proxies = {"default": {"httpProxy": "http://me:hunter2@proxy:3128"}}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": proxies}))
    server = server_for()
    assert "http://me:hunter2@proxy:3128" == server.environment["http_proxy"] == server.environment["HTTP_PROXY"]
    assert "hunter2" not in str(server.labels(IMAGE_ID))
    assert "hunter2" not in str([server.command(), server.volumes(), server.toml()])


def bridge_of(server: Server) -> tuple[str, str] | None:
    """Return name and subnet of the bridge in a server's configuration."""
    found = re.search(r'bridgeName = "(.+)"\nbridgeSubnet = "(.+)"', server.toml())
    return (found[1], found[2]) if found else None


# Entitlements.


def test_server_allows_what_the_settings_allow() -> None:
    """And what another project needs of it: a build has to ask for it too."""
    plain, wanting = server_for(), server_for({"entitlements": "network.host"})
    flag = "--allow-insecure-entitlement"
    assert (0, ["network.host"]) == (plain.command().count(flag), _values(wanting, flag))
    labels = wanting.labels(IMAGE_ID)
    assert (True, True) == (wanting.serves(labels, IMAGE_ID), plain.serves(labels, IMAGE_ID))
    assert not wanting.serves(plain.labels(IMAGE_ID), IMAGE_ID)
    both = server_for({"entitlements": ["security.insecure"]}).replacing(labels | {"multiarch.tcp": ""})
    assert ["security.insecure", "network.host"] == _values(both, flag)
    odd = labels | {"multiarch.entitlements": "--debug,device"}
    assert ["network.host"] == _values(wanting.replacing(odd), flag)


def _values(server: Server, flag: str) -> list[str]:
    """Return the values of a flag of buildkitd."""
    return [value for name, value in pairwise(server.command()) if name == flag]

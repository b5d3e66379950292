"""What the Docker host says of itself and of its containers: what is read of it, and what is refused."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from multiarch.docker_info import DaemonRegistry, HostInfo, read_container, read_info

CONTAINER = {
    "Id": "c1",
    "Name": "/buildkit",
    "RestartCount": 2,
    "State": {"Status": "exited", "ExitCode": 3, "Running": False, "StartedAt": "2026-01-01T00:00:00Z"},
    "Config": {"Labels": {"multiarch.tcp": "127.0.0.1:1", "org.opencontainers.image.description": "two\nlines"}},
    "Mounts": [{"Type": "bind", "Source": "/a b", "Destination": "/run/buildkit"}, {"Type": "tmpfs"}],
}


def test_info_of_a_daemon_is_read() -> None:
    """As the Engine API has it; its mirrors, networks and options, each in its own type."""
    index = {"Name": "docker.io", "Mirrors": ["http://127.0.0.1:5055/"], "Secure": True, "Official": True}
    answer = {
        "Architecture": "x86_64",
        "OperatingSystem": "Docker Desktop",
        "NCPU": 2,
        "MemTotal": 1 << 34,
        "RegistryConfig": {"InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"], "IndexConfigs": {"docker.io": index}},
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"],
    }
    info = read_info(answer)
    assert ("x86_64", "Docker Desktop", 2, 1 << 34) == (info.machine, info.operating_system, info.cpus, info.memory)
    assert (DaemonRegistry("docker.io", True, ("http://127.0.0.1:5055/",)),) == info.registries
    assert (ip_network("::1/128"), ip_network("127.0.0.0/8")) == info.insecure_networks
    assert (True, True, False) == (info.is_rootless, info.is_in_a_vm, info.remaps_users)


def test_two_hosts_on_one_machine_are_told_apart() -> None:
    """By ID and place: daemons of Docker 20.10 share an ID, and Podman has another in each answer."""
    docker = {"Architecture": "x86_64", "ID": "N4QE:RC74", "Name": "vm", "DockerRootDir": "/var/lib/docker"}
    podman = {**docker, "ID": "52e490ba-42bf", "BuildahVersion": "1.28.2", "DockerRootDir": "/var/lib/containers"}
    assert "N4QE:RC74:/var/lib/docker" == read_info(docker).identity
    assert "N4QE:RC74:/srv/docker" == read_info({**docker, "DockerRootDir": "/srv/docker"}).identity
    assert "vm:/var/lib/containers" == read_info(podman).identity == read_info({**podman, "ID": "d6d3c008"}).identity


@pytest.mark.parametrize(("options", "expected"), [(["name=userns"], True), (["name=seccomp"], False), (None, False)])
def test_remapped_users_are_known(options: list[str] | None, expected: bool) -> None:
    """A privileged container must ask for the host's own users there."""
    assert expected == read_info({"Architecture": "x86_64", "SecurityOptions": options}).remaps_users


@pytest.mark.parametrize(
    "more", [{}, {"NCPU": None, "RegistryConfig": None}, {"RegistryConfig": {"IndexConfigs": None}}]
)
def test_missing_fields_of_info_are_empty(more: dict[str, Any]) -> None:
    """Podman says less; Go writes null for an empty list or map."""
    assert HostInfo("aarch64") == read_info({"Architecture": "aarch64", **more})


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("Architecture", None, "Architecture is missing"),
        ("Architecture", "", "Architecture is missing"),
        ("Architecture", 7, "Architecture is no text"),
        ("Architecture", "x86\n_64", "Architecture is too long, or holds control characters"),
        ("OperatingSystem", ["Debian"], "OperatingSystem is no text"),
        ("OperatingSystem", "x" * 1025, "OperatingSystem is too long"),
        ("NCPU", "2", "NCPU is no number"),
        ("NCPU", True, "NCPU is no number"),
        ("MemTotal", 1.5, "MemTotal is no number"),
        ("SecurityOptions", {"name": "rootless"}, "SecurityOptions is no list"),
        ("SecurityOptions", [1], "SecurityOptions is no text"),
        ("RegistryConfig", [], "RegistryConfig is no mapping"),
        ("RegistryConfig", {"IndexConfigs": []}, "IndexConfigs is no mapping"),
        ("RegistryConfig", {"IndexConfigs": {"a": []}}, "a registry of IndexConfigs is no mapping"),
        ("RegistryConfig", {"IndexConfigs": {"a": {"Mirrors": "http://b"}}}, "Mirrors is no list"),
        ("RegistryConfig", {"IndexConfigs": {"a": {"Secure": "no"}}}, "Secure of a registry is neither true nor false"),
        ("RegistryConfig", {"IndexConfigs": {"a\x1b": {}}}, "a registry's name is too long, or holds"),
        ("RegistryConfig", {"InsecureRegistryCIDRs": ["10.0.0.0/99"]}, "has '10.0.0.0/99', which is no network"),
        ("RegistryConfig", {"InsecureRegistryCIDRs": [[]] * 10_001}, "InsecureRegistryCIDRs has 10001 items"),
    ],
)
def test_info_that_is_none_is_refused(field: str, value: object, expected: str) -> None:
    """A daemon whose registries cannot be read is not taken for one without any."""
    with pytest.raises(ValueError, match=expected):
        read_info({"Architecture": "x86_64", field: value})


@pytest.mark.parametrize("answer", [[], "x86_64", 1, None])
def test_answer_that_is_no_mapping_is_refused(answer: object) -> None:
    """Neither of the two is anything else."""
    for read in (read_info, read_container):
        with pytest.raises(ValueError, match=r"is no mapping|is missing"):
            read(answer)


def test_container_is_read() -> None:
    """The labels of its image may be anything, and are left out."""
    container = read_container(CONTAINER)
    assert ("c1", "/buildkit", 2) == (container["Id"], container["Name"], container["RestartCount"])
    assert {"Status": "exited", "ExitCode": 3, "StartedAt": "2026-01-01T00:00:00Z"} == container["State"]
    assert {"Labels": {"multiarch.tcp": "127.0.0.1:1"}} == container["Config"]
    expected = [{"Source": "/a b", "Destination": "/run/buildkit"}, {"Source": "", "Destination": ""}]
    assert expected == container["Mounts"]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("Id", None, "Id or State.Status is missing"),
        ("State", None, "Id or State.Status is missing"),
        ("State", "running", "State is no mapping"),
        ("State", {"Status": "exited", "ExitCode": "0"}, "State.ExitCode is no number"),
        ("State", {"Status": "exited", "StartedAt": 1}, "State.StartedAt is no text"),
        ("RestartCount", "1", "RestartCount is no number"),
        ("Name", 5, "Name is no text"),
        ("Config", {"Labels": ["multiarch.tcp"]}, "Labels is no mapping"),
        ("Config", {"Labels": {"multiarch.tcp": 1234}}, "the label multiarch.tcp is no text"),
        ("Mounts", {}, "Mounts is no list"),
        ("Mounts", ["/a"], "a mount is no mapping"),
        ("Mounts", [{"Source": 1}], "Source is no text"),
    ],
)
def test_container_that_is_none_is_refused(field: str, value: object, expected: str) -> None:
    """An unknown state is not taken for one that ended well."""
    with pytest.raises(ValueError, match=expected):
        read_container({**CONTAINER, field: value})

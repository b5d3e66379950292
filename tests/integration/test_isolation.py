"""What a RUN and other containers reach of the server and of the Docker host, and which images the server may have."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import socket
import stat
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import PLAIN, REGISTRY, Project, free_port
from tests.integration.docker_host import docker

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE = "multiarch:\n  platforms: [linux/amd64]\n"


@pytest.fixture
def usual_server(project: Project) -> Iterator[None]:
    """Afterwards the server is the usual one again."""
    yield
    project.ok("start-buildkit", "--recreate")


@contextmanager
def listener(address: str) -> Iterator[tuple[int, list[str]]]:
    """Listen on an address of this machine; yield the port, and who has connected."""
    with socket.create_server((address, 0)) as server:
        visitors: list[str] = []

        def accept() -> None:
            while True:
                try:
                    connection, (peer, _) = server.accept()
                except OSError:
                    return
                visitors.append(peer)
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], visitors
        server.shutdown(socket.SHUT_RDWR)


def own_address() -> str:
    """Return the address by which this machine reaches others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # a datagram socket sends nothing to connect
        return str(probe.getsockname()[0])


def bridge() -> tuple[str, str]:
    """Return the name of the server's bridge, and the address of the Docker host on it."""
    toml = docker("exec", "buildkit", "cat", "/etc/buildkit/buildkitd.toml")
    name, address = re.findall(r'^bridge(?:Name|Subnet) = "(.+)"$', toml, re.MULTILINE)
    return name, str(next(ipaddress.ip_network(address).hosts()))


def attempts(*places: str) -> str:
    """Return a script that says of each host:port whether a connection is made."""
    tries = [f"nc -w 2 {p.replace(':', ' ')} </dev/null && echo reached {p} || echo kept from {p}" for p in places]
    return "; ".join([*tries, "true"])


def built(project: Project, script: str, **environ: str) -> str:
    """Release an image whose RUN is a script; return what was said."""
    project.write(invoke_yaml=ONE, Dockerfile=f"FROM busybox:stable\nENV RUN_OF={project.path.name}\nRUN {script}\n")
    result = project.run("release", **PLAIN, **environ)
    assert 0 == result.status, result.err
    return result.err


def test_run_does_not_reach_the_hosts_loopback(project: Project) -> None:
    """Neither the embedded registry, which the push goes to, nor another listener; the network outside it does."""
    project.ok("start-buildkit")
    _, gateway = bridge()
    with listener("127.0.0.1") as (port, visitors), listener(own_address()) as (outside, seen):
        places = (REGISTRY, "127.0.0.1:5055", f"127.0.0.1:{port}", f"{gateway}:{port}", f"{own_address()}:{outside}")
        said = built(project, f"{attempts(*places)}; cat /etc/resolv.conf")
    for place in places[:-1]:
        assert f"kept from {place}" in said, said
    assert f"reached {places[-1]}" in said, said
    # To the host it comes from the bridge, by the server's own network or by translation.
    assert ([], 1) == (visitors, len(seen))
    names = [line.split()[1] for line in Path("/etc/resolv.conf").read_text().splitlines() if "nameserver" in line]
    assert [True] * len(names) == [f"nameserver {name}" in said for name in names if not name.startswith("127.")]


def test_entitlement_of_the_hosts_network_is_not_given(project: Project) -> None:
    """A Dockerfile cannot ask for the host's network either."""
    project.write(invoke_yaml=ONE, Dockerfile="FROM busybox:stable\nRUN --network=host true\n")
    result = project.run("release", **PLAIN)
    assert 1 == result.status
    assert "network.host is not allowed" in result.err


@pytest.mark.usefixtures("usual_server")
def test_tcp_server_is_reached_from_loopback_alone(project: Project) -> None:
    """buildctl on the host builds with it; a container on Docker's bridge and a RUN find nothing at any address."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    assert [address] == project.ok("start-buildkit", "--address", address)
    docker("exec", "buildkit", "buildctl", "--addr", address, "debug", "workers")
    places = [f"{host}:{port}" for host in ("127.0.0.1", "172.17.0.1", bridge()[1], own_address())]
    in_a_container = docker("run", "--rm", "busybox:stable", "sh", "-c", attempts(*places))
    in_a_run = built(project, attempts(*places), BUILDKIT_HOST=address)
    for place in places:
        assert f"kept from {place}" in in_a_container
        assert f"kept from {place}" in in_a_run
    assert "reached" not in in_a_container
    assert "" == docker("port", "buildkit")


@pytest.mark.usefixtures("usual_server")
def test_recreated_server_leaves_no_bridge(project: Project) -> None:
    """It is stopped before it is removed; a killed one would leave its interface on the host's network."""
    project.ok("start-buildkit", "--recreate")
    name, address = bridge()
    interface = Path("/sys/class/net", name)
    docker("stop", "buildkit")
    if interface.exists():  # of one that was killed before
        words = ("--privileged", "--network", "host", "busybox:stable", "ip", "link", "delete", name)
        docker("run", "--rm", *words)
    docker("start", "buildkit")
    project.ok("start-buildkit", "--recreate")
    assert (True, (name, address)) == (interface.exists(), bridge())
    docker("stop", "buildkit")
    assert not interface.exists()


@pytest.mark.usefixtures("usual_server")
def test_image_without_a_bridge_is_named(project: Project) -> None:
    """One line with what to do, long before the time for a start is over; and no container is left."""
    name = f"test-buildkit-{secrets.token_hex(3)}"
    docker("run", "--name", name, "--entrypoint", "rm", "moby/buildkit:v0.32.2", "/usr/bin/buildkit-cni-bridge")
    docker("commit", "--change", 'ENTRYPOINT ["buildkitd"]', name, f"{name}:plain")
    try:
        result = project.run("start-buildkit", INVOKE_MULTIARCH_BUILDKIT_IMAGE=f"{name}:plain")
    finally:
        docker("rm", "-v", name)
        docker("rmi", f"{name}:plain")
    assert (1, []) == (result.status, result.out)
    expected = (
        f"multiarch.buildkit_image: {name}:plain cannot keep a RUN from the loopback interface of the Docker host: "
    )
    assert result.err.splitlines()[-1].startswith(expected)
    assert "" == docker("ps", "-aq", "--filter", "name=^buildkit$")


@pytest.mark.usefixtures("usual_server", "changing_emulators")
@pytest.mark.parametrize("form", ["{name}:{tag}@{digest}", "{name}@{digest}"])
def test_privileged_images_may_be_pinned(project: Project, form: str) -> None:
    """By digest, with or without a tag: the server and the installer are those images, whatever the tags say."""
    pinned = {}
    for name, tag in (("moby/buildkit", "v0.32.2"), ("tonistiigi/binfmt", "latest")):
        docker("pull", "--quiet", f"{name}:{tag}")
        digest = docker("inspect", "--format", "{{index .RepoDigests 0}}", f"{name}:{tag}").rpartition("@")[2]
        pinned[name] = form.format(name=name, tag=tag, digest=digest)
    server, installer = pinned["moby/buildkit"], pinned["tonistiigi/binfmt"]
    docker("run", "--rm", "--privileged", "tonistiigi/binfmt:latest", "--uninstall", "qemu-aarch64")
    environ = {"INVOKE_MULTIARCH_BUILDKIT_IMAGE": server, "XDG_CACHE_HOME": str(project.path / "cache")}
    project.write(invoke_yaml="multiarch:\n  platforms: [linux/arm64]\n")
    assert ["linux/arm64 qemu-aarch64"] == project.ok("setup-binfmt", "--installer", installer)
    project.ok("start-buildkit", "--recreate", **environ)
    project.ok("release", **environ, **PLAIN)
    assert server == docker("inspect", "--format", "{{.Config.Image}}", "buildkit")
    assert any(f" {server} " in line for line in project.ok("--dry", "start-buildkit", **environ))
    (buildctl,) = (project.path / "cache/multiarch/buildctl").iterdir()
    assert buildctl.name.endswith(server.rpartition("sha256:")[2])


@pytest.mark.usefixtures("usual_server")
def test_directory_in_use_is_not_shared(project: Project) -> None:
    """Its mode stays, and so does the server that runs."""
    (project.path / "shared").mkdir(mode=0o755)
    (project.path / "shared" / "file").touch()
    before = docker("inspect", "--format", "{{.Id}}", "buildkit")
    result = project.run("start-buildkit", "--address", f"unix://{project.path}/shared/buildkitd.sock")
    assert (1, []) == (result.status, result.out)
    assert f"{project.path}/shared is in use" in result.err.splitlines()[-1]
    assert 0o755 == stat.S_IMODE(os.stat(project.path / "shared").st_mode)
    assert before == docker("inspect", "--format", "{{.Id}}", "buildkit")
    own = f"unix://{project.path}/own/buildkitd.sock"
    assert [own] == project.ok("start-buildkit", "--address", own)
    assert 0o700 == stat.S_IMODE(os.stat(project.path / "own").st_mode)


def test_smoke_leaves_no_volume(project: Project) -> None:
    """Docker makes a volume for each VOLUME of an image; it goes with the container."""
    project.write(
        invoke_yaml="multiarch:\n  smoke: [touch, /data/x]\n  platforms: [linux/amd64]\n",
        Dockerfile="FROM busybox:stable\nVOLUME /data\n",
    )
    before = docker("volume", "ls", "--quiet")
    project.ok("release")
    assert before == docker("volume", "ls", "--quiet")

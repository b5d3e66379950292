"""The whole flow on the Docker hosts that users have: remapped, rootless, Podman, tcp, ssh; and several at once."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab import hosts
from multiarch.docker_endpoint import Endpoint, resolve
from tests.integration.conftest import PLAIN, ROOT, Project, RegistryContainer, free_port
from tests.integration.docker_host import bridge_address, docker
from tests.unit.certificates import make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

MATRIX = "multiarch:\n  platforms: [linux/amd64, linux/arm64]\n"
SOCKETS = "unix://{state}/multiarch/buildkit-"
THROUGH_DOCKER = "docker-container://buildkit"


@dataclass(frozen=True)
class HostProject(Project):
    """A project whose Docker host is another, and maybe its user too."""

    host: hosts.Host = field(default_factory=hosts.Host)

    def command(self, *words: str) -> list[str]:
        """Return the argument list of an invoke run, as the host's user."""
        return self.host.words(*super().command(*words))


def project_on(host: hosts.Host, path: Path, **settings: str) -> HostProject:
    """Return a project in a new directory, which keeps its state and its cache there too; *settings* are variables."""
    path.mkdir()
    (path / "Dockerfile").write_text((ROOT / "Dockerfile").read_text())
    (path / "tasks.py").write_text("from multiarch import ns\n")
    (path / "invoke.yaml").write_text(MATRIX)
    if host.user:
        os.chown(path, host.user.pw_uid, host.user.pw_gid)
    own = {"XDG_STATE_HOME": str(path / "state"), "XDG_CACHE_HOME": str(path / "cache"), "PYTHONPATH": str(ROOT)}
    return HostProject(path, {**own, **host.environ, **settings}, host)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory whose name is short, so that a socket below it has room, and that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="hosts-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def port() -> Iterator[None]:
    """The port of the embedded registry is free: these hosts have one of their own on it."""
    is_running = docker("ps", "--quiet", "--filter", "name=^multiarch-registry$")
    if is_running:
        docker("stop", "multiarch-registry")
    yield
    if is_running:
        docker("start", "multiarch-registry")


def flow(project: HostProject, image: str, emulator: str, address: str) -> None:
    """Release, then run each step alone; the steps publish what the release has published."""
    (published,) = project.ok("release", **PLAIN)
    assert ["linux/amd64 native", f"linux/arm64 {emulator}"] == project.ok("setup-binfmt")
    (started,) = project.ok("start-buildkit")
    assert started.startswith(address.format(state=project.path / "state")), started
    assert [f"{project.path}/cache/multiarch/buildctl/v0.32.2/buildctl"] == project.ok("copy-buildctl")
    for platform in ("linux/amd64", "linux/arm64"):
        (pushed,) = project.ok("build-arch", "--platform", platform, **PLAIN)
        assert f"{image}:latest-{platform[6:]}" == pushed.partition("@")[0]
    assert [published] == project.ok("manifest")
    assert [THROUGH_DOCKER] == project.ok("start-buildkit", "--address", THROUGH_DOCKER, "--recreate")
    (again,) = project.ok("build-arch", "--platform", "linux/amd64", **PLAIN)
    assert f"{image}:latest-amd64" == again.partition("@")[0]


@pytest.mark.usefixtures("port")
@pytest.mark.parametrize(
    ("up", "emulator"),
    [(hosts.remapped, "qemu-aarch64"), (hosts.rootless, "emulated"), (hosts.podman, "qemu-aarch64")],
    ids=["remapped", "rootless", "podman"],
)
def test_whole_flow_on_another_daemon(
    directory: Path, up: Callable[[], AbstractContextManager[hosts.Host]], emulator: str
) -> None:
    """With its own embedded registry, over its own socket; then through Docker."""
    with up() as host:
        project = project_on(host, directory / f"example-{secrets.token_hex(3)}")
        flow(project, project.image, emulator, SOCKETS)


@pytest.mark.parametrize("up", [hosts.over_tcp, hosts.over_ssh], ids=["tcp", "ssh"])
def test_whole_flow_on_a_host_elsewhere(
    project: Project, directory: Path, up: Callable[[], AbstractContextManager[hosts.Host]]
) -> None:
    """Its files are not ours: the server is reached through Docker, which buildctl finds by what was resolved."""
    project.write(invoke_yaml=MATRIX)
    project.ok("release")
    try:
        with up() as host:
            elsewhere = project_on(host, directory / "elsewhere", INVOKE_MULTIARCH_IMAGE=project.image)
            flow(elsewhere, project.image, "qemu-aarch64", THROUGH_DOCKER)
    finally:
        project.ok("start-buildkit", "--recreate")


@pytest.fixture
def unverified(directory: Path) -> Iterator[tuple[RegistryContainer, ...]]:
    """Registries that nobody vouches for: one of plain HTTP, one of a certificate of its own; not on loopback."""
    address = bridge_address()
    make_certificate(directory, address)
    names = ("CERTIFICATE=/tls/ca.crt", "KEY=/tls/ca.key")
    tls = ("-v", f"{directory}:/tls:ro", *(word for name in names for word in ("-e", f"REGISTRY_HTTP_TLS_{name}")))
    registries = [
        RegistryContainer(f"test-registry-{secrets.token_hex(3)}", free_port(), options, address)
        for options in ((), tls)
    ]
    try:
        for registry in registries:
            registry.start()
        yield tuple(registries)
    finally:
        for registry in registries:
            registry.remove()


def test_insecure_registries_of_the_daemon_hold_for_our_client(
    project: Project, directory: Path, unverified: tuple[RegistryContainer, ...]
) -> None:
    """A daemon that was started with them is enough, without a setting; one without them gets the advice."""
    names = [registry.host for registry in unverified]
    images = {"INVOKE_MULTIARCH_IMAGE": ",".join(f"{name}/team/app" for name in names)}
    with hosts.insecure(*names) as host:
        declared = project_on(host, directory / "declared", **images)
        published = declared.ok("release", "--platform", "linux/amd64")
        assert [f"{name}/team/app:latest" for name in names] == [line.partition("@")[0] for line in published]
        shown = declared.ok("manifest", "--inspect", "--platform", "linux/amd64")
        assert published == [line.split()[0] for line in shown if line.startswith(tuple(names))]
    for name in names:
        result = project.run("release", "--image", f"{name}/team/app", "--platform", "linux/amd64")
        assert (1, []) == (result.status, result.out)
        # The push to one without TLS, or our look at it, whichever ends first: that needs no CA.
        remedies = [f"put its CA into /etc/docker/certs.d/{name}/ca.crt, or name it in insecure_registries"]
        remedies += ["it has no TLS: name it in insecure_registries"] if name == names[0] else []
        assert result.err.splitlines()[-1].endswith(tuple(remedies)), result.err


def test_rootless_host_of_another_user_is_reached_through_docker(directory: Path) -> None:
    """Its root cannot write to a directory of this user; that is said, and done without."""
    with hosts.rootless() as host:
        environ = {"DOCKER_HOST": host.environ["DOCKER_HOST"]}
        project = project_on(hosts.Host(environ), directory / f"example-{secrets.token_hex(3)}")
        result = project.run("start-buildkit", "--platform", "linux/amd64")
        assert (0, [THROUGH_DOCKER]) == (result.status, result.out), result.err
        assert "cannot be shared with it (buildkitd: failed to create unix socket" in result.err


def test_two_hosts_of_one_home_do_not_share_a_socket(project: Project, directory: Path) -> None:
    """The socket of one that has gone is in no other's way."""
    state = {"XDG_STATE_HOME": str(directory / "state")}
    with hosts.podman() as host:
        (other,) = project.ok("start-buildkit", **{**state, **host.environ})
    try:
        (ours,) = project.ok("start-buildkit", "--recreate", **state)
        assert (2, True, True) == (len({ours, other}), ours.startswith("unix://"), other.startswith("unix://"))
        (published,) = project.ok("release", "--platform", "linux/amd64", "--allow-dropping", **state)
        assert published.startswith(project.image)
    finally:
        project.ok("start-buildkit", "--recreate")


def test_words_of_ssh_are_shown(project: Project) -> None:
    """A key that is not known there is not a daemon that does not run."""
    with hosts.over_ssh() as host:
        (config,) = Path(host.environ["PATH"].partition(":")[0]).parent.glob("ssh_config")
        config.write_text(config.read_text().replace("/key\n", "/nokey\n"))
        result = project.run("setup-binfmt", **host.environ)
    assert (1, []) == (result.status, result.out)
    assert "no Docker host at ssh://lab (" in result.err.splitlines()[-1]
    assert "@127.0.0.1: Permission denied (publickey" in result.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("current", "variable", "expected"),
    [
        ("", "gone", "DOCKER_CONTEXT: there is no Docker context 'gone': "),
        ("gone", "", "currentContext of {config}/config.json: there is no Docker context 'gone': "),
    ],
)
def test_missing_context_is_no_other_host(
    project: Project, directory: Path, current: str, variable: str, expected: str
) -> None:
    """Nothing is done on the local one in its place."""
    (directory / "config.json").write_text(f'{{"currentContext": "{current}"}}')
    result = project.run("start-buildkit", DOCKER_CONFIG=str(directory), DOCKER_CONTEXT=variable, DOCKER_HOST="")
    assert (1, []) == (result.status, result.out)
    assert result.err.splitlines()[-1].startswith(expected.format(config=directory))


def test_context_is_used_by_all(project: Project, directory: Path) -> None:
    """A context of Docker's own making: the SDK's requests and buildctl's docker command go to its host."""
    with hosts.over_tcp() as host:
        environ = {"DOCKER_CONFIG": str(directory), "DOCKER_HOST": ""}
        address = host.environ["DOCKER_HOST"]
        words = ["docker", "context", "create", "elsewhere", "--docker", f"host={address}"]
        subprocess.run(words, env={**os.environ, **environ}, check=True, capture_output=True)
        assert Endpoint(address) == resolve({**environ, "DOCKER_CONTEXT": "elsewhere"})
        project.ok("start-buildkit", "--recreate")
        result = project.run("build-arch", "--platform", "linux/amd64", DOCKER_CONTEXT="elsewhere", **environ)
        assert 0 == result.status, result.err
        assert [THROUGH_DOCKER] == project.ok("start-buildkit", DOCKER_CONTEXT="elsewhere", **environ)


def contexts(directory: Path) -> dict[str, str]:
    """Make contexts of Docker's own; return the environment that has them."""
    environ = {"DOCKER_CONFIG": str(directory), "PATH": os.environ["PATH"], "HOME": "/nowhere"}
    for name, address in {"nas": "tcp://nas:2375", "pi": "ssh://me@pi"}.items():
        words = ["docker", "context", "create", name, "--docker", f"host={address}"]
        subprocess.run(words, env=environ, check=True, capture_output=True)
    subprocess.run(["docker", "context", "use", "nas"], env=environ, check=True, capture_output=True)
    return environ


def test_docker_command_comes_to_the_same_host(directory: Path) -> None:
    """What it says of its context is what was resolved; and so it is with the variables that are made of that."""
    clean = contexts(directory)
    words = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    for environ in (
        {},
        {"DOCKER_CONTEXT": "pi"},
        {"DOCKER_CONTEXT": "default"},
        {"DOCKER_CONTEXT": ""},
        {"DOCKER_HOST": "tcp://here:1", "DOCKER_CONTEXT": "pi"},
        {"DOCKER_HOST": "here"},
        {"DOCKER_HOST": "tcp://"},
        {"DOCKER_HOST": "tcp://:12"},
        {"DOCKER_HOST": " unix:///tmp/x.sock "},
    ):
        endpoint = resolve({**clean, **environ})
        for variables in (environ, endpoint.variables):
            done = subprocess.run(words, env={**clean, **variables}, capture_output=True, text=True, check=True)
            assert (environ, endpoint.address) == (environ, done.stdout.strip())


def test_missing_docker_command_is_said_at_once(project: Project, directory: Path) -> None:
    """Before the build, and not by minutes of retries."""
    result = project.run("start-buildkit", "--address", THROUGH_DOCKER, PATH=str(directory))
    assert (1, []) == (result.status, result.out)
    expected = f"PATH: buildctl reaches {THROUGH_DOCKER} through the docker command, which is not there: install it, or"
    assert result.err.splitlines()[-1].startswith(expected)

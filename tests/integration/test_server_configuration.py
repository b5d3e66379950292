"""What the server and its builds are told: proxies, the user's buildkitd.toml, settings; and the prune of its cache."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import PLAIN, Project
from tests.integration.docker_host import docker
from tests.integration.test_sharing import remove_directories

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIGURED = """\
multiarch:
  platforms: [linux/amd64]
  buildkitd_config: buildkitd.toml
  buildkitd_env: {GREETING: hello}
  nameservers: [10.9.9.53]
  max_used_space: 5GB
  max_parallelism: 3
"""


@pytest.fixture
def usual_server(project: Project) -> Iterator[None]:
    """Afterwards the server is the usual one again."""
    yield
    project.ok("start-buildkit", "--recreate")


def docker_config(project: Project, **proxies: str) -> str:
    """Return the directory of a Docker configuration with proxies."""
    directory = project.path / "docker"
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps({"proxies": {"default": proxies}}))
    return str(directory)


def dockerfile(project: Project, *scripts: str) -> None:
    """Write a Dockerfile of these RUNs, none of which the cache has."""
    runs = "".join(f"RUN {script}\n" for script in scripts)
    project.write(Dockerfile=f"FROM busybox:stable\nENV OF={project.path.name}-{secrets.token_hex(3)}\n{runs}")


@pytest.mark.usefixtures("usual_server")
def test_proxies_of_docker_reach_builds_and_server(project: Project) -> None:
    """In both cases of their names; an explicit argument wins; and the image holds none."""
    environ = {
        "DOCKER_CONFIG": docker_config(project, httpProxy="http://proxy.lan:3128", noProxy="registry.lan"),
        **PLAIN,
    }
    project.write(invoke_yaml="multiarch:\n  platforms: [linux/amd64]\n  build_args: {NO_PROXY: mine.lan}\n")
    dockerfile(
        project,
        'test -n "$http_proxy"',
        'test "$HTTP_PROXY $http_proxy $no_proxy $NO_PROXY"'
        ' = "http://proxy.lan:3128 http://proxy.lan:3128 mine.lan mine.lan"',
    )
    (published,) = project.ok("release", **environ)
    server = docker("exec", "buildkit", "env").splitlines()
    environment = docker("run", "--rm", "--pull", "always", "--quiet", published, "env")

    assert "http_proxy=http://proxy.lan:3128" in server
    assert "HTTP_PROXY=http://proxy.lan:3128" in server
    assert "proxy.lan" not in environment


@pytest.mark.usefixtures("usual_server")
def test_password_of_a_proxy_is_shown_nowhere(project: Project) -> None:
    """The server has it; a build does not, since its client would be given it as an argument, and that is said."""
    environ = {"DOCKER_CONFIG": docker_config(project, httpProxy="http://me:hunter2@proxy.lan:3128"), **PLAIN}
    project.write(invoke_yaml="multiarch:\n  platforms: [linux/amd64]\n")
    dockerfile(project, 'test -z "$http_proxy"')
    result = project.run("release", "--verbose", **environ)
    dry = project.run("--dry", "release", **environ)

    assert 0 == result.status, result.err
    assert "HTTP_PROXY of Docker's config.json holds a user, so builds do not get it" in result.err
    assert "hunter2" not in result.err + "\n".join(result.out) + dry.err + "\n".join(dry.out)
    assert "http_proxy=http://me:hunter2@proxy.lan:3128" in docker("exec", "buildkit", "env").splitlines()
    assert "hunter2" not in docker("inspect", "--format", "{{json .Config.Labels}} {{json .Args}}", "buildkit")


@pytest.mark.usefixtures("usual_server")
def test_server_is_told_what_the_settings_say(project: Project) -> None:
    """BuildKit itself shows it: its policy of garbage collection, its log, its environment; a RUN its name servers."""
    project.write(invoke_yaml=CONFIGURED, buildkitd_toml="debug = true\n[worker.oci.labels]\nsome = 'label'\n")
    dockerfile(project, "cat /etc/resolv.conf")
    result = project.run("release", **PLAIN)
    workers = docker("exec", "buildkit", "buildctl", "debug", "workers", "--verbose")
    toml = docker("exec", "buildkit", "cat", "/etc/buildkit/buildkitd.toml")

    assert 0 == result.status, result.err
    assert "nameserver 10.9.9.53" in result.err
    assert (True, True) == ("some" in workers, "Maximum used space:\t5.36870912GB" in workers), workers
    assert "max-parallelism = 3" in toml
    assert "GREETING=hello" in docker("exec", "buildkit", "env").splitlines()
    assert "level=debug" in logs()
    assert "recreating" not in project.run("start-buildkit").err


def test_prune_says_what_it_freed(project: Project) -> None:
    """What a build left goes, and what is to be kept stays; --dry prints buildctl's command."""
    names = f"  buildkit_container: test-buildkit-{secrets.token_hex(3)}\n"
    project.write(invoke_yaml=f"multiarch:\n  platforms: [linux/amd64]\n{names}  output: none\n")
    dockerfile(project, "dd if=/dev/urandom of=/x bs=1M count=4")
    try:
        project.ok("release")
        kept = project.ok("prune", "--keep-duration", "48h")
        freed = project.ok("prune", "--all")
        again = project.ok("prune")
        refused = project.run("prune", "--keep-duration", "soon")
        (dry,) = project.ok("--dry", "prune", "--keep-storage", "500")
    finally:
        name = names.split()[1]
        docker("stop", name)
        docker("rm", "-v", name)
        docker("volume", "rm", f"{name}-state")
        remove_directories(name)

    assert (["freed 0 B, 0 records"], ["freed 0 B, 0 records"]) == (kept, again)
    (size,) = re.findall(r"^freed ([\d.]+) MB, \d+ records$", "\n".join(freed))
    assert 4 < float(size) < 20
    assert dry.endswith(" prune --keep-storage 500")
    assert (1, 1) == (refused.status, len(refused.err.splitlines()))
    assert refused.err.startswith("prune: BuildKit could not: ")


def logs() -> str:
    """Return the log of the server."""
    done = subprocess.run(["docker", "logs", "buildkit"], capture_output=True, text=True)
    return done.stdout + done.stderr

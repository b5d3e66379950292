"""Credentials for a BuildKit client that reads no variable: in a directory, for as short as can be."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from multiarch.registry import login_files
from multiarch.registry.credentials import logged_in
from multiarch.registry.docker_config import stored_login

USER, PASSWORD = "somebody", "s3cret-of-the-ci"
IN_CI = {"DOCKER_USERNAME": USER, "DOCKER_PASSWORD": PASSWORD, "CI": "true"}
OLD = base64.b64encode(b"old:one").decode()
# A run that says where its credentials are, and waits; at its end, whether they are still there.
RUN = """
import os, sys, time
from pathlib import Path
from multiarch.registry import login_files
from multiarch.registry.credentials import logged_in
with logged_in(["docker.io"], {"DOCKER_USERNAME": "u", "DOCKER_PASSWORD": "p"}):
    login_files.provide(Path("/nowhere/buildctl"))
    try:
        print(os.environ["DOCKER_CONFIG"], flush=True)
        for _ in range(600):
            time.sleep(0.1)  # in pieces: a signal that comes just before a sleep does not end that one
    finally:
        print(os.path.exists(os.environ["DOCKER_CONFIG"]), flush=True)
"""


@pytest.fixture
def old_client(tmp_path: Path) -> Path:
    """A client that does not know the variable."""
    path = tmp_path / "buildctl"
    path.write_bytes(b"a program that reads config.json")
    return path


def known(registry: str) -> tuple[str, str] | None:
    """Return the user and password that a client has for a registry which knows no variable."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DOCKER_AUTH_CONFIG", raising=False)
        login = stored_login(registry)
    return (login.user, login.password) if login.user else None


def start() -> tuple[subprocess.Popen[str], Path]:
    """Start a run, and return it with the directory of its credentials."""
    process = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_client_that_reads_the_variable_gets_no_file(docker_config: Path, tmp_path: Path) -> None:
    """Nothing is left of what was never written."""
    client = tmp_path / "buildctl"
    client.write_bytes(b"\x7fELF...Failed to create credential store from DOCKER_AUTH_CONFIG: ...")
    with logged_in(["docker.io"], IN_CI):
        login_files.provide(client)
        assert str(docker_config.parent) == os.environ["DOCKER_CONFIG"]


def test_nothing_is_written_without_credentials(docker_config: Path, old_client: Path) -> None:
    """The stored configuration serves as it is."""
    with logged_in(["docker.io"], {}):
        login_files.provide(old_client)
        assert str(docker_config.parent) == os.environ["DOCKER_CONFIG"]


@pytest.mark.parametrize("registry", ["docker.io", "r.example.com:5000"])
def test_directory_ends_with_the_run(docker_config: Path, old_client: Path, registry: str) -> None:
    """It is for this user alone, in memory: a runner of a CI may be shared."""
    with logged_in([registry], IN_CI):
        login_files.provide(old_client)
        directory = Path(os.environ["DOCKER_CONFIG"])
        assert (USER, PASSWORD) == known(registry)
        assert "/dev/shm" == str(directory.parent)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (directory, directory / "config.json")]
        assert [0o700, 0o600] == modes
    assert (False, docker_config.parent) == (directory.exists(), Path(os.environ["DOCKER_CONFIG"]))
    assert known(registry) is None


def test_variables_win_over_a_login_and_a_helper(docker_config: Path, old_client: Path) -> None:
    """By the name that Docker has for its Hub."""
    name = "https://index.docker.io/v1/"
    docker_config.write_text(json.dumps({"auths": {name: {"auth": OLD}}, "credHelpers": {name: "x"}}))
    with logged_in(["docker.io"], IN_CI):
        login_files.provide(old_client)
        assert (USER, PASSWORD) == known("docker.io")


def test_variable_of_the_user_is_provided_too(
    docker_config: Path, old_client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of the push and the push are of one user; and its directory goes as well."""
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"r.example.com": {"auth": OLD}}}))
    with logged_in(["docker.io"], {}):
        login_files.provide(old_client)
        directory = Path(os.environ["DOCKER_CONFIG"])
        assert (True, ("old", "one")) == (directory.is_dir(), known("r.example.com"))
    assert (False, docker_config.parent) == (directory.exists(), Path(os.environ["DOCKER_CONFIG"]))


def test_variable_that_docker_ignores_is_not_provided(
    docker_config: Path, old_client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made of what means nothing."""
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", '{"credsStore": "x"}')
    with logged_in(["docker.io"], {}):
        login_files.provide(old_client)
        assert str(docker_config.parent) == os.environ["DOCKER_CONFIG"]


def test_stored_configuration_is_used_and_kept(docker_config: Path, old_client: Path) -> None:
    """Other registries, proxies, contexts and plug-ins work as before; the environment wins over a stored login."""
    stored = {registry: {"auth": OLD} for registry in ("a.example.com", "b.example.com")}
    docker_config.write_text(json.dumps({"auths": stored, "proxies": {"default": {}}, "currentContext": "far"}))
    (docker_config.parent / "contexts").mkdir()
    with logged_in(["a.example.com"], IN_CI):
        login_files.provide(old_client)
        assert ((USER, PASSWORD), ("old", "one")) == (known("a.example.com"), known("b.example.com"))
        directory = Path(os.environ["DOCKER_CONFIG"])
        config = json.loads((directory / "config.json").read_text())
        assert ({"default": {}}, "far") == (config["proxies"], config["currentContext"])
        assert docker_config.parent / "contexts" == (directory / "contexts").resolve()
    assert ["a.example.com", "b.example.com"] == list(json.loads(docker_config.read_text())["auths"])
    assert (docker_config.parent / "contexts").is_dir()


def test_helper_is_kept_for_all_other_registries(
    docker_config: Path, old_client: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A helper for all would win over the environment; one of a cloud has logins that no file tells of."""
    helper = tmp_path / "docker-credential-cloud"
    helper.write_text("""#!/bin/sh\nread -r host\necho "{\\"Username\\": \\"$host\\", \\"Secret\\": \\"s\\"}"\n""")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    helpers = {"a.example.com": "cloud", "c.example.com": "cloud"}
    docker_config.write_text(json.dumps({"credsStore": "cloud", "credHelpers": helpers}))
    with logged_in(
        ["a.example.com", "docker.io"], {**IN_CI, "A_EXAMPLE_COM_USERNAME": "u", "A_EXAMPLE_COM_PASSWORD": "p"}
    ):
        login_files.provide(old_client)
        assert [("u", "p"), (USER, PASSWORD)] == [known("a.example.com"), known("docker.io")]
        others = ("b.example.com", "c.example.com")
        assert [(host, "s") for host in others] == [known(host) for host in others]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_removes_the_directory_first(docker_config: Path, number: signal.Signals) -> None:
    """A container that is stopped is killed ten seconds later, while the run may still put tags back."""
    process, directory = start()
    assert directory.is_dir()
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert not directory.exists()
    # An interrupt is an exception; the others end this run at once, where nothing makes them one.
    assert ("False" if number == signal.SIGINT else "") == out.strip()


def test_directory_of_a_killed_run_is_swept_and_that_of_a_living_one_is_not(docker_config: Path) -> None:
    """Nothing runs in a process that is killed: the next run removes what it left."""
    killed, left = start()
    living, kept = start()
    try:
        killed.kill()
        killed.communicate()
        assert left.is_dir()
        with logged_in(["docker.io"], {}):
            pass
        assert (False, True) == (left.exists(), kept.is_dir())
    finally:
        living.terminate()
        living.communicate()
    deadline = time.monotonic() + 10
    while kept.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not kept.exists()


def test_program_gets_the_logins_of_its_registries_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory of this user's, which is gone afterwards; those of the environment and identity tokens too."""
    stored = tmp_path / "stored"
    stored.mkdir()
    auths = {"a.example": {"auth": "YTp3b3Jk"}, "b.example": {"identitytoken": "token"}, "c.example": {"auth": "Yzpj"}}
    (stored / "config.json").write_text(json.dumps({"auths": auths, "HttpHeaders": {"X": "y"}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(stored))
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"d.example": {"auth": "ZDpk"}}}))
    hosts = ("a.example", "b.example", "d.example", "nobody.example")
    with login_files.configuration(hosts) as directory:
        file = directory / "config.json"
        expected = {"a.example": auths["a.example"], "b.example": auths["b.example"], "d.example": {"auth": "ZDpk"}}
        assert {"auths": expected} == json.loads(file.read_text())
        assert (0o700, 0o600) == (directory.stat().st_mode & 0o777, file.stat().st_mode & 0o777)
        # BuildKit's client is not taken for provided with what is there for another program.
        assert not (directory.parent / "config.json").exists()
    assert not directory.parent.exists()


def test_login_directory_that_a_signal_has_removed_is_no_error() -> None:
    """`remove` came first."""
    with login_files.configuration(()) as directory:
        login_files.remove()
        assert not directory.exists()

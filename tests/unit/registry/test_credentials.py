"""Credentials from the environment: used by one run, and by nothing after it."""

from __future__ import annotations

import base64
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from multiarch.errors import ConfigurationError
from multiarch.registry.credentials import docker_login, logged_in, variables
from multiarch.registry.docker_config import stored_login

if TYPE_CHECKING:
    from pathlib import Path

USER, PASSWORD = "somebody", "s3cret-of-the-ci"
LOGIN = {"DOCKER_USERNAME": USER, "DOCKER_PASSWORD": PASSWORD}
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
IN_CI = LOGIN | {"CI": "true"}
NOTHING = "echo credentials not found in native keychain; exit 1"


def known(registry: str) -> tuple[str, str] | None:
    """Return the user and password that requests to a registry are sent with."""
    login = stored_login(registry)
    return (login.user, login.password) if login.user else None


def open_files() -> list[str]:
    """Return the paths that this process has open: it holds each directory of secrets that it has made."""
    paths = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the list itself is closed
            paths.append(os.readlink(f"/proc/self/fd/{number}"))
    return paths


@pytest.mark.parametrize(
    ("registries", "prefixes"),
    [
        (["docker.io"], ["DOCKER"]),
        (["ghcr.io", "docker.io", "ghcr.io"], ["GHCR_IO", "DOCKER"]),
        (["docker.io", "ghcr.io", "r.example.com:5000"], ["DOCKER", "GHCR_IO", "R_EXAMPLE_COM_5000"]),
        # Where nothing is pushed to Docker Hub, its names are those of the first registry.
        (
            ["ghcr.io", "127.0.0.1:5001", "github.example.com"],
            ["DOCKER", "REGISTRY_127_0_0_1_5001", "REGISTRY_GITHUB_EXAMPLE_COM"],
        ),
    ],
)
def test_variables_are_named_after_their_registry(registries: list[str], prefixes: list[str]) -> None:
    """DOCKER_* is Docker Hub's; the names must be allowed for variables and for the secrets of each CI."""
    names = variables(registries)
    assert [(f"{prefix}_USERNAME", f"{prefix}_PASSWORD") for prefix in prefixes] == list(names.values())
    assert list(dict.fromkeys(registries)) == list(names)


def test_password_of_docker_hub_is_sent_to_no_other_registry(docker_config: Path) -> None:
    """Only a CI that pushes nothing to Docker Hub may mean another registry by DOCKER_*; its own names win there."""
    with logged_in(["ghcr.io"], LOGIN):
        assert known("ghcr.io") is None
    with logged_in(["ghcr.io", "docker.io"], LOGIN | {"CI": "true"}):
        assert (None, (USER, PASSWORD)) == (known("ghcr.io"), known("docker.io"))
    with logged_in(["ghcr.io"], LOGIN | {"CI": "true"}):
        assert (USER, PASSWORD) == known("ghcr.io")
    with logged_in(["ghcr.io"], LOGIN | {"CI": "true", "GHCR_IO_USERNAME": "me", "GHCR_IO_PASSWORD": "mine"}):
        assert ("me", "mine") == known("ghcr.io")


@pytest.mark.parametrize(
    ("registry", "key"),
    [("docker.io", "https://index.docker.io/v1/"), ("r.example.com:5000", "r.example.com:5000")],
)
def test_login_ends_with_the_run(docker_config: Path, registry: str, key: str) -> None:
    """It is in no file: programs that are started get it as docker/cli reads it."""
    with logged_in([registry], IN_CI):
        assert {"auths": {key: {"auth": BASIC}}} == json.loads(os.environ["DOCKER_AUTH_CONFIG"])
        assert (USER, PASSWORD) == known(registry)
        assert [] == [path for path in open_files() if "/multiarch-" in path]
        assert str(docker_config.parent) == os.environ["DOCKER_CONFIG"]
    assert "DOCKER_AUTH_CONFIG" not in os.environ
    assert known(registry) is None


def test_login_ends_with_an_interrupt_too(docker_config: Path) -> None:
    """No exception may leave a password behind."""
    with pytest.raises(KeyboardInterrupt), logged_in(["docker.io"], LOGIN):
        raise KeyboardInterrupt
    assert "DOCKER_AUTH_CONFIG" not in os.environ


@pytest.mark.parametrize(
    ("registry", "name", "is_known"),
    [
        ("docker.io", "https://index.docker.io/v1/", True),
        # BuildKit would not find it there: a check that did would promise a push that fails.
        ("docker.io", "docker.io", False),
        ("docker.io", "index.docker.io", False),
        ("r.example.com:5000", "r.example.com:5000", True),
        ("r.example.com:5000", "https://r.example.com:5000/v1/", True),
        ("r.example.com:5000", "http://r.example.com:5000", True),
        ("r.example.com:5000", "r.example.com", False),
    ],
)
def test_variables_win_over_a_login(docker_config: Path, registry: str, name: str, is_known: bool) -> None:
    """By the names that Docker has for a registry, and older versions wrote."""
    docker_config.write_text(json.dumps({"auths": {name: {"auth": base64.b64encode(b"old:one").decode()}}}))
    assert (("old", "one") if is_known else None) == known(registry)
    with logged_in([registry], IN_CI):
        assert (USER, PASSWORD) == known(registry)


def test_order_is_that_of_docker(docker_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable, the helper of the registry, the helper of all; where there is a helper, the file is not asked."""
    for name, script in {"own": 'echo \'{"Username": "o", "Secret": "wn"}\'', "all": NOTHING}.items():
        (tmp_path / f"docker-credential-{name}").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / f"docker-credential-{name}").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    basic = base64.b64encode(b"fi:le").decode()
    config = {"auths": {"a": {"auth": basic}, "b": {"auth": basic}, "c": {"auth": basic}}, "credsStore": "all"}
    docker_config.write_text(json.dumps({**config, "credHelpers": {"b": "own", "c": ""}}))
    assert [None, ("o", "wn"), ("fi", "le")] == [known(name) for name in "abc"]
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"b": {"auth": basic}}}))
    assert [None, ("fi", "le"), ("fi", "le")] == [known(name) for name in "abc"]


def test_variable_of_the_user_is_kept(docker_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCKER_AUTH_CONFIG may have the logins of base images; ours are added for the time of the run."""
    given = json.dumps({"auths": {"base.example.com": {"auth": base64.b64encode(b"me:mine").decode()}}})
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", given)
    with logged_in(["ghcr.io"], IN_CI):
        assert (("me", "mine"), (USER, PASSWORD)) == (known("base.example.com"), known("ghcr.io"))
    assert given == os.environ["DOCKER_AUTH_CONFIG"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"auths": []}',
        '{"auths": {"a": {}}}',
        '{"auths": {"a": {"auth": "?"}}}',
        '{"auths": {"a": {"auth": 1}}}',
        '{"auths": {"a": {"auth": "YTpi", "email": "x"}}}',
        '{"auths": {"a": {"auth": "YTpi"}, "b": {}}}',
        '{"credsStore": "x"}',
        "[" * 100_000,
    ],
)
def test_variable_that_docker_ignores_is_ignored(
    docker_config: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Docker takes all of it or nothing: what BuildKit does not use must not make us think that we may push."""
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", text)
    assert known("a") is None


def test_docker_host_pulls_with_the_login(docker_config: Path) -> None:
    """Docker's SDK does not read the variable: it is given user and password with the request."""
    assert {} == docker_login("ghcr.io/someone/app:latest")
    with logged_in(["ghcr.io"], IN_CI):
        expected = {"username": USER, "password": PASSWORD}
        assert expected == docker_login(f"ghcr.io/someone/app@sha256:{'0' * 64}")
        assert {} == docker_login("busybox")


@pytest.mark.parametrize(
    "content", ['{"auths": 5}', '{"auths": {"docker.io": {"auth": 5}}}', '{"auths": {"docker.io": []}}', "[" * 100_000]
)
def test_broken_configuration_is_one_line(docker_config: Path, content: str) -> None:
    """Or no login at all, as Docker has it; never a fault of the program."""
    docker_config.write_text(content)
    try:
        assert known("docker.io") is None
    except ConfigurationError as error:
        assert 1 == len(str(error).splitlines())


@pytest.mark.parametrize("environ", [{}, {"DOCKER_USERNAME": "", "DOCKER_PASSWORD": ""}])
def test_configuration_stays_without_credentials(docker_config: Path, environ: dict[str, str]) -> None:
    """A CI sets an empty variable where a secret does not exist."""
    with logged_in(["docker.io"], environ):
        assert str(docker_config.parent) == os.environ["DOCKER_CONFIG"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DOCKER_USERNAME": USER}, "DOCKER_USERNAME: DOCKER_PASSWORD is not set: set both, or neither"),
        ({"DOCKER_PASSWORD": PASSWORD}, "DOCKER_PASSWORD: DOCKER_USERNAME is not set: set both, or neither"),
    ],
)
def test_half_a_login_is_an_error_where_something_is_pushed(
    docker_config: Path, environ: dict[str, str], expected: str
) -> None:
    """It is a typing error there; a pull request has the user, but not the secret."""
    with pytest.raises(ConfigurationError) as caught, logged_in(["docker.io"], environ):
        pass
    assert expected == str(caught.value)
    with logged_in(["docker.io"], environ, needed=False):
        assert known("docker.io") is None


@pytest.mark.parametrize(
    "script",
    [
        """echo '{"Username": "me", "Secret": "hidden"}'; exit 1""",
        """echo '{"Username": "me", "Secret": ["hidden"]}'""",
        """echo '{"Username": "me", "Secret": "hidden\\ud800"}'""",
    ],
)
def test_what_a_helper_answers_wrongly_is_not_shown(
    docker_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str
) -> None:
    """It may be the secret; the error names the file that names the helper."""
    (tmp_path / "docker-credential-own").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "docker-credential-own").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    docker_config.write_text(json.dumps({"credsStore": "own"}))
    with pytest.raises(ConfigurationError) as error:
        known("a")
    assert str(error.value).startswith(f"{docker_config}: the credential helper for a failed")
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize(
    "entry", [{"username": "me", "password": "hidden\ud800"}, {"username": "me", "password": ["hidden"]}]
)
def test_login_that_is_no_text_is_an_error(docker_config: Path, entry: dict[str, object]) -> None:
    """It could not be sent; the error names the file, and not what is in it."""
    docker_config.write_text(json.dumps({"auths": {"a": entry}}))
    with pytest.raises(ConfigurationError) as error:
        known("a")
    assert f"{docker_config}: it is not as docker login writes it; correct it" == str(error.value)

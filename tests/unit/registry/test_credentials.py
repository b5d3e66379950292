"""Credentials from the environment: used by one run, and by nothing after it."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import docker.auth
import pytest

from multiarch.errors import ConfigurationError
from multiarch.registry.credentials import logged_in, variables

USER, PASSWORD = "somebody", "s3cret-of-the-ci"
LOGIN = {"DOCKER_USERNAME": USER, "DOCKER_PASSWORD": PASSWORD}
IN_CI = LOGIN | {"CI": "true"}


def known(registry: str | None) -> tuple[str, str] | None:
    """Return the user and password that Docker's own library has for a registry."""
    entry = docker.auth.load_config().resolve_authconfig(registry)
    return (entry["username"], entry["password"]) if entry else None


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
        assert (None, (USER, PASSWORD)) == (known("ghcr.io"), known(None))
    with logged_in(["ghcr.io"], LOGIN | {"CI": "true"}):
        assert (USER, PASSWORD) == known("ghcr.io")
    with logged_in(["ghcr.io"], LOGIN | {"CI": "true", "GHCR_IO_USERNAME": "me", "GHCR_IO_PASSWORD": "mine"}):
        assert ("me", "mine") == known("ghcr.io")


@pytest.mark.parametrize(("registry", "sdk_name"), [("docker.io", None), ("r.example.com:5000", "r.example.com:5000")])
def test_login_ends_with_the_run(docker_config: Path, registry: str, sdk_name: str | None) -> None:
    """It is in a directory for this user alone, in memory: a runner of a CI may be shared."""
    with logged_in([registry], IN_CI):
        directory = Path(os.environ["DOCKER_CONFIG"])
        assert (USER, PASSWORD) == known(sdk_name)
        assert "/dev/shm" == str(directory.parent)
        assert 0o700 == stat.S_IMODE(directory.stat().st_mode)
    assert (False, docker_config.parent) == (directory.exists(), Path(os.environ["DOCKER_CONFIG"]))
    assert known(sdk_name) is None


def test_login_ends_with_an_interrupt_too(docker_config: Path) -> None:
    """No exception may leave a password behind."""
    with pytest.raises(KeyboardInterrupt), logged_in(["docker.io"], LOGIN):
        directory = Path(os.environ["DOCKER_CONFIG"])
        raise KeyboardInterrupt
    assert not directory.exists()


def test_stored_configuration_is_used_and_kept(docker_config: Path) -> None:
    """Other registries, proxies, contexts and plug-ins work as before; the environment wins over a stored login."""
    stored = {r: {"auth": base64.b64encode(b"old:one").decode()} for r in ("a.example.com", "b.example.com")}
    docker_config.write_text(json.dumps({"auths": stored, "proxies": {"default": {}}, "currentContext": "far"}))
    (docker_config.parent / "contexts").mkdir()
    with logged_in(["a.example.com"], IN_CI):
        assert ((USER, PASSWORD), ("old", "one")) == (known("a.example.com"), known("b.example.com"))
        directory = Path(os.environ["DOCKER_CONFIG"])
        config = json.loads((directory / "config.json").read_text())
        assert ({"default": {}}, "far") == (config["proxies"], config["currentContext"])
        assert docker_config.parent / "contexts" == (directory / "contexts").resolve()
    assert ["a.example.com", "b.example.com"] == list(json.loads(docker_config.read_text())["auths"])
    assert (docker_config.parent / "contexts").is_dir()


def test_helper_is_not_asked_for_a_registry_with_variables(docker_config: Path) -> None:
    """A helper for all registries would win over the environment; it stays for those that it has logins of."""
    auths: dict[str, object] = {"a.example.com": {}, "b.example.com": {}}
    docker_config.write_text(json.dumps({"auths": auths, "credsStore": "x", "credHelpers": {"c.example.com": "y"}}))
    with logged_in(["a.example.com"], IN_CI):
        config = json.loads((Path(os.environ["DOCKER_CONFIG"]) / "config.json").read_text())
    assert {"b.example.com": "x", "c.example.com": "y"} == config["credHelpers"]
    assert "credsStore" not in config


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
        assert known(None) is None

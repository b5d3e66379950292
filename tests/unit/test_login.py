"""Credentials from the environment: they are used in a run, and gone after it."""

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
    """Return the user and password that Docker's own library finds for a registry."""
    found = docker.auth.load_config().resolve_authconfig(registry)
    return (found["username"], found["password"]) if found else None


@pytest.mark.parametrize(
    ("registries", "prefixes"),
    [
        (["docker.io"], ["DOCKER"]),
        (["ghcr.io", "docker.io", "ghcr.io"], ["GHCR_IO", "DOCKER"]),
        (["docker.io", "ghcr.io", "r.example.com:5000"], ["DOCKER", "GHCR_IO", "R_EXAMPLE_COM_5000"]),
        # Where nothing goes to Docker Hub, its names are the first one's.
        (
            ["ghcr.io", "127.0.0.1:5001", "github.example.com"],
            ["DOCKER", "REGISTRY_127_0_0_1_5001", "REGISTRY_GITHUB_EXAMPLE_COM"],
        ),
    ],
)
def test_the_variables(registries: list[str], prefixes: list[str]) -> None:
    """DOCKER_* is Docker Hub's, and others are named after their registry, as variables and secrets may be called."""
    names = variables(registries)
    assert [(f"{prefix}_USERNAME", f"{prefix}_PASSWORD") for prefix in prefixes] == list(names.values())
    assert list(dict.fromkeys(registries)) == list(names)


def test_docker_hubs_password_is_sent_to_no_other_registry(docker_config: Path) -> None:
    """Only in a CI that has no other use for the names; and a registry's own names win there."""
    with logged_in(["ghcr.io"], LOGIN):
        assert known("ghcr.io") is None
    with logged_in(["ghcr.io", "docker.io"], LOGIN | {"CI": "true"}):
        assert (None, (USER, PASSWORD)) == (known("ghcr.io"), known(None))
    with logged_in(["ghcr.io"], LOGIN | {"CI": "true"}):
        assert (USER, PASSWORD) == known("ghcr.io")
    with logged_in(["ghcr.io"], LOGIN | {"CI": "true", "GHCR_IO_USERNAME": "me", "GHCR_IO_PASSWORD": "mine"}):
        assert ("me", "mine") == known("ghcr.io")


@pytest.mark.parametrize(("registry", "asked"), [("docker.io", None), ("r.example.com:5000", "r.example.com:5000")])
def test_a_login_is_there_while_it_runs(docker_config: Path, registry: str, asked: str | None) -> None:
    """In a directory of this user's alone, in memory; afterwards everything is as before."""
    with logged_in([registry], IN_CI):
        directory = Path(os.environ["DOCKER_CONFIG"])
        assert (USER, PASSWORD) == known(asked)
        assert "/dev/shm" == str(directory.parent)
        assert 0o700 == stat.S_IMODE(directory.stat().st_mode)
    assert (False, docker_config.parent) == (directory.exists(), Path(os.environ["DOCKER_CONFIG"]))
    assert known(asked) is None


def test_it_ends_with_an_error_too(docker_config: Path) -> None:
    """An exception passes, and leaves nothing behind."""
    with pytest.raises(KeyboardInterrupt), logged_in(["docker.io"], LOGIN):
        directory = Path(os.environ["DOCKER_CONFIG"])
        raise KeyboardInterrupt
    assert not directory.exists()


def test_what_docker_login_stored_stays(docker_config: Path) -> None:
    """Other registries, settings, contexts and plug-ins are found as before; the environment wins over a login."""
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


def test_a_helper_is_not_asked_for_what_is_given(docker_config: Path) -> None:
    """A helper for all is asked for what it knew alone; it would win over what the environment says."""
    auths: dict[str, object] = {"a.example.com": {}, "b.example.com": {}}
    docker_config.write_text(json.dumps({"auths": auths, "credsStore": "x", "credHelpers": {"c.example.com": "y"}}))
    with logged_in(["a.example.com"], IN_CI):
        config = json.loads((Path(os.environ["DOCKER_CONFIG"]) / "config.json").read_text())
    assert {"b.example.com": "x", "c.example.com": "y"} == config["credHelpers"]
    assert "credsStore" not in config


@pytest.mark.parametrize("environ", [{}, {"DOCKER_USERNAME": "", "DOCKER_PASSWORD": ""}])
def test_nothing_is_done_without_credentials(docker_config: Path, environ: dict[str, str]) -> None:
    """An empty variable is what a CI gives where there is no such secret."""
    with logged_in(["docker.io"], environ):
        assert str(docker_config.parent) == os.environ["DOCKER_CONFIG"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DOCKER_USERNAME": USER}, "DOCKER_USERNAME: DOCKER_PASSWORD is not set: set both, or neither"),
        ({"DOCKER_PASSWORD": PASSWORD}, "DOCKER_PASSWORD: DOCKER_USERNAME is not set: set both, or neither"),
    ],
)
def test_half_a_login_is_named(docker_config: Path, environ: dict[str, str], expected: str) -> None:
    """Where something is to be pushed; a pull request has the user, but not the secret."""
    with pytest.raises(ConfigurationError) as caught, logged_in(["docker.io"], environ):
        pass
    assert expected == str(caught.value)
    with logged_in(["docker.io"], environ, needed=False):
        assert known(None) is None

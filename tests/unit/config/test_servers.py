"""The settings of the servers: names of containers, and what buildkitd is told."""

from __future__ import annotations

from typing import Any

import pytest

from multiarch.config.load import load
from multiarch.config.server_settings import BuildkitdSettings, EmbeddedRegistry
from multiarch.errors import ConfigurationError


def test_settings_of_the_servers_are_read() -> None:
    """From a file or from variables, where a list is text with commas."""
    block = {"buildkit_container": "job-7", "buildkitd_env": {"A": "b"}, "max_used_space": "60%", "registry_port": 5007}
    environ = {"INVOKE_MULTIARCH_NAMESERVERS": "10.0.0.53, fd00::53", "INVOKE_MULTIARCH_MAX_PARALLELISM": "4"}
    settings = load(block, environ, {})
    assert (
        BuildkitdSettings(
            config=None,
            environment={"A": "b"},
            nameservers=("10.0.0.53", "fd00::53"),
            max_used_space="60%",
            max_parallelism=4,
        )
        == settings.builder.buildkitd
    )
    assert ("job-7", EmbeddedRegistry("multiarch-registry", 5007, "registry:2")) == (
        settings.builder.container,
        settings.publish.embedded,
    )
    assert "127.0.0.1:5007" == settings.publish.images[0].registry


@pytest.mark.parametrize("space", ["1", "512000000", "512MB", "20GB", "1.5 GiB", "10%", "100%", "7k"])
def test_disk_space_is_what_buildkit_reads(space: str) -> None:
    """Bytes, with a unit, or a part of the disk."""
    assert space == load({"max_used_space": space}, {}, {}).builder.buildkitd.max_used_space


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"buildkit_container": "-x"}, "multiarch.buildkit_container: '-x' is no name of a container"),
        ({"buildkit_container": "a/b"}, "multiarch.buildkit_container: 'a/b' is no name of a container"),
        ({"registry_container": ""}, "multiarch.registry_container: '' is no name of a container"),
        ({"registry_port": 0}, "multiarch.registry_port: expected a port, 1 to 65535, got 0"),
        ({"nameservers": ["10.0.0.53", "dns.lan"]}, "multiarch.nameservers[1]: 'dns.lan' is no address of IP"),
        ({"max_used_space": "much"}, "multiarch.max_used_space: 'much' is no disk space as BuildKit has it"),
        ({"max_used_space": "200%"}, "multiarch.max_used_space: '200%' is no disk space"),
        ({"max_parallelism": -1}, "multiarch.max_parallelism: expected a number of steps, 1 or more, got -1"),
        ({"buildkitd_env": {"A=B": "c"}}, "multiarch.buildkitd_env: the name 'A=B' of a variable holds ="),
        ({"address": "docker-container://buildkit", "buildkit_container": "job"}, "docker-container://job"),
    ],
)
def test_what_cannot_be_used_is_named(block: dict[str, Any], expected: str) -> None:
    """With the setting, and what is allowed."""
    with pytest.raises(ConfigurationError) as caught:
        load(block, {}, {})
    assert expected in str(caught.value)


@pytest.mark.parametrize("value", [["hunter2"], {"a": "hunter2"}])
def test_value_of_a_variable_is_not_shown(value: object) -> None:
    """It may be a password, also where it is of a wrong type."""
    with pytest.raises(ConfigurationError, match="buildkitd_env") as caught:
        load({"buildkitd_env": {"A": value}}, {}, {})
    assert "hunter2" not in str(caught.value)

"""The proxies of Docker's configuration, as docker's command reads them, and which of them builds may be told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.proxies import read_proxies
from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

HERE = "unix:///var/run/docker.sock"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of Docker's configuration."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def write(directory: Path, proxies: object) -> None:
    """Write a configuration with proxies."""
    (directory / "config.json").write_text(json.dumps({"auths": {}, "proxies": proxies}))


@pytest.mark.parametrize(
    ("proxies", "expected"),
    [
        (None, {}),
        ({}, {}),
        ({"default": {}}, {}),
        (
            {"default": {"httpProxy": "http://a:1", "httpsProxy": "http://b:1", "noProxy": "c,.d"}},
            {"HTTP_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:1", "NO_PROXY": "c,.d"},
        ),
        (
            {"default": {"ftpProxy": "http://a:1", "allProxy": "socks5://b:1", "httpProxy": None, "noProxy": ""}},
            {"FTP_PROXY": "http://a:1", "ALL_PROXY": "socks5://b:1"},
        ),
        # The entry of the Docker host holds alone; that of another does not.
        ({"default": {"noProxy": "a", "httpProxy": "http://a:1"}, HERE: {"noProxy": "b"}}, {"NO_PROXY": "b"}),
        ({"default": {"noProxy": "a"}, "tcp://other:2376": {"noProxy": "b"}}, {"NO_PROXY": "a"}),
        ({"tcp://other:2376": {"noProxy": "b"}}, {}),
        ({"default": {"somethingNew": "x"}}, {}),
    ],
)
def test_proxies_are_those_of_the_docker_host(directory: Path, proxies: Any, expected: dict[str, str]) -> None:
    """Its own entry, or the default one."""
    write(directory, proxies)
    assert expected == dict(read_proxies(lambda: HERE).values)


def test_host_is_asked_for_where_the_file_tells_hosts_apart(directory: Path) -> None:
    """To find it out takes a tenth of a second."""
    asked: list[str] = []

    def address() -> str:
        asked.append("once")
        return HERE

    write(directory, {"default": {"noProxy": "a"}})
    read_proxies(address)
    assert [] == asked
    write(directory, {HERE: {"noProxy": "a"}})
    read_proxies(address)
    assert ["once"] == asked


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"auths": {}}', "[" * 100_000])
def test_file_without_proxies_has_none(directory: Path, text: str) -> None:
    """Whoever reads credentials tells what is wrong with it."""
    (directory / "config.json").write_text(text)
    assert {} == dict(read_proxies(lambda: HERE).values)


@pytest.mark.parametrize(
    ("proxies", "problem"),
    [
        ([], "it is no mapping"),
        ("http://a", "it is no mapping"),
        ({"default": "http://me:hunter2@a"}, "the entry 'default' is no mapping"),
        ({"default": {"httpProxy": ["http://me:hunter2@a"]}}, "httpProxy is no plain text"),
        ({"default": {"httpProxy": "http://me:hunter2@a\n"}}, "httpProxy is no plain text"),
    ],
)
def test_malformed_proxies_are_one_line_without_them(directory: Path, proxies: object, problem: str) -> None:
    """The error names the field alone: its value may be a password."""
    write(directory, proxies)
    if proxies == []:
        with pytest.raises(ConfigurationError, match=problem):
            read_proxies(lambda: HERE)
        return
    with pytest.raises(ConfigurationError, match=problem) as caught:
        read_proxies(lambda: HERE)
    assert (1, False) == (len(str(caught.value).splitlines()), "hunter2" in str(caught.value))


def test_builds_get_both_cases_unless_they_are_told(directory: Path) -> None:
    """BuildKit takes the two names of a proxy for one: an explicit one, in either case, replaces both."""
    write(directory, {"default": {"httpProxy": "http://a:1", "noProxy": "c"}})
    proxies = read_proxies(lambda: HERE)
    expected = {"HTTP_PROXY": "http://a:1", "http_proxy": "http://a:1", "NO_PROXY": "c", "no_proxy": "c"}
    assert expected == proxies.variables() == proxies.build_arguments(["OTHER"])
    assert ["NO_PROXY", "no_proxy"] == list(proxies.build_arguments(["http_proxy"]))
    assert ["HTTP_PROXY", "http_proxy"] == list(proxies.build_arguments(["NO_PROXY"]))


@pytest.mark.parametrize(
    "value", ["http://me:hunter2@a:1", "http://hunter2@a", "me:hunter2@a:1", "http://me:hu/nter2@a"]
)
def test_a_user_of_a_proxy_is_withheld_from_builds(directory: Path, value: str) -> None:
    """The server gets it all the same; and what is written of the record does not show it."""
    write(directory, {"default": {"httpProxy": value, "noProxy": "c"}})
    proxies = read_proxies(lambda: HERE)
    assert (["HTTP_PROXY"], value) == (proxies.withheld(), proxies.variables()["http_proxy"])
    assert ["NO_PROXY", "no_proxy"] == list(proxies.build_arguments([]))
    assert value not in repr(proxies)

"""Proxies that the environment names: what is no address of one, what they refuse, and what never goes through them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from multiarch.errors import RegistryUnreachableError
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.unit.registry_server import Reply

if TYPE_CHECKING:
    from tests.unit.registry_server import RegistryServer

NONE = "the proxy that is set for it (https_proxy, http_proxy, all_proxy) is no address of one; "


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this machine are left out."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def failure(host: str) -> RegistryUnreachableError:
    """Return the error of a request."""
    with pytest.raises(RegistryUnreachableError) as caught:
        Registry(host, Policy(attempts=1), print).manifest("app", "latest")
    return caught.value


@pytest.mark.parametrize(
    "proxy", ["http://someone:s3cret@proxy:80x", "ftp://proxy:21", "http://", "http://[::1", "http://a b:1", "quic://p"]
)
def test_proxy_that_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """At once, and without its password."""
    monkeypatch.setenv("https_proxy", proxy)
    error = failure("registry.example.com")
    assert (True, False, False) == (NONE in str(error), error.transient, "s3cret" in str(error)), str(error)


@pytest.mark.parametrize("status", [401, 403, 405, 407])
def test_what_a_proxy_refuses_is_not_asked_again(
    server: RegistryServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """A login that it does not take is wrong next time too."""
    monkeypatch.setenv("https_proxy", f"http://{server.host}")
    server.table["CONNECT /registry.example.com:443"] = [Reply(status)]
    error = failure("registry.example.com")
    assert (True, False) == (f"Tunnel connection failed: {status}" in str(error), error.transient), str(error)


def test_proxy_that_is_busy_is_asked_again(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own registry, or the way there, may be back."""
    monkeypatch.setenv("https_proxy", f"http://{server.host}")
    server.table["CONNECT /registry.example.com:443"] = [Reply(503)]
    assert failure("registry.example.com").transient


@pytest.mark.parametrize("host", ["registry..example.com", f"{'a' * 64}.example.com"])
def test_host_that_is_no_name_is_not_asked_again(host: str) -> None:
    """No resolver can be asked for it."""
    error = failure(host)
    assert (True, False) == ("its host, or that of its proxy, is no name" in str(error), error.transient), str(error)


def test_proxy_whose_host_is_no_name_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words do not blame the registry."""
    monkeypatch.setenv("https_proxy", "http://proxy..corp:3128")
    error = failure("registry.example.com")
    assert (True, False) == ("its host, or that of its proxy, is no name" in str(error), error.transient), str(error)


@pytest.mark.parametrize("host", ["[::1]:9", "127.0.0.1:9", "localhost:9"])
def test_this_machine_is_reached_without_a_proxy(
    server: RegistryServer, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """However it is written: the proxy would get the password."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://{server.host}")
    failure(host)
    assert [] == server.asked

"""Proxies: of this machine, of Docker's configuration, and whether they answer."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from multiarch.buildkit.configuration import docker_proxies
from multiarch.errors import shown_address
from multiarch.steps.doctor.finding import Finding, failure, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multiarch.run import Run

NAME = "proxies"
_SECONDS = 3.0  # seconds; a proxy is near
_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_PORTS = {"https": 443, "socks5": 1080, "socks5h": 1080, "socks4": 1080}
_CONFIGURE = "name it under proxies.default in Docker's config.json"


def examine(_: Run) -> Iterator[Finding]:
    """Yield each proxy that does not answer, and what builds do not get of them."""
    configured = docker_proxies()
    here = _of_environment(os.environ)
    known = {name: value for name, value in configured.variables().items() if name in _VARIABLES}
    findings = list(of_configuration(here, known, configured.withheld()))
    for value in dict.fromkeys([*here.values(), *known.values()]):
        if problem := _problem(value):
            remedy = "start it, or correct HTTPS_PROXY, or proxies in Docker's config.json"
            findings.append(failure(NAME, f"{_shown(value)} does not answer: {problem}", remedy))
    yield from findings
    if not findings:
        names = ", ".join(dict.fromkeys(_shown(value) for value in (*here.values(), *known.values())))
        yield ok(NAME, f"{names} answer{'' if ',' in names else 's'}" if names else "none")


def of_configuration(here: Mapping[str, str], known: Mapping[str, str], withheld: list[str]) -> Iterator[Finding]:
    """Yield what is odd about proxies.

    :param here: those of this process, by the names of their variables in upper case.
    :param known: those of Docker's configuration.
    :param withheld: the names of those that builds do not get.
    """
    for name in withheld:
        remedy = "name a proxy without a user there, or in build_args"
        yield warning(NAME, f"{name} of Docker's config.json holds a user, so builds do not get it", remedy)
    if here and not known:
        names = ", ".join(here)
        yield warning(NAME, f"{names} is set here, and neither BuildKit nor the builds get it", _CONFIGURE)


def _of_environment(environ: Mapping[str, str]) -> dict[str, str]:
    values = {name: environ.get(name) or environ.get(name.lower(), "") for name in _VARIABLES}
    return {name: value for name, value in values.items() if value}


def _problem(value: str) -> str:
    """Return why nothing answers at a proxy's address; empty where something does."""
    try:
        url = urlsplit(value if "://" in value else f"http://{value}")
        if not url.hostname:
            return "it is no address"
        address = url.hostname, url.port or _PORTS.get(url.scheme, 80)
        socket.create_connection(address, timeout=_SECONDS).close()
    except (OSError, ValueError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def _shown(value: str) -> str:
    return shown_address(value if "://" in value else f"http://{value}")

"""The proxies of Docker's configuration: ``proxies`` in ``config.json`` (docker/cli, cli/config/configfile).

As docker's command has it, the entry of a Docker host's address holds in place of ``default``. A value with a user in
it may hold a password, and is kept out of every argument: buildctl takes build arguments on its command line alone.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_WHERE = "proxies of Docker's config.json"
_NAMES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}


@dataclass(frozen=True)
class Proxies:
    """Proxies by the names of their variables, in upper case; their values are not shown."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def variables(self) -> dict[str, str]:
        """Return all of them, each in both cases, as programs differ in which they read."""
        return {name: value for upper, value in self.values.items() for name in (upper, upper.lower())}

    def build_arguments(self, explicit: Iterable[str]) -> dict[str, str]:
        """Return BuildKit's predefined arguments: those that are not given *explicit*ly and hold no user."""
        given = {name.upper() for name in explicit}
        return {
            name: value
            for name, value in self.variables().items()
            if name.upper() not in given and not _has_user(value)
        }

    def withheld(self) -> list[str]:
        """Return the names of those that must not be arguments of a process."""
        return [name for name, value in self.values.items() if _has_user(value)]


def read_proxies(address: Callable[[], str]) -> Proxies:
    """Read the proxies that hold for a Docker host.

    :param address: returns the host's address; asked only where the file tells hosts apart.
    :raises ConfigurationError: they are not as docker's command reads them.
    """
    entries = _entries()
    if not entries:
        return Proxies()
    key = address() if entries.keys() - {"default"} else "default"
    entry = entries.get(key, entries.get("default", {}))
    if not isinstance(entry, dict):
        raise ConfigurationError(_WHERE, f"the entry {key!r} is no mapping; correct it")
    values = {}
    for field_name, name in _NAMES.items():
        value = entry.get(field_name) or ""
        if not isinstance(value, str) or not value.isprintable():
            raise ConfigurationError(_WHERE, f"{field_name} is no plain text; correct it")
        if value:
            values[name] = value
    return Proxies(values)


def _entries() -> dict[str, Any]:
    """Return the ``proxies`` of Docker's config.json; empty where that cannot be read."""
    # expanduser: there may be no home.
    directory = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")  # noqa: PTH111
    try:
        content = json.loads((Path(directory) / "config.json").read_text())
    except (OSError, ValueError, RecursionError):  # whoever reads credentials tells of it
        return {}
    entries = content.get("proxies") if isinstance(content, dict) else None
    if entries is not None and not isinstance(entries, dict):
        raise ConfigurationError(_WHERE, "it is no mapping; correct it")
    return entries or {}


def _has_user(value: str) -> bool:
    """Whether a proxy's address holds a user, and perhaps a password; either may be written wrongly."""
    return "@" in value

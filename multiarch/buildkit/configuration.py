"""The configuration of buildkitd (BuildKit, docs/buildkitd.toml.md): composed, joined with a running server's, written.

What is joined loses nothing: a registry that one project calls insecure is so for all who share the server. A value
that two projects set differently cannot be joined.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from multiarch.certificates import PLACE
from multiarch.config.proxies import Proxies, read_proxies
from multiarch.errors import ConfigurationError
from multiarch.image.reference import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multiarch.config.server_settings import BuildkitdSettings
    from multiarch.docker_info import HostInfo

Tables = dict[str, Any]
PATH = "/etc/buildkit/buildkitd.toml"
_SETTING = "multiarch.buildkitd_config"
_DIRECTORIES = "tlsconfigdir"  # of certificates of a registry, known by their endings
_LARGEST = 1 << 20  # bytes of a configuration, or of a certificate or key; both have some kilobytes
_DEEPEST = 20  # levels of tables and lists; buildkitd.toml has six
# Tables and keys that hold where the server listens and what it keeps; the container decides that.
_OURS = ("grpc", "root")


class Configuration(Struct, frozen=True):
    """A buildkitd.toml.

    :ivar tables: its content, plain data.
    :ivar files: by their path in the container, the certificates and keys that it names.
    """

    tables: Tables = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    def label(self) -> str:
        """Return the tables as text of one line, which `read_label` reads."""
        return json.dumps(self.tables, sort_keys=True)

    def toml(self, bridge: Tables | None = None) -> str:
        """Return the text of the file; empty where it needs none.

        :param bridge: the keys of the worker's bridge, where they are not given.
        """
        import tomli_w

        return tomli_w.dumps(_over(self.tables, {"worker": {"oci": bridge}}) if bridge else self.tables)


def compose(
    settings: BuildkitdSettings, registries: Tables, certificates: Mapping[str, bytes] | None = None
) -> Configuration:
    """Return the configuration of the settings: their own values, the user's file, the Docker daemon's registries.

    What stands first wins; lists of one registry are joined in that order.

    :param certificates: further files, by their path in the container.
    :raises ConfigurationError: the file cannot be used, or what it names cannot be read.
    """
    worker: Tables = {}
    if settings.max_used_space:
        worker["maxUsedSpace"] = settings.max_used_space
    if settings.max_parallelism:
        worker["max-parallelism"] = settings.max_parallelism
    ours: Tables = {"worker": {"oci": worker}} if worker else {}
    if settings.nameservers:
        ours["dns"] = {"nameservers": list(settings.nameservers)}
    written = _read_file(settings.config) if settings.config else {}
    files = _take_files(written, Path(settings.config or "").parent)
    carried: Tables = {"registry": registries} if registries else {}
    return Configuration(_over(ours, _over(written, carried)), {**files, **(certificates or {})})


def joined(running: Tables, wanted: Tables, *, in_registry: bool = False) -> Tables | None:
    """Return what has all of two configurations, the order of the running one first; None where they disagree.

    :param in_registry: whether the tables are a registry's, whose lists (mirrors, ca) may be joined.
    """
    result = dict(running)
    for name, value in wanted.items():
        former = result.get(name, value)
        if isinstance(former, dict) and isinstance(value, dict):
            both = joined(former, value, in_registry=in_registry or name == "registry")
            if both is None:
                return None
            result[name] = both
        elif in_registry and isinstance(former, list) and isinstance(value, list):
            more = [item for item in value if item not in former]
            # Of the certificates of a client, Go shows the first: a renewed one is to be before the expired one.
            result[name] = [*more, *former] if name == _DIRECTORIES else [*former, *more]
        elif former == value and type(former) is type(value):
            result[name] = value
        else:
            return None
    return result


def read_label(text: str) -> Tables | None:
    """Return the tables of a running server by its label; None where that is missing, or not as we write it."""
    try:
        tables = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tables if isinstance(tables, dict) and _is_toml(tables) else None


def registry_tables(
    info: HostInfo,
    registries: Iterable[str],
    insecure: Iterable[str] = (),
    certified: Mapping[str, str] | None = None,
) -> Tables:
    """Return the registries of the Docker daemon, which a BuildKit in a container does not know, as BuildKit has them.

    :param registries: the hosts that images are pushed to; the daemon may know only their networks.
    :param insecure: the hosts of ``insecure_registries``.
    :param certified: directories in the container with certificates of registries, by their hosts.
    """
    tables: Tables = {name: {"insecure": True, "http": True} for name in insecure}
    for registry in info.registries:
        if not registry.secure:
            # As the daemon does: https without verification, then http.
            tables.setdefault(registry.name, {}).update(insecure=True, http=True)
        for url in registry.mirrors:
            scheme, _, rest = url.rpartition("://")
            place = rest.rstrip("/")
            tables.setdefault(registry.name, {}).setdefault("mirrors", []).append(place)
            if scheme == "http":
                tables.setdefault(place.partition("/")[0], {})["http"] = True
    for name in registries:
        if name not in tables and not is_loopback(name) and info.is_insecure(name):
            tables[name] = {"insecure": True, "http": True}
    for name, directory in (certified or {}).items():
        tables.setdefault(name, {})[_DIRECTORIES] = [directory]
    return dict(sorted(tables.items()))


def docker_proxies() -> Proxies:
    """Return the proxies that hold for the Docker host. :raises ConfigurationError: they are malformed."""

    def address() -> str:
        from multiarch.docker_endpoint import resolve

        try:
            return resolve(os.environ).address
        except ConfigurationError:  # whoever connects tells of it
            return ""

    return read_proxies(address)


def _is_toml(value: object, depth: int = 0) -> bool:
    """Whether a value of JSON can be written as TOML, which has no null; a file that is meant has few levels."""
    if isinstance(value, dict):
        return depth < _DEEPEST and all(_is_toml(item, depth + 1) for item in value.values())
    if isinstance(value, list):
        return depth < _DEEPEST and all(_is_toml(item, depth + 1) for item in value)
    return isinstance(value, str | int | float)


def _over(first: Tables, second: Tables) -> Tables:
    """Return two configurations in one, where values of the first win, and lists of a registry are joined."""
    result = dict(first)
    for name, value in second.items():
        former = result.get(name)
        if isinstance(former, dict) and isinstance(value, dict):
            result[name] = _over(former, value)
        elif name in ("mirrors", _DIRECTORIES) and isinstance(former, list) and isinstance(value, list):
            result[name] = [*former, *(item for item in value if item not in former)]
        elif name not in result:
            result[name] = value
    return result


def _read_file(path: str) -> Tables:
    """Read the user's file. :raises ConfigurationError: it is none that the server may have."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        tables: Tables = tomllib.loads(_read(Path(path)).decode())
    except UnicodeDecodeError:
        raise ConfigurationError(_SETTING, f"{path} is not UTF-8; correct it") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = str(error).splitlines()[0] if str(error) else "it is nested too deeply"
        raise ConfigurationError(_SETTING, f"{path} is not TOML: {problem}; correct it") from None
    if given := [name for name in _OURS if name in tables]:
        problem = f"{path} sets {given[0]}, which belongs to the container of the server; remove it"
        raise ConfigurationError(_SETTING, f"{problem}, and name an address with --address")
    try:
        json.dumps(tables, allow_nan=False)
    except (TypeError, ValueError):
        raise ConfigurationError(_SETTING, f"{path} holds a date, or a number that is none; remove it") from None
    except RecursionError:
        raise ConfigurationError(_SETTING, f"{path} is nested too deeply; correct it") from None
    registries = tables.get("registry", {})
    if not isinstance(registries, dict) or not all(isinstance(table, dict) for table in registries.values()):
        raise ConfigurationError(_SETTING, f"{path}: registry needs a table for each host; correct it")
    return tables


def _take_files(tables: Tables, directory: Path) -> dict[str, bytes]:
    """Put the certificates and keys that registries name into the container: return them, and name them as there.

    :param directory: that relative paths begin at.
    """
    files: dict[str, bytes] = {}

    def taken(value: object) -> str:
        if not isinstance(value, str):
            raise ConfigurationError(_SETTING, "ca, key and cert of a registry need paths as text; correct the file")
        content = _read(directory / value)
        # By their content: what several projects name differently never collides.
        place = f"{PLACE}/{hashlib.sha256(content).hexdigest()[:16]}.pem"
        files[place] = content
        return place

    for table in tables.get("registry", {}).values():
        if "ca" in table:
            given = table["ca"]
            table["ca"] = [taken(item) for item in (given if isinstance(given, list) else [given])]
        pairs = table.get("keypair", [])
        if not isinstance(pairs, list) or not all(isinstance(pair, dict) for pair in pairs):
            raise ConfigurationError(_SETTING, "keypair of a registry needs tables with key and cert; correct the file")
        for pair in pairs:
            pair.update({name: taken(pair[name]) for name in ("key", "cert") if name in pair})
    return files


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(_SETTING, f"cannot read {path}: {reason}; name another") from None
    if len(content) > _LARGEST:
        raise ConfigurationError(_SETTING, f"{path} has more than {_LARGEST} bytes; name another")
    return content

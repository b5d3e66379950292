"""Builders elsewhere: what ``builders`` says of them, and which of them a platform may be built on."""

from __future__ import annotations

import difflib
import os
import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from multiarch.config.layers import typed
from multiarch.errors import ConfigurationError
from multiarch.image.platform import Platform
from multiarch.image.reference import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.config.layers import Layers

# Those that buildctl dials (BuildKit, client/connhelper).
_SCHEMES = (*("tcp", "unix", "docker-container", "ssh", "podman-container", "kube-pod", "npipe", "nerdctl-container"),)
_JOBS = 4  # slots of a builder that does not say how many it has
# What may stand in an error and in a table; no address has its form.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/@?#\[\]]+):([0-9]{1,5})", re.ASCII)
_SERVER_NAME = re.compile(r"[A-Za-z0-9.:_-]{1,253}", re.ASCII)
# Kubernetes: names of namespaces (RFC 1123), label selectors, and whatever a kubeconfig calls its contexts.
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_SELECTOR = re.compile(r"[A-Za-z0-9!(][A-Za-z0-9._/=!, ()-]{0,1000}", re.ASCII)
_CONTEXT = re.compile(r"[^\s-]\S{0,252}")
_VARIABLES = "env:"  # before the name that three variables begin with
_NO_TLS = "none"


class BuilderEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of ``builders``, as written."""

    address: str | None = None
    pods: dict[str, Any] | None = None
    platforms: tuple[str, ...] = ()
    tls: str | dict[str, Any] | None = None
    jobs: int = _JOBS


class PodsEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``pods``, as written."""

    selector: str
    namespace: str | None = None
    context: str | None = None
    container: str | None = None


class TLSEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``tls`` as a mapping, as written."""

    directory: str
    name: str | None = None


class TLS(Struct, frozen=True):
    """Where the certificates for a builder are: a directory, or variables; one of both.

    :ivar directory: with ca.pem, cert.pem and key.pem, as ``buildctl --tlsdir`` takes it.
    :ivar variables: what the names of three variables begin with, of which the others are ``_CA``, ``_CERT``, ``_KEY``.
    :ivar name: the name in the server's certificate, where it is another than that of the address.
    """

    directory: str | None = None
    variables: str | None = None
    name: str | None = None


class Pods(Struct, frozen=True):
    """Pods that are builders, as ``kubectl get pods`` finds them; what is None is left to the kubeconfig."""

    selector: str
    namespace: str | None = None
    context: str | None = None
    container: str | None = None


class RemoteBuilder(Struct, frozen=True, kw_only=True):
    """A BuildKit that is not ours to start.

    :ivar name: as in ``builders``; of one that is given by its address alone, that address.
    :ivar address: as ``buildctl --addr`` takes it; empty for *pods*.
    :ivar pods: a pool of builders that are alike; None for one with an address.
    :ivar platforms: those that it must be able to build; none where its CPU is to tell.
    :ivar tls: for ``tcp://``; None without.
    :ivar jobs: how many slots it has.
    """

    name: str
    address: str
    pods: Pods | None = None
    platforms: tuple[Platform, ...] = ()
    tls: TLS | None = None
    jobs: int = _JOBS

    @property
    def where(self) -> str:
        """Its key, or its address."""
        return self.name if self.name == self.address else f"multiarch.builders.{self.name}"

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, as far as its address says."""
        scheme, _, rest = self.address.partition("://")
        if scheme == "ssh":
            return is_loopback(re.split("[/?]", rest.rpartition("@")[2])[0])
        return scheme not in ("tcp", "kube-pod", "") or is_loopback(rest)


def check_address(where: str, address: str, what: str = "builder ") -> None:
    """Check that buildctl can dial an address. :param where: the setting, for the error."""
    if address.partition("://")[0] not in _SCHEMES:
        schemes = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise ConfigurationError(where, f"{what}{address!r} does not start with one of {schemes}")


def check_private(where: str, address: str, remedy: str, what: str = "") -> None:
    """Check that nothing crosses a network in the clear. :param remedy: how this setting may say otherwise."""
    scheme, _, rest = address.partition("://")
    # Behind the colon there may be no port at all, which buildctl will say.
    if scheme == "tcp" and not is_loopback(rest) and not is_loopback(rest.rpartition(":")[0]):
        problem = f"{what}{address} without tls: secrets and credentials would cross the network in the clear"
        raise ConfigurationError(where, f"{problem}; {remedy}")


def read_host(where: str, address: str | None) -> str | None:
    """Check the address of a builder that is no more than that; None and an empty text mean none.

    :param where: the setting, for the error.
    """
    if not address:
        return None
    check_address(where, address)
    remedy = "name it in multiarch.builders with tls: DIR (fleet-certs makes one) or tls: none, or use ssh://"
    check_private(where, address, remedy, "builder ")
    return address


def read_builders(layers: Layers) -> dict[str, RemoteBuilder]:
    """Read ``builders``, in the order of preference. :raises ConfigurationError: naming key, value, what is allowed."""
    builders = {}
    for name, written in layers.block.builders.items():
        where = f"multiarch.builders.{name}"
        if not _NAME.fullmatch(name):
            problem = f"{name!r} is no name of a builder: letters, digits, '.', '_' and '-', at most 63"
            raise ConfigurationError("multiarch.builders", problem)
        builders[name] = _builder(name, _record(where, written, BuilderEntry))
    return builders


def candidates(
    layers: Layers, index: int | None, written: Sequence[str], builders: Mapping[str, RemoteBuilder], platform: Platform
) -> tuple[RemoteBuilder, ...]:
    """Return the builders that a platform may be built on, the preferred first.

    :param index: the platform's place in ``platforms``.
    :param written: its own ``builder``: addresses and names; none for all that may have the platform.
    """
    if not written:
        return tuple(b for b in builders.values() if not b.platforms or platform in b.platforms)
    where = layers.where("platforms", index)
    chosen: dict[str, RemoteBuilder] = {}
    for text in written:
        builder = builders.get(text)
        if builder is None and "://" not in text and builders:
            near = difflib.get_close_matches(text, builders, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(builders)}"
            raise ConfigurationError(where, f"there is no builder {text!r} in multiarch.builders; {hint}")
        if builder is None:
            read_host(where, text)
            builder = RemoteBuilder(name=text, address=text, jobs=layers.block.jobs or _JOBS)
        elif builder.platforms and platform not in builder.platforms:
            known = ", ".join(map(str, builder.platforms))
            raise ConfigurationError(where, f"builder {text} is for {known} (multiarch.builders.{text}.platforms)")
        if text in chosen:
            raise ConfigurationError(where, f"builder {text!r} is given twice")
        chosen[text] = replace(builder, platforms=builder.platforms or (platform,))
    return tuple(chosen.values())


def _record(where: str, written: object, kind: type[msgspec.Struct]) -> Any:
    """Return a mapping as a record. :raises ConfigurationError: it is no mapping, or lacks a field."""
    if not isinstance(written, dict):
        raise ConfigurationError(where, f"expected a mapping, got {written!r}")
    values = {**written}
    if isinstance(values.get("platforms"), str):
        values["platforms"] = [part.strip() for part in values["platforms"].split(",") if part.strip()]
    if no_text := [key for key in values if not isinstance(key, str)]:
        raise ConfigurationError(where, f"expected text as a name, got {no_text[0]!r}: quote it")
    required = [f.name for f in msgspec.structs.fields(kind) if f.required and f.name not in values]
    if required:
        raise ConfigurationError(where, f"needs {required[0]}")
    return typed(values, {key: f"{where}.{key}" for key in values}, kind)


def _builder(name: str, entry: BuilderEntry) -> RemoteBuilder:
    where = f"multiarch.builders.{name}"
    if (entry.address is None) == (entry.pods is None):
        raise ConfigurationError(where, "needs an address or pods, and not both")
    if entry.address is not None:
        check_address(f"{where}.address", entry.address, "")
        scheme, _, rest = entry.address.partition("://")
        port = _HOST_AND_PORT.fullmatch(rest)
        if scheme == "tcp" and not (port and 0 < int(port[2]) < 65536):
            raise ConfigurationError(f"{where}.address", f"{entry.address!r} needs a host and a port: tcp://HOST:1234")
    if entry.jobs < 1:
        raise ConfigurationError(f"{where}.jobs", f"expected a number of slots, 1 or more, got {entry.jobs}")
    platforms: dict[Platform, None] = {}
    for index, text in enumerate(entry.platforms):
        try:
            platforms[Platform.parse(text)] = None
        except ValueError as error:
            raise ConfigurationError(f"{where}.platforms[{index}]", str(error)) from None
    address = entry.address or ""
    builder = RemoteBuilder(
        name=name,
        address=address,
        pods=_pods(f"{where}.pods", entry.pods),
        platforms=tuple(platforms),
        tls=_tls(f"{where}.tls", entry.tls),
        jobs=entry.jobs,
    )
    if entry.tls is not None and not address.startswith("tcp://"):
        raise ConfigurationError(f"{where}.tls", "goes with tcp:// alone; other addresses are as safe as what they use")
    if entry.tls is None:
        remedy = "add tls: DIR (fleet-certs makes one), use ssh://, or write tls: none"
        check_private(where, address, remedy)
    return builder


def _pods(where: str, written: dict[str, Any] | None) -> Pods | None:
    if written is None:
        return None
    entry: PodsEntry = _record(where, written, PodsEntry)
    for key, pattern, example in (
        ("selector", _SELECTOR, "a label selector, such as app=buildkit"),
        ("namespace", _NAMESPACE, "a namespace, such as builders"),
        ("context", _CONTEXT, "a context of a kubeconfig (kubectl config get-contexts)"),
        ("container", _NAMESPACE, "a container of a pod, such as buildkitd"),
    ):
        value = getattr(entry, key)
        if value is not None and not pattern.fullmatch(value):
            raise ConfigurationError(f"{where}.{key}", f"{value!r} is not {example}")
    return Pods(entry.selector, entry.namespace, entry.context, entry.container)


def _tls(where: str, written: str | dict[str, Any] | None) -> TLS | None:
    """Read ``DIR``, ``env:NAME``, a mapping of one of both with a ``name``, or ``none``."""
    if written is None or written == _NO_TLS:
        return None
    name = None
    if isinstance(written, dict):
        entry: TLSEntry = _record(where, written, TLSEntry)
        if entry.name is not None and not _SERVER_NAME.fullmatch(entry.name):
            raise ConfigurationError(f"{where}.name", f"{entry.name!r} is no name of a host, such as arm-1.example")
        name, written, where = entry.name, entry.directory, f"{where}.directory"
    if written.startswith(_VARIABLES):
        prefix = written.removeprefix(_VARIABLES)
        if not _VARIABLE.fullmatch(prefix):
            problem = f"{written!r} is no env:NAME, for the variables NAME_CA, NAME_CERT and NAME_KEY"
            raise ConfigurationError(where, problem)
        return TLS(variables=prefix, name=name)
    if not written.strip():
        raise ConfigurationError(where, "expected a directory with ca.pem, cert.pem and key.pem, env:NAME, or none")
    return TLS(directory=os.path.expanduser(written), name=name)  # noqa: PTH111 (it leaves ~nobody as it is)

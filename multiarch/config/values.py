"""Settings with a notation of their own: ``oci,dest=FILE``, ``env:NAME``, ``ID=PATH``, addresses."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from multiarch.ci import CIKind
from multiarch.config.settings import CacheKind, Output, OutputKind, Secret, SecretKind
from multiarch.errors import ConfigurationError
from multiarch.formatting import one_line
from multiarch.image.reference import is_loopback

if TYPE_CHECKING:
    from multiarch.config.checkout import Checkout
    from multiarch.config.layers import Layers

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}")
_LONGEST_SOCKET = 107  # bytes; sun_path of unix(7) holds 108 with the final zero
# What BuildKit's client logs in to GitHub's cache with (cmd/buildctl/build/util.go).
_CACHE_LOGIN = "ACTIONS_RUNTIME_TOKEN"
# The attestations that BuildKit makes, with their attributes where none are given.
_ATTESTATIONS = {"provenance": "mode=max", "sbom": ""}


def read_output(layers: Layers, *, pushes: bool) -> Output:
    """Read ``image``, ``none``, ``docker``, or a type with ``dest=PATH``; by default ``image``, if that is pushed."""
    output = layers.block.output or ("image" if pushes else "none")
    name, comma, rest = output.partition(",")
    key, _, dest = rest.partition("=")
    try:
        kind = OutputKind(name)
    except ValueError:
        kind = None
    if kind is None or (comma and (key != "dest" or not dest)):
        raise layers.error("output", f"{output!r} is none of image, none, docker, oci,dest=FILE, local,dest=DIR")
    if kind is OutputKind.IMAGE and dest:
        raise layers.error("output", "image is pushed to a registry and takes no dest")
    if kind in (OutputKind.NONE, OutputKind.DOCKER) and dest:
        raise layers.error("output", f"{name} takes no dest")
    if kind in (OutputKind.OCI, OutputKind.LOCAL) and not dest:
        raise layers.error("output", f"{name} needs a place to write to: {name},dest=PATH")
    return Output(kind, dest or None)


def read_attestations(layers: Layers, output: Output) -> dict[str, str]:
    """Read ``[provenance, sbom]``, where an item may also be a mapping of the type to BuildKit's attributes.

    What is loaded into a Docker host has none: its archive has no room for them.
    """
    read: dict[str, str] = {}
    is_default = "attestations" not in layers.origin
    if layers.block.reproducible and is_default:
        return {}
    if layers.block.reproducible and layers.block.attestations:
        problem = "they tell when they were made, so that no two releases are alike: leave them out, or reproducible"
        raise layers.error("attestations", problem)
    for index, item in enumerate(layers.block.attestations):
        for kind, attributes in ({item: _ATTESTATIONS.get(item, "")} if isinstance(item, str) else item).items():
            if kind not in _ATTESTATIONS:
                known = " and ".join(_ATTESTATIONS)
                raise layers.error("attestations", f"{kind!r} is no attestation (known: {known})", index)
            if kind in read:
                raise layers.error("attestations", f"{kind!r} is given twice", index)
            if wrong := [part for part in attributes.split(",") if attributes and not part.partition("=")[2]]:
                problem = f"{wrong[0]!r} of {kind} is no name=value, such as mode=max"
                raise layers.error("attestations", problem, index)
            read[kind] = attributes
    return {} if output.kind is OutputKind.DOCKER else read


def read_cache(layers: Layers) -> CacheKind:
    """Read ``cache``."""
    try:
        return CacheKind(layers.block.cache)
    except ValueError:
        known = ", ".join(kind.value for kind in CacheKind)
        raise layers.error("cache", f"{layers.block.cache!r} is none of {known}") from None


def cache_here(layers: Layers, checkout: Checkout) -> tuple[CacheKind, str, str]:
    """Return the cache of this run; that of GitHub is none elsewhere.

    :returns: it too, a note on that, and the error of a job of GitHub that may not use it.
    """
    kind, where = read_cache(layers), layers.where("cache")
    if kind is not CacheKind.GITHUB:
        return kind, "", ""
    if checkout.ci is None or checkout.ci.kind is not CIKind.GITHUB:
        return CacheKind.NONE, f"{where}: gha is there in jobs of GitHub Actions alone; nothing is cached elsewhere", ""
    if not checkout.environ.get(_CACHE_LOGIN):
        problem = f"gha needs {_CACHE_LOGIN}, which GitHub gives to actions alone: export it in a step before"
        return kind, "", f"{where}: {problem}, as the file of 'pipeline --ci github' does"
    return kind, "", ""


def read_secrets(layers: Layers) -> dict[str, Secret]:
    """Read ``env:NAME`` and ``file:PATH``; any other text may be the secret itself, and is not shown."""
    read: dict[str, Secret] = {}
    for name, text in layers.block.secrets.items():
        kind, _, place = text.partition(":")
        where = f"{layers.where('secrets')}.{one_line(name)}"
        if kind not in ("env", "file") or not place or not name:
            raise ConfigurationError(where, "expected env:NAME or file:PATH")
        if name != one_line(name) or place != one_line(place):
            raise ConfigurationError(where, "neither its name nor its place may hold line breaks or control characters")
        # A pipeline's file names these variables.
        if kind == "env" and not VARIABLE.fullmatch(place):
            raise ConfigurationError(where, "the name of its variable is none (letters, digits, '_'; no digit first)")
        if kind == "env":
            read[name] = Secret(SecretKind.VARIABLE, place)
        else:
            read[name] = Secret(SecretKind.FILE, os.path.expanduser(place))  # noqa: PTH111 (it leaves ~nobody as it is)
    return read


def read_ssh(layers: Layers) -> dict[str, str]:
    """Read ``default`` and ``ID=PATH``."""
    read: dict[str, str] = {}
    for index, text in enumerate(layers.block.ssh):
        name, equals, path = text.partition("=")
        if (text != "default" and not (name and path)) or "," in path:
            raise layers.error("ssh", f"{text!r} is neither default nor ID=PATH, of a socket or a key", index)
        if name in read:
            raise layers.error("ssh", f"{name!r} is given twice", index)
        read[name] = os.path.expanduser(path) if equals else ""  # noqa: PTH111 (as above)
    return read


def read_address(layers: Layers) -> str | None:
    """Return the address to listen on, if it is private: an open BuildKit port gives root to all who reach it."""
    address = layers.block.address
    if not address:
        return None
    scheme, _, rest = address.partition("://")
    if scheme == "tcp":
        host, _, port = rest.rpartition(":")
        if not host or not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
            raise layers.error("address", f"{address!r} needs a host and a port: tcp://127.0.0.1:1234")
        if not is_loopback(host):
            raise layers.error(
                "address", f"{address!r} would give root to whoever reaches it; use tcp://127.0.0.1:{port}"
            )
    elif scheme == "unix" and rest.startswith("/") and rest.endswith("/buildkitd.sock"):
        directory = rest.removesuffix("/buildkitd.sock")
        is_path = directory.strip("/") and ".." not in directory.split("/") and rest.isprintable() and ":" not in rest
        if not is_path or len(os.fsencode(rest)) > _LONGEST_SOCKET:
            needs = f"a directory of its own, without '..' and ':', and at most {_LONGEST_SOCKET} bytes"
            raise layers.error("address", f"{address!r} needs {needs}: unix:///DIR/buildkitd.sock")
    elif address != f"docker-container://{layers.block.buildkit_container}":
        through_docker = f"docker-container://{layers.block.buildkit_container}"
        allowed = f"tcp://127.0.0.1:PORT, {through_docker}, unix:///DIR/buildkitd.sock"
        raise layers.error("address", f"{address!r} is none of {allowed}")
    return address

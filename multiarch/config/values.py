"""Settings with a notation of their own: ``oci,dest=FILE``, ``env:NAME``, ``ID=PATH``, addresses."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from multiarch.config.settings import Output, OutputKind, Secret, SecretKind
from multiarch.errors import ConfigurationError
from multiarch.formatting import one_line
from multiarch.image.reference import is_loopback

if TYPE_CHECKING:
    from multiarch.config.layers import Layers

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# Those that buildctl dials (BuildKit, client/connhelper).
_BUILDER_SCHEMES = ("tcp", "unix", "docker-container", "ssh", "podman-container", "kube-pod", "npipe")
_PORT = re.compile(r"[0-9]{1,5}")
_LONGEST_SOCKET = 107  # bytes; sun_path of unix(7) holds 108 with the final zero
# The attestations that BuildKit makes, with their attributes where none are given.
_ATTESTATIONS = {"provenance": "mode=max", "sbom": ""}


def read_builder(where: str, address: str | None) -> str | None:
    """Check the address of a builder; None and an empty text mean none.

    :param where: the setting, for the error.
    """
    if address and address.partition("://")[0] not in _BUILDER_SCHEMES:
        schemes = ", ".join(f"{scheme}://" for scheme in _BUILDER_SCHEMES)
        raise ConfigurationError(where, f"builder {address!r} does not start with one of {schemes}")
    return address or None


def read_output(layers: Layers, *, pushes: bool) -> Output:
    """Read ``image``, ``none``, or a type with ``dest=PATH``; by default ``image``, where something is to be pushed."""
    output = layers.block.output or ("image" if pushes else "none")
    name, comma, rest = output.partition(",")
    key, _, dest = rest.partition("=")
    try:
        kind = OutputKind(name)
    except ValueError:
        kind = None
    if kind is None or (comma and (key != "dest" or not dest)):
        raise layers.error("output", f"{output!r} is none of image, none, oci,dest=FILE, local,dest=DIR")
    if kind is OutputKind.IMAGE and dest:
        raise layers.error("output", "image is pushed to a registry and takes no dest")
    if kind is OutputKind.NONE and dest:
        raise layers.error("output", "none takes no dest")
    if kind in (OutputKind.OCI, OutputKind.LOCAL) and not dest:
        raise layers.error("output", f"{name} needs a place to write to: {name},dest=PATH")
    return Output(kind, dest or None)


def read_attestations(layers: Layers) -> dict[str, str]:
    """Read ``[provenance, sbom]``, where an item may also be a mapping of the type to BuildKit's attributes."""
    read: dict[str, str] = {}
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
    return read


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
        if kind == "env" and not _VARIABLE.fullmatch(place):
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

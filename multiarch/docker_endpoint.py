"""Where the Docker host is, by the rules of the docker command (docker/cli, cli/command/cli.go, opts/hosts.go).

DOCKER_HOST wins over DOCKER_CONTEXT, and that over the context of ``docker context use``; ``default`` is the context of
the environment alone. What is resolved here serves the SDK, and the docker command that buildctl starts.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from multiarch.errors import ConfigurationError, shown_address

if TYPE_CHECKING:
    from collections.abc import Mapping

_SOCKET = "unix:///var/run/docker.sock"
_PORT = 2375
_TLS_PORT = 2376
_LARGEST = 1 << 24  # bytes of a file of Docker's configuration; with many logins it has some kilobytes
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1")


class Tls(Struct, frozen=True):
    """TLS of a Docker host.

    :ivar directory: where ``ca.pem``, ``cert.pem`` and ``key.pem`` are, as far as they exist.
    :ivar verify: whether the host's certificate is verified.
    """

    directory: Path
    verify: bool

    @property
    def ca(self) -> Path | None:
        """The file of the CA that the host's certificate is verified by; None for the system's."""
        path = self.directory / "ca.pem"
        return path if path.exists() else None

    @property
    def certificate(self) -> tuple[Path, Path] | None:
        """The files of this client's certificate and of its key; None without them."""
        certificate, key = self.directory / "cert.pem", self.directory / "key.pem"
        return (certificate, key) if certificate.exists() and key.exists() else None


class Endpoint(Struct, frozen=True):
    """The Docker host that was chosen.

    :ivar address: unix://, tcp:// or ssh://, as DOCKER_HOST takes it.
    :ivar tls: None without TLS.
    """

    address: str
    tls: Tls | None = None

    @property
    def has_socket(self) -> bool:
        """Whether it is reached by a Unix socket of this machine."""
        return self.address.startswith("unix://")

    @property
    def has_our_loopback(self) -> bool:
        """Whether a port that it publishes on its loopback interface is on this machine's, as far as can be known."""
        is_tcp = self.address.startswith("tcp://")
        return self.has_socket or (is_tcp and bool(_LOOPBACK.fullmatch(urlsplit(self.address).hostname or "")))

    @property
    def variables(self) -> dict[str, str]:
        """The variables by which the docker command comes to the same host."""
        found = {"DOCKER_HOST": self.address}
        if self.tls:
            found["DOCKER_CERT_PATH"] = str(self.tls.directory)
            found["DOCKER_TLS_VERIFY" if self.tls.verify else "DOCKER_TLS"] = "1"
        return found

    def environ(self) -> dict[str, str]:
        """Return the environment of a program that is to come to the same host."""
        ours = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_TLS")
        return {**{k: v for k, v in os.environ.items() if k not in ours}, **self.variables}


def resolve(environ: Mapping[str, str]) -> Endpoint:
    """Return the Docker host that the docker command would use.

    :raises ConfigurationError: an address that is none, a context that does not exist, or files that cannot be read.
    """
    directory = Path(environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111 (there may be no home)
    if environ.get("DOCKER_HOST"):
        return _of_environment(environ, directory)
    where, name = "DOCKER_CONTEXT", environ.get("DOCKER_CONTEXT")
    if not name:
        config = directory / "config.json"
        where, name = f"currentContext of {config}", _read(config).get("currentContext")
    if not name or name == "default":
        return _of_environment(environ, directory)
    if not isinstance(name, str):
        raise ConfigurationError(where, "it is no text; choose a context with docker context use")
    return _of_context(where, name, directory / "contexts")


def _of_environment(environ: Mapping[str, str], directory: Path) -> Endpoint:
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    tls = None
    if verify or environ.get("DOCKER_TLS"):
        tls = Tls(Path(environ.get("DOCKER_CERT_PATH") or directory), verify)
    address = _parse("DOCKER_HOST", environ.get("DOCKER_HOST", ""), f"tcp://localhost:{_TLS_PORT}" if tls else _SOCKET)
    return Endpoint(address, tls if address.startswith("tcp://") else None)


def _of_context(where: str, name: str, store: Path) -> Endpoint:
    """Return the Docker host of a context, which is stored under the digest of its name (cli/context/store)."""
    try:
        digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
    except UnicodeEncodeError:
        raise ConfigurationError(where, f"{name!a} is no text; choose a context with docker context use") from None
    file = store / "meta" / digest / "meta.json"
    shown = ascii(name)
    if not file.exists():
        remedy = "choose one that docker context ls shows, or make it with docker context create"
        raise ConfigurationError(where, f"there is no Docker context {shown}: {remedy}")
    endpoints = _read(file).get("Endpoints")
    endpoint = endpoints.get("docker") if isinstance(endpoints, dict) else None
    host = endpoint.get("Host", "") if isinstance(endpoint, dict) else None
    if not isinstance(endpoint, dict) or not isinstance(host, str):
        raise ConfigurationError(where, f"the Docker context {shown} has no address of a Docker host ({file})")
    address = _parse(f"the Docker context {shown}", host, _SOCKET)
    files, skips = store / "tls" / digest / "docker", endpoint.get("SkipTLSVerify") is True
    has_tls = address.startswith("tcp://") and (skips or files.is_dir())
    return Endpoint(address, Tls(files, not skips) if has_tls else None)


def _parse(where: str, text: str, default: str) -> str:
    """Return an address with what it leaves out; *default* for an empty one."""
    text = text.strip()
    if not text:
        return default
    if not unquote(text).isprintable():
        raise ConfigurationError(where, f"{shown_address(text)!a} is no address: it holds what cannot be printed")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "tcp", text
    if scheme == "unix":
        return text if rest else _SOCKET
    if scheme not in ("tcp", "ssh"):
        problem = f"{shown_address(text)!r} is no address of a Docker host: unix:///PATH, tcp://HOST:PORT, ssh://HOST"
        raise ConfigurationError(where, problem)
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(where, f"{shown_address(text)!r} is no address: {error}") from None
    if scheme == "ssh":
        return _checked_ssh(where, text)
    if port is None:
        rest = f"{parts.netloc.removesuffix(':') or 'localhost'}:{_PORT}{parts.path}"
    return f"tcp://localhost{rest}" if rest.startswith(":") else f"tcp://{rest}"


def _checked_ssh(where: str, address: str) -> str:
    parts = urlsplit(address)
    if not parts.hostname or parts.password is not None or parts.query or parts.fragment:
        problem = "is no ssh://USER@HOST:PORT, without a password: ssh asks its agent, or takes its keys"
        raise ConfigurationError(where, f"{shown_address(address)!r} {problem}")
    return address


def _read(file: Path) -> dict[str, Any]:
    """Return the content of a file in JSON, nothing where there is none."""
    try:
        with file.open("rb") as stream:
            content = json.loads(stream.read(_LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigurationError(str(file), f"it cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(str(file), "it is not as docker writes it; correct it") from None
    if not isinstance(content, dict):
        raise ConfigurationError(str(file), "it is not as docker writes it; correct it")
    return content

"""Requests to a Docker host over ssh: by the system's client, as the docker command does it (docker/cli, connhelper).

Each connection is an ``ssh HOST docker system dial-stdio``; so keys, agents and ``~/.ssh/config`` hold as they do for
the user.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import docker
import urllib3
from requests.adapters import HTTPAdapter

from multiarch.errors import MultiarchError, unbroken

if TYPE_CHECKING:
    import requests

BASE = "http://docker.example.com"  # never resolved: each connection is ssh's
_CONNECT_SECONDS = 30  # seconds, as the docker command has it
_MOST_WORDS = 2000  # characters of what ssh said
_IDLE = 10  # connections that are kept, more than a release has steps that run side by side
# OpenSSH's words for a connection that was lost, or that a busy server did not take (sshd_config, MaxStartups).
_PASSES = re.compile(r"kex_exchange_identification|Connection (closed|reset|to .+ closed|timed out)|Broken pipe")
_END = 5.0  # seconds that ssh has to end by itself, when its connection has ended


class SshError(MultiarchError):
    """ssh ended before the Docker host answered; in ssh's own words."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.cause = words
        self.transient = bool(_PASSES.search(words))


def command(address: str) -> list[str]:
    """Return the command that connects to a Docker host at ``ssh://USER@HOST:PORT/PATH``."""
    parts = urlsplit(address)
    # As it is written: ssh tells the names of its configuration apart by their case, which `hostname` drops.
    host = re.sub(r":[0-9]*$", "", parts.netloc.rpartition("@")[2]).strip("[]")
    words = ["ssh", "-o", f"ConnectTimeout={_CONNECT_SECONDS}", "-T"]
    words += ["-l", unquote(parts.username)] if parts.username else []
    words += ["-p", str(parts.port)] if parts.port else []
    remote = ["docker", "system", "dial-stdio"]
    if parts.path.strip("/"):
        remote.insert(1, f"--host=unix://{unquote(parts.path)}")
    return [*words, "--", host, shlex.join(remote)]


class Connection(urllib3.connection.HTTPConnection):
    """A connection whose bytes go through a process of ssh."""

    def __init__(self, words: list[str], **options: Any) -> None:
        super().__init__("docker.example.com", **options)
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None
        self._said: Any = None

    def connect(self) -> None:
        """Start ssh. :raises SshError: there is none."""
        ours, theirs = socket.socketpair()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (it ends with the connection)
        try:
            # In a session of its own it asks no questions on our terminal, and an interrupt does not reach it.
            self._process = subprocess.Popen(
                self._words, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=self._said, start_new_session=True
            )
        except OSError as error:
            ours.close()
            raise SshError(f"cannot run ssh: {error.strerror}; install openssh-client") from None
        finally:
            theirs.close()
        ours.settimeout(self.timeout if isinstance(self.timeout, int | float) else None)
        self.sock = ours

    def request(self, *arguments: Any, **options: Any) -> None:
        """Send a request. :raises SshError: ssh has ended."""
        try:
            super().request(*arguments, **options)
        except ConnectionError:
            raise self._error() from None

    def getresponse(self) -> Any:
        """Return the answer. :raises SshError: ssh has ended without one."""
        try:
            has_begun = self.sock.recv(1, socket.MSG_PEEK) if self.sock else b""
        except ConnectionError:
            has_begun = b""
        if not has_begun:
            raise self._error()
        return super().getresponse()

    def close(self) -> None:
        """Close the connection and end ssh."""
        super().close()
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        if self._said is not None:
            self._said.close()

    def _error(self) -> SshError:
        """Return what ssh said when it ended."""
        words = ""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END)
            self._said.seek(0)
            words = unbroken(self._said.read(_MOST_WORDS).decode(errors="replace"))
        self.close()
        return SshError(words or "ssh ended before the Docker host answered, and said nothing")


class Adapter(HTTPAdapter):
    """Sends the requests of a session through ssh, over as many connections as are needed at once."""

    def __init__(self, address: str, timeout: float) -> None:
        super().__init__()
        words = command(address)

        class Pool(urllib3.HTTPConnectionPool):
            def _new_conn(self) -> Connection:
                return Connection(words, timeout=timeout)

        self._pool = Pool("docker.example.com", maxsize=_IDLE)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> urllib3.HTTPConnectionPool:
        """Return the connections, whatever proxy is set."""
        return self._pool

    def request_url(self, request: requests.PreparedRequest, *_: Any) -> str:
        """Return the path, as no proxy is asked."""
        return str(request.path_url)

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self._pool.close()


def api_class(address: str, timeout: float) -> type[docker.APIClient]:
    """Return the SDK's class of clients, for a host that is reached by ssh; *timeout* in seconds."""
    adapter = Adapter(address, timeout)

    class Api(docker.APIClient):
        def get_adapter(self, url: str | bytes) -> Any:  # noqa: ARG002 (all of its requests go one way)
            return adapter

    return Api

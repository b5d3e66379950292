"""TLS handshakes with a builder, for what buildctl's words do not tell.

In TLS 1.3 a server refuses the client's certificate only after the handshake. What the client reads then, or what it
fails to write, is a matter of chance: buildctl says "broken pipe" as often as "tls: certificate required".
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from multiarch.buildkit.builder import Builder

_SECONDS = 3.0  # for an answer of a server that has just been asked
_READ = 1  # bytes; a server speaks first (HTTP/2, SETTINGS), or refuses


def speaks_tls(builder: Builder) -> bool:
    """Whether a TLS server listens at an address."""
    try:
        with _connected(builder, _context(None)):
            return True
    except ssl.SSLError as error:
        return "alert" in str(error)
    except (OSError, ValueError):
        return False


def refuses_certificate(builder: Builder) -> bool:
    """Whether the server of an address refuses our certificate."""
    try:
        with _connected(builder, _context(builder)) as connection:
            connection.recv(_READ)
            return False
    except ssl.SSLError as error:
        return "alert" in str(error)
    except (OSError, ValueError):
        return False


def certificate_of(builder: Builder) -> bytes | None:
    """Return the server's certificate (DER); None where there is none to be had."""
    try:
        with _connected(builder, _context(builder)) as connection:
            return connection.getpeercert(binary_form=True)
    except (OSError, ValueError):
        return None


def _context(builder: Builder | None) -> ssl.SSLContext:
    """Return a client that shows our certificate, and takes any of the server's: buildctl has verified that."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if builder is not None and builder.tls is not None:
        context.load_cert_chain(builder.tls / "cert.pem", builder.tls / "key.pem")
    return context


def _connected(builder: Builder, context: ssl.SSLContext) -> AbstractContextManager[ssl.SSLSocket]:
    from contextlib import contextmanager

    @contextmanager
    def connected() -> Iterator[ssl.SSLSocket]:
        name, _, port = builder.address.partition("://")[2].rpartition(":")
        name = name.strip("[]")
        with (
            socket.create_connection((name, int(port)), timeout=_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=builder.tls_name or name) as connection,
        ):
            yield connection

    return connected()

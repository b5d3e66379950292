"""Certificates that are trusted in TLS with a registry, and with the hosts that it leads to."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import certifi

from multiarch.certificates import certificates_of, check_file, named_bundle
from multiarch.errors import ConfigurationError
from multiarch.registry.sockets import LimitedTlsSocket
from multiarch.retry import describe

if TYPE_CHECKING:
    from collections.abc import Iterator


def trusting(host: str, *, identified: bool) -> ssl.SSLContext:
    """Return a context that trusts what the system and Docker trust for *host*.

    :param identified: whether the client certificate for the host, if any, is shown: to the registry, and to no other.
    :raises ConfigurationError: a file of certificates cannot be used.
    """
    context = ssl.create_default_context()
    context.sslsocket_class = LimitedTlsSocket
    variable, named = named_bundle()
    bundle = named or certifi.where()
    with _usable(variable or "REQUESTS_CA_BUNDLE", f"{bundle} cannot be used"):
        is_directory = Path(bundle).is_dir()
        if not is_directory:
            check_file(Path(bundle))
        context.load_verify_locations(*((None, bundle) if is_directory else (bundle,)))
    for path in certificates_of(host).authorities:
        with _usable(str(path), f"cannot be used for TLS with {host}"):
            check_file(path)
            context.load_verify_locations(path)
    if identified:
        _identify(context, host)
    return context


def unverified(host: str) -> ssl.SSLContext:
    """Return a context that trusts everybody, for a registry that was declared insecure; our own certificate is shown.

    :raises ConfigurationError: a file of certificates cannot be used.
    """
    context = ssl.create_default_context()
    context.sslsocket_class = LimitedTlsSocket
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _identify(context, host)
    return context


def _identify(context: ssl.SSLContext, host: str) -> None:
    for identity in certificates_of(host).identities:
        with _usable(str(identity.certificate), f"cannot be used for TLS with {host}"):
            check_file(identity.certificate)
            check_file(identity.key)
            # Without a password OpenSSL would ask for it at the terminal, in the middle of a run.
            context.load_cert_chain(identity.certificate, identity.key, password="")


@contextmanager
def _usable(where: str, problem: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(where, f"{problem}: {describe(error)}") from None

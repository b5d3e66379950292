"""Certificates that are trusted in TLS with a registry, and with the hosts that it leads to."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from multiarch.errors import ConfigurationError
from multiarch.registry.sockets import LimitedTlsSocket
from multiarch.retry import describe

_CERTIFICATES = ("/etc/docker/certs.d", "~/.config/docker/certs.d")


def trusting(host: str, *, identified: bool) -> ssl.SSLContext:
    """Return a context that trusts what the system and Docker trust for *host*.

    :param identified: whether the client certificate for the host, if any, is shown: to the registry, and to no other.
    :raises ConfigurationError: a file of certificates cannot be used.
    """
    context = ssl.create_default_context()
    context.sslsocket_class = LimitedTlsSocket
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    try:
        context.load_verify_locations(*((None, bundle) if Path(bundle).is_dir() else (bundle,)))
    except OSError as error:
        raise ConfigurationError("REQUESTS_CA_BUNDLE", f"{bundle} cannot be used: {describe(error)}") from None
    for directory in _CERTIFICATES:
        # Without a home there is no such directory.
        folder = Path(os.path.expanduser(directory)) / host  # noqa: PTH111
        for path in sorted(folder.glob("*")):
            try:
                if path.suffix == ".crt":
                    context.load_verify_locations(path)
                elif path.suffix == ".cert" and identified:
                    context.load_cert_chain(path, path.with_suffix(".key"))
            except OSError as error:
                raise ConfigurationError(str(path), f"cannot be used for TLS with {host}: {describe(error)}") from None
    return context


def unverified() -> ssl.SSLContext:
    """Return a context that trusts everybody, for a registry that was declared insecure."""
    context = ssl.create_default_context()
    context.sslsocket_class = LimitedTlsSocket
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context

"""Certificates of registries on this machine, as the Docker daemon keeps them: ``certs.d/HOST/*.crt, *.cert, *.key``.

One place for our own client, for BuildKit's client, and for the server, which gets copies. The bundle that a user names
in ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE`` is trusted for all registries.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = "/etc/buildkit/certs"  # in the server's container; a directory for each registry
# What lies in this directory is trusted for all hosts (Go, crypto/x509/root_linux.go).
_BUNDLE_PLACE = "/etc/ssl/certs/multiarch.pem"
_SYSTEM = "/etc/docker/certs.d"
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True)
class Identity:
    """A certificate that a client shows, and the file of its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    """The certificates of one registry.

    :ivar host: ``host[:port]`` as it stands in image references.
    :ivar authorities: files with certificates that are trusted beside those of the system.
    :ivar identities: those that are shown to the registry.
    """

    host: str
    authorities: tuple[Path, ...]
    identities: tuple[Identity, ...]


@dataclass(frozen=True)
class CertificateFile:
    """A copy of a file for a server.

    :ivar path: in its container.
    """

    path: str
    content: bytes = field(repr=False)

    @property
    def is_key(self) -> bool:
        """Whether it is private."""
        return self.path.endswith(".key")


def certificates_of(host: str) -> Certificates:
    """Return the certificates that Docker has for a registry (moby, registry/config.go, ReadCertsDirectory)."""
    files = [path for directory in _directories() for path in _entries(directory / host)]
    identities = tuple(Identity(path, path.with_suffix(".key")) for path in files if path.suffix == ".cert")
    return Certificates(host, tuple(path for path in files if path.suffix == ".crt"), identities)


def known_certificates() -> tuple[Certificates, ...]:
    """Return the certificates of all registries that Docker has some for."""
    hosts = {folder.name for directory in _directories() for folder in _entries(directory)}
    found = (certificates_of(host) for host in sorted(hosts))
    return tuple(known for known in found if known.authorities or known.identities)


def certificate_files() -> tuple[CertificateFile, ...]:
    """Return copies of all of `known_certificates`, and of the bundle.

    What this user may not read is left out, and a certificate without its key: our own client tells of both, as soon as
    a registry is asked.
    """
    files = [file for known in known_certificates() for file in _copies(known)]
    with suppress(OSError):
        if bundle := named_bundle()[1]:
            files.append(CertificateFile(_BUNDLE_PLACE, Path(bundle).read_bytes()))
    return tuple(files)


def named_bundle() -> tuple[str, str]:
    """Return the variable that names a bundle of certificates, and its value; two empty texts without one."""
    return next(((name, os.environ[name]) for name in _BUNDLES if os.environ.get(name)), ("", ""))


def trust_remedy(host: str) -> str:
    """Return what to do where TLS with a registry, or with its token server, fails."""
    return f"put its CA into {_SYSTEM}/{host}/ca.crt, or name it in insecure_registries"


def _copies(known: Certificates) -> Iterator[CertificateFile]:
    # Numbered, as two directories may have files of one name; BuildKit knows them by their endings.
    folder = f"{PLACE}/{known.host}"
    for number, path in enumerate(known.authorities):
        with suppress(OSError):
            yield CertificateFile(f"{folder}/{number}.crt", path.read_bytes())
    for number, identity in enumerate(known.identities):
        with suppress(OSError):
            certificate, key = identity.certificate.read_bytes(), identity.key.read_bytes()
            yield CertificateFile(f"{folder}/{number}.cert", certificate)
            yield CertificateFile(f"{folder}/{number}.key", key)


def _directories() -> list[Path]:
    """Return the directory of a daemon that is root's, and that of a rootless one (docker/rootless, CertsDir)."""
    # Without a home there is no such directory.
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    return [Path(_SYSTEM), Path(config) / "docker/certs.d"]


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []

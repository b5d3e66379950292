"""Certificates of registries on this machine, as the Docker daemon keeps them: ``certs.d/HOST/*.crt, *.cert, *.key``.

One place for our own client, for BuildKit's client, and for the server, which gets copies. The bundle that a user names
in ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE`` is trusted for all registries.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PLACE = "/etc/buildkit/certs"  # in the server's container
_BUNDLES_PLACE = f"{PLACE}/bundles"
# Go trusts what lies in these directories for all hosts: its own ones (crypto/x509/root_linux.go), and that of bundles.
TRUSTED = {"SSL_CERT_DIR": f"/etc/ssl/certs:/etc/pki/tls/certs:{_BUNDLES_PLACE}"}
_SYSTEM = "/etc/docker/certs.d"
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_LARGEST = 1 << 24  # bytes of a file; all authorities of a system have some hundred kilobytes


class Identity(Struct, frozen=True):
    """A certificate that a client shows, and the file of its key."""

    certificate: Path
    key: Path


class Certificates(Struct, frozen=True):
    """The certificates of one registry.

    :ivar host: ``host[:port]`` as it stands in image references.
    :ivar authorities: files with certificates that are trusted beside those of the system.
    :ivar identities: those that are shown to the registry.
    """

    host: str
    authorities: tuple[Path, ...]
    identities: tuple[Identity, ...]


@dataclass(frozen=True)
class Copies:
    """Copies of certificates and keys for a server.

    Their paths tell their content, so that those of several users, and those that were renewed, are beside each other.

    :ivar directories: for each registry by its host.
    :ivar bundles: files that are trusted for all hosts.
    :ivar files: by their path in the server's container.
    """

    directories: Mapping[str, str]
    bundles: tuple[str, ...]
    files: Mapping[str, bytes] = field(repr=False)


def certificates_of(host: str) -> Certificates:
    """Return the certificates that Docker has for a registry (moby, registry/config.go, ReadCertsDirectory)."""
    files = [path for directory in _directories() for path in _entries(directory / host)]
    identities = tuple(Identity(path, path.with_suffix(".key")) for path in files if path.suffix == ".cert")
    return Certificates(host, tuple(path for path in files if path.suffix == ".crt"), identities)


def known_certificates() -> tuple[Certificates, ...]:
    """Return the certificates of all registries that Docker has some for; what is printable may be a host's name."""
    folders = (folder for directory in _directories() for folder in _entries(directory))
    hosts = {folder.name for folder in folders if folder.name.isprintable()}
    found = (certificates_of(host) for host in sorted(hosts))
    return tuple(known for known in found if known.authorities or known.identities)


def copied_certificates() -> Copies:
    """Return copies of all of `known_certificates`, and of the bundle.

    What this user may not read is left out, and a certificate without its key: our own client tells of both, as soon as
    a registry is asked.
    """
    directories: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for known in known_certificates():
        if copies := dict(_copies(known)):
            directories[known.host] = f"{PLACE}/{known.host}/{_digest(*copies, *copies.values())}"
            files |= {f"{directories[known.host]}/{name}": content for name, content in copies.items()}
    bundles: tuple[str, ...] = ()
    with suppress(OSError):
        if path := named_bundle()[1]:
            content = _read(Path(path))
            bundles = (f"{_BUNDLES_PLACE}/{_digest(content)}.pem",)
            files[bundles[0]] = content
    return Copies(directories, bundles, files)


def named_bundle() -> tuple[str, str]:
    """Return the variable that names a bundle of certificates, and its value; two empty texts without one."""
    return next(((name, os.environ[name]) for name in _BUNDLES if os.environ.get(name)), ("", ""))


def trust_remedy(host: str) -> str:
    """Return what to do where TLS with a registry, or with its token server, fails."""
    return f"put its CA into {_SYSTEM}/{host}/ca.crt, or name it in insecure_registries"


def _copies(known: Certificates) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents. Numbered, as two directories may have files of one name; BuildKit knows the endings."""
    for number, path in enumerate(known.authorities):
        with suppress(OSError):
            yield f"{number}.crt", _read(path)
    for number, identity in enumerate(known.identities):
        with suppress(OSError):
            certificate, key = _read(identity.certificate), _read(identity.key)
            yield f"{number}.cert", certificate
            yield f"{number}.key", key


def check_file(path: Path) -> None:
    """Check that a file ends, and soon. :raises OSError: it is a device or a pipe, or is too large."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
        raise OSError(errno.EINVAL, f"it is no file of up to {_LARGEST >> 20} MiB")


def _read(path: Path) -> bytes:
    check_file(path)
    return path.read_bytes()


def _digest(*contents: str | bytes) -> str:
    """Return the beginning of a digest of contents, or of names, in their order."""
    digests = [hashlib.sha256(each.encode() if isinstance(each, str) else each).hexdigest() for each in contents]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


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

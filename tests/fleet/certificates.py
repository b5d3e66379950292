"""A CA for builders, and the directories of certificates that ``tls`` takes."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NOW = datetime.datetime.now(datetime.timezone.utc)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(name: str, issuer: str, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW - datetime.timedelta(days=10))
        .not_valid_after(_NOW + datetime.timedelta(days=days, minutes=30))
    )


def _pem(value: Any) -> bytes:
    return bytes(value.public_bytes(serialization.Encoding.PEM))


@dataclass
class Authority:
    """A CA; its certificates are valid for *days* from now on."""

    name: str = "builders"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def certificate(self) -> bytes:
        """Its own certificate (PEM)."""
        made = _builder(self.name, self.name, self.key, 400)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return _pem(made.sign(self.key, hashes.SHA256()))

    def make(self, directory: Path, hosts: Sequence[str] = (), days: int = 89, ca: bytes = b"") -> Path:
        """Make ca.pem, cert.pem and key.pem in a directory; return it.

        :param hosts: of a server.
        :param ca: what ca.pem holds, where that is not this CA.
        """
        directory.mkdir(parents=True)
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder("a machine", self.name, key, days)
        if hosts:
            names = [
                x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
                for host in hosts
            ]
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        contents = {"ca": ca or self.certificate, "cert": _pem(made.sign(self.key, hashes.SHA256())), "key": private}
        for name, content in contents.items():
            (directory / f"{name}.pem").write_bytes(content)
        return directory

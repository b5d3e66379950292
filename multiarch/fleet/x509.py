"""Certificates of a fleet's CA (RFC 5280): for what, for how long, and for whom."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.fleet.nodes import Address

_SKEW = datetime.timedelta(hours=1)  # by which the clocks of two machines may differ
_LONGEST_NAME = 64  # characters of a common name (RFC 5280, appendix A.1)


class Pair(Struct, frozen=True):
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key, which is not encrypted: buildkitd and buildctl ask nobody."""
        return key_pem(self.key)

    @property
    def ends(self) -> datetime.datetime:
        """The end of its time."""
        return self.certificate.not_valid_after_utc

    @property
    def is_whole(self) -> bool:
        """Whether certificate and key belong together."""
        return self.certificate.public_key() == self.key.public_key()

    def is_of(self, authority: Pair) -> bool:
        """Whether a CA has signed the certificate."""
        try:
            self.certificate.verify_directly_issued_by(authority.certificate)
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key, on the curve that every TLS knows."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as text."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def read_key(text: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a key. :raises ValueError: it is none, it is encrypted, or of another kind than ours."""
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except TypeError as error:
        raise ValueError(str(error)) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("no key on an elliptic curve")
    return key


def read_pair(certificate: bytes, key: bytes) -> Pair:
    """Read a certificate and its key. :raises ValueError: they are none."""
    return Pair(x509.load_pem_x509_certificate(certificate), read_key(key))


def make_authority(key: ec.EllipticCurvePrivateKey, name: str, days: int) -> Pair:
    """Make the certificate of a CA, which may sign those of machines and people, and no other CA's."""
    builder = _begun(key, _named(name), _named(name), _now() + datetime.timedelta(days=days))
    usage = _usage(signs_certificates=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return Pair(builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key)


def make_pair(authority: Pair, name: str, days: int, names: Sequence[str | Address] = ()) -> Pair:
    """Make the certificate of a server with *names*, or, without any, that of a client.

    Neither can be used as the other: a builder's key opens no other builder.
    """
    key = new_key()
    ends = min(_now() + datetime.timedelta(days=days), authority.ends)
    kind = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = _begun(key, _named(name), authority.certificate.subject, ends)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([kind]), critical=False)
    builder = builder.add_extension(issuer, critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([*map(_general, names)]), critical=False)
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _begun(
    key: ec.EllipticCurvePrivateKey, subject: x509.Name, issuer: x509.Name, ends: datetime.datetime
) -> x509.CertificateBuilder:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(_now() - _SKEW).not_valid_after(ends)
    return builder.add_extension(identifier, critical=False)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_NAME])])


def _general(name: str | Address) -> x509.GeneralName:
    return x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)

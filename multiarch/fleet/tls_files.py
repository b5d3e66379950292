"""Our certificates for builders, as files: those of a directory, or out of variables for the time of a run."""

from __future__ import annotations

import datetime
import os
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError
from multiarch.fleet.access import LARGEST, text_of, write
from multiarch.registry import login_files

if TYPE_CHECKING:
    from multiarch.config.builders import RemoteBuilder

FILES = ("ca.pem", "cert.pem", "key.pem")  # of a directory, as ``buildctl --tlsdir`` takes it
_GIT_SECONDS = 10.0  # a repository on a slow disk
_PEM = "-----BEGIN "
# Tags of DER (X.690), and the times of a certificate (RFC 5280, 4.1.2.5): UTCTime to 2049, GeneralizedTime from then.
_SEQUENCE, _VERSION = 0x30, 0xA0
_TIMES = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}


def provide(builder: RemoteBuilder) -> Path | None:
    """Return the directory of a builder's certificates, which is there; None for a builder without any.

    What comes out of variables is in a directory of this user alone, in memory where there is such a file system, until
    the run ends.

    :raises ConfigurationError: a file or a variable is missing, is no certificate, or is kept in a git repository.
    """
    if builder.tls is None:
        return None
    where = f"{builder.where}.tls"
    if builder.tls.variables is not None:
        return _written(where, builder.tls.variables)
    directory = Path(builder.tls.directory or "")
    for name in FILES:
        _check(where, directory / name)
    _check_untracked(where, directory)
    return directory.absolute()


def variables(prefix: str) -> list[str]:
    """Return the variables of ``env:PREFIX``: FLEET_CA, FLEET_CERT and FLEET_KEY of FLEET."""
    return [f"{prefix}_{name.removesuffix('.pem').upper()}" for name in FILES]


def days_left(der: bytes | None, now: datetime.datetime) -> float | None:
    """Return how many days a certificate is still valid for; None where that cannot be read."""
    try:
        return (_not_after(der or b"") - now).total_seconds() / 86400
    except (ValueError, IndexError):
        return None


def own_certificate(directory: Path) -> bytes | None:
    """Return our certificate for a builder (DER); None where it cannot be read."""
    try:
        return ssl.PEM_cert_to_DER_cert(_first((directory / "cert.pem").read_text()))
    except (OSError, ValueError):
        return None


def _first(text: str) -> str:
    """Return the first certificate of a chain."""
    return text[text.index(ssl.PEM_HEADER) : text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)]


def _not_after(der: bytes) -> datetime.datetime:
    """Return the end of a certificate's time: Certificate, tbsCertificate, validity, notAfter (RFC 5280, 4.1)."""
    _, certificate, _ = _element(der)
    _, fields, _ = _element(certificate)
    tag, _, rest = _element(fields)
    # Without a version, the first field is the serial number.
    for _ in range(3 if tag == _VERSION else 2):
        _, _, rest = _element(rest)
    tag, validity, _ = _element(rest)
    if tag != _SEQUENCE:
        raise ValueError("no certificate")
    _, _, rest = _element(validity)
    tag, time, _ = _element(rest)
    moment = datetime.datetime.strptime(time.decode("ascii"), _TIMES.get(tag, ""))
    return moment.replace(tzinfo=datetime.timezone.utc)


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """Return the tag and the content of the first element, and what follows it."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    if start + length > len(der):
        raise ValueError("it is cut off")
    return der[0], der[start : start + length], der[start + length :]


def _check(where: str, path: Path) -> None:
    """Check that a file holds PEM. :raises ConfigurationError: it does not, or cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST)
    except OSError as error:
        problem = f"{path}: {error.strerror}; fleet-certs makes {', '.join(FILES)}"
        raise ConfigurationError(where, problem) from None
    if _PEM.encode() not in text:
        raise ConfigurationError(where, f"{path} is no PEM; fleet-certs makes {', '.join(FILES)}")


def _check_untracked(where: str, directory: Path) -> None:
    """Check that the key is not in a git repository, whose every copy would be root on the builder."""
    command = ["git", "-C", str(directory), "ls-files", "--error-unmatch", "--", "key.pem"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_SECONDS, env=environ, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode == 0:
        problem = f"git tracks {directory / 'key.pem'}, so that whoever has a copy of the repository is root on the "
        remedy = "builder: git rm --cached it, and make new certificates elsewhere with fleet-certs"
        raise ConfigurationError(where, problem + remedy)


def _written(where: str, prefix: str) -> Path:
    """Write the contents of variables to files; return their directory. :raises ConfigurationError: one is no PEM."""
    contents = {}
    for name, variable in zip(FILES, variables(prefix), strict=True):
        text = text_of(variable)
        if _PEM not in text:
            what = "holds no PEM" if os.environ.get(variable) else "is not set"
            raise ConfigurationError(where, f"{variable} {what}: it is to hold what fleet-certs wrote into {name}")
        contents[name] = text
    directory = login_files.make()
    for name, text in contents.items():
        write(directory / name, text)
    return directory

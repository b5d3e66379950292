"""The certificates of a fleet in one directory: its CA, those who build, and each machine of a builder.

``buildctl --tlsdir`` takes the directory as it is. The CA's key stays in it, so that a machine can be added later.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.errors import ConfigurationError, MultiarchError
from multiarch.fleet.private_directory import check_private, make_private
from multiarch.paths import configuration_directory, replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multiarch.fleet.nodes import Node
    from multiarch.fleet.x509 import Pair

DAYS = 90  # of a server's or a client's certificate, whose keys travel
CA_DAYS = 3650  # of the CA's own, whose key stays: with it all others would end
CA_NAME, CLIENT_NAME = "multiarch fleet", "multiarch fleet client"
PLACE = "/etc/buildkit/tls"  # on the machine of a builder
PORT = 1234  # BuildKit's own example (docs/buildkitd.toml.md)
_SERVERS = "servers"
_LARGEST = 1 << 16  # bytes of a file; a certificate of a hundred names has 10,000


class Store(Struct, frozen=True):
    """Where the files of a fleet are.

    :ivar flag: what names the directory.
    """

    directory: Path
    flag: str = "--dest"

    @property
    def authority(self) -> tuple[Path, Path]:
        """The CA's certificate and key."""
        return self.directory / "ca.pem", self.directory / "ca-key.pem"

    @property
    def client(self) -> tuple[Path, Path]:
        """The certificate and key of those who build."""
        return self.directory / "cert.pem", self.directory / "key.pem"

    def server(self, node: Node) -> Path:
        """Return the directory of a machine's ca.pem, cert.pem and key.pem."""
        return self.directory / _SERVERS / node.directory

    def check(self, nodes: Sequence[Node], *, renew: bool) -> None:
        """Check that certificates may be made here, and replace none that is not to be replaced.

        :raises ConfigurationError: they may not, or would.
        """
        check_private(self.flag, self.directory)
        certificate, key = self.authority
        if certificate.exists() and not key.exists():
            problem = f"{certificate} is there without its key, {key.name}: its CA was made elsewhere"
            raise ConfigurationError(self.flag, f"{problem}; make the certificates there, or name another directory")
        if there := [node.host for node in nodes if self.server(node).exists()]:
            problem = f"{there[0]} has a certificate in {self.directory / _SERVERS}"
            if not renew:
                raise ConfigurationError("--for", f"{problem}; --renew replaces it, and that of those who build")


def store_at(directory: str | None) -> Store:
    """Return the store in a directory; None for that of this user's own configuration."""
    if directory is None:
        return Store(configuration_directory() / "fleet")
    return Store(Path(os.path.abspath(os.path.expanduser(directory))))  # noqa: PTH100, PTH111 (it leaves ~nobody as it is)


def issue(store: Store, nodes: Sequence[Node], say: Callable[[str], None], *, renew: bool = False) -> None:
    """Make what a fleet lacks: its CA, the certificate of those who build, and one for each machine.

    :param say: takes a line about each.
    :param renew: whether the certificates of those who build and of these machines are replaced; the CA never is.
    :raises ConfigurationError: a certificate is there and not to be replaced, or the directory cannot be used.
    """
    store.check(nodes, renew=renew)
    x509 = _library()
    try:
        make_private(store.directory)
        authority = _authority(store, x509, say)
        _issue_client(store, authority, x509, say, renew=renew)
        for node in nodes:
            server = x509.make_pair(authority, node.host, DAYS, node.names)
            directory = store.server(node)
            make_private(directory.parent)
            make_private(directory)
            _write(directory / "key.pem", server.key_pem, 0o600)
            _write(directory / "cert.pem", server.pem, 0o644)
            _write(directory / "ca.pem", authority.pem, 0o644)
            say(f"{node.host}: its certificate is in {directory}, and holds until {_day(server)}")
    except OSError as error:
        raise ConfigurationError(store.flag, f"cannot write to {store.directory}: {error.strerror}") from None


def _authority(store: Store, x509: Any, say: Callable[[str], None]) -> Pair:
    """Return the CA, made where there is none; of one that was cut off when it was made, the key is kept."""
    certificate, key = store.authority
    if not certificate.exists():
        if not key.exists():
            _write(key, x509.key_pem(x509.new_key()), 0o600)
        made: Pair = x509.make_authority(_read(store, key, x509.read_key), CA_NAME, CA_DAYS)
        _write(certificate, made.pem, 0o644)
        say(f"made a CA; its key, {key}, makes certificates for further machines: keep it, and give it to nobody")
        return made
    authority: Pair = _read_pair(store, store.authority, x509)
    if not authority.is_whole:
        raise ConfigurationError(store.flag, f"{key} is not the key of {certificate}; name another directory")
    if authority.ends < datetime.datetime.now(datetime.timezone.utc):
        problem = f"the CA {certificate} has expired on {_day(authority)}"
        raise ConfigurationError(store.flag, f"{problem}: name another directory, for a new CA and all certificates")
    return authority


def _issue_client(store: Store, authority: Pair, x509: Any, say: Callable[[str], None], *, renew: bool) -> None:
    """Make the certificate of those who build, unless there is one. :raises ConfigurationError: that is not valid."""
    certificate, key = store.client
    if certificate.exists() and key.exists() and not renew:
        client: Pair = _read_pair(store, store.client, x509)
        if not client.is_of(authority) or not client.is_whole:
            problem = f"{certificate} is not of the CA beside it, or its key another"
            raise ConfigurationError(store.flag, f"{problem}; --renew replaces both")
        if client.ends < datetime.datetime.now(datetime.timezone.utc):
            raise ConfigurationError(store.flag, f"{certificate} has expired on {_day(client)}; --renew replaces it")
        return
    client = x509.make_pair(authority, CLIENT_NAME, DAYS)
    _write(key, client.key_pem, 0o600)
    _write(certificate, client.pem, 0o644)
    say(f"who builds: the certificate is {certificate}, and holds until {_day(client)}")


def _read_pair(store: Store, paths: tuple[Path, Path], x509: Any) -> Any:
    certificate, key = paths
    key_text = _read(store, key, lambda text: text)
    return _read(store, certificate, lambda text: x509.read_pair(text, key_text))


def _read(store: Store, path: Path, parse: Callable[[bytes], Any]) -> Any:
    try:
        with path.open("rb") as file:
            return parse(file.read(_LARGEST))
    except OSError as error:
        raise ConfigurationError(store.flag, f"{path}: {error.strerror}") from None
    except ValueError:
        problem = f"{path} holds no certificate, or no key of one as fleet-certs makes it"
        raise ConfigurationError(store.flag, f"{problem}; name another directory") from None


def _write(path: Path, content: bytes, mode: int) -> None:
    with replacing(path, mode=mode) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _day(pair: Pair) -> str:
    return f"{pair.ends:%Y-%m-%d}"


def _library() -> Any:
    """Return our module that makes certificates. :raises MultiarchError: what it is made with is not installed."""
    try:
        from multiarch.fleet import x509
    except ImportError:
        problem = "fleet-certs needs the package cryptography: pip install 'invoke-multiarch[fleet]'"
        raise MultiarchError(f"{problem}; or run openssl's commands, which --dry prints") from None
    return x509

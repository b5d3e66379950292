"""Commands that people run for a builder over TLS: those of openssl, and what brings a certificate to its machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.fleet.certification import CA_DAYS, CA_NAME, CLIENT_NAME, DAYS, PLACE, PORT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from multiarch.fleet.certification import Store
    from multiarch.fleet.nodes import Node

_NEW = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
_NEVER_CA = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=critical,digitalSignature"]


def openssl_commands(store: Store, nodes: Sequence[Node], *, renew: bool = False) -> list[list[str]]:
    """Return the commands of openssl 3 that make what `certification.issue` makes."""
    certificate, key = store.authority
    commands = [] if store.directory.exists() else [["mkdir", "-p", "-m", "700", str(store.directory)]]
    if not certificate.exists():
        kind = ["-addext", "basicConstraints=critical,CA:TRUE,pathlen:0"]
        kind += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        where = ["-keyout", str(key), "-out", str(certificate), "-days", str(CA_DAYS)]
        commands.append([*_NEW, *where, "-subj", f"/CN={CA_NAME}", *kind])
    if renew or not all(path.exists() for path in store.client):
        commands.append(_pair(store, store.client, CLIENT_NAME, "clientAuth"))
    for node in nodes:
        directory = store.server(node)
        paths = directory / "cert.pem", directory / "key.pem"
        commands.append(["mkdir", "-p", "-m", "700", str(directory)])
        commands.append([*_pair(store, paths, node.host, "serverAuth"), "-addext", _names(node)])
        commands.append(["cp", str(certificate), str(directory / "ca.pem")])
    return commands


def copy_commands(store: Store, nodes: Sequence[Node]) -> list[list[str]]:
    """Return what brings each machine its certificate."""
    commands = []
    for node in nodes:
        files = [str(store.server(node) / name) for name in ("ca.pem", "cert.pem", "key.pem")]
        commands.append(["ssh", f"root@{node.names[0]}", "mkdir", "-p", "-m", "700", PLACE])
        commands.append(["scp", "-p", *files, f"root@{node.host}:{PLACE}/"])
    return commands


def advice(store: Store, nodes: Sequence[Node]) -> list[str]:
    """Return lines on what starts BuildKit on a machine that has its certificate, and what names it in the settings."""
    tls = [f"--tls{what} {PLACE}/{file}.pem" for what, file in (("cacert", "ca"), ("cert", "cert"), ("key", "key"))]
    entry = f"{{address: tcp://{nodes[0].host}:{PORT}, tls: {store.directory}}}"
    return [
        "the commands below bring each machine its certificate; BuildKit takes it with",
        f"  buildkitd --addr tcp://0.0.0.0:{PORT} {' '.join(tls)}",
        f"and its entry of multiarch.builders is NAME: {entry}",
    ]


def _pair(store: Store, paths: tuple[Path, Path], name: str, usage: str) -> list[str]:
    certificate, key = paths
    authority, authority_key = store.authority
    command = [*_NEW, "-CA", str(authority), "-CAkey", str(authority_key), "-keyout", str(key)]
    command += ["-out", str(certificate), "-days", str(DAYS), "-subj", f"/CN={name[:64]}", *_NEVER_CA]
    return [*command, "-addext", f"extendedKeyUsage={usage}"]


def _names(node: Node) -> str:
    return "subjectAltName=" + ",".join(f"{'DNS' if isinstance(name, str) else 'IP'}:{name}" for name in node.names)

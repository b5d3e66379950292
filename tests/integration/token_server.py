"""Token server for a registry of the tests (distribution project, "Token Authentication Specification")."""

from __future__ import annotations

import base64
import datetime
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

SERVICE, ISSUER = "the registry", "the token server"


class TokenServer:
    """A server that gives tokens to one user alone.

    :param address: the address that it listens on.
    :param tls: the context to speak TLS with; None for plain HTTP.
    :ivar tokens: those that it gave.
    :ivar refused: the repositories that its tokens are for reading only.
    """

    def __init__(self, user: str, password: str, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.tokens: list[str] = []
        self.refused: tuple[str, ...] = ()
        self._scheme, self._address = "https" if tls else "http", address
        self._basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = datetime.datetime.now(datetime.timezone.utc)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._http = ThreadingHTTPServer((address, 0), self._handler())
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def options(self, directory: Path) -> tuple[str, ...]:
        """Return the options of a registry that trusts this server."""
        certificates = directory / "trusted"
        certificates.mkdir()
        pem = self._certificate.public_bytes(serialization.Encoding.PEM)
        (certificates / "root.pem").write_bytes(pem)
        settings = {
            "REALM": f"{self._scheme}://{self._address}:{self._http.server_address[1]}/token",
            "SERVICE": SERVICE,
            "ISSUER": ISSUER,
            "ROOTCERTBUNDLE": "/trusted/root.pem",
        }
        words = [word for key, value in settings.items() for word in ("-e", f"REGISTRY_AUTH_TOKEN_{key}={value}")]
        return ("-v", f"{certificates}:/trusted:ro", "-e", "REGISTRY_AUTH=token", *words)

    def stop(self) -> None:
        """Close the port."""
        self._http.shutdown()
        self._http.server_close()

    def _token(self, scopes: list[str]) -> str:
        """Return a JSON web token for what is asked, signed as the registry checks it (x5c)."""
        access = []
        for scope in (part for value in scopes for part in value.split()):
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            allowed = [action for action in actions.split(",") if action == "pull" or name not in self.refused]
            access.append({"type": kind, "name": name, "actions": allowed})
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": "someone", "aud": SERVICE, "exp": now + 60, "nbf": now - 10, "iat": now}
        parts = [_encoded(header), _encoded({**claims, "jti": secrets.token_hex(8), "access": access})]
        signature = self._key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
        token = ".".join([*parts, base64.urlsafe_b64encode(signature).decode().rstrip("=")])
        self.tokens.append(token)
        return token

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                allowed = self.headers.get("Authorization") == f"Basic {server._basic}"
                self._answer(parse_qs(urlsplit(self.path).query).get("scope", []), allowed=allowed)

            def do_POST(self) -> None:
                """BuildKit asks with the password grant."""
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                login = ":".join(form.get(key, [""])[0] for key in ("username", "password"))
                allowed = base64.b64encode(login.encode()).decode() == server._basic
                self._answer(form.get("scope", []), allowed=allowed)

            def _answer(self, scopes: list[str], *, allowed: bool) -> None:
                token = server._token(scopes) if allowed else ""
                body = json.dumps({"token": token, "access_token": token, "expires_in": 60} if allowed else {}).encode()
                self.send_response(200 if allowed else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's name)
                pass

        return Handler


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

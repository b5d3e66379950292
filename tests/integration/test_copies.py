"""Copies to a second registry, behind a proxy that takes little at once and gives up early."""

from __future__ import annotations

import http.client
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import PLAIN, Project, RegistryContainer, runs_as

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 1 << 20  # bytes of a request; nginx's default


class Proxy:
    """A proxy before a registry.

    :ivar refused: the lengths of the bodies that were too large.
    :ivar abandoned: the commits that it did not wait for.
    :ivar passed: the verbs of the others.
    """

    def __init__(self, port: int) -> None:
        self.refused: list[int] = []
        self.abandoned: list[str] = []
        self.passed: list[str] = []
        self._port = port
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        self.host = f"127.0.0.1:{self._http.server_address[1]}"

    def stop(self) -> None:
        """Close the port."""
        self._http.shutdown()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                if length > MOST:
                    proxy.refused.append(length)
                    self.close_connection = True
                    self.send_error(413)
                    return
                body = self.rfile.read(length)
                connection = http.client.HTTPConnection("127.0.0.1", proxy._port, timeout=30)
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                if self.command == "PUT" and "digest=" in self.path and not proxy.abandoned:
                    proxy.abandoned.append(self.path)
                    self.send_error(504)
                    return
                proxy.passed.append(self.command)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", answer.headers.get("Content-Length") or str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_HEAD = do_PUT = do_PATCH = do_POST = do_DELETE = handle_any  # noqa: N815 (http.server's names)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's name)
                pass

        return Handler


@pytest.fixture
def proxy(registry: RegistryContainer) -> Iterator[Proxy]:
    """The proxy, and the registry behind it."""
    registry.start()
    proxy = Proxy(registry.port)
    yield proxy
    proxy.stop()


@pytest.mark.usefixtures("embedded")
def test_large_layer_goes_through_a_small_proxy(project: Project, registry: RegistryContainer, proxy: Proxy) -> None:
    """In chunks of what passes, none of which is sent twice; a commit whose answer is lost is found to be done."""
    with (project.path / "large").open("wb") as file:
        file.write(secrets.token_bytes(3 << 20))
    project.write(
        Dockerfile="FROM busybox:stable\nCOPY large /\n", invoke_yaml="multiarch:\n  platforms: [linux/arm64]\n"
    )
    image = f"{proxy.host}/copied/app"
    published = project.ok("release", "--image", project.image, "--image", image, **PLAIN)
    assert [f"{project.image}:latest", f"{image}:latest"] == [line.partition("@")[0] for line in published]
    assert (True, 1, True) == (len(proxy.refused) > 0, len(proxy.abandoned), proxy.passed.count("PATCH") >= 3)
    assert "aarch64" == runs_as("linux/arm64", f"{registry.host}/copied/app:latest")

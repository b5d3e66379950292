"""A registry for tests: a real HTTP server on the loopback interface, whose answers a table decides."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import ThreadingUnixStreamServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from multiarch.image.manifest import OCI_MANIFEST

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Request:
    """A request to the server; the names of its headers are in lower case."""

    verb: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The fields of an urlencoded body."""
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True)
class Reply:
    """An answer of the server.

    :ivar sent: how many bytes of the body are sent before the connection is cut; None for all.
    :ivar pause: seconds between the head and the body.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: int | None = None
    pause: float = 0.0


# Instead of an answer the connection is reset, or closed; or it is closed within the first line of an answer.
RESET = Reply(status=0)
EOF = Reply(status=-1)
CUT = Reply(status=-2)
Reaction = Reply | Callable[[Request], Reply]


def json_reply(value: object, status: int = 200, **headers: str) -> Reply:
    """Return an answer of JSON; ``Retry_After=…`` is a header."""
    return Reply(status, json.dumps(value).encode(), {k.replace("_", "-"): v for k, v in headers.items()})


def refusal(status: int, code: str = "DENIED", message: str = "no", **headers: str) -> Reply:
    """Return an answer with an error, as the distribution specification has it ("Error codes")."""
    return json_reply({"errors": [{"code": code, "message": message}]}, status, **headers)


class _HttpServer(ThreadingHTTPServer):
    def handle_error(self, *args: Any) -> None:
        """Show an error, but for that of a client that was stopped and has cut its connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*args)


class RegistryServer:
    """A registry that answers from *table*, and a request that is not in it from *contents*.

    :ivar table: ``GET /v2/…`` → the reactions in order; the last one is repeated.
    :ivar contents: path → media type and bytes; a PUT adds to it.
    :ivar requests: all requests, in order.
    :ivar uploads: what was sent of each, by its path.
    :ivar largest: bytes of a body; a larger one is cut off within it, without an answer. None for no limit.
    :ivar knows_ranges: whether a range of a blob is answered with the range; else with the whole blob.
    :ivar otherwise: answers what is not in the table; from the contents by default.
    :ivar deletes: what may be deleted: ``tag``, ``digest``.
    :ivar page: tags of one page of their list.
    :ivar skew: seconds that its clock is ahead.
    :param tls: the context to speak TLS with; None for plain HTTP.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.table: dict[str, list[Reaction]] = {}
        self.contents: dict[str, tuple[str, bytes]] = {}
        self.requests: list[Request] = []
        self.uploads: dict[str, bytes] = {}
        self.largest: int | None = None
        self.knows_ranges = True
        self.deletes: tuple[str, ...] = ("tag", "digest")
        self.otherwise: Callable[[Request], Reply] = self.from_contents
        self.skew = 0.0
        self.page = 10000
        self._lock = threading.Lock()
        self._http = _HttpServer(("127.0.0.1", 0), self._handler(), bind_and_activate=False)
        self._http.daemon_threads = True
        self._http.request_queue_size = 64
        # Bound and not listening: no other program gets the port, and it refuses connections.
        self._http.server_bind()
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self._thread: threading.Thread | None = None

    @property
    def host(self) -> str:
        """``127.0.0.1:port``, as in image references."""
        return f"127.0.0.1:{self._http.server_address[1]}"

    @property
    def asked(self) -> list[str]:
        """The requests as ``GET /v2/…``."""
        return [f"{request.verb} {request.path}" for request in self.requests]

    def start(self) -> RegistryServer:
        """Listen, and return this server; until then connections are refused."""
        if self._thread is None:
            self._http.server_activate()
            # It need not look for its end: see `stop`. Hundreds of looks a second took 1 % of a processor.
            self._thread = threading.Thread(target=self._http.serve_forever, args=(60,), daemon=True)
            self._thread.start()
        return self

    @contextmanager
    def also_at(self, path: Path) -> Iterator[None]:
        """Listen on a unix socket too, as a Docker daemon does."""
        handler = self._handler()
        handler.disable_nagle_algorithm = False  # such a socket has none
        with ThreadingUnixStreamServer(str(path), handler) as local:
            local.daemon_threads = True
            threading.Thread(target=local.serve_forever, args=(0.002,), daemon=True).start()
            try:
                yield
            finally:
                local.shutdown()

    def pause(self) -> None:
        """Refuse new connections until the next start; open ones stay."""
        self.stop()
        self._http.socket = socket.socket(self._http.address_family, self._http.socket_type)
        self._http.server_bind()

    def stop(self) -> None:
        """Close the port."""
        if self._thread is not None:
            # Wakes the thread, again and again until it sees that it is to end.
            self._http.socket.shutdown(socket.SHUT_RDWR)
            self._http.shutdown()
            self._thread.join()
            self._thread = None
        self._http.server_close()

    def hold_blob(self, repository: str, content: bytes) -> str:
        """Add a blob to the contents; return its digest."""
        digest = _digest(content)
        self.contents[f"/v2/{repository}/blobs/{digest}"] = ("application/octet-stream", content)
        return digest

    def hold_manifest(self, repository: str, tag: str, value: object, media_type: str = OCI_MANIFEST) -> dict[str, Any]:
        """Add a manifest to the contents under a tag and its digest; return its descriptor."""
        body = json.dumps(value).encode()
        self._hold(f"/v2/{repository}/manifests/{tag}", media_type, body)
        return {"mediaType": media_type, "digest": _digest(body), "size": len(body)}

    def _hold(self, path: str, media_type: str, body: bytes) -> None:
        self.contents[path] = (media_type, body)
        self.contents[f"{path.rpartition('/')[0]}/{_digest(body)}"] = (media_type, body)

    def _react(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            if reactions := self.table.get(f"{request.verb} {request.path}"):
                reaction = reactions.pop(0) if len(reactions) > 1 else reactions[0]
            else:
                reaction = self.otherwise
        return reaction if isinstance(reaction, Reply) else reaction(request)

    def from_contents(self, request: Request) -> Reply:
        """Return the answer of a registry with these contents."""
        if "/blobs/uploads/" in request.path:
            return self._upload(request)
        if request.verb == "PUT":
            self._hold(request.path, request.headers.get("content-type", ""), request.body)
            return Reply(201, headers={"Docker-Content-Digest": _digest(request.body)})
        if request.path.endswith("/tags/list"):
            return self._tags(request)
        if request.path not in self.contents:
            return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
        media_type, body = self.contents[request.path]
        if request.verb == "DELETE":
            return self._delete(request.path, body)
        headers = {"Content-Type": media_type, "Docker-Content-Digest": _digest(body)}
        if (part := request.headers.get("range")) and self.knows_ranges:
            start, _, end = part.removeprefix("bytes=").partition("-")
            return Reply(206, body[int(start) : int(end) + 1 if end else None], headers)
        return Reply(200, body, headers)

    def _tags(self, request: Request) -> Reply:
        """Return a page of the tags of a repository, with a link to the next one."""
        folder = f"{request.path.removesuffix('/tags/list')}/manifests/"
        tags = sorted(path.removeprefix(folder) for path in self.contents if path.startswith(folder))
        tags = [tag for tag in tags if ":" not in tag and tag > request.query.get("last", "")]
        count = min(int(request.query.get("n", "10000")), self.page)
        more = {"Link": f'<{request.path}?n={count}&last={tags[count - 1]}>; rel="next"'} if len(tags) > count else {}
        return Reply(200, json.dumps({"name": "app", "tags": tags[:count]}).encode(), more)

    def _upload(self, request: Request) -> Reply:
        """Begin, mount, end or cancel an upload."""
        repository = request.path.partition("/blobs/uploads/")[0]
        if request.verb == "POST":
            held = self.contents.get(f"/v2/{request.query.get('from')}/blobs/{request.query.get('mount')}")
            if held is not None:
                self.contents[f"{repository}/blobs/{request.query['mount']}"] = held
                return Reply(201)
            self.uploads[f"{request.path}one"] = b""
            return Reply(202, headers={"Location": f"{request.path}one?_state=opaque"})
        if request.verb == "PUT":
            content = self.uploads.pop(request.path, b"") + request.body
            if request.query["digest"] != _digest(content):
                return refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            self.contents[f"{repository}/blobs/{request.query['digest']}"] = "application/octet-stream", content
            return Reply(201)
        if request.verb in ("PATCH", "GET"):
            return self._continue(request)
        return Reply(204)

    def _continue(self, request: Request) -> Reply:
        """Take a chunk, or say how far an upload is."""
        if request.path not in self.uploads:
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        held = self.uploads[request.path]
        if request.verb == "PATCH":
            if request.headers["content-range"].partition("-")[0] != str(len(held)):
                return refusal(416, "RANGE_INVALID", "invalid content range")
            held = self.uploads[request.path] = held + request.body
        headers = {"Location": f"{request.path}?_state={len(held)}", "Range": f"0-{max(len(held) - 1, 0)}"}
        return Reply(202 if request.verb == "PATCH" else 204, headers=headers)

    def _delete(self, path: str, body: bytes) -> Reply:
        """Delete a tag; or by digest what it names, with the tags that point there, as Docker's registry does."""
        folder, _, reference = path.rpartition("/")
        kind = "digest" if reference.startswith("sha256:") else "tag"
        if kind not in self.deletes:
            return refusal(405, "UNSUPPORTED", "The operation is unsupported.")
        for other in [path] if kind == "tag" else [p for p in self.contents if p.rpartition("/")[0] == folder]:
            if self.contents[other][1] == body:
                del self.contents[other]
        return Reply(202)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # With Nagle's algorithm each answer waits 40 ms for the acknowledgement of its head.
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = b""
                is_cut = server.largest is not None and length > server.largest
                with suppress(ConnectionError):
                    body = self.rfile.read(length // 4 if is_cut else length)
                if len(body) < length:  # a request that was cut off is none (RFC 9112, section 8)
                    self.close_connection = True
                    return
                # A proxy is asked to CONNECT to host:port, which is no path.
                url = urlsplit(self.path if self.command != "CONNECT" else f"//{self.path}/{self.path}")
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, url.path, dict(parse_qsl(url.query)), headers, body)
                with suppress(ConnectionError):
                    self.answer(server._react(request))

            do_GET = do_HEAD = do_PUT = do_PATCH = do_POST = do_DELETE = do_CONNECT = handle_any  # noqa: N815 (http.server's names)

            def answer(self, reply: Reply) -> None:
                if reply in (EOF, CUT):
                    self.wfile.write(b"HTTP/1.1 2" if reply == CUT else b"")
                    self.close_connection = True
                    return
                if reply == RESET:
                    self.close_connection = True
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    # The last reference closes the socket, and closing it without linger is a reset.
                    self.rfile.close()
                    self.connection.close()
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                if reply.pause:  # a sleep of nothing gives the processor away too
                    time.sleep(reply.pause)
                if self.command != "HEAD":
                    self.wfile.write(reply.body[: reply.sent])
                self.close_connection = self.close_connection or reply.sent is not None

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string((time.time() if timestamp is None else timestamp) + server.skew)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's name)
                pass

        return Handler


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"

"""The fault table of the registry client: each request x each fault x how long it lasts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import TYPE_CHECKING

from multiarch.image.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, Manifest, digest_of
from multiarch.image.reference import ImageReference
from tests.unit.registry_server import CUT, EOF, RESET, Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.exhaustive.registry_scene import Scene
    from tests.unit.registry_server import Request

    Answer = Callable[[Request], Reply]
    # Returns the faulty answer to a request, from the answer that the server would have given.
    Fault = Callable[[Request, Answer], Reply]
    # Whether a fault goes on, after so many faults, at that second.
    Lasts = Callable[[int, float], bool]

BLOB = bytes(range(256)) * 4
DIGEST = digest_of(BLOB)
DESCRIPTOR = Descriptor("application/octet-stream", DIGEST, len(BLOB))
MANIFEST = Manifest(OCI_MANIFEST, b'{"schemaVersion": 2}\n')
INDEX = Manifest(OCI_INDEX, b'{"schemaVersion": 2, "manifests": []}\n')
TAG, NEW = "/v2/app/manifests/latest", "/v2/app/manifests/new"
SOURCE, COPY = f"/v2/origin/blobs/{DIGEST}", f"/v2/app/blobs/{DIGEST}"
UPLOADS, UPLOAD = "/v2/app/blobs/uploads/", "/v2/app/blobs/uploads/one"
IDENTITY, TOKEN = "identity-s3cret", "token-s3cret"


# The faults.


def always(reply: Reply) -> Fault:
    """Return a fault with the same answer to every request."""
    return lambda *_: reply


def _truncated(request: Request, answer: Answer) -> Reply:
    """Send half of the body of the answer; to HEAD, which has none, half of the first line."""
    reply = answer(request)
    body = reply.body or b"done"
    return CUT if request.verb == "HEAD" else replace(reply, body=body, sent=len(body) // 2)


def refused(request: Request, answer: Answer) -> Reply:
    """Fail: the server does not listen, so no request comes here."""
    raise AssertionError(request)


def _busy(retry_after: str) -> Fault:
    return always(refusal(429, "TOOMANYREQUESTS", "later", Retry_After=retry_after))


FAULTS: dict[str, Fault] = {
    **{str(status): always(refusal(status, "BUSY", "later")) for status in (408, 425, 429, 500, 502, 503, 504)},
    "429 for 0 s": _busy("0"),
    "429 for 7 s": _busy("7"),
    "429 until a date": _busy(formatdate(4e9, usegmt=True)),
    "refused": refused,
    "reset": always(RESET),
    "EOF": always(EOF),
    "truncated": _truncated,
}
# A tag that was just written may be shown late: for its read-back alone, these are transient.
LATE: dict[str, Fault] = {
    "404": always(refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")),
    "the old digest": always(Reply(200, INDEX.body, {"Content-Type": OCI_INDEX})),
}
# Seconds of the shortest and the longest wait after a fault: Retry-After with a little jitter, capped.
WAITS = {"429 for 0 s": (0.0, 2.0), "429 for 7 s": (7.0, 9.0), "429 until a date": (20.0, 20.0)}
REPEATS: dict[str, Lasts] = {
    "once": lambda faults, _: faults < 1,
    "5 times": lambda faults, _: faults < 5,
    "for 90 s": lambda _, now: now < 90,
    "forever": lambda *_: True,
}
PERMANENT = (400, 401, 403, 404, 405, 409, 413)


# The requests.


@dataclass(frozen=True)
class Verb:
    """A row of the table: one request of one operation.

    :ivar request: as the server sees it.
    :ivar run: the operation; its result shows that it was done.
    :ivar expected: that result.
    :ivar far: whether the other server is asked: the source of a copy, and the server with the tokens.
    :ivar before: the request before it to the same server, empty without one.
    :ivar passes: how many such requests are answered before the fault begins.
    :ivar answers: statuses that are answers and no faults, with the result of the operation.
    :ivar permanent: statuses that are permanent faults.
    """

    name: str
    request: str
    run: Callable[[Scene], object]
    expected: object
    far: bool = False
    before: str = ""
    passes: int = 0
    answers: Mapping[int, object] = field(default_factory=dict)
    faults: Mapping[str, Fault] = field(default_factory=lambda: FAULTS)
    permanent: tuple[int, ...] = PERMANENT

    @property
    def of_token(self) -> bool:
        """Whether it asks for a token."""
        return self.request.endswith("/token")


def _copy(scene: Scene) -> object:
    scene.registry.copy_blob(scene.source, "origin", "app", DESCRIPTOR)
    return scene.held(COPY)


def _mount(scene: Scene) -> object:
    scene.registry.copy_blob(scene.registry, "origin", "app", DESCRIPTOR)
    return scene.held(COPY)


def _manifest(scene: Scene) -> object:
    return scene.registry.manifest("app", "latest")


def _put(manifest: Manifest) -> Callable[[Scene], object]:
    def put(scene: Scene) -> object:
        scene.registry.put_manifest("app", "new", manifest)
        return scene.held(NEW)

    return put


def _remove(scene: Scene) -> object:
    scene.registry.remove_tag("app", "latest")
    return "kept" if scene.held(TAG) else "removed"


def _read_back(scene: Scene) -> object:
    scene.registry.read_back(ImageReference(scene.near.host, "app", "latest"), MANIFEST.digest, INDEX.digest)
    return "as written"


def _check(scene: Scene) -> object:
    scene.registry.check_push("app")
    return scene.near.asked[-1]


def _without(name: str) -> dict[str, Fault]:
    return {other: fault for other, fault in FAULTS.items() if other != name}


_ROWS = (
    Verb("GET token", "GET /token", _manifest, MANIFEST, far=True),
    Verb("POST token", "POST /token", _manifest, MANIFEST, far=True),
    Verb(
        "HEAD manifest",
        f"HEAD /v2/app/manifests/{MANIFEST.digest}",
        lambda scene: scene.registry.has_manifest("app", MANIFEST.digest),
        True,
        answers={404: False},
    ),
    Verb("GET manifest", f"GET {TAG}", _manifest, MANIFEST, answers={404: None}),
    Verb("GET blob", f"GET {SOURCE}", lambda scene: scene.registry.blob("origin", DIGEST), BLOB),
    Verb(
        "GET blob, its rest",
        f"GET {SOURCE}",
        lambda scene: scene.registry.open_blob("origin", DESCRIPTOR, first=100).read(),
        BLOB,
        before=f"GET {SOURCE}",
        passes=1,
    ),
    Verb("copy: HEAD blob", f"HEAD {COPY}", _copy, BLOB, answers={404: BLOB}),
    Verb("copy: POST upload", f"POST {UPLOADS}", _copy, BLOB, before=f"HEAD {COPY}"),
    # Where the blob was stored and the answer lost, it is found, and not sent again.
    Verb("copy: PUT blob", f"PUT {UPLOAD}", _copy, BLOB, before=f"POST {UPLOADS}", faults=_without("truncated")),
    Verb("copy: GET source", f"GET {SOURCE}", _copy, BLOB, far=True),
    Verb("mount: POST", f"POST {UPLOADS}", _mount, BLOB),
    Verb("PUT manifest", f"PUT {NEW}", _put(MANIFEST), MANIFEST.body),
    Verb("PUT index", f"PUT {NEW}", _put(INDEX), INDEX.body),
    # Where a tag cannot be deleted by its name, it is deleted by a digest.
    Verb("DELETE tag", f"DELETE {TAG}", _remove, "removed", answers={400: "removed", 404: "kept", 405: "removed"}),
    Verb(
        "GET to read back",
        f"GET {TAG}",
        _read_back,
        "as written",
        permanent=tuple(status for status in PERMANENT if status != 404),
    ),
    Verb("GET what is late", f"GET {TAG}", _read_back, "as written", faults=LATE, permanent=()),
    Verb("POST to check push", f"POST {UPLOADS}", _check, f"DELETE {UPLOAD}"),
)
VERBS = {verb.name: verb for verb in _ROWS}

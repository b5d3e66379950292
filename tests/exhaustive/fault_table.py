"""The fault table of the registry client: each request x each fault x how long it lasts.

The servers are real, and so is the policy, with its own seconds, attempts and waits: only the clock is simulated.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from multiarch.errors import RegistryError
from multiarch.image.manifest import OCI_INDEX, OCI_MANIFEST, Manifest, digest_of
from multiarch.image.reference import ImageReference
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.unit.clock import Clock
from tests.unit.registry_server import CUT, EOF, RESET, RegistryServer, Reply, json_reply, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.unit.registry_server import Request

    Answer = Callable[[Request], Reply]
    # What a faulty server makes of a request, and of the answer that it would have given.
    Fault = Callable[[Request, Answer], Reply]
    # Whether a fault goes on, after that many of it, at that second.
    Lasts = Callable[[int, float], bool]

BLOB = bytes(range(256)) * 4
DIGEST = digest_of(BLOB)
DESCRIPTOR = {"mediaType": "application/octet-stream", "digest": DIGEST, "size": len(BLOB)}
MANIFEST = Manifest(OCI_MANIFEST, b'{"schemaVersion": 2}\n')
INDEX = Manifest(OCI_INDEX, b'{"schemaVersion": 2, "manifests": []}\n')
TAG, NEW = "/v2/app/manifests/latest", "/v2/app/manifests/new"
SOURCE, COPY = f"/v2/origin/blobs/{DIGEST}", f"/v2/app/blobs/{DIGEST}"
UPLOADS, UPLOAD = "/v2/app/blobs/uploads/", "/v2/app/blobs/uploads/one"
IDENTITY, TOKEN = "identity-s3cret", "token-s3cret"


# The faults.


def always(reply: Reply) -> Fault:
    """Answer so, whatever the request."""
    return lambda *_: reply


def _truncated(request: Request, answer: Answer) -> Reply:
    """Do as asked, and send half of the body; of HEAD, which has none, half of the first line."""
    reply = answer(request)
    body = reply.body or b"done"
    return CUT if request.verb == "HEAD" else replace(reply, body=body, sent=len(body) // 2)


def _refused(request: Request, answer: Answer) -> Reply:
    """Do not listen: no request comes here."""
    raise AssertionError(request)


def _busy(retry_after: str) -> Fault:
    return always(refusal(429, "TOOMANYREQUESTS", "later", Retry_After=retry_after))


FAULTS: dict[str, Fault] = {
    **{str(status): always(refusal(status, "BUSY", "later")) for status in (408, 425, 429, 500, 502, 503, 504)},
    "429 for 0 s": _busy("0"),
    "429 for 7 s": _busy("7"),
    "429 until a date": _busy(formatdate(4e9, usegmt=True)),
    "refused": _refused,
    "reset": always(RESET),
    "EOF": always(EOF),
    "truncated": _truncated,
}
# A tag that was just written may be shown late: there, and nowhere else, these pass by themselves.
LATE: dict[str, Fault] = {
    "404": always(refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")),
    "the old digest": always(Reply(200, INDEX.body, {"Content-Type": OCI_INDEX})),
}
# The shortest and longest wait that a fault may lead to: Retry-After with a little jitter, capped.
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
    :ivar run: the operation; returns what shows that it was done.
    :ivar far: whether the other server is asked: the source of a copy, the one with the tokens.
    :ivar before: the request in front of it, if there is one to the same server.
    :ivar passes: how many such requests are answered before the fault begins.
    :ivar answers: statuses that are no faults but answers, and what the operation returns then.
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
    Verb("copy: PUT blob", f"PUT {UPLOAD}", _copy, BLOB, before=f"POST {UPLOADS}"),
    Verb("copy: GET source", f"GET {SOURCE}", _copy, BLOB, far=True),
    Verb("mount: POST", f"POST {UPLOADS}", _mount, BLOB),
    Verb("PUT manifest", f"PUT {NEW}", _put(MANIFEST), MANIFEST.body),
    Verb("PUT index", f"PUT {NEW}", _put(INDEX), INDEX.body),
    # A tag that cannot be deleted by its name is deleted by a digest.
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


# The stage.


class PassingClock(Clock):
    """In the place of `Policy.stopped`: a wait takes no time, and lets time pass all the same.

    :ivar passed: is called after each wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    def begin(self) -> None:
        """Begin at 0."""
        self.now = 0.0
        self.waits.clear()
        self.passed: Callable[[], None] = lambda: None

    def wait(self, timeout: float | None = None) -> bool:
        """Let that much time pass."""
        self.now += timeout or 0.0
        stopped = super().wait(timeout)
        self.passed()
        return stopped


class Scene:
    """Two registries, the far one with the tokens of both, and a client of each.

    :param config: the file in which ``docker login`` stores.
    :ivar faults: how often the fault has struck.
    """

    registry: Registry
    source: Registry

    def __init__(self, config: Path) -> None:
        self._config = config
        self.near = RegistryServer().start()
        self.far = RegistryServer().start()
        self.clock = PassingClock()
        self.shown: list[str] = []
        self.connect()
        self.fresh()

    def connect(self, attempts: int = Policy.attempts) -> None:
        """Begin with new clients, which have neither connections nor tokens."""
        policy = Policy(attempts=attempts, stopped=self.clock)
        self.registry, self.source = (Registry(s.host, policy, self.shown.append) for s in (self.near, self.far))

    def fresh(self) -> None:
        """Begin anew: what is held, asked and shown, and the clock."""
        for server in (self.near, self.far):
            server.start()
            server.table.clear()
            server.contents.clear()
            server.requests.clear()
            server.hold_blob("origin", BLOB)
            server.contents[TAG] = server.contents[f"/v2/app/manifests/{MANIFEST.digest}"] = OCI_MANIFEST, MANIFEST.body
            server.table["GET /token"] = server.table["POST /token"] = [json_reply({"token": TOKEN})]
        self.faults = 0
        self.shown.clear()
        self.clock.begin()

    def stop(self) -> None:
        """Close both servers."""
        self.near.stop()
        self.far.stop()

    def log_in(self, **login: str) -> None:
        """Store this login for both registries, as docker login does."""
        self._config.write_text(json.dumps({"auths": {server.host: login for server in (self.near, self.far)}}))

    @property
    def challenge(self) -> str:
        """How the registries ask for a token."""
        return f'Bearer realm="http://{self.far.host}/token",service="the service"'

    def held(self, path: str) -> bytes:
        """Return what the near registry holds there."""
        return self.near.contents.get(path, ("", b""))[1]

    def server(self, verb: Verb) -> RegistryServer:
        """Return the server that *verb* is sent to."""
        return self.far if verb.far else self.near

    def guard(self, server: RegistryServer, request: str, challenge: str) -> None:
        """Answer *request* only to those who say who they are."""
        answer = _answer(server, request)
        asking = refusal(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=challenge)
        server.table[request] = [lambda asked: answer(asked) if "authorization" in asked.headers else asking]

    def inject(self, verb: Verb, fault: Fault, lasts: Lasts) -> None:
        """Let *fault* strike on *verb* as long as it *lasts*."""
        server = self.server(verb)
        if verb.of_token:
            self.log_in(**({"auth": "", "identitytoken": IDENTITY} if verb.request.startswith("POST") else {}))
            self.guard(self.near, f"GET {TAG}", self.challenge)
        if verb.of_token or fault is _refused:
            self.connect()
        if fault is _refused:
            self._refuse(server, verb, lasts)
            return
        answer = _answer(server, verb.request)
        passes = iter(range(verb.passes))

        def react(request: Request) -> Reply:
            if next(passes, None) is not None or not lasts(self.faults, self.clock.now):
                return answer(request)
            self.faults += 1
            return fault(request, answer)

        server.table[verb.request] = [react]

    def _refuse(self, server: RegistryServer, verb: Verb, lasts: Lasts) -> None:
        """Stop listening, at once or with the answer to the request before, until the fault has passed."""

        def leave(request: Request) -> Reply:
            del server.table[verb.before]
            server.pause()
            reply = server.from_contents(request)
            return replace(reply, headers={**reply.headers, "Connection": "close"})

        def passed() -> None:
            self.faults += 1
            if not lasts(self.faults, self.clock.now):
                server.start()

        self.clock.passed = passed
        if verb.before:
            server.table[verb.before] = [leave]
        else:
            server.pause()

    def run(self, verb: Verb) -> object:
        """Return what the operation returns or raises."""
        try:
            return verb.run(self)
        except Exception as error:  # noqa: BLE001 (a bug as well is to be told with its verb and its fault)
            return error


def _answer(server: RegistryServer, request: str) -> Answer:
    """Return how a request is answered before it is tampered with."""
    reaction = server.table.get(request, [server.from_contents])[0]
    return (lambda _: reaction) if isinstance(reaction, Reply) else reaction


# The lines.


class Case(NamedTuple):
    """A case that was run; *wrong* says what was not as it should be."""

    verb: str
    name: str
    wrong: str


def _case(verb: Verb, name: str, *expected_and_actual: tuple[str, object, object]) -> Case:
    wrong = [f"{what}: {actual!r}, not {expected!r}" for what, expected, actual in expected_and_actual]
    agree = [expected == actual for _, expected, actual in expected_and_actual]
    return Case(verb.name, name, "; ".join(text for text, fine in zip(wrong, agree, strict=True) if not fine))


def outlast(scene: Scene, verb: Verb, repeat: str) -> list[Case]:
    """Run *verb* through each of its faults: done in the end, with a wait, a line and a request for each fault."""
    cases = []
    for name, fault in verb.faults.items():
        scene.fresh()
        scene.inject(verb, fault, REPEATS[repeat])
        result = scene.run(verb)
        shortest, longest = WAITS.get(name, (0.0, 20.0))
        faults, waits = scene.faults, scene.clock.waits
        # What is refused never becomes a request.
        requests = verb.passes + 1 + (0 if fault is _refused else faults)
        cases.append(
            _case(
                verb,
                f"{name} {repeat}",
                ("the result", verb.expected, result),
                ("faults", {"once": 1, "5 times": 5}.get(repeat, len(waits)), faults),
                ("over", True, not REPEATS[repeat](faults, scene.clock.now)),
                ("waits", [wait for wait in waits if shortest <= wait <= longest], waits),
                ("lines", faults, len(scene.shown)),
                ("requests", requests, scene.server(verb).asked.count(verb.request)),
            )
        )
    return cases


def leave_with_parent() -> None:
    """End this process when the one that started it has ended, even by a kill."""

    def watch() -> None:
        if parent := parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def outlast_apart(directory: str, verb: str, repeat: str) -> list[Case]:
    """Run a line of the table, in a process that was started for nothing else."""
    config = Path(directory) / f"{verb}, {repeat}" / "config.json"
    config.parent.mkdir()
    os.environ["DOCKER_CONFIG"] = str(config.parent)
    scene = Scene(config)
    try:
        return outlast(scene, VERBS[verb], repeat)
    finally:
        scene.stop()


def give_up(scene: Scene, verb: Verb) -> list[Case]:
    """Run *verb* through each permanent fault: one request, no wait and no line; after a 401 one more, with a token."""
    cases = []
    for status in verb.permanent:
        scene.fresh()
        scene.connect()
        again = status == 401 and not verb.of_token
        more = {"WWW_Authenticate": scene.challenge} if again else {}
        scene.inject(verb, always(refusal(status, "SOME_CODE", "some words", **more)), REPEATS["forever"])
        result = scene.run(verb)
        asked = scene.far.asked
        cases.append(
            _case(
                verb,
                str(status),
                (
                    "the result",
                    verb.answers.get(status, f"RegistryError {status}"),
                    f"RegistryError {result.status}" if isinstance(result, RegistryError) else result,
                ),
                ("requests", verb.passes + 1 + again, scene.server(verb).asked.count(verb.request)),
                ("tokens", int(again or verb.of_token), asked.count("GET /token") + asked.count("POST /token")),
                ("waits", [], scene.clock.waits),
                ("lines", [], scene.shown),
            )
        )
    return cases

"""The stage of the fault table: two registries, a client of each, and a clock; and how a row of the table is run.

The servers are real, and so is the policy, with its own seconds, attempts and waits: only the clock is simulated.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from multiarch.errors import RegistryError
from multiarch.image.manifest import OCI_MANIFEST
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.exhaustive.fault_table import (
    BLOB,
    IDENTITY,
    MANIFEST,
    REPEATS,
    TAG,
    TOKEN,
    VERBS,
    WAITS,
    always,
    refused,
)
from tests.unit.clock import Clock
from tests.unit.registry_server import RegistryServer, Reply, json_reply, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.exhaustive.fault_table import Answer, Fault, Lasts, Verb
    from tests.unit.registry_server import Request


class PassingClock(Clock):
    """A stand-in for `Policy.stopped`: a wait takes no time, and moves the clock.

    :ivar passed: is called after each wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    def begin(self) -> None:
        """Set the clock to 0."""
        self.now = 0.0
        self.waits.clear()
        self.passed: Callable[[], None] = lambda: None

    def wait(self, timeout: float | None = None) -> bool:
        """Move the clock by so many seconds."""
        self.now += timeout or 0.0
        stopped = super().wait(timeout)
        self.passed()
        return stopped


class Scene:
    """Two registries, the far one with the tokens of both, and a client of each.

    :param config: the file in which ``docker login`` stores.
    :ivar faults: how often the fault has happened.
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
        """Make new clients, which have neither connections nor tokens."""
        policy = Policy(attempts=attempts, stopped=self.clock)
        self.registry, self.source = (Registry(s.host, policy, self.shown.append) for s in (self.near, self.far))

    def fresh(self) -> None:
        """Reset the contents of both servers, their requests, the lines that were shown, and the clock."""
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
        """The challenge of both registries."""
        return f'Bearer realm="http://{self.far.host}/token",service="the service"'

    def held(self, path: str) -> bytes:
        """Return the bytes that the near registry holds under a path."""
        return self.near.contents.get(path, ("", b""))[1]

    def server(self, verb: Verb) -> RegistryServer:
        """Return the server that a request is sent to."""
        return self.far if verb.far else self.near

    def guard(self, server: RegistryServer, request: str, challenge: str) -> None:
        """Answer a request only with an Authorization header, whatever it holds; challenge it without."""
        answer = _answer(server, request)
        unauthorised = refusal(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=challenge)
        server.table[request] = [lambda sent: answer(sent) if "authorization" in sent.headers else unauthorised]

    def inject(self, verb: Verb, fault: Fault, lasts: Lasts) -> None:
        """Let a fault happen to a request as long as it *lasts*."""
        server = self.server(verb)
        if verb.of_token:
            self.log_in(**({"auth": "", "identitytoken": IDENTITY} if verb.request.startswith("POST") else {}))
            self.guard(self.near, f"GET {TAG}", self.challenge)
        if verb.of_token or fault is refused:
            self.connect()
        if fault is refused:
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
        """Return the result of an operation, or its error."""
        try:
            return verb.run(self)
        except Exception as error:  # noqa: BLE001 (a bug must be reported with its verb and its fault too)
            return error


def _answer(server: RegistryServer, request: str) -> Answer:
    """Return the function that answers a request without a fault."""
    reaction = server.table.get(request, [server.from_contents])[0]
    return (lambda _: reaction) if isinstance(reaction, Reply) else reaction


# The rows.


class Case(NamedTuple):
    """A case that was run; *wrong* says what differs, and is empty where nothing does."""

    verb: str
    name: str
    wrong: str


def _case(verb: Verb, name: str, *expected_and_actual: tuple[str, object, object]) -> Case:
    wrong = [f"{what}: {actual!r}, not {expected!r}" for what, expected, actual in expected_and_actual]
    agree = [expected == actual for _, expected, actual in expected_and_actual]
    return Case(verb.name, name, "; ".join(text for text, fine in zip(wrong, agree, strict=True) if not fine))


def outlast(scene: Scene, verb: Verb, repeat: str) -> list[Case]:
    """Run an operation through each transient fault: it succeeds, with a wait, a line and a request for each fault."""
    cases = []
    for name, fault in verb.faults.items():
        scene.fresh()
        scene.inject(verb, fault, REPEATS[repeat])
        result = scene.run(verb)
        shortest, longest = WAITS.get(name, (0.0, 20.0))
        faults, waits = scene.faults, scene.clock.waits
        # A refused connection never becomes a request.
        requests = verb.passes + 1 + (0 if fault is refused else faults)
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
    """End this process when its parent has ended, even by a kill."""

    def watch() -> None:
        if parent := parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def outlast_apart(directory: str, verb: str, repeat: str) -> list[Case]:
    """Run a row of the table for one duration, in a process that was started for the table alone."""
    config = Path(directory) / f"{verb}, {repeat}" / "config.json"
    config.parent.mkdir()
    os.environ["DOCKER_CONFIG"] = str(config.parent)
    scene = Scene(config)
    try:
        return outlast(scene, VERBS[verb], repeat)
    finally:
        scene.stop()


def give_up(scene: Scene, verb: Verb) -> list[Case]:
    """Run an operation through each permanent fault: one request, no wait or line; after 401 one more, with a token."""
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

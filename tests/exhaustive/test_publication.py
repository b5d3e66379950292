"""Publication to two registries with three tags each, where one registry fails at every possible point."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.load import load
from multiarch.errors import MultiarchError
from multiarch.image.manifest import OCI_INDEX
from multiarch.publish.errors import TagsNotMovedError
from multiarch.publish.publication import Part, publish
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.exhaustive.world import ATTEMPTS, BEFORE, BROKEN, TAGS, World, released_before
from tests.unit.registry_server import EOF, RegistryServer, Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.registry_server import Reaction, Request


def test_every_tag_gets_one_index(world: World) -> None:
    """The second registry has all content before its tags; each blob travels once; a second run writes nothing."""
    published = world.publish()
    assert [f"{server.host}/app:{tag}" for server in world.servers for tag in TAGS] == [
        str(tag.reference) for tag in published
    ]
    assert 1 == len(set(world.tags.values()))
    writes = [asked for asked in world.second.asked if asked.startswith("PUT")]
    assert [f"PUT /v2/app/manifests/{tag}" for tag in sorted(TAGS)] == sorted(writes[-3:])
    assert 4 == sum("/blobs/uploads/" in asked for asked in writes), "two configs and two layers"
    for server in world.servers:
        server.requests.clear()
    assert published == world.publish()
    assert [] == [asked for s in world.servers for asked in s.asked if asked.startswith(("PUT", "POST", "DELETE"))]


def test_blobs_are_mounted_within_a_registry(world: World) -> None:
    """Another repository of the same registry gets its blobs without their being sent."""
    settings = load({"image": [f"{world.first.host}/{n}" for n in ("app", "b/two")], "platforms": ["amd64"]}, {}, {})
    clients = {world.first.host: Registry(world.first.host, Policy(attempts=1), print)}
    publish([Part(settings)], clients, say=print)
    mounts = [r.query for r in world.first.requests if r.verb == "POST"]
    assert [("app", True)] * 2 == [(q["from"], q["mount"].startswith("sha256:")) for q in mounts]
    assert [] == [asked for asked in world.first.asked if asked.startswith("PUT /v2/b/two/blobs")]


@dataclass
class Fault:
    """Begins with the *point*-th write to *server*; *kind* says what happens then."""

    server: RegistryServer
    kind: str
    point: int
    seen: int = 0
    refused: str = ""
    left: int = ATTEMPTS

    def react(self, request: Request) -> Reply:
        """Answer a PUT."""
        point, self.seen = self.seen, self.seen + 1
        if point < self.point:
            return self.server.from_contents(request)
        self.refused = self.refused or request.path
        if self.kind == "this one is forbidden":
            return refusal(403) if request.path == self.refused else self.server.from_contents(request)
        if self.kind == "busy for a while":
            self.left -= 1
            return refusal(503) if self.left >= 0 else self.server.from_contents(request)
        if self.kind == "done, and never answered":
            answer = self.server.from_contents(request)
            self.left -= request.path == self.refused
            return EOF if request.path == self.refused and self.left >= 0 else answer
        return refusal(403)  # for good


KINDS = ("this one is forbidden", "busy for a while", "done, and never answered", "all are forbidden for good")


@pytest.mark.parametrize(
    ("before", "stderr"), [*((before, "read") for before in BEFORE), *(("some tags", kind) for kind in BROKEN)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_failure_at_every_point_leaves_all_tags_new_or_all_as_before(
    world: World, before: str, stderr: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All six tags are new, or all are as before.

    Only a registry that forbids every write from between its own tags on can keep us from it: then the error names
    just the tags that could not be put back.
    """
    world.platforms, world.stderr = ("amd64",), stderr
    points = ended_new = ended_before = left_behind = 0
    for number in (0, 1):
        point = 0
        while True:
            world.forget()
            world.stage("new")
            released_before(world, BEFORE[before])
            fault = Fault(world.servers[number], kind, point)
            _watch_writes(fault)
            state = world.tags
            error: MultiarchError | None = None
            try:
                world.publish()
            except MultiarchError as caught:
                error = caught
            if not fault.refused:
                break
            points += 1
            changed = {tag for tag, content in world.tags.items() if content != state[tag]}
            context = f"{kind}, {before}, point {point} of registry {number}: {fault.refused}: {error}"
            if error is None:
                ended_new += 1
                assert set(state) == changed, context
                assert 1 == len(set(world.tags.values())), context
            else:
                assert 1 == len(str(error).splitlines()), context
                assert named_as_left(error) == changed, context
                ended_before += not changed
                left_behind += bool(changed)
                assert not changed or kind == KINDS[-1], context
            point += 1
    with capsys.disabled():
        print(
            f"\n{kind} ({before}, stderr {stderr}): {points} points, {ended_new} all new,",
            f"{ended_before} all as before,",
            end=" ",
        )
        print(f"{left_behind} named as left behind", end=" ")
    assert points >= 2 * len(TAGS)
    assert ended_before >= 2
    assert 0 == left_behind or kind == KINDS[-1]


def _watch_writes(fault: Fault) -> None:
    """Answer every PUT to the fault's server by the fault."""

    class Table(dict[str, "list[Reaction]"]):
        def get(self, key: str, default: Any = None) -> Any:
            return [fault.react] if key.startswith("PUT ") else default

    fault.server.table = Table()


def named_as_left(error: MultiarchError) -> set[str]:
    """Return the tags that an error names as not put back."""
    named = str(error).partition("could not be put back: ")[2]
    return set(re.findall(r"(\S+) is sha256:\w+ and was ", named))


@pytest.mark.parametrize(
    ("deletes", "expected"), [(("tag", "digest"), set[str]()), (("digest",), set[str]()), ((), {"latest"})]
)
def test_new_tag_is_removed_again(world: World, deletes: tuple[str, ...], expected: set[str]) -> None:
    """By its name, or with something of its own in a registry that deletes by digest alone; else the error names it."""
    world.first.deletes = deletes
    released_before(world, ("1.4", "1.4.2"))
    before = world.tags
    world.second.table["PUT /v2/app/manifests/latest"] = [refusal(403, "DENIED", "immutable")]
    with pytest.raises(TagsNotMovedError, match="answered 403 DENIED: immutable") as caught:
        world.publish()
    expected = {f"{world.first.host}/app:{tag}" for tag in expected}
    assert expected == {tag for tag, content in world.tags.items() if content != before[tag]}
    assert expected == named_as_left(caught.value)


def test_tag_that_another_run_moved_is_left_alone(world: World) -> None:
    """It holds neither the old index nor ours."""
    released_before(world, TAGS)
    other = (OCI_INDEX, b'{"of": "somebody else"}')

    def moved(_: Request) -> Reply:
        world.first.contents["/v2/app/manifests/latest"] = other
        return refusal(403)

    world.second.table["PUT /v2/app/manifests/latest"] = [_after(world.first, "PUT /v2/app/manifests/latest", moved)]
    with pytest.raises(TagsNotMovedError):
        world.publish()
    assert other == world.first.contents["/v2/app/manifests/latest"]


def _after(server: RegistryServer, request_line: str, react: Callable[[Request], Reply]) -> Reaction:
    """Return a reaction that waits until *server* has got a request."""

    def wait(request: Request) -> Reply:
        for _ in range(500):
            if request_line in server.asked:
                break
            time.sleep(0.01)
        return react(request)

    return wait


@pytest.mark.parametrize("point", range(2 * len(TAGS)))
def test_interrupt_while_tags_move_puts_them_back(world: World, point: int) -> None:
    """Ctrl-C at each of the moves; the interrupt is raised afterwards."""
    released_before(world, ("latest", "1.4"))
    before = world.tags
    order = [(server, tag) for server in world.servers for tag in TAGS]
    server, tag = order[point]

    def interrupt(request: Request) -> Reply:
        server.table.clear()  # what is put back is not interrupted again
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.05)
        return server.from_contents(request)

    server.table[f"PUT /v2/app/manifests/{tag}"] = [interrupt]
    with pytest.raises(KeyboardInterrupt):
        world.publish()
    assert before == world.tags


@pytest.mark.parametrize(
    "request_line", ["GET /v2/app/manifests/latest-arm64", "HEAD /v2/app/manifests", "POST /v2/app/blobs"]
)
def test_interrupt_ends_all_waiting(world: World, request_line: str) -> None:
    """Before any tag moves, it does not wait for the retries to end."""
    before = world.tags

    class Table(dict[str, "list[Reaction]"]):
        def get(self, key: str, default: Any = None) -> Any:
            return [interrupt] if key.startswith(request_line) else default

    begun: list[threading.Timer] = []

    def interrupt(_: Request) -> Reply:
        if not begun:
            begun.append(threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]))
            begun[0].start()
        return refusal(503, Retry_After="20")

    for server in world.servers:
        server.table = Table()
    world.patience = Policy(seconds=60)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        world.publish()
        time.sleep(1)
    assert time.monotonic() - began < 15
    assert before == world.tags


def test_refusal_of_a_gate_writes_nothing(world: World) -> None:
    """Neither a blob nor a manifest is written before every gate is passed."""
    world.first.contents.pop("/v2/app/manifests/latest-arm64")
    with pytest.raises(MultiarchError, match="gate 'the set is exact'"):
        world.publish()
    assert [] == [asked for s in world.servers for asked in s.asked if asked.startswith(("PUT", "POST", "DELETE"))]

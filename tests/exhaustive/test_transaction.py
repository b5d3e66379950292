"""Tags that move while everything else happens: other publishers, errors of any kind."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.image.manifest import OCI_INDEX
from multiarch.publish.errors import DroppedPlatformError, TagsNotMovedError
from multiarch.registry.client import Registry
from tests.exhaustive.world import BEFORE, BROKEN, TAGS, World, released_before
from tests.unit.registry_server import Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from multiarch.image.manifest import Manifest
    from tests.unit.registry_server import Reaction, Request


def index_of(word: str, *architectures: str) -> bytes:
    """Return an index that another publisher writes."""
    entries = [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": f"sha256:{number:064x}",
            "size": 1,
            "platform": {"os": "linux", "architecture": architecture},
        }
        for number, architecture in enumerate(architectures)
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries, "of": word}).encode()


class Table(dict[str, "list[Reaction]"]):
    """Lets a function look at each request before the server answers it as it would."""

    def __init__(self, react: Callable[[str, Request], Reply | None], answer: Callable[[Request], Reply]) -> None:
        super().__init__()
        self._react = react
        self._answer = answer

    def get(self, key: str, default: Any = None) -> Any:
        """Return the reaction to a request."""
        if " /v2/" not in key:
            return default
        return [lambda request: self._react(key, request) or self._answer(request)]


def watch(world: World, react: Callable[[str, Request], Reply | None]) -> None:
    """Call *react* with each request of both registries; its answer, if any, is given in the server's place."""

    def of_server(host: str) -> Callable[[str, Request], Reply | None]:
        return lambda key, request: react(f"{host} {key}", request)

    for server in world.servers:
        server.table = Table(of_server(server.host), server.from_contents)


# Another publisher.


NAME = "/v2/app/manifests/latest"


class Other:
    """Another publisher, who moves one tag when the request of a number comes.

    :ivar has_written: whether that request came.
    :ivar is_raced: whether our next request about that tag wrote it. Between our look and our write nobody can be kept
        out: the distribution specification has no conditional write of a tag.
    """

    def __init__(self, world: World, point: int, index: bytes, *, fails: bool) -> None:
        self.has_written = False
        self.is_raced: bool | None = None
        self._world, self._point, self._index, self._fails = world, point, index, fails
        self._requests, self._lock = 0, threading.Lock()
        watch(world, self._react)

    def _react(self, key: str, _: Request) -> Reply | None:
        with self._lock:
            if self._requests == self._point:
                self._world.first.contents[NAME] = (OCI_INDEX, self._index)
                self.has_written = True
            self._requests += 1
            host, verb, path = key.split()
            if self.has_written and self.is_raced is None and (host, path) == (self._world.first.host, NAME):
                self.is_raced = verb != "GET"
        if self._fails and key == f"{self._world.second.host} PUT /v2/app/manifests/1.4.2":
            return refusal(403, "DENIED", "no")
        return None


@pytest.mark.parametrize(
    ("before", "fails", "stderr"),
    [
        *((before, fails, "read") for before in BEFORE for fails in (False, True)),
        *(("some tags", True, kind) for kind in BROKEN),
    ],
)
def test_another_publisher_at_every_moment_loses_nothing(
    world: World, before: str, stderr: str, *, fails: bool
) -> None:
    """Wherever it writes its index, with a platform more, that stands, unless it came between our look and our write.

    Before our last look the gate refuses to drop its platform, and no tag is written; after our write it is left alone.
    """
    world.stderr, outcomes = stderr, dict[str, int]()
    theirs = index_of("theirs", "amd64", "arm64", "s390x")
    for point in range(1000):
        world.forget()
        world.stage("new")
        released_before(world, BEFORE[before])
        other = Other(world, point, theirs, fails=fails)
        outcome = "published"
        try:
            world.publish()
        except (DroppedPlatformError, TagsNotMovedError) as error:
            outcome = type(error).__name__
        if not other.has_written:
            break
        if other.is_raced:
            outcome += ", raced"
        else:
            assert theirs == world.first.contents[NAME][1], f"at request {point}: {outcome}"
        if outcome == "DroppedPlatformError":
            assert [] == [asked for server in world.servers for asked in server.asked if _writes_a_tag(asked)]
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    print(f"{before}, {'one move fails' if fails else 'all moves succeed'}: {point} moments, {outcomes}")
    assert point > 20
    assert outcomes["DroppedPlatformError"] > 0
    assert outcomes["TagsNotMovedError"] > 0


def _writes_a_tag(asked: str) -> bool:
    return asked in {f"PUT /v2/app/manifests/{tag}" for tag in TAGS}


def test_tag_that_another_publisher_moved_is_named(world: World) -> None:
    """It is not as before, and not ours to put back: the error says so."""
    released_before(world, TAGS)
    theirs, before = index_of("theirs", "amd64", "arm64"), world.first.contents["/v2/app/manifests/latest"]

    def react(key: str, _: Request) -> Reply | None:
        if key == f"{world.second.host} PUT /v2/app/manifests/1.4":
            # The tags move side by side: this one is to have moved before.
            deadline = time.monotonic() + 20
            while world.first.contents["/v2/app/manifests/latest"] == before and time.monotonic() < deadline:
                time.sleep(0.01)
            world.first.contents["/v2/app/manifests/latest"] = (OCI_INDEX, theirs)
            return refusal(403, "DENIED", "no")
        return None

    watch(world, react)
    with pytest.raises(TagsNotMovedError) as caught:
        world.publish()
    assert str(caught.value).startswith("not all tags are as before: PUT ")
    assert f"left alone, as somebody else has moved it since: {world.first.host}/app:latest is sha256:" in str(
        caught.value
    )


def test_write_that_a_registry_does_late_is_put_back(world: World) -> None:
    """A refusal of another tag does not cut it off: cut off, it would move its tag after that was looked at."""
    released_before(world, TAGS)
    before = world.tags
    sent, refused = threading.Event(), threading.Event()

    def react(key: str, _: Request) -> Reply | None:
        if key == f"{world.first.host} PUT /v2/app/manifests/latest" and not sent.is_set():
            sent.set()
            refused.wait(30)
            time.sleep(0.5)  # for the client, which would have looked at the tag within this time
        if key == f"{world.second.host} PUT /v2/app/manifests/1.4":
            sent.wait(30)
            refused.set()
            return refusal(403, "DENIED", "no")
        return None

    watch(world, react)
    with pytest.raises(TagsNotMovedError, match=r"no tag was moved: PUT .* answered 403 DENIED: no"):
        world.publish()
    time.sleep(0.5)
    assert before == world.tags


# Errors of any kind.


def _failing(point: int, error: BaseException, calls: list[int]) -> type[Registry]:
    """Return a client whose write of a tag fails with an error at the call of that number, and goes well else."""
    lock = threading.Lock()

    class Failing(Registry):
        def put_manifest(self, repository: str, reference: str, manifest: Manifest, *, awaited: bool = False) -> str:
            if reference in TAGS:
                with lock:
                    calls.append(1)
                    if len(calls) - 1 == point:
                        raise type(error)(*error.args)
            return super().put_manifest(repository, reference, manifest, awaited=awaited)

    return Failing


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize(
    "error",
    [
        ValueError("²"),
        KeyError("x"),
        MemoryError(),
        RecursionError("deep"),
        OSError(28, "No space left on device"),
        BrokenPipeError(32, "Broken pipe"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_of_any_kind_while_tags_move_puts_them_back(world: World, before: str, error: Exception) -> None:
    """At each of the moves; also at the first write that puts a tag back, where only that tag is named."""
    for point in range(2 * len(TAGS)):
        world.forget()
        world.stage("new")
        released_before(world, BEFORE[before])
        tags = world.tags
        world.client = _failing(point, error, [])
        with pytest.raises(TagsNotMovedError, match="no tag was moved"):
            world.publish()
        assert tags == world.tags, f"at move {point}"


def test_tag_that_cannot_be_put_back_does_not_keep_the_others_from_it(world: World) -> None:
    """The write that puts one back fails with an error that is not ours: that tag is named, and only that."""
    released_before(world, TAGS)
    before = world.tags
    world.second.table["PUT /v2/app/manifests/1.4.2"] = [refusal(403, "DENIED", "no")]
    world.client = _failing(2 * len(TAGS), ValueError("not a number"), [])
    with pytest.raises(TagsNotMovedError, match=r"not all tags are as before: .*\(not a number\)") as caught:
        world.publish()
    changed = [tag for tag, content in world.tags.items() if content != before[tag]]
    assert 1 == len(changed)
    assert f"could not be put back: {changed[0]} is sha256:" in str(caught.value)

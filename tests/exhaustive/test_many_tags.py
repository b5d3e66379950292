"""A registry that refuses one of 24 tags in three repositories: all are as before, or all are new."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from multiarch.publish.errors import TagsNotMovedError
from tests.exhaustive.many import TAGS, ManyTags
from tests.exhaustive.test_publication import named_as_left
from tests.exhaustive.world import ATTEMPTS
from tests.unit.registry_server import EOF, RegistryServer, Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.registry_server import Reaction, Request

NUMBERS = range(24)
# Each tag is read, read again when all gates are passed, written, and read back; an index is written once to each
# repository; an image is a manifest and a config.
REQUESTS = {"GET tag": 72, "PUT tag": 24, "PUT index": 3, "GET image": 6, "GET config": 6}


@pytest.fixture
def many() -> Iterator[ManyTags]:
    """Two registries, and a release of three targets staged."""
    many = ManyTags(RegistryServer().start(), RegistryServer().start())
    many.renew()
    yield many
    for server in many.servers:
        server.stop()


def cut_after_the_write(server: RegistryServer, times: int) -> list[Reaction]:
    """Return reactions that write a tag and close the connection in place of an answer, so many times."""

    def react(request: Request) -> Reply:
        server.from_contents(request)
        return EOF

    return [*[react] * times, server.from_contents]


def test_all_24_tags_move(many: ManyTags) -> None:
    """Each repository's eight tags point to its own index; a second run writes nothing."""
    published = many.publish()
    assert (24, 3) == (len(published), len(set(many.tags.values())))
    assert [*many.tags] == [str(tag.reference) for tag in published]
    for server in many.servers:
        server.requests.clear()
    assert published == many.publish()
    assert [] == [asked for server in many.servers for asked in server.asked if not asked.startswith(("GET", "HEAD"))]


def kind(request: Request) -> str:
    """Return what a request is about."""
    *_, folder, reference = request.path.split("/")
    manifest = "index" if reference.startswith("sha256:") else "tag" if reference in TAGS else "image"
    return f"{request.verb} {'config' if folder == 'blobs' else manifest}"


def test_requests_are_four_for_each_tag(many: ManyTags) -> None:
    """And none more for what several tags have in common; of tags that are new as of those that exist."""
    many.platforms = ("amd64", "arm64")
    many.renew()
    many.publish()
    assert REQUESTS == dict(Counter(kind(request) for server in many.servers for request in server.requests))


def test_second_run_asks_once_for_each_tag(many: ManyTags) -> None:
    """Nothing has to move."""
    many.publish()
    for server in many.servers:
        server.requests.clear()
    many.publish()
    assert {"GET tag": 24, "GET image": 3} == dict(
        Counter(kind(one) for server in many.servers for one in server.requests)
    )


@pytest.mark.parametrize("status", [403, 503])
def test_refusal_of_any_one_tag_leaves_all_as_before(many: ManyTags, status: int) -> None:
    """Whichever of the 24 it is; new ones are gone again. What may pass by itself is refused until patience ends."""
    for number in NUMBERS:
        many.renew()
        before = many.tags
        server, path = many.references[number]
        server.table[f"PUT {path}"] = [refusal(status)]
        with pytest.raises(TagsNotMovedError) as caught:
            many.publish()
        assert before == many.tags, (number, str(caught.value))
        assert 1 == len(str(caught.value).splitlines())
        place = f"{server.host}{path.removeprefix('/v2')}"
        assert str(caught.value).startswith(f"no tag was moved: PUT {place}: the registry answered {status} DENIED: no")
        attempts = ATTEMPTS if status == 503 else 1
        assert (number, attempts) == (number, server.asked.count(f"PUT {path}")), str(caught.value)


def test_connection_cut_after_any_one_write_leaves_all_as_before(many: ManyTags) -> None:
    """The tag has moved, and nothing says so: it is put back like the others, as no attempt is answered."""
    for number in NUMBERS:
        many.renew()
        before = many.tags
        server, path = many.references[number]
        server.table[f"PUT {path}"] = cut_after_the_write(server, ATTEMPTS)
        with pytest.raises(TagsNotMovedError) as caught:
            many.publish()
        assert before == many.tags, (number, str(caught.value))
        assert str(caught.value).startswith("no tag was moved: PUT ")


def test_connection_cut_once_after_any_one_write_moves_all(many: ManyTags) -> None:
    """The next attempt is answered."""
    for number in NUMBERS:
        many.renew()
        server, path = many.references[number]
        server.table[f"PUT {path}"] = cut_after_the_write(server, 1)
        assert 24 == len(many.publish())
        assert 3 == len(set(many.tags.values()))


@pytest.mark.parametrize("deletes", [("digest",), ()])
def test_new_tags_are_removed_or_named(many: ManyTags, deletes: tuple[str, ...]) -> None:
    """Where a registry deletes nothing, the error names just the new tags of that registry that have moved."""
    lengths = set()
    for number in NUMBERS:
        many.renew()
        many.first.deletes = deletes
        before = many.tags
        server, path = many.references[number]
        server.table[f"PUT {path}"] = [refusal(403)]
        with pytest.raises(TagsNotMovedError) as caught:
            many.publish()
        changed = {tag for tag, content in many.tags.items() if content != before[tag]}
        assert changed == named_as_left(caught.value), (number, str(caught.value))
        assert {many.first.host} >= {tag.partition("/")[0] for tag in changed}
        assert [] == [tag for tag in changed if before[tag] is not None]
        lengths.add(len(changed))
    assert ({0} == lengths) is bool(deletes)

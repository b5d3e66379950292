"""The list of a repository's tags: whole, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multiarch.errors import InvalidAnswerError, RegistryError
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.unit.registry_server import Reply, json_reply, refusal

if TYPE_CHECKING:
    from tests.unit.registry_server import RegistryServer, Request

_LIST = "GET /v2/app/tags/list"


def _tags(server: RegistryServer) -> tuple[str, ...]:
    return Registry(server.host, Policy(seconds=0), lambda _: None).tags("app")


def test_pages_are_followed_to_their_end(server: RegistryServer) -> None:
    """Each tag is there once, in the registry's order; a repository that is not there has none."""
    server.page = 2
    for tag in ("a", "b", "c", "d", "e"):
        server.hold_manifest("app", tag, {"tag": tag})
    assert ("a", "b", "c", "d", "e") == _tags(server)
    assert [_LIST] * 3 == server.asked
    server.table[_LIST] = [refusal(404, "NAME_UNKNOWN")]
    assert () == _tags(server)
    server.table[_LIST] = [json_reply({"name": "app", "tags": None})]
    assert () == _tags(server)


def test_full_page_without_a_link_is_followed_too(server: RegistryServer) -> None:
    """A registry may cut its list in silence: the page behind the last tag shows whether it has."""
    names = [f"t{number:04}" for number in range(1500)]

    def page(request: Request) -> Reply:
        behind = [name for name in names if name > request.query.get("last", "")]
        return json_reply({"tags": behind[:1000]})

    server.table[_LIST] = [page]
    assert tuple(names) == _tags(server)
    names[1000:] = []
    assert tuple(names) == _tags(server)


_LOOP = json_reply({"tags": ["a"]}, Link='</v2/app/tags/list?last=a>; rel="next"')
_EMPTY = json_reply({"tags": []}, Link='</v2/app/tags/list?last=a>; rel="next"')


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (_LOOP, "the registry sends tags again that it has sent: its list may not be whole"),
        (_EMPTY, "the list of tags has more than 1000 pages"),
        (json_reply({"tags": [f"t{n}" for n in range(1000)]}), "its list may not be whole"),
        (json_reply({"tags": "a"}), "the list of tags is none"),
        (json_reply({"tags": ["../a"]}), "the list of tags has an invalid tag '../a'"),
        (json_reply({"tags": ["a", 1]}), "the list of tags is none"),
        (Reply(200, b"<html>"), "the list of tags cannot be read: it is no JSON"),
        (json_reply({"tags": ["a"]}, Link="nonsense"), "names the next page of tags in a way that cannot be read"),
        (
            json_reply({"tags": ["a"]}, Link='</v2/other/tags/list>; rel="next"'),
            "the next page of tags is none of this",
        ),
        (json_reply({"tags": ["a"]}, Link='<http://169.254.169.254/>; rel="next"'), "the registry leads to http://169"),
    ],
)
def test_list_that_may_not_be_whole_is_an_error(server: RegistryServer, reply: Reply, problem: str) -> None:
    """Whoever removes what no tag reaches has to know all tags."""
    server.table[_LIST] = [reply]
    with pytest.raises(InvalidAnswerError, match=problem.replace(".", r"\.")):
        _tags(server)


def test_repository_that_goes_between_two_pages_is_an_error(server: RegistryServer) -> None:
    """It is not the same as one that has no more tags."""
    first: Any = json_reply({"tags": ["a"]}, Link='</v2/app/tags/list?last=a>; rel="next"')
    server.table[_LIST] = [first, refusal(404, "NAME_UNKNOWN")]
    with pytest.raises(RegistryError, match="404"):
        _tags(server)

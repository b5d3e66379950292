"""The list of a repository's tags, whole or not at all (distribution-spec, "Listing Tags")."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from multiarch.errors import InvalidAnswerError
from multiarch.image.documents import parse_object
from multiarch.image.reference import check_tag
from multiarch.registry import limits

if TYPE_CHECKING:
    from multiarch.registry.answers import Answer
    from multiarch.registry.transport import Transport

_PAGE = 1000  # tags that are asked for at once; registries may send fewer
_MOST_PAGES = 1000  # registries send 100 tags in a page, or more


def read_tags(transport: Transport, repository: str) -> tuple[str, ...]:
    """Return all tags of a repository, each once, in the registry's order; none where there is no such repository.

    :raises InvalidAnswerError: a page is none, the pages have no end, or it is not known whether they are all.
    """
    tags: dict[str, None] = {}
    name = transport.name("GET", f"{repository}/tags/list")
    where, scopes = f"{repository}/tags/list?n={_PAGE}", (f"repository:{repository}:pull",)
    for _ in range(_MOST_PAGES):
        answer = transport.ask("GET", where, scopes, fine=() if tags else (404,), most=limits.MANIFEST_BYTES)
        page = [] if answer.status == 404 else _page(name, answer)
        # What has been sent before shows that the registry does not look at where it should go on.
        if page and tags.keys() >= set(page):
            raise InvalidAnswerError(name, "the registry sends tags again that it has sent: its list may not be whole")
        tags.update(dict.fromkeys(page))
        where = _next(transport, name, answer, page, repository)
        if not where:
            return tuple(tags)
    raise InvalidAnswerError(name, f"the list of tags has more than {_MOST_PAGES} pages")


def _page(name: str, answer: Answer) -> list[str]:
    """Return the tags of one page. :raises InvalidAnswerError: the answer is no list of tags."""
    try:
        page = parse_object(answer.body).get("tags")
    except ValueError as error:
        raise InvalidAnswerError(name, f"the list of tags cannot be read: {error}") from None
    if page is None:  # what has lost its last tag, in the words of distribution
        return []
    if not isinstance(page, list) or not all(isinstance(tag, str) for tag in page):
        raise InvalidAnswerError(name, "the list of tags is none")
    try:
        return [check_tag(tag) for tag in page]
    except ValueError as error:
        raise InvalidAnswerError(name, f"the list of tags has an {str(error)[:200]}") from None


def _next(transport: Transport, name: str, answer: Answer, page: list[str], repository: str) -> str:
    """Return where the next page is; nothing behind the last one."""
    if link := answer.header("Link"):
        address, _, parameters = link.strip().partition(">")
        if not address.startswith("<") or 'rel="next"' not in parameters.replace("rel=next", 'rel="next"'):
            raise InvalidAnswerError(name, "the registry names the next page of tags in a way that cannot be read")
        target = transport.connections.destinations.follow(name, answer.url, address[1:])
        if not urlsplit(target).path.endswith(f"/{repository}/tags/list"):
            raise InvalidAnswerError(name, "the next page of tags is none of this repository")
        return target
    # A full page without a link: some registries cut their list, and an empty page proves that this one has not.
    return f"{repository}/tags/list?n={_PAGE}&last={quote(page[-1])}" if len(page) >= _PAGE else ""

"""Answers of registries: read within their limits, and never expanded."""

from __future__ import annotations

import json
import re
import ssl
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.certificates import trust_remedy
from multiarch.errors import InvalidAnswerError, RegistryUnreachableError, StoppedError
from multiarch.image.documents import check_depth
from multiarch.registry import limits
from multiarch.registry.destinations import ForbiddenAddressError
from multiarch.retry import describe, root_cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    import urllib3

    from multiarch.registry.limits import Limits

_REFUSED_BY_PROXY = re.compile(r"Tunnel connection failed: 40[1357]\b")
_PIECE = 64 << 10  # bytes of a body that are read at once


class Answer(Struct, frozen=True):
    """An answer to a request.

    :ivar url: the address that was asked.
    :ivar body: the whole body; empty where *stream* has it.
    :ivar stream: the body, where it is to be read in pieces.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    url: str
    body: bytes = b""
    stream: Body | None = None

    def header(self, name: str) -> str:
        """Return the value of a header, empty without it or where it is too long to be of use."""
        value = self.headers.get(name) or ""
        return value if len(value) <= limits.FIELD_CHARACTERS else ""

    @property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it is none."""
        try:
            check_depth(self.body)
            parsed = json.loads(self.body)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


class Body:
    """The body of an answer, read in pieces within the limits of its request.

    :param name: names the request in errors.
    """

    def __init__(self, name: str, response: urllib3.BaseHTTPResponse, bounds: Limits) -> None:
        self._name = name
        self._response = response
        self._limits = bounds

    def read(self, count: int) -> bytes:
        """Return up to so many bytes, none at the end.

        :raises RegistryUnreachableError: the connection broke. :raises StoppedError: the run was stopped.
        """
        try:
            with self._limits:
                self._limits.check()
                data: bytes = self._response.read(count)
        except Exception as error:  # noqa: BLE001 (whatever an HTTP library raises at bytes from outside)
            self.cut()
            raise failure(self._name, error) from None
        return data

    def close(self) -> None:
        """Give the connection back where all was read; else cut it off, so that it is not used again."""
        self._response.close()

    def cut(self) -> None:
        """Close the connection."""
        _cut(self._response)


def read_whole(name: str, response: urllib3.BaseHTTPResponse, bounds: Limits, most: int) -> bytes:
    """Return a body of no more than so many bytes; of a refusal its beginning.

    :raises InvalidAnswerError: it is longer.
    """
    body = Body(name, response, bounds)
    is_refusal = response.status >= 400
    if is_refusal and is_encoded(response):
        body.cut()
        return b""
    check_plain(name, response)
    most = limits.ERROR_BYTES if is_refusal else most
    pieces, length = [], 0
    while length <= most and (piece := body.read(min(_PIECE, most + 1 - length))):
        pieces.append(piece)
        length += len(piece)
    if length <= most:
        body.close()
        return b"".join(pieces)
    body.cut()
    if is_refusal:
        return b""
    raise InvalidAnswerError(name, f"the registry sent more than {_size(most)}, so the answer is not used")


def is_encoded(response: urllib3.BaseHTTPResponse) -> bool:
    """Whether a body is compressed, although that was not asked for."""
    return response.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity")


def check_plain(name: str, response: urllib3.BaseHTTPResponse) -> None:
    """Check that a body is not compressed, or it may expand to any size. :raises InvalidAnswerError: it is."""
    if is_encoded(response):
        _cut(response)
        raise InvalidAnswerError(name, "the registry sent a compressed answer that was not asked for")


def failure(name: str, error: Exception) -> Exception:
    """Return the error of ours for one that was raised while an answer was awaited or read."""
    from http.client import BadStatusLine

    from urllib3.exceptions import NameResolutionError, ProxyError

    cause = root_cause(error)
    if isinstance(cause, limits.RequestStopped):
        return StoppedError(name)
    if isinstance(cause, ForbiddenAddressError):
        return InvalidAnswerError(name, f"the registry leads to {cause}")
    if isinstance(cause, UnicodeError) and isinstance(error, (NameResolutionError, ProxyError)):
        return RegistryUnreachableError(name, "its host, or that of its proxy, is no name", transient=False)
    transient = _is_transient(error, cause)
    is_odd = isinstance(cause, (ValueError, TypeError, LookupError)) and not isinstance(cause, OSError)
    if is_odd or type(cause) is BadStatusLine:
        # Its text may hold what was sent or received, such as a header.
        return RegistryUnreachableError(name, "what was sent or received is not HTTP", transient=transient)
    if isinstance(cause, ssl.SSLError) and not transient:
        host = name.rpartition(" ")[2].partition("/")[0]
        return RegistryUnreachableError(name, describe(error), remedy=trust_remedy(host), transient=False)
    return RegistryUnreachableError(name, describe(error), transient=transient)


def _is_transient(error: Exception, cause: BaseException) -> bool:
    """Whether the same request may be answered next time."""
    from http.client import HTTPException, LineTooLong

    from urllib3.exceptions import InvalidHeader

    if isinstance(cause, ssl.SSLError):
        # A handshake that was cut off may succeed next time, and so may what a line has garbled; a wrong certificate
        # stays wrong.
        is_garbled = "BAD_RECORD_MAC" in (cause.reason or "")
        return is_garbled or isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
    # More or longer lines than HTTP's library takes, and a proxy that wants another login, are the same next time.
    if type(cause) in (HTTPException, LineTooLong) or _REFUSED_BY_PROXY.match(str(cause)):
        return False
    return not isinstance(error, (ValueError, TypeError, LookupError, InvalidHeader))


def _cut(response: urllib3.BaseHTTPResponse) -> None:
    """Close the connection of an answer, of which nothing more is read."""
    response.close()
    response.release_conn()


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB" if count >= 1 << 10 else f"{count} bytes"

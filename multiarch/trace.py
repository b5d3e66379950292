"""Lines of ``--verbose``: each program that is run and each request that is sent, as it happens, with its time.

The line of a request holds its verb, its address and its status, never a header or a body; and of the address neither
the query (signed addresses, tokens) nor the user.
"""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from multiarch.errors import shown_address, without_secrets
from multiarch.formatting import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import docker
    import requests


class Trace:
    """Writes lines about programs and requests. Safe to use from several threads.

    :param say: takes a line, and the platforms that it is about.
    """

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say

    def command(
        self, words: Sequence[str], about: Sequence[Any] = (), environ: Mapping[str, str] | None = None
    ) -> Callable[[int | None], None]:
        """Show a program that begins, as a shell takes it; return a function that takes its exit status at its end.

        :param about: the platforms that it is run for.
        :param environ: its variables beyond the environment of this process.
        """
        added = [f"{name}={shlex.quote(value)}" for name, value in (environ or {}).items()]
        self._say(f"$ {without_secrets(' '.join([*added, shlex.join(words)]))}", about)
        began = time.monotonic()

        def ended(status: int | None) -> None:
            program = words[0].rpartition("/")[2]
            self._say(f"$ {program}: status {status}, {duration(time.monotonic() - began)}", about)

        return ended

    def answered(self, verb: str, url: str, status: int, began: float) -> None:
        """Show a request to a registry, or to a host that it redirected to; it began at this ``time.monotonic``."""
        self._say(f"{verb} {shown_address(url)}: {status}, {_ms(time.monotonic() - began)}")

    def unanswered(self, verb: str, url: str, error: Exception, began: float) -> None:
        """Show a request without an answer: only the class of the error, because its text may hold the query.

        :param began: by ``time.monotonic``.
        """
        self._say(f"{verb} {shown_address(url)}: {type(error).__name__}, {_ms(time.monotonic() - began)}")

    def docker_api(self, base: type[docker.APIClient]) -> type[docker.APIClient]:
        """Return a class of Docker's SDK whose requests are shown, its first included, which asks for the version."""
        say = self._say

        class Api(base):  # type: ignore[valid-type,misc]
            def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
                began = time.monotonic()
                line = f"docker {request.method} {urlsplit(request.url or '').path}"
                try:
                    response: requests.Response = super().send(request, **options)
                except Exception as error:
                    say(f"{line}: {type(error).__name__}, {_ms(time.monotonic() - began)}")
                    raise
                say(f"{line}: {response.status_code}, {_ms(time.monotonic() - began)}")
                return response

        return Api


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"

"""Requests to one registry: authorised, retried as a whole, and their refusals as errors."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin

from multiarch.errors import PACKAGE_ACCESS, InvalidAnswerError, RegistryError, RegistryUnreachableError, unbroken
from multiarch.image.reference import is_loopback
from multiarch.registry import limits
from multiarch.registry.auth import Authorizer, Scopes
from multiarch.registry.connections import Connections
from multiarch.registry.destinations import origin
from multiarch.registry.limits import LateStop, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multiarch.registry.answers import Answer
    from multiarch.retry import Policy
    from multiarch.trace import Trace

T = TypeVar("T")
# characters; the longest form of a date has 33, and Python refuses to read thousands of digits (`int` raises)
_LONGEST_RETRY_AFTER = 64
_LONGEST_REASON = 1000  # characters of a registry's own words that are shown
_FOLLOWED = {"GET": (301, 302, 303, 307, 308), "HEAD": (301, 302, 303, 307, 308)}
_FOLLOWED_BY_WRITES = (307, 308)  # the others ask for GET in place of the verb


class Transport:
    """Sends requests to one registry. Safe to use from several threads.

    :param host: ``host[:port]`` as it stands in image references.
    :param policy: how requests are retried.
    :param say: takes one line for each retry.
    :param insecure: whether TLS may go unverified, or be missing.
    :param declared: whether another program holds it for insecure, such as Docker; asked once, where nothing answers
        over TLS that is trusted.
    :param trace: shows the requests, where that is asked for.
    """

    def __init__(
        self,
        host: str,
        policy: Policy,
        say: Callable[[str], None],
        *,
        insecure: bool = False,
        declared: Callable[[], bool] = lambda: False,
        trace: Trace | None = None,
    ) -> None:
        self.host = host
        self.policy = policy
        self.say = say
        self._declared, self._trace = declared, trace
        self._is_settled = insecure or is_loopback(host)
        self._settling = threading.Lock()
        self._connect(insecure=insecure)

    def _connect(self, *, insecure: bool) -> None:
        self.connections = Connections(self.host, insecure=insecure, trace=self._trace)
        check_realm = self.connections.destinations.check_realm
        self._authorizer = Authorizer(self.host, self.connections.send, self._refusal, check_realm)

    def apart(self, policy: Policy) -> Transport:
        """Return one over the same connections, with another policy."""
        with self._settling:  # not while another thread finds out that the registry is insecure
            again = copy.copy(self)
        again.policy = policy
        return again

    def ask(self, verb: str, path: str, scopes: Scopes, **options: Any) -> Answer:
        """Send a request until it is answered; *options* are those of `once`.

        :raises RegistryError: the registry refuses. :raises RegistryUnreachableError: it does not answer.
        """
        name = self.name(verb, path)
        return self.call(name, lambda: self.once(name, verb, path, scopes, **options))

    def call(self, name: str, attempt: Callable[[], T], transient: Callable[[BaseException], bool] | None = None) -> T:
        """Retry *attempt*, which is made of `once`, as one operation; *transient* as in `Policy.call`."""
        return self.policy.call(name, attempt, show=self.say, transient=transient, place=self.host)

    def name(self, verb: str, path: str) -> str:
        """Return the name of a request for errors and lines: without its query."""
        return f"{verb} {self.host}/{path.partition('?')[0]}"

    def follow(self, name: str, answer: Answer) -> str:
        """Return the address that the Location of an answer names. :raises InvalidAnswerError: it may not be used."""
        return self.connections.destinations.follow(name, answer.url, answer.header("Location"))

    def once(
        self,
        name: str,
        verb: str,
        where: str,
        scopes: Scopes,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | Callable[[], Any] | None = None,
        fine: tuple[int, ...] = (),
        most: int = limits.ERROR_BYTES,
        stream: bool = False,
        seconds: float | None = None,
        awaited: bool = False,
    ) -> Answer:
        """Send a request; not retried, but sent once more with authorisation where the registry asks for that.

        Redirects are followed, each as the policy of destinations allows. Where no TLS that is trusted answers, a
        registry that is declared insecure is asked without.

        :param name: names the request in errors. :param scopes: the rights that its token needs.
        :param where: a path below ``/v2/``, or an address that `follow` returned.
        :param data: the body, or a function that makes it anew each time that it is sent.
        :param fine: statuses from 400 on that are answers.
        :param seconds: how long the answer may take; None for what is usual.
        :param most: bytes that the answer may have; not of a stream.
        :param awaited: whether it is not cut off at once when the run is stopped, because a server may do all the same
            what it was asked for.
        :raises MultiarchError: as `ask`; `StoppedError`: the run was stopped; nothing is sent then.
        """
        options = {"headers": headers, "data": data, "most": most, "stream": stream, "seconds": seconds}
        with Limits(self._stop_flag(awaited=awaited)):
            connections = self.connections
            try:
                answer = self._followed(name, verb, where, scopes, **options)
            except RegistryUnreachableError:
                if not self._becomes_insecure(connections):
                    raise
                answer = self._followed(name, verb, where, scopes, **options)
        return self._accepted(name, answer, fine)

    def _accepted(self, name: str, answer: Answer, fine: tuple[int, ...]) -> Answer:
        """Return an answer that is no refusal. :raises RegistryError: it is one."""
        if 200 <= answer.status < 300 or answer.status in fine:
            return answer
        if answer.stream:
            answer.stream.cut()
        raise self._refusal(name, answer)

    def _becomes_insecure(self, used: Connections) -> bool:
        """Whether the registry, over whose *used* connections nothing came, is spoken to in another way from now on."""
        with self._settling:
            if not self._is_settled:
                self._is_settled = True
                if self._declared():
                    self._connect(insecure=True)
            return self.connections is not used

    def _followed(self, name: str, verb: str, where: str, scopes: Scopes, **options: Any) -> Answer:
        """Return the answer to a request behind all redirects."""
        url = urljoin(self.connections.base(), where)
        for _ in range(limits.REDIRECTS + 1):
            answer = self._authorised(name, verb, url, scopes, **options)
            if answer.status not in _FOLLOWED.get(verb, _FOLLOWED_BY_WRITES) or not answer.header("Location"):
                return answer
            if answer.stream:
                answer.stream.cut()
            url = self.follow(name, answer)
        raise InvalidAnswerError(name, f"the registry redirects more than {limits.REDIRECTS} times")

    def _stop_flag(self, *, awaited: bool) -> limits.StopFlag:
        stopped = self.policy.stopped
        return LateStop(stopped, limits.AWAITED_SECONDS) if awaited and not stopped.is_set() else stopped

    def _authorised(
        self,
        name: str,
        verb: str,
        url: str,
        scopes: Scopes,
        headers: Mapping[str, str] | None,
        data: bytes | Callable[[], Any] | None,
        **options: Any,
    ) -> Answer:
        """Return the answer to a request without redirects; to the registry itself, and it alone, with credentials."""
        is_own = origin(url) == origin(self.connections.base())
        is_blob = options["stream"] or callable(data)

        def send() -> tuple[str | None, Answer]:
            authorization = self._authorizer.header(scopes) if is_own else None
            sent = {**(headers or {}), **({"Authorization": authorization} if authorization else {})}
            body = data() if callable(data) else data
            sending: dict[str, Any] = {"headers": sent, "data": body, "is_blob": is_blob, **options}
            return authorization, self.connections.send(name, verb, url, **sending)

        used, answer = send()
        # Once: the token may have expired (RFC 9110, 15.5.2), and a second refusal is the answer.
        if answer.status == 401 and is_own:
            self._authorizer.challenged(scopes, answer, used)
            answer = send()[1]
        return answer

    def _refusal(self, name: str, answer: Answer) -> RegistryError:
        return refusal(name, answer, self._authorizer.hide)


def refusal(name: str, answer: Answer, hide: Callable[[str], str] = str) -> RegistryError:
    """Return the error of an answer, with the registry's own words (distribution-spec, "Error codes").

    :param hide: removes secrets from these words.
    """
    errors = answer.json.get("errors")
    found = [e for e in errors if isinstance(e, dict)] if isinstance(errors, list) else []
    reason = "; ".join(f"{e.get('code', '')}: {e.get('message', '')}" for e in found) or answer.reason
    reason = hide(unbroken(reason))
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[: _LONGEST_REASON - 3]}..."
    host = name.rpartition(" ")[2].partition("/")[0]
    hint = f"log in with: docker login {host}" if answer.status in (401, 403) else ""
    if answer.status == 403 and host == "ghcr.io":
        hint = PACKAGE_ACCESS
    return RegistryError(name, answer.status, reason, hint=hint, retry_after=_retry_after(answer.header("Retry-After")))


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After asks for (RFC 9110, section 10.2.3); None without a valid one."""
    from urllib3.exceptions import InvalidHeader
    from urllib3.util.retry import Retry

    if not value or len(value) > _LONGEST_RETRY_AFTER:
        return None
    try:
        return float(Retry().parse_retry_after(value))
    except (InvalidHeader, ValueError, OverflowError):  # the last two of dates that no calendar has
        return None

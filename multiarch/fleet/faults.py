"""What is wrong with a builder that does not do as it should, by buildctl's words for it.

BuildKit's client says ``Unavailable`` for nearly all of it: a server that is down as well as one that will never take
our certificate. What lasts until somebody corrects it is told from what passes by Go's words (crypto/x509, crypto/tls),
and by those of ssh and kubectl, through which buildctl dials. The first that matches decides.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multiarch.fleet.errors import BuilderFaultError, cut
from multiarch.fleet.handshake import refuses_certificate, speaks_tls

if TYPE_CHECKING:
    from multiarch.buildkit.builder import Builder

_REFUSED = (
    "refuses our certificate: it is of another CA or expired; renew it with fleet-certs, and restart buildkitd, which "
    "does not reload its own"
)
_PLAIN = "speaks TLS, and is spoken to without: add tls: DIR (fleet-certs makes one)"
_NO_TLS = "speaks no TLS: start its buildkitd with certificates (fleet-certs makes them)"
_FORBIDDEN = (
    "may not exec into pods of {namespace}; it needs pods: get, list and pods/exec: get, create (fleet-pods prints the "
    "Role)"
)
# Words, a sentence about the builder (with a colon before it where it begins with "its", "user" …), and in brief.
# {host} and {user_host} are of its address, the other names those of groups.
_FAULTS: tuple[tuple[str, str, str], ...] = (
    (
        r"remote error: tls: (certificate required|\w+ certificate( authority)?)|remote error: tls: access denied",
        _REFUSED,
        "refuses our certificate",
    ),
    (
        r"x509: certificate is valid for (?P<names>[^\n\"]{1,300}), not (?P<name>[^\s\"]{1,253})",
        ": its certificate is for {names}, not {name}; make one with fleet-certs --for {name}, or set tls.name",
        "has a certificate of another name",
    ),
    (
        r"x509: cannot validate certificate for (?P<name>\S{1,253}) because",
        ": its certificate is for other names, not {name}; make one with fleet-certs --for {name}, or set tls.name",
        "has a certificate of another name",
    ),
    (
        r"x509: certificate is not valid for any names, but wanted to match (?P<name>[^\s\"]{1,253})",
        ": its certificate is for no name, not {name}; make one with fleet-certs --for {name}, or set tls.name",
        "has a certificate of another name",
    ),
    (
        r"x509: certificate has expired",
        ": its certificate has expired; renew it with fleet-certs, and restart buildkitd, which does not reload it",
        "has a certificate that has expired",
    ),
    (
        r"x509: ",
        ": its certificate is of another CA than {tls}/ca.pem; take the CA that signed it, or renew both (fleet-certs)",
        "has a certificate of another CA",
    ),
    (r"first record does not look like a TLS handshake", _NO_TLS, "speaks no TLS"),
    (
        r"(could not read|failed to read|open|stat) \S*(ca|cert|key)\.pem|tls: private key|failed to append ca",
        ": its certificates cannot be read from {tls}: it needs ca.pem, cert.pem and key.pem (fleet-certs makes them)",
        "has no certificates here",
    ),
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        ": its host key is not known; run ssh {user_host} once, or add it to known_hosts",
        "has a host key that is not known",
    ),
    (
        r"Permission denied \([\w,-]+\)",
        "refuses the key: add the public one to authorized_keys there, or name the right one in ~/.ssh/config",
        "refuses the key",
    ),
    (
        r"buildctl: (command )?not found|buildctl: No such file",
        "has no buildctl on its PATH: install BuildKit there, or name its place in authorized_keys (command=)",
        "has no buildctl",
    ),
    (
        r'User "(?P<user>[^"]{1,200})" cannot \w+ resource "[\w/]+"[^\n]{0,200} namespace "(?P<namespace>[\w-]+)"',
        ": user {user} " + _FORBIDDEN,
        "may not be used by {user}",
    ),
    (
        r'context(?: was not found for specified context: | ")(?P<context>[^\s"]{1,253})"?( does not exist)?',
        ": kubectl knows no context {context}; choose one of kubectl config get-contexts",
        "has a context that kubectl does not know",
    ),
    (r'pods "(?P<pod>[^"]{1,253})" not found', ": there is no pod {pod}; correct its name", "is no pod"),
    (
        r'exec: "(?P<program>[\w.-]+)": executable file not found',
        "is reached through the {program} command, which is not there: install it, or choose another address",
        "needs the {program} command",
    ),
)
# What a server that refuses our certificate may look like too, or one of TLS that is spoken to in the clear.
_UNCLEAR = re.compile(r"EOF|broken pipe|connection reset|use of closed network connection")
_PREFIXES = re.compile(
    r"error: |failed to (list workers|call info|solve): |rpc error: code = \w+ desc = |Unavailable: "
)
_WHY = re.compile(r'desc = "(?:transport: )?(?:Error while dialing: )?(?P<why>[^"]{1,300})"')
_OF_A_PROGRAM = re.compile(r"stderr=(?P<why>[^\x00]{1,4096})")  # behind what buildctl says of ssh and kubectl


def fault_of(builder: Builder, words: str) -> BuilderFaultError:
    """Return what is wrong with a builder. :param words: what buildctl said at its end."""
    # Go writes the words of ssh and kubectl within quotes.
    words = words.replace('\\"', '"').replace("\\r", "").replace("\\n", "\n")
    for pattern, problem, brief in _FAULTS:
        if found := re.search(pattern, words):
            names = {**_names(builder), **{key: cut(text or "") for key, text in found.groupdict().items()}}
            return _fault(builder, problem.format(**names), brief.format(**names))
    if builder.address.startswith("tcp://") and _UNCLEAR.search(words):
        if builder.tls is not None and refuses_certificate(builder):
            return _fault(builder, _REFUSED, "refuses our certificate")
        if builder.tls is None and speaks_tls(builder):
            return _fault(builder, _PLAIN, "speaks TLS")
    problem = f"does not answer: {_cause(words)}; is it running, and its address right?"
    return BuilderFaultError(builder, problem, "does not answer", lasts=False, colon=False)


def lost(builder: Builder, cause: str) -> BuilderFaultError:
    """Return the fault of a builder that a solve was running on."""
    return BuilderFaultError(builder, f"was lost: {cut(cause)}", "was lost", lasts=False, colon=False)


def _fault(builder: Builder, problem: str, brief: str) -> BuilderFaultError:
    has_colon = problem.startswith(": ")
    return BuilderFaultError(builder, problem.removeprefix(": "), brief, colon=has_colon)


def _names(builder: Builder) -> dict[str, str]:
    rest = builder.address.partition("://")[2]
    return {"user_host": cut(rest.partition("/")[0]), "tls": str(builder.tls or "")}


def _cause(words: str) -> str:
    """Return the last line that says why, without what says only what was asked."""
    if found := _OF_A_PROGRAM.search(words):
        return cut(next((one for one in reversed(found["why"].splitlines()) if one.strip(' "')), "nothing is said"))
    if found := _WHY.search(words):
        return cut(found["why"])
    lines = [line for line in words.splitlines() if line.strip()] or ["buildctl says nothing"]
    return cut(_PREFIXES.sub("", lines[-1]))

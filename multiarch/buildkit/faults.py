"""The faults of a failed solve: whether it may succeed when it is run again, and what to do about it.

A step that ran an instruction failed by itself, whatever its output speaks of. What fails between the builder, the
registries and us may pass; BuildKit tells it by a gRPC code or an HTTP status, and else by Go's words for it.
"""

from __future__ import annotations

import re

_LOOKED_AT = 32 << 10  # characters at the beginning of a text, and as many at its end
# gRPC codes of a connection that was lost (grpc, doc/statuscodes.md).
_LOST = re.compile(r"\bcode = (Unavailable|DeadlineExceeded)\b")
_STATUS = re.compile(r"\b(408|425|429|5\d\d) [A-Z][a-z]")
_REFUSED = re.compile(r"\b40[134] [A-Z]|unauthorized|authorization failed|insufficient_scope|denied", re.IGNORECASE)
_NETWORK = re.compile(
    r"connection refused|connection reset|broken pipe|unexpected EOF|: EOF\b|i/o timeout|TLS handshake timeout"
    r"|temporary failure in name resolution|server misbehaving|no such host|error reading from server"
    r"|transport is closing|keepalive ping failed|error reading preface|client connection is closing|Unavailable"
    r"|context deadline exceeded|toomanyrequests|too many requests|dial unix \S+ connect: no such file or directory",
    re.IGNORECASE,
)
# Faults that stay, whatever else the same message holds.
_PERMANENT = re.compile(
    r"did not complete successfully|dockerfile parse error|no match for platform|failed to calculate checksum"
    r"|no space left on device|x509:|not found$",
    re.IGNORECASE,
)
# Each is searched in linear time, as a hostile build may write megabytes: no repetition holds the word before it.
_HINTS = (
    (
        r"\A(?=([\s\S]*?scanner))\1.*: not found",
        "the image that makes the SBOM cannot be pulled: name one with attestations: [sbom: generator=IMAGE]",
    ),
    (r"no match for platform", "its base image does not exist for this platform: choose another, or drop the platform"),
    (
        r"no space left on device",
        "the disk of the builder is full: free its cache with invoke prune, or limit it: max_used_space",
    ),
    (
        r"unauthorized|authorization failed|insufficient_scope|\b40[13] ",
        "log in with docker login, as a user who may push",
    ),
    (r"connect: connection refused", "is the registry, or the builder, running and its name right?"),
)


def is_transient_fault(cause: str) -> bool:
    """Whether a solve that failed with these words of BuildKit may succeed a little later."""
    cause = _ends_of(cause)
    if _PERMANENT.search(cause) or _REFUSED.search(cause):
        return False
    return bool(_LOST.search(cause) or _STATUS.search(cause) or _NETWORK.search(cause))


def hint_for(cause: str) -> str:
    """Return advice on a fault; empty where there is none."""
    cause = _ends_of(cause)
    return next((hint for pattern, hint in _HINTS if re.search(pattern, cause, re.IGNORECASE)), "")


def _ends_of(cause: str) -> str:
    """Return the beginning and the end of a long text, where a program says what is wrong."""
    return cause if len(cause) <= 2 * _LOOKED_AT else f"{cause[:_LOOKED_AT]} {cause[-_LOOKED_AT:]}"

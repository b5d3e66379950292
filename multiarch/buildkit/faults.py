"""The faults of a failed solve: whether it may succeed when it is run again, and what to do about it.

A step that ran an instruction failed by itself, whatever its output speaks of. What fails between the builder, the
registries and us may pass; BuildKit tells it by a gRPC code or an HTTP status, and else by Go's words for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multiarch.buildkit.fault_table import CONNECTION_FAULTS, FAULTS, STREAM_FAULTS, Kind
from multiarch.certificates import trust_remedy
from multiarch.errors import PACKAGE_ACCESS

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOOKED_AT = 32 << 10  # characters at the beginning of a text, and as many at its end
# A fault on the way of an image to its registry, where it is the push that is refused and no base image.
_PUSH = "failed to push"
# What a 32-bit program says in its output that meets a number of 64 bits in the builder's file system.
_OVERFLOW = "Value too large for defined data type"
_OVERFLOW_HINT = (
    "a 32-bit program under an emulator reads directories of 64-bit inodes: build with -D_FILE_OFFSET_BITS=64, in a "
    "stage of $BUILDPLATFORM, or on a native builder"
)
_HOST = "HOST"  # in advice, where the text does not name it
_NAME = r"[\w.\-:\[\]]{1,261}"
# Whom a failed request was sent to, in Go's words: Head "https://registry.example.com:5000/v2/": x509: …
_ASKED = re.compile(rf'"https://({_NAME})/', re.ASCII)
# The registry in the name of an image: Docker Hub's, which logins are stored for, is docker.io, and none that is asked.
_OF_IMAGE = re.compile(rf"(?:failed to push|source metadata for) ({_NAME})/", re.ASCII)
_TRUST = trust_remedy(_HOST)
# Each is searched in linear time, as a hostile build may write megabytes: no repetition holds the word before it.
_HINTS = (
    (
        r"\A(?=([\s\S]*?scanner))\1.*: not found",
        "the image that makes the SBOM cannot be pulled: name one with attestations: [sbom: generator=IMAGE]",
    ),
    (
        r"granting entitlement \S+ is not allowed by build daemon",
        "that BuildKit was started without it: start it with --allow-insecure-entitlement, or let start-buildkit do it",
    ),
    (
        r"(security\.insecure|network\.host) is not allowed",
        "if that is what its RUN needs, say so: multiarch.entitlements: [security.insecure, network.host]",
    ),
    (r"no match for platform", "its base image does not exist for this platform: choose another, or drop the platform"),
    (
        r"exit code: 137\b",
        "it was killed, mostly for want of memory: give the builder more, or build less at a time (multiarch.jobs)",
    ),
    (
        r"no space left on device",
        "the disk of the builder is full: free its cache with invoke prune, or limit it: max_used_space",
    ),
    (r"\A(?=([\s\S]*?ghcr\.io))\1[\s\S]*(\b403 |denied)", PACKAGE_ACCESS),
    (
        r"unauthorized|authorization failed|insufficient_scope|\b40[13] ",
        f"log in with: docker login {_HOST}, as a user who may do that",
    ),
    (r"x509:|tls: unknown certificate|tls: certificate required", _TRUST),
    (r"server gave HTTP response to HTTPS client", "it has no TLS: name it in insecure_registries"),
    (r"toomanyrequests|429 Too Many", "log in with docker login, or let the Docker daemon have a mirror"),
    (r"connect: connection refused", "is the registry, or the builder, running and its name right?"),
)
_CRASH = re.compile(r"exit code: 139\b|qemu: uncaught target signal")
_EMULATOR = "its emulator may be too old: replace it with setup-binfmt --reinstall"


def is_transient_fault(cause: str) -> bool:
    """Whether a solve that failed with these words of BuildKit may succeed a little later."""
    return _kind_of(cause) is Kind.PASSES


def is_builders_fault(words: str, *, is_first: bool) -> bool:
    """Whether a solve in which no vertex failed was ended by the connection to its builder.

    What comes before any vertex, or is about the stream of states, is the builder's; what stands in a vertex is a
    registry's or the Dockerfile's.

    :param words: what buildctl said at its end.
    :param is_first: whether nothing of the solve was seen yet.
    """
    words = _ends_of(words)
    if not is_transient_fault(words):
        return is_first and any(re.search(pattern, words, re.IGNORECASE) for pattern in CONNECTION_FAULTS)
    return is_first or any(re.search(pattern, words, re.IGNORECASE) for pattern in STREAM_FAULTS)


def is_refused_push(cause: str) -> bool:
    """Whether these words of BuildKit say that a registry has refused to take an image from this user."""
    return _kind_of(cause) is Kind.RIGHT and _PUSH in cause


def hint_for(cause: str, output: Iterable[str] = ()) -> str:
    """Return advice on a fault; empty where there is none. :param output: the last lines of the vertex that failed."""
    cause = _ends_of(cause)
    if hint := next((hint for pattern, hint in _HINTS if re.search(pattern, cause, re.IGNORECASE)), ""):
        # BuildKit's own words come first; of addresses, that of the request that failed is the innermost.
        hosts = _ASKED.findall(cause)[-1:] if hint == _TRUST else _OF_IMAGE.findall(cause)[:1]
        return hint.replace(_HOST, hosts[0]) if hosts else hint
    return _OVERFLOW_HINT if any(_OVERFLOW in line for line in output) else ""


def hint_for_crash(platform: str, texts: Iterable[str]) -> str:
    """Return advice on a ``RUN`` that crashed under an emulator; empty where no text tells of a crash.

    :param texts: its error, and the last lines of its output.
    """
    crashed = any(_CRASH.search(_ends_of(text)) for text in texts)
    return f"if {platform} is emulated, {_EMULATOR}" if crashed else ""


def _kind_of(cause: str) -> Kind:
    """Return the kind of the first fault of the table that a text speaks of; what nobody knows stays as it is."""
    cause = _ends_of(cause)
    return next((kind for words, kind in FAULTS if re.search(words, cause, re.IGNORECASE)), Kind.FINAL)


def _ends_of(cause: str) -> str:
    """Return the beginning and the end of a long text, where a program says what is wrong."""
    return cause if len(cause) <= 2 * _LOOKED_AT else f"{cause[:_LOOKED_AT]} {cause[-_LOOKED_AT:]}"

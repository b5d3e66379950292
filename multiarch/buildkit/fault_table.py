"""The words of faults between a builder, registries and us, each with its kind.

They are collected from the sources that say them: Go (syscall, net, net/http, crypto/tls), grpc, containerd (remotes)
and BuildKit. The first that matches decides: what is about the build itself stands above what is about its network, and
an exception above its rule. Each is searched in linear time, as a hostile build may write megabytes.
"""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """What comes of the same solve when it is run again."""

    FINAL = "the same"
    PASSES = "it may succeed"
    RIGHT = "the same, unless this user gets the right"


_OF_THE_BUILD = (
    "did not complete successfully",  # a RUN; what its output speaks of is no fault of ours
    "dockerfile parse error",
    "no match for platform",
    "failed to calculate checksum",
    "no space left on device",
    "disk quota exceeded",
    "read-only file system",
)
# containerd (core/remotes/docker/pusher.go) and the distribution specification's codes: an upload that its registry has
# forgotten, or what was pushed and is not seen yet, as behind a balancer.
_OF_AN_UPLOAD = (
    r"(PUT|PATCH) request to [^ ]{1,2000}/blobs/uploads/[^ ]{0,2000} 404\b",
    r"blob[_ ]upload[_ ](unknown|invalid)",
    r"manifest_blob_unknown|blob unknown to registry",
    "references to blobs and/or manifests are missing",
    "push is on-going",
)
_OF_RIGHTS = (
    r"\b40[13] [A-Z]",
    r"request to [^ ]{1,2000} 40[13]\b",
    "unauthorized",
    "authorization failed",
    "insufficient_scope",
    "denied",
    "no basic auth credentials",
    "missing username or secret",
)
_OF_A_SETTING = (
    r"\b404 [A-Z]",
    "not found$",
    "x509:",  # crypto/x509/verify.go
    # crypto/tls/alert.go: what the other side will say again.
    "tls: handshake failure",
    r"tls: (bad|unsupported|revoked|expired|unknown) certificate",
    "tls: certificate required",
    "tls: protocol version not supported",
    "tls: insufficient security level",
    "tls: no application protocol",
    "tls: unrecognized name",
    "first record does not look like a TLS handshake",
    "server gave HTTP response to HTTPS client",
    "unsupported protocol scheme",
    r"stopped after \d+ redirects",
    # net/http/h2_bundle.go: what no other attempt changes.
    "HTTP_1_1_REQUIRED|INADEQUATE_SECURITY",
)
# Of what buildctl dials a builder through; quotes are escaped where their words stand within quotes.
_OF_A_PROGRAM = (
    r"host key verification failed",
    r"permission denied \([\w,-]+\)",
    r"buildctl: (command )?not found",
    r'exec: \\?"[\w.-]+\\?": executable file not found',
    r'pods \\?"[^"]{1,253}" not found',
    r'cannot (get|list|create) resource \\?"[\w/]+',
    r'context \\?"[^"]{1,253}" does not exist|context was not found',
)
# Between buildctl and a builder, until somebody corrects it; ssh and kubectl are what buildctl dials through.
CONNECTION_FAULTS = (
    *_OF_A_PROGRAM,
    "x509:",
    r"tls: \w",
    "first record does not look like a TLS handshake",
)
_OF_THE_SYSTEM = (
    # syscall/zerrors_linux_amd64.go
    "connection refused",
    "connection reset",
    "broken pipe",
    "connection timed out",
    "operation timed out",  # on a Mac
    "network is unreachable",
    "network is down",
    "network dropped connection on reset",
    "no route to host",
    "host is down",
    "software caused connection abort",
    "transport endpoint is not connected",
    "cannot send after transport endpoint shutdown",
    "no buffer space available",
    "cannot assign requested address",
    "resource temporarily unavailable",
    "too many open files",
    "stale file handle",
)
_OF_GO = (
    # io, internal/poll, net
    "unexpected EOF",
    r": EOF\b",
    "read/write on closed pipe",
    "use of closed network connection",
    "i/o timeout",
    "operation was canceled",
    "no such host",
    "server misbehaving",
    "temporary failure in name resolution",
    "lame referral",
    "no answer from DNS server",
    "cannot unmarshal DNS message",
    # net/http/transport.go, client.go, transfer.go
    "TLS handshake timeout",
    "timeout awaiting response headers",
    r"Client\.Timeout",
    "server closed idle connection",
    "idle connection timeout",
    "transport connection broken",
    "cannot rewind body after connection loss",
    "request canceled while waiting for connection",
    r"ContentLength=\d+ with Body length \d+",
    # net/http/h2_bundle.go
    r"stream error: stream ID \d+; [A-Z_]+",
    r"connection error: [A-Z]+_[A-Z_]+",
    r"http2: client conn(ection lost|ection force closed| not usable| is closed| could not be established)",
    "GOAWAY",
    "http2: stream closed",
    "http2: Transport: cannot retry err",
    # crypto/tls: bytes that were changed or cut on their way
    "bad record MAC",
    r"tls: (internal error|unexpected message|record overflow|decryption failed|user canceled|close notify)",
    r"tls: error (decrypting|decoding) message",
)
_OF_GRPC = (
    # grpc, doc/statuscodes.md, internal/transport/http2_client.go, clientconn.go
    r"\bcode = (Unavailable|DeadlineExceeded|Canceled|Aborted)\b",
    r"\bUnavailable\b",
    "error reading from server",
    "error reading (server )?preface",
    "failed to write client preface",
    "transport is closing",
    "keepalive ping failed",
    "client connection is closing",
    "connection is draining",
    "SubConn is closing",
    "context deadline exceeded",
    "context canceled",
)
_OF_REGISTRIES = (
    # 499 is that of proxies, whose client has gone; what has no name comes over HTTP/2, or from a proxy of its own.
    r"\b(408|425|429|499|5\d\d) [A-Z][a-z]",
    r"(request to [^ ]{1,2000}|HTTP status:|status code) (408|425|429|499|5\d\d)\b",
    "toomanyrequests",
    "too many requests",
    # containerd: core/remotes/docker/httpreadseeker.go, pusher.go, core/content
    "cannot reuse body",
    "short read: expected",
    "closed incomplete writer",
    "unexpected commit digest",
    "failed size validation",
    "FetcherByDigest: (size|content) mismatch",
)
_OF_BUILDKIT = (
    # session, client, solver: a server that has just been started again
    r"no active sessions?\b",
    "no such job",
    r"dial unix \S+ connect: no such file or directory",
    "failed to receive status",
)
# Those of the stream between buildctl and its builder, and no registry's.
STREAM_FAULTS = (*_OF_GRPC, *_OF_BUILDKIT)
# In the order in which they are looked for.
FAULTS: tuple[tuple[str, Kind], ...] = (
    *((words, Kind.FINAL) for words in _OF_THE_BUILD),
    *((words, Kind.FINAL) for words in _OF_A_PROGRAM),
    *((words, Kind.PASSES) for words in _OF_AN_UPLOAD),
    *((words, Kind.RIGHT) for words in _OF_RIGHTS),
    *((words, Kind.FINAL) for words in _OF_A_SETTING),
    *((words, Kind.PASSES) for words in (*_OF_THE_SYSTEM, *_OF_GO, *_OF_GRPC, *_OF_REGISTRIES, *_OF_BUILDKIT)),
)

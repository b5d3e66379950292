"""Manifests, indexes and configs: well-formed ones of which parts are others, and anything at all."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from multiarch.image.documents import parse_config, parse_object
from multiarch.image.manifest import MANIFESTS, Manifest
from multiarch.image.platform import Platform
from multiarch.image.programs import started_programs
from multiarch.image.reference import ImageReference
from multiarch.publish.errors import GateError
from multiarch.publish.gates import check_config, check_revision
from tests.exhaustive.fuzz.limits import bounded, fuzz

DIGEST = f"sha256:{'a' * 64}"
SCALARS = some.one_of(
    some.none(),
    some.booleans(),
    some.integers() | some.sampled_from([-1, 1 << 63, 1 << 64, 10**400]),
    some.floats(),
    some.text(max_size=9),
    some.sampled_from([DIGEST, "sha256:0", "../../x", "\ud800", "\x1b[2J", "a\nb", "x" * 5000, *MANIFESTS]),
)
ANYTHING = some.recursive(
    SCALARS,
    lambda part: some.lists(part, max_size=3) | some.dictionaries(some.text(max_size=5), part, max_size=3),
    max_leaves=8,
)


def fields(**values: some.SearchStrategy[Any]) -> some.SearchStrategy[dict[str, Any]]:
    """Return objects with these fields, each of which may be missing or anything."""
    return some.fixed_dictionaries(
        {}, optional={key.replace("__", "."): value | ANYTHING for key, value in values.items()}
    )


PLATFORMS = fields(
    os=some.sampled_from(["linux", "windows", "unknown"]),
    architecture=some.sampled_from(["amd64", "arm64", "arm"]),
    variant=some.sampled_from(["", "v7", "v8", "v99"]),
    os__features=some.just(["win32k"]),
)
DESCRIPTORS = fields(
    mediaType=some.sampled_from(MANIFESTS),
    digest=some.just(DIGEST),
    size=some.integers(0, 1 << 40),
    platform=PLATFORMS,
    annotations=some.just({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": DIGEST}),
    urls=some.just(["https://example.com"]),
)
DOCUMENTS = fields(
    schemaVersion=some.just(2),
    manifests=some.lists(DESCRIPTORS | ANYTHING, max_size=4),
    layers=some.lists(DESCRIPTORS | ANYTHING, max_size=4),
    config=DESCRIPTORS,
)
WORDS = some.lists(some.sampled_from(["/app", "app", "-c", "exec '/app"]), max_size=4)
CONFIGS = fields(
    os=some.just("linux"),
    architecture=some.just("arm64"),
    variant=some.sampled_from(["", "v8", "v99"]),
    config=fields(
        Labels=some.just({"org.opencontainers.image.revision": "c1"}),
        Entrypoint=WORDS,
        Cmd=WORDS,
        Env=some.lists(some.sampled_from(["PATH=/bin", "PATH", "=", "A=b"]), max_size=3),
        WorkingDir=some.just("/"),
    ),
)


def written(values: some.SearchStrategy[Any]) -> some.SearchStrategy[bytes]:
    """Return documents with these values, as bytes, and damaged ones."""
    whole = values.map(lambda value: json.dumps(value).encode())
    damaged = some.builds(
        lambda body, where, other: body[:where] + other + body[where + 1 :],
        whole,
        some.integers(0, 300),
        some.binary(max_size=3),
    )
    hostile = some.sampled_from(
        [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 100_000, b'{"layers":' + b"[" * 70 + b"]" * 70 + b"}", b""]
    )
    return some.one_of(whole, whole, damaged, some.binary(max_size=50), hostile)


@fuzz
@given(some.sampled_from(MANIFESTS) | some.text(max_size=20), written(DOCUMENTS))
def test_manifests_are_read_or_have_a_problem(media_type: str, body: bytes) -> None:
    """What is read of one can be used and written again; of one with a problem nothing is."""
    with bounded():
        manifest = Manifest(media_type, body)
        parts = (*manifest.entries, *manifest.layers, *filter(None, [manifest.config]))
        assert len(manifest.problem.splitlines()) <= 1
        assert manifest.size >= 0
        for part in parts:
            assert part.json == json.loads(json.dumps(part.json, allow_nan=False).encode())
            assert isinstance(part.attested_digest, str | None)
            assert all(isinstance(text, str) for text in (*part.annotations.values(), *part.urls, part.media_type))
        if manifest.problem:
            assert ((), (), None, 0) == (manifest.entries, manifest.layers, manifest.config, manifest.size)


@fuzz
@given(written(CONFIGS))
def test_configs_are_read_or_refused(body: bytes) -> None:
    """By a ValueError in one line; what is read passes through the gates, or they refuse it."""
    with bounded():
        try:
            config = parse_config(body)
        except ValueError as error:
            assert 1 == len(str(error).splitlines())
            return
        platform, reference = Platform.parse("arm64"), ImageReference.parse("someone/app:latest")
        with contextlib.suppress(GateError):
            check_config(platform, reference, config)
        with contextlib.suppress(GateError):
            check_revision(reference, config, "c0")
        assert started_programs(config, [])[0].note


@fuzz
@given(written(ANYTHING))
def test_documents_are_read_or_refused(body: bytes) -> None:
    """What is read is what `json` reads, and can be encoded."""
    with bounded():
        try:
            value = parse_object(body)
        except ValueError as error:
            assert 1 == len(str(error).splitlines())
            return
        assert json.loads(body) == value
        assert json.dumps(value, ensure_ascii=False, allow_nan=False).encode()

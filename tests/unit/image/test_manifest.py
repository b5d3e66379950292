"""Descriptors and manifests: what is read of them, and that they are written as they were read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from multiarch.image.documents import parse_config, parse_object
from multiarch.image.manifest import DOCKER_LIST, OCI_INDEX, OCI_MANIFEST, Descriptor, Manifest

DIGEST = f"sha256:{'a' * 64}"
PLAIN = {"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 5}
ATTESTATION = {
    "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": DIGEST},
    "artifactType": "application/vnd.docker.attestation.manifest.v1+json",
    "size": 841,
    "digest": f"sha256:{'b' * 64}",
    "data": "e30=",
    "platform": {"os": "unknown", "architecture": "unknown", "features": ["x"]},
    "mediaType": OCI_MANIFEST,
    "org.example": {"nested": [None, 1.5, "ä"]},
}


@pytest.mark.parametrize(
    "written",
    [
        PLAIN,
        ATTESTATION,
        {"digest": DIGEST, "size": 0},
        {**PLAIN, "platform": {}, "annotations": {}, "urls": []},
        {**PLAIN, "platform": None, "annotations": None, "urls": None},
        {**PLAIN, "urls": ["https://example.com/a", "https://example.com/b"]},
    ],
    ids=["plain", "everything", "little", "empty", "null", "urls"],
)
def test_a_descriptor_is_written_as_it_was_read(written: dict[str, Any]) -> None:
    """Byte for byte, also with unknown fields: attestations are carried over into other indexes."""
    descriptor = Descriptor.parse(written)
    assert descriptor is not None
    assert json.dumps(written) == json.dumps(descriptor.json)


def test_a_new_descriptor_has_the_fields_that_it_was_given() -> None:
    """In the order of descriptor.md, without those that are empty."""
    descriptor = Manifest(OCI_MANIFEST, b"{}").descriptor
    digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert [("mediaType", OCI_MANIFEST), ("digest", digest), ("size", 2)] == list(descriptor.json.items())
    described = replace(descriptor, platform={"os": "linux"}, annotations={"a": "1"})
    assert ["mediaType", "digest", "size", "platform", "annotations"] == list(described.json)


def test_what_is_replaced_of_a_descriptor_is_written() -> None:
    """The other fields stay as they were read."""
    descriptor = Descriptor.parse(ATTESTATION)
    assert descriptor is not None
    assert {**ATTESTATION, "annotations": {"a": "1"}} == replace(descriptor, annotations={"a": "1"}).json


def test_the_fields_of_a_descriptor() -> None:
    """They are named as in descriptor.md; an attestation has the digest of its image."""
    attestation, plain = Descriptor.parse(ATTESTATION), Descriptor.parse({**PLAIN, "urls": ["u"], "platform": {}})
    assert attestation is not None
    assert plain is not None
    assert (OCI_MANIFEST, f"sha256:{'b' * 64}", 841) == (attestation.media_type, attestation.digest, attestation.size)
    assert (True, DIGEST) == (attestation.is_attestation, attestation.attested_digest)
    assert {"os": "unknown", "architecture": "unknown", "features": ["x"]} == attestation.platform
    assert (False, None, {}, ("u",), None) == (
        plain.is_attestation,
        plain.attested_digest,
        plain.annotations,
        plain.urls,
        plain.platform,
    )


@pytest.mark.parametrize(("media_type", "expected"), [(OCI_INDEX, True), (DOCKER_LIST, True), (OCI_MANIFEST, False)])
def test_an_index_is_known_by_its_media_type(media_type: str, expected: bool) -> None:
    """As a descriptor, and as what it points to."""
    manifest = Manifest(media_type, b'{"manifests": []}')
    assert (expected, expected) == (manifest.is_index, manifest.descriptor.is_index)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [PLAIN],
        {},
        {"digest": DIGEST},
        {"size": 5},
        {**PLAIN, "digest": 5},
        {**PLAIN, "size": "5"},
        {**PLAIN, "size": -1},
        {**PLAIN, "size": None},
        {**PLAIN, "platform": "linux/amd64"},
        {**PLAIN, "size": True},
        {**PLAIN, "size": 5.0},
        {**PLAIN, "size": 1 << 63},
        {**PLAIN, "digest": "sha256:0"},
        {**PLAIN, "digest": f"sha256:{'A' * 64}"},
        {**PLAIN, "digest": f"{DIGEST}/../../x"},
        {**PLAIN, "digest": f"{DIGEST}\n"},
        {**PLAIN, "mediaType": 5},
        {**PLAIN, "mediaType": "a\nb"},
        {**PLAIN, "mediaType": "a" * 300},
        {**PLAIN, "platform": {"os": ["linux"]}},
        {**PLAIN, "platform": {"os.features": "win32k"}},
        {**PLAIN, "annotations": ["a"]},
        {**PLAIN, "annotations": {"a": 1}},
        {**PLAIN, "annotations": {"vnd.docker.reference.digest": [DIGEST]}},
        {**PLAIN, "urls": "https://example.com/a"},
        {**PLAIN, "urls": [5]},
    ],
    ids=lambda value: str(value)[-60:],
)
def test_what_is_no_descriptor(value: object) -> None:
    """A list with one such part counts as not there, so that no part of it is passed over; it is named."""
    assert Descriptor.parse(value) is None
    index = Manifest(OCI_INDEX, json.dumps({"manifests": [PLAIN, value]}).encode())
    image = Manifest(OCI_MANIFEST, json.dumps({"layers": [PLAIN, value]}).encode())
    assert ((), ()) == (index.entries, image.layers)
    assert index.problem.startswith("number 2 of its manifests ")
    assert image.problem.startswith("number 2 of its layers ")


@pytest.mark.parametrize("layers", [[], None, [PLAIN]], ids=str)
def test_an_image_that_is_well_formed(layers: object) -> None:
    """It may have no layers."""
    assert "" == Manifest(OCI_MANIFEST, json.dumps({"layers": layers}).encode()).problem


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        (OCI_INDEX, {}, "it has no manifests"),
        (OCI_INDEX, {"manifests": {"a": 1}}, "it has no manifests"),
        (OCI_INDEX, {"manifests": [PLAIN] * 501}, "it has 501 manifests, more than 500"),
        (DOCKER_LIST, {"manifests": [PLAIN, 5]}, "number 2 of its manifests is no object"),
        (OCI_MANIFEST, {"config": {**PLAIN, "size": "5"}}, "its config has no valid size"),
        (OCI_MANIFEST, {"config": {"digest": DIGEST}}, "its config has no valid size"),
        (OCI_MANIFEST, {"config": PLAIN, "layers": [PLAIN] * 501}, "it has 501 layers, more than 500"),
        (OCI_MANIFEST, {"config": PLAIN, "layers": "none"}, "it has no layers"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(kind: str, body: object, problem: str) -> None:
    """Nothing of it is used: no part of a malformed list is read or published."""
    manifest = Manifest(kind, json.dumps(body).encode())
    assert (problem, (), (), None) == (manifest.problem, manifest.entries, manifest.layers, manifest.config)


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        (OCI_INDEX, {"manifests": [PLAIN], "layers": [PLAIN]}, "it has both manifests and layers or a config"),
        (OCI_MANIFEST, {"config": PLAIN, "manifests": [PLAIN]}, "it has both manifests and layers or a config"),
        (OCI_MANIFEST, {"mediaType": OCI_INDEX, "config": PLAIN}, f"its own media type is '{OCI_INDEX}'"),
        (OCI_INDEX, {"mediaType": "\u202e", "manifests": []}, r"its own media type is '\u202e'"),
        (OCI_INDEX, {"mediaType": ["a"], "manifests": []}, "its media type is no text"),
    ],
    ids=str,
)
def test_a_document_of_two_meanings_is_named(kind: str, body: object, problem: str) -> None:
    """What the gates have looked at is what others read; nothing of it is used."""
    manifest = Manifest(kind, json.dumps(body).encode())
    assert (problem, (), (), None) == (manifest.problem, manifest.entries, manifest.layers, manifest.config)


def test_names_of_labels_may_differ_in_case_alone() -> None:
    """They are no fields."""
    assert {"a": {"Version": "1", "version": "2"}} == parse_object(b'{"a": {"Version": "1", "version": "2"}}')


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"a": ' * 65 + b"1" + b"}" * 65, "it is nested too deeply"),
        (b"[" * 1_000_000, "it is nested too deeply"),
        (b'{"a": ' * 100_000, "it is nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "it is no JSON"),
        (b'{"a": 1e999}', "it is no JSON"),
        (b'{"a": NaN}', "it is no JSON"),
        (b'{"a": "\xff"}', "it is no JSON"),
        (b'{"a": "\\ud800"}', "it has text that is no Unicode"),
        (b'{"\\udfff": 1}', "it has text that is no Unicode"),
        (b"[]", "it is no JSON object"),
        (b"", "it is no JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "it is no JSON"),
        (b'{"a": 1, "a": 1}', "it has a field twice"),
        (b'{"manifests": [], "Manifests": []}', "it has a field twice"),
        (b'{"a": [{"digest": "a", "DIGEST": "b"}]}', "it has a field twice"),
    ],
    ids=[
        *("deep", "deeper", "objects", "digits", "large", "NaN", "bytes", "surrogate", "key", "list", "nothing", "BOM"),
        *("twice", "two cases", "two cases within"),
    ],
)
def test_documents_that_are_no_json_are_named(body: bytes, problem: str) -> None:
    """Whatever could not be written again, or would be a traceback."""
    with pytest.raises(ValueError, match=f"^{problem}$"):
        parse_object(body)
    assert (problem, {}) == (Manifest(OCI_INDEX, body).problem, Manifest(OCI_INDEX, body).json)


@pytest.mark.parametrize("text", ["ä", "\n", "a\u202e", "\U0001f600\n", "x" * 100_000])
def test_documents_may_have_any_unicode(text: str) -> None:
    """At all depths that are allowed."""
    value: dict[str, Any] = {"a": text}
    for _ in range(62):
        value = {text: value}
    assert value == parse_object(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"architecture": ["amd64"]}, "its architecture is malformed"),
        ({"os": 5}, "its os is malformed"),
        ({"os.features": "win32k"}, "its os.features is malformed"),
        ({"config": ["a"]}, "its config is no object"),
        ({"config": {"Labels": ["a"]}}, "its Labels is malformed"),
        ({"config": {"Labels": {"a": 1}}}, "its Labels is malformed"),
        ({"config": {"Env": "PATH=/bin"}}, "its Env is malformed"),
        ({"config": {"Entrypoint": 5}}, "its Entrypoint is malformed"),
        ({"config": {"Entrypoint": ["a", 5]}}, "its Entrypoint is malformed"),
        ({"config": {"Cmd": {"a": "b"}}}, "its Cmd is malformed"),
        ({"config": {"WorkingDir": ["/"]}}, "its WorkingDir is malformed"),
    ],
    ids=str,
)
def test_malformed_configs_are_named(config: object, problem: str) -> None:
    """By the field."""
    with pytest.raises(ValueError, match=f"^{problem}$"):
        parse_config(json.dumps(config).encode())


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"config": None, "os": None},
        {"config": {"Labels": None, "Env": [], "Entrypoint": "/app", "Cmd": ["a"], "WorkingDir": ""}},
    ],
    ids=str,
)
def test_well_formed_configs_are_read(config: object) -> None:
    """None is as good as missing, and a text as a list of one, as for Docker."""
    assert config == parse_config(json.dumps(config).encode())


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'"text"', b'{"config": "text"}', b'{"config": {}}'])
def test_what_is_no_image_has_no_config(body: bytes) -> None:
    """Nor layers or entries, and it is no traceback."""
    manifest = Manifest(OCI_MANIFEST, body)
    assert (None, (), (), 0) == (manifest.config, manifest.layers, manifest.entries, manifest.size)


def test_the_size_of_an_image_is_that_of_its_parts() -> None:
    """Config and layers, compressed, as they travel."""
    body = {"config": {"digest": DIGEST, "size": 7}, "layers": [PLAIN, {**PLAIN, "size": 100}]}
    assert 112 == Manifest(OCI_MANIFEST, json.dumps(body).encode()).size

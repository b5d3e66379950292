"""What a provenance says that an image was built from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from multiarch.image.provenance import Material, read_materials
from multiarch.image.reference import ImageReference

HEX = "1d3d8d4402c8ba3bb5954ba7ad50fb4e3d61ec92724c8ab0a8665c2e10aa59d4"
DIGEST = f"sha256:{HEX}"


def statement(materials: Any, kind: str = "https://slsa.dev/provenance/v1") -> bytes:
    """Return a statement as BuildKit writes it."""
    if kind.endswith("v1"):
        predicate: dict[str, Any] = {"buildDefinition": {"resolvedDependencies": materials}}
    else:
        predicate = {"materials": materials}
    return json.dumps({"predicateType": kind, "predicate": predicate}).encode()


@pytest.mark.parametrize("kind", ["https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"])
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (
            "pkg:docker/busybox@stable?platform=linux%2Famd64",
            ImageReference("docker.io", "library/busybox", "stable"),
        ),
        (
            f"pkg:docker/127.0.0.1%3A5001/app/base?digest={DIGEST}&platform=linux%2Famd64",
            ImageReference("127.0.0.1:5001", "app/base", "", DIGEST),
        ),
        (
            f"pkg:docker/ghcr.io/a/b@1?digest={DIGEST}&platform=linux%2Farm64",
            ImageReference("ghcr.io", "a/b", "1", DIGEST),
        ),
        ("https://example.org/a.tar.gz", None),
        ("https://example.org/a.git#main", None),
    ],
)
def test_image_is_named_by_its_tag_or_its_digest(kind: str, uri: str, expected: ImageReference | None) -> None:
    """What is no image has a name alone."""
    found = read_materials(statement([{"uri": uri, "digest": {"sha256": HEX}}], kind))
    assert (Material(uri, expected, DIGEST if expected else ""),) == found


def test_build_of_nothing_but_its_context_has_no_materials() -> None:
    """BuildKit writes null for them."""
    assert () == read_materials(statement(None))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{", "it is no JSON"),
        (statement([], "https://spdx.dev/Document"), "it is no provenance"),
        (json.dumps({"predicateType": "https://slsa.dev/provenance/v1", "predicate": {}}).encode(), "it does not say"),
        (statement({}), "its materials are no list, or too many"),
        (statement([{}] * 1001), "its materials are no list, or too many"),
        (statement([{"uri": "pkg:docker/a@1"}]), "a material has no address, or no digest"),
        (statement([{"uri": "pkg:docker/a@1", "digest": {"sha256": "0"}}]), "the digest of a material is none"),
        (
            statement([{"uri": "pkg:docker/A@1", "digest": {"sha256": HEX}}]),
            "invalid repository in image reference 'A:1'",
        ),
    ],
)
def test_malformed_one_is_refused(text: bytes, expected: str) -> None:
    """Unknown is never taken for fine."""
    with pytest.raises(ValueError, match=f"^{expected}"):
        read_materials(text)

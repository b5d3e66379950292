"""The index of a release: what it takes over from the images, their indexes and the settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.image.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from multiarch.publish.errors import NotAnImageError, SurplusImageError
from tests.unit.staging import (
    AMD64,
    ARM,
    ARM64,
    ATTESTS,
    attested,
    image,
    index_of,
    listed,
    only_arm64,
    publish,
    refused,
    settings_for,
)

if TYPE_CHECKING:
    from tests.unit.registry_server import RegistryServer


# Indexes under staging tags.


@pytest.mark.parametrize("kind", [OCI_INDEX, DOCKER_LIST])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_nested_indexes_are_flattened(server: RegistryServer, depth: int, kind: str) -> None:
    """BuildKit makes none, but other tools do."""
    entries = attested(server, ARM64, "inner")
    inner = server.hold_manifest("app", "0", json.loads(server.contents["/v2/app/manifests/inner"][1]), OCI_INDEX)
    for number in range(1, depth):
        inner = listed(server, str(number), inner, kind=kind)
    listed(server, "latest-arm64", inner, kind=kind)
    publish(server, only_arm64(server))
    assert entries == index_of(server)["manifests"]


def test_indexes_beside_images_are_flattened(server: RegistryServer) -> None:
    """Attestations in an index of their own belong to the image all the same."""
    entry, attestation = attested(server, ARM64, "inner")
    listed(server, "latest-arm64", listed(server, "about", attestation), entry)
    publish(server, only_arm64(server))
    assert [entry, attestation] == index_of(server)["manifests"]


def test_indexes_nested_too_deep_are_refused(server: RegistryServer) -> None:
    """The message names the first index that is not followed."""
    inner = listed(server, "0", {**image(server, ARM64, "image"), "platform": ARM64})
    for number in range(1, 9):
        inner = listed(server, str(number), inner)
    listed(server, "latest-arm64", inner)
    message = refused(server, NotAnImageError, only_arm64(server))
    assert message.startswith(f"not published: {server.host}/app:latest-arm64@sha256:")
    assert " holds no image but an index that cannot be followed;" in message


def test_missing_nested_index_is_named_by_its_digest(server: RegistryServer) -> None:
    """An index that was deleted from the registry is no empty one."""
    inner = listed(server, "inner", {**image(server, ARM64, "image"), "platform": ARM64})
    listed(server, "latest-arm64", inner)
    server.contents = {p: c for p, c in server.contents.items() if inner["digest"] not in p}
    assert f"{server.host}/app:latest-arm64@{inner['digest']} holds no image but an index that cannot be followed" in (
        refused(server, NotAnImageError, only_arm64(server))
    )


@pytest.mark.parametrize(
    ("second", "platforms"),
    [(AMD64, "linux/arm64, linux/amd64"), (ARM64, "linux/arm64, linux/arm64"), (ARM, "linux/arm64, linux/arm/v7")],
)
@pytest.mark.parametrize("nested", [False, True])
def test_several_images_under_a_staging_tag_are_refused(
    server: RegistryServer, second: dict[str, Any], platforms: str, nested: bool
) -> None:
    """Which of them is the platform's cannot be known."""
    entries = [
        {**image(server, {**config, "number": number}, f"image-{number}"), "platform": config}
        for number, config in enumerate((ARM64, second))
    ]
    if nested:
        entries = [listed(server, f"inner-{number}", entry) for number, entry in enumerate(entries)]
    listed(server, "latest-arm64", *entries)
    assert (
        f"not published, gate 'the set is exact': {server.host}/app:latest-arm64 should hold an image for linux/arm64"
        f" alone, and holds {platforms}; rebuild it"
    ) == refused(server, SurplusImageError, only_arm64(server))


def test_same_image_twice_under_a_staging_tag_is_refused(server: RegistryServer) -> None:
    """Clients would see two images of one platform."""
    entry = {**image(server, ARM64, "image"), "platform": ARM64}
    listed(server, "latest-arm64", entry, entry)
    assert "and holds linux/arm64, linux/arm64;" in refused(server, SurplusImageError, only_arm64(server))


def test_attestations_of_other_images_are_left_out(server: RegistryServer) -> None:
    """They would be about images that are not in the published index."""
    entry, attestation = attested(server, ARM64, "one")
    _, other = attested(server, AMD64, "other")
    of_none = {**other, "annotations": {ATTESTS: "attestation-manifest"}}
    listed(server, "latest-arm64", entry, other, attestation, of_none)
    publish(server, only_arm64(server))
    assert [entry, attestation] == index_of(server)["manifests"]


def test_every_attestation_follows_its_image(server: RegistryServer) -> None:
    """In their order, right behind the image, as BuildKit lists them."""
    entry, attestation = attested(server, ARM64, "one")
    another = {**attestation, **server.hold_manifest("app", "sbom", {"layers": [], "of": "one"})}
    listed(server, "latest-arm64", attestation, entry, another)
    image(server, AMD64, "latest-amd64")
    publish(server, settings_for(f"{server.host}/app", platforms=["arm64", "amd64"]))
    assert [entry, attestation, another] == index_of(server)["manifests"][:3]
    assert AMD64 == index_of(server)["manifests"][3]["platform"]


def test_attestations_are_carried_over_byte_for_byte(server: RegistryServer) -> None:
    """With unknown fields and in their order, which a signature may cover."""
    entry, attestation = attested(server, ARM64, "one")
    unknown = {"artifactType": "application/vnd.example", "data": "e30=", **attestation, "x": [None, {"y": 1}]}
    listed(server, "latest-arm64", entry, unknown)
    publish(server, only_arm64(server))
    assert json.dumps(unknown) == json.dumps(index_of(server)["manifests"][1])


# What entries and the index say.


def test_platform_of_an_entry_is_that_of_the_config(server: RegistryServer) -> None:
    """Not that of the index around the image: variant, version and features of the system."""
    config = {**ARM64, "variant": "v9", "os.version": "6.1.2", "os.features": ["sve", "sme"]}
    entry = {**image(server, {**config, "created": "now"}, "image"), "platform": {**ARM64, "os.version": "5"}}
    listed(server, "latest-arm64-v9", entry)
    publish(server, settings_for(f"{server.host}/app", platforms=["arm64/v9"]))
    assert [config] == [entry["platform"] for entry in index_of(server)["manifests"]]


TITLE, LICENSES = "org.opencontainers.image.title", "org.opencontainers.image.licenses"


@pytest.mark.parametrize("kind", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_annotations_of_the_index_are_sorted(server: RegistryServer, kind: str) -> None:
    """With them it is an OCI index also over images of Docker's type: Docker's list has no annotations."""
    image(server, ARM64, "latest-arm64", kind)
    publish(server, only_arm64(server, annotations={TITLE: "App", LICENSES: "Apache-2.0"}))
    index = index_of(server)
    assert [(LICENSES, "Apache-2.0"), (TITLE, "App")] == list(index["annotations"].items())
    assert [OCI_INDEX, OCI_INDEX] == [index["mediaType"], server.contents["/v2/app/manifests/latest"][0]]
    assert [kind] == [entry["mediaType"] for entry in index["manifests"]]
    assert ["annotations" in entry for entry in index["manifests"]] == [False]


@pytest.mark.parametrize("kind", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_annotations_of_a_platform_are_in_its_entry_alone(server: RegistryServer, kind: str) -> None:
    """With them it is an OCI index as well."""
    image(server, ARM64, "latest-arm64", kind)
    image(server, AMD64, "latest-amd64", kind)
    platforms = ["amd64", {"platform": "arm64", "annotations": {TITLE: "App for ARM"}}]
    publish(server, settings_for(f"{server.host}/app", platforms=platforms))
    index = index_of(server)
    assert [None, {TITLE: "App for ARM"}] == [entry.get("annotations") for entry in index["manifests"]]
    assert [OCI_INDEX, OCI_INDEX] == [index["mediaType"], server.contents["/v2/app/manifests/latest"][0]]
    assert "annotations" not in index


@pytest.mark.parametrize("kind", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_annotations_of_a_staged_entry_are_carried_over(server: RegistryServer, kind: str) -> None:
    """The settings take precedence over what the platform's index says."""
    annotations = {TITLE: "from BuildKit", "b": "2", "a": "1"}
    entry = {**image(server, ARM64, "image", kind), "platform": ARM64, "annotations": annotations}
    listed(server, "latest-arm64", entry)
    publish(server, only_arm64(server))
    assert [entry] == index_of(server)["manifests"]
    assert OCI_INDEX == index_of(server)["mediaType"]
    platforms = [{"platform": "arm64", "annotations": {TITLE: "from the settings", "c": "3"}}]
    publish(server, settings_for(f"{server.host}/app", platforms=platforms))
    (written,) = index_of(server)["manifests"]
    assert [("a", "1"), ("b", "2"), ("c", "3"), (TITLE, "from the settings")] == list(written["annotations"].items())

"""What is read of the images under staging tags: their programs, out of their layers."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.errors import MultiarchError, RegistryError
from multiarch.image.manifest import IMAGE_CONFIGS, OCI_INDEX, OCI_MANIFEST, Manifest
from multiarch.publish.errors import (
    DroppedPlatformError,
    ForeignProgramError,
    NotAnImageError,
    SurplusImageError,
    UnreadableTagError,
)
from multiarch.publish.publication import Part
from multiarch.publish.publication import publish as publish_parts
from multiarch.registry.errors import DigestMismatchError
from tests.unit.staging import (
    ARM64,
    MUCH,
    PROGRAM,
    STARTS,
    index_of,
    layered,
    listed,
    only_arm64,
    publish,
    refused,
    registry_of,
    settings_for,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry_server import RegistryServer


# What the images start.


def test_program_of_another_architecture_is_refused(server: RegistryServer) -> None:
    """An image whose config is right and whose program is not; nothing is written."""
    layered(server, "latest-arm64", STARTS, {"bin/sh": PROGRAM["arm64"]}, {"app/server": PROGRAM["amd64"]})
    assert (
        f"not published, gate 'the program matches': {server.host}/app:latest-arm64 is for linux/arm64, but its"
        " /app/server is a program for amd64;"
    ) == refused(server, ForeignProgramError, only_arm64(server)).partition(" build")[0]
    assert {"GET"} == {request.verb for request in server.requests}


def test_program_of_another_architecture_is_found_behind_attestations(server: RegistryServer) -> None:
    """Also when the entrypoint is an init of the right one."""
    config = {**ARM64, "config": {"Entrypoint": ["/bin/tini", "--"], "Cmd": ["/app/server"]}}
    layered(server, "image", config, {"bin/tini": PROGRAM["arm64"]}, {"app/server": PROGRAM["amd64"]})
    kind, body = server.contents["/v2/app/manifests/image"]
    listed(server, "latest-arm64", {**Manifest(kind, body).descriptor.json, "platform": ARM64})
    assert "its /app/server is a program for amd64;" in refused(server, ForeignProgramError, only_arm64(server))


def test_program_of_the_right_architecture_passes_without_a_note(server: RegistryServer) -> None:
    """Layers below the program are read no further than ahead."""
    notes: list[str] = []
    layers = layered(
        server, "latest-arm64", STARTS, *({f"{n}": b""} for n in range(5)), {"app/server": PROGRAM["arm64"]}
    )
    publish_parts([Part(only_arm64(server))], {server.host: registry_of(server)}, say=notes.append)
    assert [] == notes
    blobs = [asked.rpartition("/")[2] for asked in server.asked if "/blobs/" in asked]
    assert [0, 0, 1, 1, 1, 1] == [blobs.count(layer["digest"]) for layer in layers]


ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


@pytest.mark.parametrize("architecture", ["arm64", "amd64"])
def test_layers_in_zstd_are_read_on_every_python(server: RegistryServer, architecture: str) -> None:
    """The right program passes without a note, another one is refused."""
    notes: list[str] = []
    files = [{"bin/sh": PROGRAM["arm64"]}, {"app/server": PROGRAM[architecture]}, {"etc/passwd": b"root"}]
    layered(server, "latest-arm64", STARTS, *files, compress=zstd.compress, media_type=ZSTD)
    if architecture == "arm64":
        publish_parts([Part(only_arm64(server))], {server.host: registry_of(server)}, say=notes.append)
        assert ([], 1) == (notes, len(index_of(server)["manifests"]))
    else:
        assert "its /app/server is a program for amd64;" in refused(server, ForeignProgramError, only_arm64(server))


def test_program_is_found_below_large_layers(server: RegistryServer) -> None:
    """However much is above it, below the layers that are read ahead."""
    files = [{"app/server": PROGRAM["amd64"]}, MUCH, *[{"etc/passwd": b"root"}] * 4]
    layers = layered(server, "latest-arm64", STARTS, *files)
    assert 1_500_000 < layers[1]["size"]
    assert "its /app/server is a program for amd64;" in refused(server, ForeignProgramError, only_arm64(server))


def test_image_of_data_is_published_with_a_note(server: RegistryServer) -> None:
    """It has no program to check."""
    notes: list[str] = []
    layered(server, "latest-arm64", ARM64, {"data": b"1"})
    publish_parts([Part(only_arm64(server))], {server.host: registry_of(server)}, say=notes.append)
    assert ["linux/arm64: not checked: /bin/sh is not in its layers"] == notes
    assert 1 == len(index_of(server)["manifests"])


def test_layers_with_urls_are_not_read(server: RegistryServer) -> None:
    """What may not be distributed is not in the registry."""
    layers = layered(server, "latest-arm64", STARTS, {"bin/sh": PROGRAM["arm64"]}, {"app/server": PROGRAM["arm64"]})
    body = json.loads(server.contents["/v2/app/manifests/latest-arm64"][1])
    body["layers"][0]["urls"] = ["https://nowhere.example/layer"]
    server.hold_manifest("app", "latest-arm64", body)
    publish(server, only_arm64(server))
    assert f"GET /v2/app/blobs/{layers[0]['digest']}" not in server.asked


@pytest.mark.parametrize("number", [0, 1])
def test_layer_with_another_digest_is_refused(server: RegistryServer, number: int) -> None:
    """A program in bytes of another digest proves nothing."""
    layers = layered(server, "latest-arm64", STARTS, {"bin/sh": b"x"}, {"app/server": PROGRAM["arm64"]})
    path = f"/v2/app/blobs/{layers[number]['digest']}"
    other = layers[1 - number]["digest"]
    content = server.contents[f"/v2/app/blobs/{other}"][1].ljust(layers[number]["size"], b"\0")[
        : layers[number]["size"]
    ]
    server.contents[path] = ("application/octet-stream", content)
    assert f"GET {server.host}{path.removeprefix('/v2')}: expected {layers[number]['digest']}, the registry sent" in (
        refused(server, DigestMismatchError, only_arm64(server))
    )


def test_missing_layer_is_refused(server: RegistryServer) -> None:
    """An image that cannot be pulled is not published."""
    layers = layered(server, "latest-arm64", STARTS, {"app/server": PROGRAM["arm64"]})
    del server.contents[f"/v2/app/blobs/{layers[0]['digest']}"]
    assert f"/app/blobs/{layers[0]['digest']}: the registry answered 404" in (
        refused(server, RegistryError, only_arm64(server))
    )


@pytest.mark.parametrize(
    ("around", "of_layer"),
    [
        ({}, {"size": None}),
        ({}, {"size": "5"}),
        ({}, {"size": -1}),
        ({"platform": "linux/arm64"}, {}),
        ({"platform": ARM64, "annotations": ["a"]}, {}),
    ],
    ids=["no size", "size as text", "negative size", "platform as text", "annotations as a list"],
)
def test_malformed_descriptors_are_refused(
    server: RegistryServer, around: dict[str, Any], of_layer: dict[str, Any]
) -> None:
    """The message names the image, and there is no traceback."""
    layered(server, "latest-arm64", STARTS, {"app/server": PROGRAM["arm64"]})
    body = json.loads(server.contents["/v2/app/manifests/latest-arm64"][1])
    body["layers"][0] |= of_layer
    listed(server, "latest-arm64", {**server.hold_manifest("app", "image", body), **around})
    assert "latest-arm64" in refused(server, MultiarchError, only_arm64(server))


def test_image_is_inspected_once(server: RegistryServer, cache: Path) -> None:
    """Content never changes under a digest: with the program in the cache, neither config nor layers are read."""
    layered(server, "latest-arm64", ARM64, {"bin/sh": PROGRAM["arm64"]})
    settings = settings_for(f"{server.host}/app", platforms=["arm64"])
    once = publish(server, settings)
    server.requests.clear()
    assert once == publish(server, settings)
    assert [] == [asked for asked in server.asked if "/blobs/" in asked]
    kept = [path for path in (cache / "multiarch" / "images").rglob("*") if path.is_file()]
    assert 1 == len(kept)
    for path in kept:
        path.write_text("half a")
    assert once == publish(server, settings)


# How much is read, and what is not well-formed.


def test_index_of_many_images_is_refused_unread(server: RegistryServer) -> None:
    """Where one image should be, several are refused, however many; none of them is asked for."""
    entries = [{"mediaType": OCI_MANIFEST, "digest": f"sha256:{n:064}", "size": 1} for n in range(400)]
    listed(server, "latest-arm64", *entries)
    assert "should hold an image for linux/arm64 alone, and holds linux/arm64, linux/arm64," in (
        refused(server, SurplusImageError, only_arm64(server))
    )
    asked_for = sorted(asked.rpartition("/")[2] for asked in server.asked if "/manifests/" in asked)
    assert ["latest", "latest-arm64"] == asked_for


def test_index_of_more_entries_than_there_are_platforms_is_refused_by_name(server: RegistryServer) -> None:
    """By their number."""
    entry = {"mediaType": OCI_MANIFEST, "digest": f"sha256:{'a' * 64}", "size": 1}
    listed(server, "latest-arm64", *[entry] * 10_000)
    assert (
        f"not published: {server.host}/app:latest-arm64 holds no image but {OCI_INDEX}"
        " (it has 10000 manifests, more than 500); push it again with build-arch"
    ) == refused(server, NotAnImageError, only_arm64(server))


def test_indexes_within_indexes_are_read_once_each(server: RegistryServer) -> None:
    """Twelve times the same, four deep: 20,736 images for four requests."""
    inner = layered_index(server, "inner", [])
    for depth in range(3):
        inner = layered_index(server, f"deep-{depth}" if depth < 2 else "latest-arm64", [inner] * 12)
    refused(server, NotAnImageError, only_arm64(server))
    assert len([asked for asked in server.asked if "/manifests/" in asked]) <= 5


def layered_index(server: RegistryServer, tag: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Put an index under a tag, of twelve images where it has no other entries; return its descriptor."""
    entry = {"mediaType": OCI_MANIFEST, "digest": f"sha256:{'a' * 64}", "size": 1}
    return listed(server, tag, *(entries or [entry] * 12))


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({**ARM64, "config": {"Entrypoint": 5}}, "config: its Entrypoint is malformed"),
        ({**ARM64, "config": {"Labels": ["a"]}}, "config: its Labels is malformed"),
        ({**ARM64, "os.features": "a"}, "config: its os.features is malformed"),
        (["a"], "config: it is no JSON object"),
    ],
    ids=str,
)
def test_malformed_config_is_refused_by_name(server: RegistryServer, config: Any, problem: str) -> None:
    """It would be copied into the index, and no runtime could read it."""
    layered(server, "latest-arm64", config, {"bin/sh": PROGRAM["arm64"]})
    assert f"holds no image but something without a media type ({problem}); push it again" in (
        refused(server, NotAnImageError, only_arm64(server))
    )


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        (OCI_INDEX, {"manifests": "none"}, "it has no manifests"),
        (OCI_MANIFEST, {"config": {"digest": "a"}}, "its config has no valid digest"),
    ],
)
def test_published_tag_that_is_malformed_may_be_replaced_by_name_alone(
    server: RegistryServer, kind: str, body: dict[str, Any], problem: str
) -> None:
    """Which platforms it has today is not known, and unknown is not none."""
    layered(server, "latest-arm64", STARTS, {"app/server": PROGRAM["arm64"]})
    server.hold_manifest("app", "latest", body, kind)
    message = refused(server, UnreadableTagError, only_arm64(server))
    assert (": its platforms are not known: " in message, problem in message) == (True, True)
    assert publish(server, only_arm64(server, allow_dropping=True))


def test_published_platform_of_an_unknown_variant_is_not_dropped(server: RegistryServer) -> None:
    """Today it is there; whether anybody knows it does not matter."""
    layered(server, "latest-arm64", STARTS, {"app/server": PROGRAM["arm64"]})
    entry = {"mediaType": OCI_MANIFEST, "digest": f"sha256:{'a' * 64}", "size": 1}
    listed(server, "latest", {**entry, "platform": {**ARM64, "variant": "v77"}})
    assert "app:latest has linux/arm64/v77 today" in refused(server, DroppedPlatformError, only_arm64(server))


@pytest.mark.parametrize("platform", [{}, {"platform": {"architecture": "arm64", "OS": "linux"}}])
def test_published_entry_without_a_platform_is_known_by_its_config(
    server: RegistryServer, platform: dict[str, Any]
) -> None:
    """An index need not say what its images are for, and they are not dropped because it does not."""
    layered(server, "latest-arm64", STARTS, {"app/server": PROGRAM["arm64"]})
    config = json.dumps({"os": "linux", "architecture": "s390x"}).encode()
    described = {"mediaType": IMAGE_CONFIGS[0], "digest": server.hold_blob("app", config), "size": len(config)}
    entry = server.hold_manifest("app", "old", {"config": described, "layers": []})
    listed(server, "latest", {**entry, **platform})
    assert "app:latest has linux/s390x today" in refused(server, DroppedPlatformError, only_arm64(server))


def test_published_entry_that_cannot_be_judged_is_named(server: RegistryServer) -> None:
    """It names no platform, and is gone."""
    layered(server, "latest-arm64", STARTS, {"app/server": PROGRAM["arm64"]})
    listed(server, "latest", {"mediaType": OCI_MANIFEST, "digest": f"sha256:{'a' * 64}", "size": 1})
    message = refused(server, UnreadableTagError, only_arm64(server))
    assert "an entry without a platform: it is not there" in message
    assert publish(server, only_arm64(server, allow_dropping=True))


def test_published_entry_that_is_no_image_has_no_platform(server: RegistryServer) -> None:
    """Such as a signature: nothing is dropped with it."""
    layered(server, "latest-arm64", STARTS, {"app/server": PROGRAM["arm64"]})
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": server.hold_blob("app", b"{}"), "size": 2}
    entry = server.hold_manifest("app", "old", {"config": config, "layers": []})
    listed(server, "latest", entry)
    assert publish(server, only_arm64(server))

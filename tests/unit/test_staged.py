"""What is read of the images under staging tags: their programs, out of their layers."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.errors import DigestMismatchError, MultiarchError, RegistryError
from multiarch.image.manifest import Manifest
from multiarch.publish.errors import (
    ForeignProgramError,
)
from multiarch.publish.publication import publish_matrix
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


def test_a_program_of_another_architecture(server: RegistryServer) -> None:
    """An image whose config is right and whose program is not is found out, before anything is written."""
    layered(server, "latest-arm64", STARTS, {"bin/sh": PROGRAM["arm64"]}, {"app/server": PROGRAM["amd64"]})
    assert (
        f"not published, gate 'the program matches': {server.host}/app:latest-arm64 is for linux/arm64, but its"
        " /app/server is a program for amd64;"
    ) == refused(server, ForeignProgramError, only_arm64(server)).partition(" build")[0]
    assert {"GET"} == {request.verb for request in server.requests}


def test_a_program_of_another_architecture_behind_attestations(server: RegistryServer) -> None:
    """Also where an index is around it, and when it is not the first that is started."""
    config = {**ARM64, "config": {"Entrypoint": ["/bin/tini", "--"], "Cmd": ["/app/server"]}}
    layered(server, "image", config, {"bin/tini": PROGRAM["arm64"]}, {"app/server": PROGRAM["amd64"]})
    kind, body = server.contents["/v2/app/manifests/image"]
    listed(server, "latest-arm64", {**Manifest(kind, body).descriptor.json, "platform": ARM64})
    assert "its /app/server is a program for amd64;" in refused(server, ForeignProgramError, only_arm64(server))


def test_programs_of_the_right_architecture(server: RegistryServer) -> None:
    """They are published without a word; nothing below the program is read that was not read ahead."""
    said: list[str] = []
    layers = layered(
        server, "latest-arm64", STARTS, *({f"{n}": b""} for n in range(5)), {"app/server": PROGRAM["arm64"]}
    )
    publish_matrix(only_arm64(server), {server.host: registry_of(server)}, say=said.append)
    assert [] == said
    blobs = [asked.rpartition("/")[2] for asked in server.asked if "/blobs/" in asked]
    assert [0, 0, 1, 1, 1, 1] == [blobs.count(layer["digest"]) for layer in layers]


ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


@pytest.mark.parametrize("architecture", ["arm64", "amd64"])
def test_programs_in_layers_of_zstd(server: RegistryServer, architecture: str) -> None:
    """The gate reads them on every Python: the right program passes without a note, another one is refused."""
    notes: list[str] = []
    files = [{"bin/sh": PROGRAM["arm64"]}, {"app/server": PROGRAM[architecture]}, {"etc/passwd": b"root"}]
    layered(server, "latest-arm64", STARTS, *files, compress=zstd.compress, media_type=ZSTD)
    if architecture == "arm64":
        publish_matrix(only_arm64(server), {server.host: registry_of(server)}, say=notes.append)
        assert ([], 1) == (notes, len(index_of(server)["manifests"]))
    else:
        assert "its /app/server is a program for amd64;" in refused(server, ForeignProgramError, only_arm64(server))


def test_a_program_deep_in_a_big_image(server: RegistryServer) -> None:
    """It is found however much is above it, below the layers that are read ahead."""
    files = [{"app/server": PROGRAM["amd64"]}, MUCH, *[{"etc/passwd": b"root"}] * 4]
    layers = layered(server, "latest-arm64", STARTS, *files)
    assert 1_500_000 < layers[1]["size"]
    assert "its /app/server is a program for amd64;" in refused(server, ForeignProgramError, only_arm64(server))


def test_what_was_not_checked_is_told(server: RegistryServer) -> None:
    """An image of data is published, with a note for its platform."""
    said: list[str] = []
    layered(server, "latest-arm64", ARM64, {"data": b"1"})
    publish_matrix(only_arm64(server), {server.host: registry_of(server)}, say=said.append)
    assert ["linux/arm64: its program was not checked: /bin/sh is not in its layers"] == said
    assert 1 == len(index_of(server)["manifests"])


def test_layers_that_lie_elsewhere_are_not_read(server: RegistryServer) -> None:
    """What may not be distributed is not in the registry."""
    layers = layered(server, "latest-arm64", STARTS, {"bin/sh": PROGRAM["arm64"]}, {"app/server": PROGRAM["arm64"]})
    body = json.loads(server.contents["/v2/app/manifests/latest-arm64"][1])
    body["layers"][0]["urls"] = ["https://nowhere.example/layer"]
    server.hold_manifest("app", "latest-arm64", body)
    publish(server, only_arm64(server))
    assert f"GET /v2/app/blobs/{layers[0]['digest']}" not in server.asked


@pytest.mark.parametrize("number", [0, 1])
def test_a_layer_whose_bytes_are_others(server: RegistryServer, number: int) -> None:
    """Bytes that do not match the digest are no reason to believe what was found in them."""
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


def test_a_layer_that_is_gone(server: RegistryServer) -> None:
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
def test_descriptors_that_are_malformed(
    server: RegistryServer, around: dict[str, Any], of_layer: dict[str, Any]
) -> None:
    """What is not as descriptor.md has it is an error for the user that names the image."""
    layered(server, "latest-arm64", STARTS, {"app/server": PROGRAM["arm64"]})
    body = json.loads(server.contents["/v2/app/manifests/latest-arm64"][1])
    body["layers"][0] |= of_layer
    listed(server, "latest-arm64", {**server.hold_manifest("app", "image", body), **around})
    assert "latest-arm64" in refused(server, MultiarchError, only_arm64(server))


def test_an_image_is_looked_into_once(server: RegistryServer, cache: Path) -> None:
    """Content never changes under a digest: with its program known, neither config nor layers are read again."""
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

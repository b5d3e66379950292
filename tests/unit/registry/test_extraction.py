"""One file of an image, out of layers that anybody may have made."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.image.manifest import OCI_INDEX, OCI_MANIFEST
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference
from multiarch.registry import extraction
from multiarch.registry.errors import DigestMismatchError, ExtractionError
from multiarch.registry.extraction import Extraction
from tests.unit.images import DIRECTORY, Files, Link, noise, tar
from tests.unit.registry_server import Reply
from tests.unit.staging import registry_of

if TYPE_CHECKING:
    from tests.unit.registry_server import RegistryServer

PATH = "usr/bin/buildctl"
PROGRAM = b"\x7fELF" + noise(100_000)
WANTED: Files = {"usr": DIRECTORY, "usr/bin": DIRECTORY, PATH: PROGRAM, "usr/bin/buildkitd": b"server"}


def hold(server: RegistryServer, *layers: Files | bytes, platform: str = "linux/arm64", tag: str = "arm64") -> Any:
    """Hold an image with these layers, the lowest first; return its descriptor, as an index has it."""
    blobs = [gzip.compress(tar(layer), 1) if isinstance(layer, dict) else layer for layer in layers]
    entries = [{"digest": server.hold_blob("app", blob), "size": len(blob)} for blob in blobs]
    config = {"digest": server.hold_blob("app", b"{}"), "size": 2}
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": entries}
    os, architecture, *variant = platform.split("/")
    fields = {"os": os, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
    return {**server.hold_manifest("app", tag, body), "platform": fields}


def index(server: RegistryServer, *entries: Any) -> None:
    """Hold an index under the tag latest."""
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)}
    server.hold_manifest("app", "latest", body, OCI_INDEX)


def extract(server: RegistryServer, reference: str = "app", platform: str = "arm64") -> bytes:
    """Return the program of an image."""
    image = ImageReference.parse(f"{server.host}/{reference}")
    file = io.BytesIO()
    Extraction(registry_of(server), image, Platform.parse(platform), PATH, "name another").write(file)
    return file.getvalue()


def test_file_is_that_of_the_platform(server: RegistryServer) -> None:
    """An index lists other platforms, and attestations, whose layers are no image's."""
    amd64 = hold(server, {PATH: b"amd64"}, platform="linux/amd64", tag="amd64")
    notes = {"vnd.docker.reference.type": "attestation-manifest"}
    attestation = {**amd64, "platform": {"os": "unknown", "architecture": "unknown"}, "annotations": notes}
    index(server, attestation, amd64, hold(server, {"base": b""}, WANTED, {"etc": DIRECTORY}))
    assert PROGRAM == extract(server)
    assert b"amd64" == extract(server, platform="amd64")


@pytest.mark.parametrize("blob", [tar(WANTED), gzip.compress(tar(WANTED)) + gzip.compress(b"")])
def test_layer_may_be_plain_or_of_several_parts(server: RegistryServer, blob: bytes) -> None:
    """What is behind the end of the tar is read too: the digest is of all bytes."""
    hold(server, blob)
    assert PROGRAM == extract(server, "app:arm64")


@pytest.mark.parametrize(
    ("upper", "expected"),
    [
        ({PATH: b"newer"}, b"newer"),
        ({f"./{PATH}": b"newer"}, b"newer"),
        ({"usr/bin": DIRECTORY, "usr/bin/other": b""}, PROGRAM),
        ({"usr/bin/.wh.other": b"", "bin/.wh..wh..opq": b""}, PROGRAM),
    ],
)
def test_upper_layer_comes_before_lower_ones(server: RegistryServer, upper: Files, expected: bytes) -> None:
    """As when the layers are unpacked one over the other."""
    hold(server, WANTED, upper)
    assert expected == extract(server, "app:arm64")


def test_last_entry_of_a_name_counts(server: RegistryServer) -> None:
    """A tar may hold a name twice; unpacked, the last one stays."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for content in (b"x" * 5000, b"last"):
            member = tarfile.TarInfo(PATH)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    hold(server, written.getvalue())
    assert b"last" == extract(server, "app:arm64")


@pytest.mark.parametrize(
    "upper",
    [
        {"usr/bin/.wh.buildctl": b""},
        {"usr/bin/.wh..wh..opq": b""},
        {".wh.usr": b""},
        {".wh..wh..opq": b""},
        {"usr/bin": Link("/bin")},
        {PATH: Link("/bin/busybox")},
        {PATH: Link("bin/busybox", hard=True)},
        {PATH: DIRECTORY},
        {"usr": b"a file"},
    ],
)
def test_what_an_upper_layer_hides_is_not_taken(server: RegistryServer, upper: Files) -> None:
    """A link leads to another file, which nobody asked for."""
    hold(server, WANTED, upper)
    with pytest.raises(ExtractionError, match=rf"/app:arm64: /{PATH} is no file in it; name another$"):
        extract(server, "app:arm64")


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (b"no tar", r"layer sha256:\w{64} cannot be read: "),
        (gzip.compress(tar(WANTED))[:-20], r"layer sha256:\w{64} cannot be read: "),
        (b"", r"layer sha256:\w{64} cannot be read: it is empty"),
        ({"other": b""}, f"/{PATH} is no file in it"),
    ],
)
def test_image_without_the_file_is_one_line(server: RegistryServer, layer: Files | bytes, expected: str) -> None:
    """It says which image, and what to do."""
    hold(server, layer)
    with pytest.raises(ExtractionError, match=expected) as caught:
        extract(server, "app:arm64")
    assert 1 == len(str(caught.value).splitlines())


def test_other_bytes_than_asked_for_are_refused(server: RegistryServer) -> None:
    """A registry, or who stands before it, may send another program, behind the very same beginning."""
    blob = gzip.compress(tar(WANTED))
    hold(server, blob)
    digest = server.hold_blob("app", blob)
    padded = gzip.compress(tar({PATH: b"\x7fELF evil"}))
    server.table[f"GET /v2/app/blobs/{digest}"] = [Reply(200, padded + bytes(len(blob) - len(padded)))]
    with pytest.raises(DigestMismatchError, match=f"expected {digest}, the registry sent sha256:"):
        extract(server, "app:arm64")


def test_sizes_are_bounded(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program is not larger than memory and disk; nor is a layer that the manifest names."""
    hold(server, WANTED)
    monkeypatch.setattr(extraction, "_LARGEST", 90_000)
    with pytest.raises(ExtractionError, match="is larger than 0 MiB"):
        extract(server, "app:arm64")
    monkeypatch.setattr(extraction, "_LARGEST_LAYER", 90_000)
    with pytest.raises(ExtractionError, match=r"one of its layers has \d+ bytes, more than 0 GiB"):
        extract(server, "app:arm64")


def test_image_or_platform_that_is_missing_is_named(server: RegistryServer) -> None:
    """Nothing is asked for that does not exist."""
    with pytest.raises(ExtractionError, match=r"/app: there is no such image; name another$"):
        extract(server)
    index(server, hold(server, WANTED, platform="linux/arm/v7"))
    with pytest.raises(ExtractionError, match=r"/app: it has no image for linux/arm64; "):
        extract(server)
    nested = server.hold_manifest("app", "x", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}, OCI_INDEX)
    index(server, {**nested, "platform": {"os": "linux", "architecture": "arm64"}})
    with pytest.raises(ExtractionError, match=r"/app: it is no image with layers; "):
        extract(server)
    server.hold_manifest("app", "latest", {"schemaVersion": 2, "layers": [{"digest": "sha256:x", "size": 1}]})
    with pytest.raises(ExtractionError, match=r"/app: number 1 of its layers has no valid digest; "):
        extract(server)


def test_only_layers_that_matter_are_read(server: RegistryServer) -> None:
    """The base of the image, which is larger, stays where it is."""
    hold(server, {"base": noise(1000)}, WANTED)
    assert PROGRAM == extract(server, "app:arm64")
    assert 1 == sum("/blobs/" in line for line in server.asked)

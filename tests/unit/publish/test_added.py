"""Indexes as they are today: entries that are not ours, images built elsewhere, attestations, ambiguous documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.load import load
from multiarch.errors import ConfigurationError
from multiarch.image.manifest import OCI_INDEX, OCI_MANIFEST, Manifest
from multiarch.publish.errors import (
    AddedPlatformError,
    DroppedPlatformError,
    NotAnImageError,
    SurplusImageError,
    UnreadableTagError,
)
from tests.unit.staging import (
    AMD64,
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

WINDOWS = {"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.1"}
UNKNOWN = {"os": "unknown", "architecture": "unknown"}
DIGEST = f"sha256:{'a' * 64}"


# What is there today.


@pytest.mark.parametrize(
    ("platform", "named"),
    [
        (WINDOWS, "windows/amd64"),
        ({"os": "linux", "architecture": "arm64", "variant": "v9.4"}, "linux/arm64/v9.4"),
        ({"os": "plan9", "architecture": "mips"}, "plan9/mips"),
        (UNKNOWN, f"unknown/{DIGEST}"),
    ],
    ids=str,
)
def test_entry_of_somebody_else_is_not_dropped(server: RegistryServer, platform: Any, named: str) -> None:
    """Whatever platform it names."""
    image(server, ARM64, "latest-arm64")
    entry = {"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 5}
    listed(server, "latest", {**entry, "platform": platform} if platform is not None else entry)
    message = refused(server, DroppedPlatformError, only_arm64(server))
    assert f"gate 'nothing is dropped': {server.host}/app:latest has {named} today;" in message


def test_attestations_of_today_are_not_missed(server: RegistryServer) -> None:
    """They go with their image."""
    attested(server, ARM64, "latest-arm64")
    attested(server, ARM64, "latest")
    publish(server, only_arm64(server))
    assert 2 == len(index_of(server)["manifests"])


@pytest.mark.parametrize(
    "content_type",
    ["APPLICATION/VND.OCI.IMAGE.INDEX.V1+JSON", f"{OCI_INDEX}; charset=utf-8", "application/json", "text/plain", ""],
)
def test_index_is_read_by_what_it_is(server: RegistryServer, content_type: str) -> None:
    """A registry or proxy may call it anything; its platforms count."""
    image(server, ARM64, "latest-arm64")
    listed(server, "latest", {"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 5, "platform": AMD64})
    _, body = server.contents["/v2/app/manifests/latest"]
    server.contents["/v2/app/manifests/latest"] = (content_type, body)
    assert "latest has linux/amd64 today" in refused(server, DroppedPlatformError, only_arm64(server))


@pytest.mark.parametrize("kind", [OCI_INDEX, OCI_MANIFEST])
@pytest.mark.parametrize("more", [{"layers": []}, {"config": {"digest": DIGEST, "size": 5}}], ids=str)
def test_ambiguous_document_is_refused(server: RegistryServer, kind: str, more: dict[str, Any]) -> None:
    """Two readers would see two images (CVE-2021-41190)."""
    image(server, ARM64, "latest-arm64")
    body = {"schemaVersion": 2, "mediaType": kind, "manifests": [], **more}
    server.hold_manifest("app", "latest", body, kind)
    assert "it has both manifests and layers or a config" in refused(server, UnreadableTagError, only_arm64(server))
    server.hold_manifest("app", "latest-arm64", body, kind)
    server.contents.pop("/v2/app/manifests/latest")
    assert "it has both manifests and layers or a config" in refused(server, NotAnImageError, only_arm64(server))


# Attestations.


def test_what_names_a_platform_is_no_attestation(server: RegistryServer) -> None:
    """It would hide a second image in the place of one."""
    entries = attested(server, ARM64, "latest-arm64")
    entries[1]["platform"] = ARM64
    listed(server, "latest-arm64", *entries)
    refused(server, SurplusImageError, only_arm64(server))


def test_attestation_that_is_not_there_is_an_error(server: RegistryServer) -> None:
    """The index would point to nothing."""
    entries = attested(server, ARM64, "latest-arm64")
    for path in [path for path in server.contents if path.endswith(entries[1]["digest"])]:
        server.contents.pop(path)
    assert "an attestation (it is not there)" in refused(server, NotAnImageError, only_arm64(server))


def test_attestation_of_another_image_is_left_out(server: RegistryServer) -> None:
    """Its subject is not in the index."""
    entries = attested(server, ARM64, "latest-arm64")
    entries[1]["annotations"] = {ATTESTS: "attestation-manifest", "vnd.docker.reference.digest": DIGEST}
    listed(server, "latest-arm64", *entries)
    publish(server, only_arm64(server))
    assert [entries[0]["digest"]] == [entry["digest"] for entry in index_of(server)["manifests"]]


# Images that were built elsewhere.


def adding(server: RegistryServer, *references: str, **more: Any) -> Any:
    """Return the settings of one platform and of images that are added."""
    return only_arm64(server, add=list(references), **more)


def test_image_from_elsewhere_is_in_the_index(server: RegistryServer) -> None:
    """With the platform of its config, and copied to where the index is."""
    image(server, ARM64, "latest-arm64")
    windows = image(server, WINDOWS, "built-on-windows")
    settings = adding(server, f"{server.host}/app@{windows['digest']}")
    publish(server, settings)
    assert [ARM64, WINDOWS] == [entry["platform"] for entry in index_of(server)["manifests"]]
    # Today's index has it now: it is not dropped, and a release without it is refused.
    publish(server, settings)
    assert "latest has windows/amd64 today" in refused_now(server)


def refused_now(server: RegistryServer) -> str:
    """Return why the matrix alone is refused."""
    server.requests.clear()
    return refused(server, DroppedPlatformError, only_arm64(server))


def test_image_from_elsewhere_is_copied_to_every_repository(server: RegistryServer) -> None:
    """Also to that of the staging tags, with its attestations."""
    image(server, ARM64, "latest-arm64")
    entries = attested(server, AMD64, "elsewhere")
    held = {path.replace("/v2/app/", "/v2/other/"): content for path, content in server.contents.items()}
    server.contents = {**held, **{path: content for path, content in server.contents.items() if "arm64" in path}}
    image(server, ARM64, "latest-arm64")
    kind, body = held["/v2/other/manifests/elsewhere"]
    digest = Manifest(kind, body).digest
    names = [f"{server.host}/app", f"{server.host}/copy"]
    settings = settings_for(*names, platforms=["arm64"], add=[f"{server.host}/other@{digest}"])
    publish(server, settings)
    for repository in ("app", "copy"):
        written = json.loads(server.contents[f"/v2/{repository}/manifests/latest"][1])
        assert [entry["digest"] for entry in entries] == [entry["digest"] for entry in written["manifests"]][1:]
        assert f"/v2/{repository}/manifests/{entries[1]['digest']}" in server.contents


def test_entry_without_a_platform_is_kept_by_its_digest(server: RegistryServer) -> None:
    """As it is named in the error."""
    image(server, ARM64, "latest-arm64")
    odd = image(server, {"created": "once"}, "odd")
    listed(server, "latest", odd)
    publish(server, adding(server, f"{server.host}/app@{odd['digest']}"))
    assert odd["digest"] == index_of(server)["manifests"][1]["digest"]


def test_added_image_of_a_platform_that_is_built_is_refused(server: RegistryServer) -> None:
    """The index would have two for one platform."""
    image(server, ARM64, "latest-arm64")
    other = image(server, {**ARM64, "created": "elsewhere"}, "other")
    reference = f"{server.host}/app@{other['digest']}"
    message = refused(server, AddedPlatformError, adding(server, reference))
    assert f"{reference} of `add` is for linux/arm64, which has an image already; leave one of them out" in message


def test_added_image_that_is_not_there_is_refused(server: RegistryServer) -> None:
    """The registry does not have it."""
    image(server, ARM64, "latest-arm64")
    message = refused(server, NotAnImageError, adding(server, f"{server.host}/app@{DIGEST}"))
    assert "add names an image that its registry does not have" in message


# Platforms that are not Linux's.


def test_platform_of_another_system_needs_a_builder() -> None:
    """It is a platform all the same."""
    with pytest.raises(ConfigurationError) as caught:
        load({"platforms": ["linux/amd64", "windows/amd64"]}, {}, {})
    assert (
        "multiarch.platforms[1]: windows/amd64 is not built on Linux: name a builder for it, or carry its image over by"
        " its digest in add"
    ) == str(caught.value)
    entry = {"platform": "windows/amd64", "builder": "ssh://windows-box"}
    (built,) = load({"platforms": [entry], "image": "a/b"}, {}, {}).matrix
    assert ("windows/amd64", "latest-windows-amd64") == (str(built.platform), built.staging.tag)


def test_added_image_has_a_digest() -> None:
    """Whoever moves a tag would decide what is published."""
    with pytest.raises(ConfigurationError) as caught:
        load({"add": ["someone/app:windows"]}, {}, {})
    assert "multiarch.add[0]: 'someone/app:windows' must have a digest: IMAGE@sha256:…" == str(caught.value)

"""Publishing an index, against a registry that listens on loopback."""

from __future__ import annotations

import json
from typing import Any

import pytest

from multiarch.errors import MultiarchError
from multiarch.image.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference
from multiarch.publish.commands import commands
from multiarch.publish.errors import (
    DroppedPlatformError,
    IncompleteMatrixError,
    PlatformMismatchError,
    TagsNotMovedError,
    UnreadableTagError,
)
from multiarch.publish.tags import PublishedTag
from tests.unit.registry_server import RegistryServer, Reply, refusal
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

# What is published.


def test_index_lists_plain_images_in_the_order_of_the_matrix(
    server: RegistryServer, staged: dict[str, dict[str, Any]]
) -> None:
    """With the platforms of their configs."""
    (published,) = publish(server, settings_for(f"{server.host}/app"))
    assert {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {**staged["amd64"], "platform": {"architecture": "amd64", "os": "linux"}},
            {**staged["arm64"], "platform": {"architecture": "arm64", "os": "linux"}},
            {**staged["arm"], "platform": {"architecture": "arm", "os": "linux", "variant": "v7"}},
        ],
    } == index_of(server)
    media_type, body = server.contents["/v2/app/manifests/latest"]
    assert OCI_INDEX == media_type
    assert f"{server.host}/app:latest@{Manifest(media_type, body).digest}" == str(published)


def test_attested_images_are_flattened(server: RegistryServer) -> None:
    """An image with attestations is an index itself; its entries become the published index's."""
    amd64 = attested(server, AMD64, "latest-amd64")
    arm64 = attested(server, ARM64, "latest-arm64")
    publish(server, settings_for(f"{server.host}/app", platforms=["amd64", "arm64"]))
    assert [*amd64, *arm64] == index_of(server)["manifests"]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ((DOCKER_MANIFEST, DOCKER_MANIFEST), DOCKER_LIST),
        ((OCI_MANIFEST, OCI_MANIFEST), OCI_INDEX),
        ((DOCKER_MANIFEST, OCI_MANIFEST), OCI_INDEX),
    ],
)
def test_media_type_follows_the_images(server: RegistryServer, kinds: tuple[str, str], expected: str) -> None:
    """Docker's list is for images that are all of Docker's type: old clients know nothing else."""
    image(server, AMD64, "latest-amd64", kinds[0])
    image(server, ARM64, "latest-arm64", kinds[1])
    publish(server, settings_for(f"{server.host}/app", platforms=["amd64", "arm64"]))
    assert expected == index_of(server)["mediaType"]
    assert expected == server.contents["/v2/app/manifests/latest"][0]
    assert list(kinds) == [entry["mediaType"] for entry in index_of(server)["manifests"]]


@pytest.mark.usefixtures("staged")
def test_same_images_give_the_same_bytes(server: RegistryServer) -> None:
    """So that a tag which points there already is not written again."""
    settings = settings_for(f"{server.host}/app")
    once, again = (publish(server, settings)[0].digest for _ in range(2))
    assert once == again
    assert 1 == server.asked.count("PUT /v2/app/manifests/latest"), "what is there already is not written again"


@pytest.mark.parametrize(
    ("platform", "config", "expected"),
    [
        ("arm64", {**ARM64, "variant": "v8"}, {**ARM64, "variant": "v8"}),
        ("arm/v7", {"os": "linux", "architecture": "arm"}, ARM),
        ("amd64", {**AMD64, "variant": "", "created": "now"}, AMD64),
        ("amd64", {**AMD64, "os.version": "6.1"}, {**AMD64, "os.version": "6.1"}),
    ],
)
def test_platform_of_an_entry_is_spelt_as_in_the_config(
    server: RegistryServer, platform: str, config: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Spellings of the same platform are accepted, and the fields that entries have are taken over."""
    image(server, config, f"latest-{Platform.parse(platform).slug}")
    publish(server, settings_for(f"{server.host}/app", platforms=[platform]))
    assert [expected] == [entry["platform"] for entry in index_of(server)["manifests"]]


@pytest.mark.usefixtures("staged")
def test_every_tag_of_every_image_is_published(server: RegistryServer) -> None:
    """The images are read from the staging tags of the first repository alone."""
    published = publish(server, settings_for(f"{server.host}/app", f"{server.host}/copy", tags=["latest", "1.0"]))
    digest = published[0].digest
    assert [f"{server.host}/{name}:{tag}@{digest}" for name in ("app", "copy") for tag in ("latest", "1.0")] == [
        str(tag) for tag in published
    ]
    assert index_of(server, "1.0") == index_of(server)


def test_digests_of_this_run_take_precedence_over_staging_tags(
    server: RegistryServer, staged: dict[str, dict[str, Any]]
) -> None:
    """Another run may have moved the staging tags meanwhile."""
    settings = settings_for(f"{server.host}/app")
    digests = {p: staged[p.architecture]["digest"] for p in settings.platforms}
    for tag in ("latest-amd64", "latest-arm64", "latest-arm-v7"):
        image(server, {**AMD64, "somebody": "else"}, tag)
    publish(server, settings, digests=digests)
    assert list(digests.values()) == [entry["digest"] for entry in index_of(server)["manifests"]]


# What is refused, with nothing published.


def test_missing_platforms_are_named_with_their_staging_tags(server: RegistryServer) -> None:
    """The user sees at once what to build."""
    image(server, AMD64, "latest-amd64")
    host = server.host
    assert (
        f"not published, gate 'the set is exact': no image for linux/arm64 ({host}/app:latest-arm64),"
        f" linux/arm/v7 ({host}/app:latest-arm-v7); run build-arch for it first, or narrow the matrix: --platform"
    ) == refused(server, IncompleteMatrixError)


@pytest.mark.usefixtures("staged")
@pytest.mark.parametrize("kept", [[], [1]])
@pytest.mark.usefixtures("staged")
def test_index_without_an_image_is_refused(server: RegistryServer, kept: list[int]) -> None:
    """Attestations alone are no image."""
    entries = attested(server, ARM64, "latest-arm64")
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entries[number] for number in kept]}
    server.hold_manifest("app", "latest-arm64", body, OCI_INDEX)
    assert "no image for linux/arm64" in refused(server, IncompleteMatrixError)


@pytest.mark.usefixtures("staged")
def test_missing_image_of_an_index_is_named_by_its_digest(server: RegistryServer) -> None:
    """The registry may have removed it since."""
    entries = attested(server, ARM64, "latest-arm64")
    server.contents = {p: c for p, c in server.contents.items() if entries[0]["digest"] not in p}
    message = refused(server, IncompleteMatrixError)
    assert f"linux/arm64 ({server.host}/app:latest-arm64@{entries[0]['digest']})" in message


@pytest.mark.parametrize(
    ("config", "actual"),
    [
        (AMD64, "linux/amd64"),
        (ARM, "linux/arm/v7"),
        ({**ARM64, "variant": "v9"}, "linux/arm64/v9"),
        ({"os": "windows", "architecture": "arm64"}, "windows/arm64"),
        ({"os": "linux", "architecture": "arm64", "variant": "v0"}, "linux/arm64/v0"),
        ({}, "nothing"),
    ],
)
@pytest.mark.usefixtures("staged")
def test_config_of_another_platform_is_refused(server: RegistryServer, config: dict[str, Any], actual: str) -> None:
    """The message names both platforms."""
    image(server, config, "latest-arm64")
    assert (
        f"not published, gate 'the config matches': {server.host}/app:latest-arm64 should be for linux/arm64,"
        f" but its config says {actual};"
    ) == refused(server, PlatformMismatchError).partition(" rebuild")[0]


@pytest.mark.usefixtures("staged")
def test_config_counts_behind_attestations(server: RegistryServer) -> None:
    """Whatever the index around the image says."""
    attested(server, AMD64, "latest-arm64")
    assert "should be for linux/arm64, but its config says linux/amd64" in refused(server, PlatformMismatchError)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"schemaVersion": 1, "fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        ({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}, OCI_MANIFEST),
        ({"schemaVersion": 2, "mediaType": OCI_INDEX}, OCI_INDEX),
        ([], OCI_MANIFEST),
    ],
    ids=["schema 1", "no config", "no manifests", "no mapping"],
)
@pytest.mark.usefixtures("staged")
def test_staging_tag_without_an_image_is_refused(server: RegistryServer, body: object, kind: str) -> None:
    """It may hold a Helm chart or an image of schema 1; the message names the tag."""
    server.hold_manifest("app", "latest-arm64", body, kind)
    assert "latest-arm64" in refused(server, MultiarchError)


# What goes wrong while publishing.


@pytest.mark.usefixtures("staged")
def test_tag_that_reads_back_as_another_index_is_an_error(server: RegistryServer) -> None:
    """Another run may have moved it at the same time."""
    other = Manifest(OCI_INDEX, b'{"manifests": []}')
    server.table["GET /v2/app/manifests/latest"] = [Reply(200, other.body, {"Content-Type": OCI_INDEX})]
    with pytest.raises(TagsNotMovedError, match=f"/app:latest was published as .* but reads back as {other.digest}"):
        publish(server, settings_for(f"{server.host}/app"))


@pytest.mark.usefixtures("staged")
def test_tag_that_is_missing_afterwards_is_an_error(server: RegistryServer) -> None:
    """A registry may accept an index and not keep it."""
    server.table["PUT /v2/app/manifests/latest"] = [Reply(201)]
    with pytest.raises(TagsNotMovedError, match="but reads back as nothing"):
        publish(server, settings_for(f"{server.host}/app"))


@pytest.mark.usefixtures("staged")
def test_transient_faults_are_outlasted_everywhere(server: RegistryServer) -> None:
    """In reads, in the write and in the read-back."""
    settings = settings_for(f"{server.host}/app")
    server.table["GET /v2/app/manifests/latest-amd64"] = [refusal(503), server.from_contents]
    server.table["PUT /v2/app/manifests/latest"] = [refusal(429), server.from_contents]
    server.table["GET /v2/app/manifests/latest"] = [refusal(502), server.from_contents]
    (published,) = publish(server, settings)
    assert index_of(server) == json.loads(server.contents[f"/v2/app/manifests/{published.digest}"][1])


# The document's words.


def test_commands_are_those_of_the_document() -> None:
    """Create, annotate each, push; with the variant where there is one, for every tag and image."""
    more = {"tags": ["latest", "1"], "platforms": ["amd64", "arm"], "attestations": []}
    lines = [" ".join(line) for line in commands(settings_for("someone/app", **more))]
    name = "docker.io/someone/app"
    assert [
        f"docker manifest create {name}:latest {name}:latest-amd64 {name}:latest-arm-v7",
        f"docker manifest annotate --os linux --arch amd64 {name}:latest {name}:latest-amd64",
        f"docker manifest annotate --os linux --arch arm --variant v7 {name}:latest {name}:latest-arm-v7",
        f"docker manifest push --purge {name}:latest",
        f"docker manifest create {name}:1 {name}:latest-amd64 {name}:latest-arm-v7",
    ] == lines[:5]
    assert 8 == len(lines)
    lines = [" ".join(line) for line in commands(settings_for("127.0.0.1:5001/app", **more))]
    name = "127.0.0.1:5001/app"
    assert f"docker manifest create --insecure {name}:1 {name}:latest-amd64 {name}:latest-arm-v7" == lines[4]
    assert f"docker manifest push --purge --insecure {name}:1" == lines[7]


def test_commands_use_buildx_where_docker_manifest_refuses() -> None:
    """It takes no attestations, no annotations, and one repository."""
    annotations = {"org.opencontainers.image.title": "App"}
    settings = settings_for("someone/app", "ghcr.io/a/b", platforms=["amd64", "arm"], annotations=annotations)
    assert [
        (
            "docker buildx imagetools create --tag docker.io/someone/app:latest --tag ghcr.io/a/b:latest"
            " --annotation index:org.opencontainers.image.title=App"
            " docker.io/someone/app:latest-amd64 docker.io/someone/app:latest-arm-v7"
        )
    ] == [" ".join(line) for line in commands(settings)]


def test_published_tag_prints_as_a_reference() -> None:
    """Tag and digest, so that it can be run and pinned."""
    tag = PublishedTag(ImageReference.parse("someone/app:1"), "sha256:" + "a" * 64)
    assert f"docker.io/someone/app:1@sha256:{'a' * 64}" == str(tag)


# The platforms that a tag has.


def entries_for(server: RegistryServer, *platforms: dict[str, Any]) -> list[dict[str, Any]]:
    """Return entries of a published index, whose images are not read."""
    attests = {"annotations": {ATTESTS: "attestation-manifest"}}
    return [
        {**image(server, platform, "old"), "platform": platform, **(attests if platform == UNKNOWN else {})}
        for platform in platforms
    ]


UNKNOWN = {"os": "unknown", "architecture": "unknown"}


def test_dropping_platforms_is_refused(server: RegistryServer, staged: dict[str, dict[str, Any]]) -> None:
    """Every tag that has more than the matrix is named with what it would lose."""
    host = server.host
    listed(server, "latest", *entries_for(server, AMD64, ARM, {**ARM64, "variant": "v8"}, UNKNOWN))
    listed(server, "1", *entries_for(server, AMD64, ARM64))
    listed(server, "2", *entries_for(server, AMD64, {"os": "linux", "architecture": "386"}))
    settings = settings_for(f"{host}/app", platforms=["amd64", "arm64"], tags=["latest", "1", "2", "new"])
    assert (
        f"not published, gate 'nothing is dropped': {host}/app:latest has linux/arm/v7 today; {host}/app:2 has"
        " linux/386 today; add what is missing to the matrix, or its image to `add`, or pass"
        " --allow-dropping"
    ) == refused(server, DroppedPlatformError, settings)


def test_dropping_platforms_may_be_allowed(server: RegistryServer, staged: dict[str, dict[str, Any]]) -> None:
    """The tag then has the platforms of the matrix."""
    listed(server, "latest", *entries_for(server, AMD64, ARM64, ARM))
    publish(server, only_arm64(server, allow_dropping=True))
    assert [staged["arm64"]["digest"]] == [entry["digest"] for entry in index_of(server)["manifests"]]


@pytest.mark.usefixtures("staged")
@pytest.mark.parametrize(
    "platforms",
    [[AMD64, ARM], [{**ARM64, "variant": "v8"}, {"os": "linux", "architecture": "arm"}], [UNKNOWN], []],
    ids=["fewer", "other spellings", "attestations alone", "nothing"],
)
def test_tag_with_the_same_or_fewer_platforms_moves(server: RegistryServer, platforms: list[dict[str, Any]]) -> None:
    """However they are spelt."""
    listed(server, "latest", *entries_for(server, *platforms))
    publish(server, settings_for(f"{server.host}/app"))
    assert 3 == len(index_of(server)["manifests"])


@pytest.mark.usefixtures("staged")
@pytest.mark.parametrize("kind", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_plain_image_under_a_tag_counts_with_the_platform_of_its_config(server: RegistryServer, kind: str) -> None:
    """Dropping it is dropping that platform."""
    image(server, ARM, "latest", kind)
    assert f"{server.host}/app:latest has linux/arm/v7 today;" in (
        refused(server, DroppedPlatformError, only_arm64(server))
    )
    publish(server, settings_for(f"{server.host}/app"))
    assert 3 == len(index_of(server)["manifests"])


@pytest.mark.usefixtures("staged")
def test_platforms_of_nested_indexes_count(server: RegistryServer) -> None:
    """They are dropped as others are."""
    listed(server, "latest", listed(server, "inner", *entries_for(server, ARM64, ARM)))
    assert f"{server.host}/app:latest has linux/arm/v7 today;" in (
        refused(server, DroppedPlatformError, only_arm64(server))
    )


@pytest.mark.usefixtures("staged")
def test_malformed_tag_is_replaced_where_that_is_allowed(server: RegistryServer) -> None:
    """What platforms it has is not known, and may be any."""
    listed(server, "latest", {**image(server, ARM64, "old"), "platform": "linux/arm64"})
    assert "number 1 of its manifests has no valid platform" in refused(server, UnreadableTagError)
    publish(server, settings_for(f"{server.host}/app", allow_dropping=True))
    assert 3 == len(index_of(server)["manifests"])

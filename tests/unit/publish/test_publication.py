"""Composing and publishing an index, against a registry that listens on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.load import load
from multiarch.errors import DigestMismatchError, MultiarchError, RegistryError
from multiarch.image.elf import ELF
from multiarch.image.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference
from multiarch.publish.errors import (
    DroppedPlatformError,
    ForeignProgramError,
    IncompleteMatrixError,
    NotAnImageError,
    PlatformMismatchError,
    SurplusImageError,
    TagsNotMovedError,
)
from multiarch.publish.publication import commands, manifest
from multiarch.publish.tags import PublishedTag
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.unit.registry_server import RegistryServer, Reply, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.config.settings import Settings

ATTESTS = "vnd.docker.reference.type"


def settings_for(*names: str, **more: Any) -> Settings:
    """Return settings for images *names* and the platforms of `matrix`, by default those of the document."""
    return load({"image": list(names), "platforms": ["amd64", "arm64", "arm/v7"], **more}, {}, {})


def registry_of(server: RegistryServer) -> Registry:
    """Return a client with little patience."""
    return Registry(server.host, Policy(seconds=5.0, attempts=4, first=0.001, longest=0.01), print)


def publish(server: RegistryServer, settings: Settings, **more: Any) -> tuple[PublishedTag, ...]:
    """Run the step."""
    return manifest(settings, {server.host: registry_of(server)}, say=print, **more).tags


def image(server: RegistryServer, config: dict[str, Any], tag: str, kind: str = OCI_MANIFEST) -> dict[str, Any]:
    """Put an image with this config into the repository `app`; return its descriptor."""
    digest = server.hold_blob("app", json.dumps(config).encode())
    body = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": digest}, "layers": []}
    return server.hold_manifest("app", tag, body, kind)


def attested(server: RegistryServer, config: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    """Put an image with an attestation under *tag*, as BuildKit pushes it; return the descriptors of its index."""
    plain = image(server, config, f"{tag}-image")
    attestation = server.hold_manifest("app", f"{tag}-attestation", {"config": {"digest": "sha256:0"}, "for": tag})
    entries = [
        {**plain, "platform": {"os": config["os"], "architecture": config["architecture"]}},
        {
            **attestation,
            "annotations": {ATTESTS: "attestation-manifest", "vnd.docker.reference.digest": plain["digest"]},
            "platform": {"os": "unknown", "architecture": "unknown"},
        },
    ]
    server.hold_manifest("app", tag, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}, OCI_INDEX)
    return entries


AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64"}
ARM = {"os": "linux", "architecture": "arm", "variant": "v7"}


@pytest.fixture
def staged(server: RegistryServer) -> dict[str, dict[str, Any]]:
    """What build-arch pushed: an image for each platform, by architecture."""
    return {
        "amd64": image(server, AMD64, "latest-amd64"),
        "arm64": image(server, ARM64, "latest-arm64"),
        "arm": image(server, ARM, "latest-arm-v7"),
    }


def index_of(server: RegistryServer, tag: str = "latest") -> dict[str, Any]:
    """Return what is published under *tag*."""
    parsed: dict[str, Any] = json.loads(server.contents[f"/v2/app/manifests/{tag}"][1])
    return parsed


# What is published.


def test_plain_images(server: RegistryServer, staged: dict[str, dict[str, Any]]) -> None:
    """An entry for each platform in the order of the matrix, its platform as its config says it."""
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


def test_attestations_are_carried_over(server: RegistryServer) -> None:
    """An image pushed with attestations is an index itself: flattened, the attestations as they were."""
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
def test_the_type_follows_the_images(server: RegistryServer, kinds: tuple[str, str], expected: str) -> None:
    """Docker's list only over images that are all of Docker's type."""
    image(server, AMD64, "latest-amd64", kinds[0])
    image(server, ARM64, "latest-arm64", kinds[1])
    publish(server, settings_for(f"{server.host}/app", platforms=["amd64", "arm64"]))
    assert expected == index_of(server)["mediaType"]
    assert expected == server.contents["/v2/app/manifests/latest"][0]
    assert list(kinds) == [entry["mediaType"] for entry in index_of(server)["manifests"]]


@pytest.mark.usefixtures("staged")
def test_the_same_images_give_the_same_bytes(server: RegistryServer) -> None:
    """Composing twice, with separate clients, gives one digest."""
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
def test_an_entry_says_what_the_config_says(
    server: RegistryServer, platform: str, config: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Spellings of the same platform are accepted, and the fields that index entries have are taken over."""
    image(server, config, f"latest-{Platform.parse(platform).slug}")
    publish(server, settings_for(f"{server.host}/app", platforms=[platform]))
    assert [expected] == [entry["platform"] for entry in index_of(server)["manifests"]]


@pytest.mark.usefixtures("staged")
def test_every_tag_of_every_image(server: RegistryServer) -> None:
    """Each repository gets its index under all tags, which stand on the staging tags of the first."""
    published = publish(server, settings_for(f"{server.host}/app", f"{server.host}/copy", tags=["latest", "1.0"]))
    digest = published[0].digest
    assert [f"{server.host}/{name}:{tag}@{digest}" for name in ("app", "copy") for tag in ("latest", "1.0")] == [
        str(tag) for tag in published
    ]
    assert index_of(server, "1.0") == index_of(server)


def test_digests_of_this_run_are_preferred(server: RegistryServer, staged: dict[str, dict[str, Any]]) -> None:
    """With the digests that were just pushed, a staging tag that somebody else moved does not matter."""
    settings = settings_for(f"{server.host}/app")
    digests = {p: staged[p.architecture]["digest"] for p in settings.platforms}
    for tag in ("latest-amd64", "latest-arm64", "latest-arm-v7"):
        image(server, {**AMD64, "somebody": "else"}, tag)
    publish(server, settings, digests=digests)
    assert list(digests.values()) == [entry["digest"] for entry in index_of(server)["manifests"]]


# What is refused, with nothing published.


def refused(server: RegistryServer, error: type[MultiarchError], settings: Settings | None = None) -> str:
    """Return the line with which publishing is refused; nothing was written."""
    with pytest.raises(error) as caught:
        publish(server, settings or settings_for(f"{server.host}/app"))
    assert [] == [asked for asked in server.asked if asked.startswith("PUT")]
    assert 1 == len(str(caught.value).splitlines())
    return str(caught.value)


def test_an_incomplete_matrix(server: RegistryServer) -> None:
    """All platforms without an image are named, with the tags where they were looked for."""
    image(server, AMD64, "latest-amd64")
    host = server.host
    assert (
        f"not published, gate 'the set is exact': no image for linux/arm64 ({host}/app:latest-arm64),"
        f" linux/arm/v7 ({host}/app:latest-arm-v7); run build-arch for it first, or narrow the matrix: --platform"
    ) == refused(server, IncompleteMatrixError)


@pytest.mark.usefixtures("staged")
@pytest.mark.parametrize("kept", [[], [1]])
@pytest.mark.usefixtures("staged")
def test_an_index_without_an_image(server: RegistryServer, kept: list[int]) -> None:
    """A staging tag that holds no image at all, or attestations alone, leaves its platform without one."""
    entries = attested(server, ARM64, "latest-arm64")
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entries[number] for number in kept]}
    server.hold_manifest("app", "latest-arm64", body, OCI_INDEX)
    assert "no image for linux/arm64" in refused(server, IncompleteMatrixError)


@pytest.mark.usefixtures("staged")
def test_an_attested_image_whose_image_is_gone(server: RegistryServer) -> None:
    """The digest that the registry no longer has is named."""
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
def test_a_config_that_contradicts_its_platform(server: RegistryServer, config: dict[str, Any], actual: str) -> None:
    """An image for another platform than its place in the matrix is named with both."""
    image(server, config, "latest-arm64")
    assert (
        f"not published, gate 'the config matches': {server.host}/app:latest-arm64 should be for linux/arm64,"
        f" but its config says {actual};"
    ) == refused(server, PlatformMismatchError).partition(" rebuild")[0]


@pytest.mark.usefixtures("staged")
def test_an_attested_image_of_another_platform(server: RegistryServer) -> None:
    """The config counts also behind attestations, whatever the index around it says."""
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
def test_something_that_is_no_image(server: RegistryServer, body: object, kind: str) -> None:
    """A staging tag that holds something else is an error for the user that names it."""
    server.hold_manifest("app", "latest-arm64", body, kind)
    assert "latest-arm64" in refused(server, MultiarchError)


# What goes wrong while publishing.


@pytest.mark.usefixtures("staged")
def test_a_tag_that_reads_back_as_something_else(server: RegistryServer) -> None:
    """What is under the tag afterwards is compared with what was put there."""
    other = Manifest(OCI_INDEX, b"{}")
    server.table["GET /v2/app/manifests/latest"] = [Reply(200, other.body, {"Content-Type": OCI_INDEX})]
    with pytest.raises(TagsNotMovedError, match=f"/app:latest was published as .* but reads back as {other.digest}"):
        publish(server, settings_for(f"{server.host}/app"))


@pytest.mark.usefixtures("staged")
def test_a_tag_that_is_not_there_afterwards(server: RegistryServer) -> None:
    """A registry that accepts the index and has none is found out."""
    server.table["PUT /v2/app/manifests/latest"] = [Reply(201)]
    with pytest.raises(TagsNotMovedError, match="but reads back as nothing"):
        publish(server, settings_for(f"{server.host}/app"))


@pytest.mark.usefixtures("staged")
def test_a_registry_that_stumbles_everywhere(server: RegistryServer) -> None:
    """Reads, the write and the read-back each outlast a fault."""
    settings = settings_for(f"{server.host}/app")
    server.table["GET /v2/app/manifests/latest-amd64"] = [refusal(503), server.from_contents]
    server.table["PUT /v2/app/manifests/latest"] = [refusal(429), server.from_contents]
    server.table["GET /v2/app/manifests/latest"] = [refusal(502), server.from_contents]
    (published,) = publish(server, settings)
    assert index_of(server) == json.loads(server.contents[f"/v2/app/manifests/{published.digest}"][1])


# The document's words.


def test_the_documents_commands() -> None:
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


def test_what_docker_manifest_refuses_is_said_in_buildx_words() -> None:
    """Images with attestations, several repositories and annotations are nothing that docker manifest can do."""
    annotations = {"org.opencontainers.image.title": "App"}
    settings = settings_for("someone/app", "ghcr.io/a/b", platforms=["amd64", "arm"], annotations=annotations)
    assert [
        (
            "docker buildx imagetools create --tag docker.io/someone/app:latest --tag ghcr.io/a/b:latest"
            " --annotation index:org.opencontainers.image.title=App"
            " docker.io/someone/app:latest-amd64 docker.io/someone/app:latest-arm-v7"
        )
    ] == [" ".join(line) for line in commands(settings)]


def test_a_published_tag_prints_as_a_reference() -> None:
    """Tag and digest, so that it can be run and pinned."""
    tag = PublishedTag(ImageReference.parse("someone/app:1"), "sha256:" + "a" * 64)
    assert f"docker.io/someone/app:1@sha256:{'a' * 64}" == str(tag)


# Indexes under staging tags.


def listed(
    server: RegistryServer, tag: str, *entries: dict[str, Any], kind: str = OCI_INDEX, **more: Any
) -> dict[str, Any]:
    """Put an index into the repository `app`; return its descriptor."""
    return server.hold_manifest("app", tag, {"schemaVersion": 2, "mediaType": kind, "manifests": entries, **more}, kind)


def only_arm64(server: RegistryServer, **more: Any) -> Settings:
    """Return the settings of a matrix of one platform."""
    return settings_for(f"{server.host}/app", platforms=["arm64"], **more)


@pytest.mark.parametrize("kind", [OCI_INDEX, DOCKER_LIST])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_nested_indexes_are_flattened(server: RegistryServer, depth: int, kind: str) -> None:
    """The image and its attestations are found however many indexes are around them."""
    entries = attested(server, ARM64, "inner")
    inner = server.hold_manifest("app", "0", json.loads(server.contents["/v2/app/manifests/inner"][1]), OCI_INDEX)
    for number in range(1, depth):
        inner = listed(server, str(number), inner, kind=kind)
    listed(server, "latest-arm64", inner, kind=kind)
    publish(server, only_arm64(server))
    assert entries == index_of(server)["manifests"]


def test_indexes_beside_images_are_flattened_too(server: RegistryServer) -> None:
    """Attestations in an index of their own belong to the image all the same."""
    entry, attestation = attested(server, ARM64, "inner")
    listed(server, "latest-arm64", listed(server, "about", attestation), entry)
    publish(server, only_arm64(server))
    assert [entry, attestation] == index_of(server)["manifests"]


def test_indexes_that_are_nested_too_deep(server: RegistryServer) -> None:
    """Nobody does that; it ends in an error that names one of them."""
    inner = listed(server, "0", {**image(server, ARM64, "image"), "platform": ARM64})
    for number in range(1, 9):
        inner = listed(server, str(number), inner)
    listed(server, "latest-arm64", inner)
    message = refused(server, NotAnImageError, only_arm64(server))
    assert message.startswith(f"not published: {server.host}/app:latest-arm64@sha256:")
    assert " holds no image but an index that cannot be followed;" in message


def test_a_nested_index_that_is_gone(server: RegistryServer) -> None:
    """Its digest is named."""
    inner = listed(server, "inner", {**image(server, ARM64, "image"), "platform": ARM64})
    listed(server, "latest-arm64", inner)
    server.contents = {p: c for p, c in server.contents.items() if inner["digest"] not in p}
    assert f"{server.host}/app:latest-arm64@{inner['digest']} holds no image but an index that cannot be followed" in (
        refused(server, NotAnImageError, only_arm64(server))
    )


@pytest.mark.parametrize(
    ("second", "told"),
    [(AMD64, "linux/arm64, linux/amd64"), (ARM64, "linux/arm64, linux/arm64"), (ARM, "linux/arm64, linux/arm/v7")],
)
@pytest.mark.parametrize("nested", [False, True])
def test_an_index_of_several_images(server: RegistryServer, second: dict[str, Any], told: str, nested: bool) -> None:
    """Under a staging tag is the image of one platform: of several nobody could tell which to take."""
    entries = [
        {**image(server, {**config, "number": number}, f"image-{number}"), "platform": config}
        for number, config in enumerate((ARM64, second))
    ]
    if nested:
        entries = [listed(server, f"inner-{number}", entry) for number, entry in enumerate(entries)]
    listed(server, "latest-arm64", *entries)
    assert (
        f"not published, gate 'the set is exact': {server.host}/app:latest-arm64 should hold an image for linux/arm64"
        f" alone, and holds {told}; rebuild it"
    ) == refused(server, SurplusImageError, only_arm64(server))


def test_an_index_of_one_image_twice(server: RegistryServer) -> None:
    """The very same one, also."""
    entry = {**image(server, ARM64, "image"), "platform": ARM64}
    listed(server, "latest-arm64", entry, entry)
    assert "and holds linux/arm64, linux/arm64;" in refused(server, SurplusImageError, only_arm64(server))


def test_attestations_of_other_images_stay_behind(server: RegistryServer) -> None:
    """What tells of an image that is not published, or of none, is not carried over."""
    entry, attestation = attested(server, ARM64, "one")
    _, other = attested(server, AMD64, "other")
    of_none = {**other, "annotations": {ATTESTS: "attestation-manifest"}}
    listed(server, "latest-arm64", entry, other, attestation, of_none)
    publish(server, only_arm64(server))
    assert [entry, attestation] == index_of(server)["manifests"]


def test_every_attestation_of_an_image_is_carried_over(server: RegistryServer) -> None:
    """In their order, right behind their image."""
    entry, attestation = attested(server, ARM64, "one")
    another = {**attestation, **server.hold_manifest("app", "sbom", {"config": {"digest": "sha256:0"}, "of": "one"})}
    listed(server, "latest-arm64", attestation, entry, another)
    image(server, AMD64, "latest-amd64")
    publish(server, settings_for(f"{server.host}/app", platforms=["arm64", "amd64"]))
    assert [entry, attestation, another] == index_of(server)["manifests"][:3]
    assert AMD64 == index_of(server)["manifests"][3]["platform"]


# What entries and the index say.


def test_the_config_tells_all_that_a_platform_has(server: RegistryServer) -> None:
    """Version and features of the system and the variant are the config's, not those of the index around the image."""
    config = {**ARM64, "variant": "v9", "os.version": "6.1.2", "os.features": ["sve", "sme"]}
    entry = {**image(server, {**config, "created": "now"}, "image"), "platform": {**ARM64, "os.version": "5"}}
    listed(server, "latest-arm64-v9", entry)
    publish(server, settings_for(f"{server.host}/app", platforms=["arm64/v9"]))
    assert [config] == [entry["platform"] for entry in index_of(server)["manifests"]]


TITLE, LICENSES = "org.opencontainers.image.title", "org.opencontainers.image.licenses"


@pytest.mark.parametrize("kind", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_annotations_of_the_index(server: RegistryServer, kind: str) -> None:
    """They are there, sorted, and make it an OCI index also over images of Docker's type: its list has none."""
    image(server, ARM64, "latest-arm64", kind)
    publish(server, only_arm64(server, annotations={TITLE: "App", LICENSES: "Apache-2.0"}))
    index = index_of(server)
    assert [(LICENSES, "Apache-2.0"), (TITLE, "App")] == list(index["annotations"].items())
    assert [OCI_INDEX, OCI_INDEX] == [index["mediaType"], server.contents["/v2/app/manifests/latest"][0]]
    assert [kind] == [entry["mediaType"] for entry in index["manifests"]]
    assert ["annotations" in entry for entry in index["manifests"]] == [False]


@pytest.mark.parametrize("kind", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_annotations_of_a_platform(server: RegistryServer, kind: str) -> None:
    """They are those of its entry alone, and make the index an OCI index as well."""
    image(server, ARM64, "latest-arm64", kind)
    image(server, AMD64, "latest-amd64", kind)
    platforms = ["amd64", {"platform": "arm64", "annotations": {TITLE: "App for ARM"}}]
    publish(server, settings_for(f"{server.host}/app", platforms=platforms))
    index = index_of(server)
    assert [None, {TITLE: "App for ARM"}] == [entry.get("annotations") for entry in index["manifests"]]
    assert [OCI_INDEX, OCI_INDEX] == [index["mediaType"], server.contents["/v2/app/manifests/latest"][0]]
    assert "annotations" not in index


@pytest.mark.parametrize("kind", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_annotations_of_an_entry_are_carried_over(server: RegistryServer, kind: str) -> None:
    """What the index of a platform says of its image stays said, where the settings do not say otherwise."""
    said = {TITLE: "from BuildKit", "b": "2", "a": "1"}
    entry = {**image(server, ARM64, "image", kind), "platform": ARM64, "annotations": said}
    listed(server, "latest-arm64", entry)
    publish(server, only_arm64(server))
    assert [entry] == index_of(server)["manifests"]
    assert OCI_INDEX == index_of(server)["mediaType"]
    platforms = [{"platform": "arm64", "annotations": {TITLE: "from the settings", "c": "3"}}]
    publish(server, settings_for(f"{server.host}/app", platforms=platforms))
    (written,) = index_of(server)["manifests"]
    assert [("a", "1"), ("b", "2"), ("c", "3"), (TITLE, "from the settings")] == list(written["annotations"].items())


# What a tag has today.


def entries_for(server: RegistryServer, *platforms: dict[str, Any]) -> list[dict[str, Any]]:
    """Return entries of a published index, whose images nobody needs to read."""
    return [{**image(server, platform, "old"), "platform": platform} for platform in platforms]


UNKNOWN = {"os": "unknown", "architecture": "unknown"}


def test_a_set_that_would_drop_platforms(server: RegistryServer, staged: dict[str, dict[str, Any]]) -> None:
    """A tag that has more than the matrix is left as it is; every such tag is named with what it would lose."""
    host = server.host
    listed(server, "latest", *entries_for(server, AMD64, ARM, {**ARM64, "variant": "v8"}, UNKNOWN))
    listed(server, "1", *entries_for(server, AMD64, ARM64))
    listed(server, "2", *entries_for(server, AMD64, {"os": "linux", "architecture": "386"}))
    settings = settings_for(f"{host}/app", platforms=["amd64", "arm64"], tags=["latest", "1", "2", "new"])
    assert (
        f"not published, gate 'nothing is dropped': {host}/app:latest has linux/arm/v7 today; {host}/app:2 has"
        " linux/386 today; add what is missing to the matrix, or pass --allow-dropping"
    ) == refused(server, DroppedPlatformError, settings)


def test_dropping_may_be_allowed(server: RegistryServer, staged: dict[str, dict[str, Any]]) -> None:
    """Then the tag has what the matrix has."""
    listed(server, "latest", *entries_for(server, AMD64, ARM64, ARM))
    publish(server, only_arm64(server, allow_dropping=True))
    assert [staged["arm64"]["digest"]] == [entry["digest"] for entry in index_of(server)["manifests"]]


@pytest.mark.usefixtures("staged")
@pytest.mark.parametrize(
    "today",
    [[AMD64, ARM], [{**ARM64, "variant": "v8"}, {"os": "linux", "architecture": "arm"}], [UNKNOWN], [{}], []],
    ids=["fewer", "other spellings", "attestations alone", "no platform", "nothing"],
)
def test_a_set_that_drops_nothing(server: RegistryServer, today: list[dict[str, Any]]) -> None:
    """A tag that has the same or fewer platforms moves, however they are spelt."""
    listed(server, "latest", *entries_for(server, *today))
    publish(server, settings_for(f"{server.host}/app"))
    assert 3 == len(index_of(server)["manifests"])


@pytest.mark.usefixtures("staged")
@pytest.mark.parametrize("kind", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_a_tag_that_is_a_plain_image(server: RegistryServer, kind: str) -> None:
    """It counts as the platform that its config says."""
    image(server, ARM, "latest", kind)
    assert f"{server.host}/app:latest has linux/arm/v7 today;" in (
        refused(server, DroppedPlatformError, only_arm64(server))
    )
    publish(server, settings_for(f"{server.host}/app"))
    assert 3 == len(index_of(server)["manifests"])


@pytest.mark.usefixtures("staged")
def test_a_tag_of_nested_indexes(server: RegistryServer) -> None:
    """What it has is counted through the indexes that it lists."""
    listed(server, "latest", listed(server, "inner", *entries_for(server, ARM64, ARM)))
    assert f"{server.host}/app:latest has linux/arm/v7 today;" in (
        refused(server, DroppedPlatformError, only_arm64(server))
    )


# What the images start.


def layered(server: RegistryServer, tag: str, config: dict[str, Any], *files: dict[str, bytes]) -> list[dict[str, Any]]:
    """Put an image with real layers under a staging tag; return the descriptors of its layers, the lowest first."""
    layers = []
    for layer in files:
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w:gz", compresslevel=1) as archive:
            for name, content in layer.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        blob = written.getvalue()
        media_type = "application/vnd.oci.image.layer.v1.tar+gzip"
        layers.append({"mediaType": media_type, "digest": server.hold_blob("app", blob), "size": len(blob)})
    digest = server.hold_blob("app", json.dumps(config).encode())
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {"digest": digest}, "layers": layers}
    server.hold_manifest("app", tag, body)
    return layers


STARTS = {**ARM64, "config": {"Entrypoint": ["/app/server"]}}
PROGRAM = {name: ELF[name].header() + b"\0" * 1000 for name in ("amd64", "arm64")}
# More than is asked for of a layer at first, also when it is compressed.
MUCH = {"much": hashlib.shake_128(b"much").digest(1_500_000)}


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
    listed(server, "latest-arm64", {**Manifest(kind, body).descriptor, "platform": ARM64})
    assert "its /app/server is a program for amd64;" in refused(server, ForeignProgramError, only_arm64(server))


def test_programs_of_the_right_architecture(server: RegistryServer) -> None:
    """They are published without a word; nothing below the program is read that was not read ahead."""
    said: list[str] = []
    layers = layered(
        server, "latest-arm64", STARTS, *({f"{n}": b""} for n in range(5)), {"app/server": PROGRAM["arm64"]}
    )
    manifest(only_arm64(server), {server.host: registry_of(server)}, say=said.append)
    assert [] == said
    blobs = [asked.rpartition("/")[2] for asked in server.asked if "/blobs/" in asked]
    assert [0, 0, 1, 1, 1, 1] == [blobs.count(layer["digest"]) for layer in layers]


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
    manifest(only_arm64(server), {server.host: registry_of(server)}, say=said.append)
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


@pytest.mark.usefixtures("staged")
def test_a_tag_that_is_malformed(server: RegistryServer) -> None:
    """What is not understood of a published tag is no platform that could be lost, and no traceback."""
    listed(server, "latest", {**image(server, ARM64, "old"), "platform": "linux/arm64"})
    publish(server, settings_for(f"{server.host}/app"))
    assert 3 == len(index_of(server)["manifests"])


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

"""The gate "the base is the base", and what an index says of the images that its own begin with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.image.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_MANIFEST
from multiarch.image.platform import Leg, Platform
from multiarch.image.reference import ImageReference
from multiarch.publish import publication
from multiarch.publish.bases import StagedBase
from multiarch.publish.errors import BaseMismatchError
from tests.unit.staging import AMD64, ATTESTS, config_of, index_of, listed, registry_of, settings_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.config.settings import Settings
    from tests.unit.registry_server import RegistryServer

NAME, DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
LINUX = Platform.parse("linux/amd64")
BASE = ["sha256:" + digit * 64 for digit in "12"]
OTHER = ["sha256:" + digit * 64 for digit in "39"]
OWN = "sha256:" + "4" * 64
SLSA_02, SLSA_1 = "https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1"


def put(
    server: RegistryServer, tag: str, diff_ids: Sequence[str], kind: str = OCI_MANIFEST, **more: Any
) -> dict[str, Any]:
    """Put an image of these layers, as its config tells, under a tag; return its descriptor."""
    config = config_of(server, {**AMD64, "rootfs": {"type": "layers", "diff_ids": list(diff_ids)}, **more})
    return server.hold_manifest("app", tag, {"mediaType": kind, "config": config, "layers": []}, kind)


def attest(server: RegistryServer, tag: str, image: dict[str, Any], kind: str, statement: object) -> None:
    """Put an index of an image and its provenance under a tag, as BuildKit pushes it."""
    body = json.dumps(statement).encode()
    layer = {
        "mediaType": "application/vnd.in-toto+json",
        "digest": server.hold_blob("app", body),
        "size": len(body),
        "annotations": {"in-toto.io/predicate-type": kind},
    }
    attestation = server.hold_manifest("app", f"{tag}-attestation", {"config": layer, "layers": [layer]})
    about = {ATTESTS: "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}
    unknown = {"os": "unknown", "architecture": "unknown"}
    listed(server, tag, {**image, "platform": AMD64}, {**attestation, "platform": unknown, "annotations": about})


def statement(subject: str, predicate: dict[str, Any]) -> dict[str, Any]:
    """Return a statement of in-toto about a digest."""
    return {"subject": [{"name": "_", "digest": {"sha256": subject.removeprefix("sha256:")}}], "predicate": predicate}


def used(*digests: str) -> list[dict[str, Any]]:
    """Return what a build has used."""
    return [{"uri": "pkg:docker/x", "digest": {"sha256": digest.removeprefix("sha256:")}} for digest in digests]


def base_of(server: RegistryServer, tag: str = "base-amd64", context: str = "base", target: str = "base") -> StagedBase:
    """Return a base under its staging tag."""
    return StagedBase(context, Leg(LINUX, target), ImageReference(server.host, "app", tag))


def release(
    server: RegistryServer, *bases: StagedBase, settings: Settings | None = None, is_seen: bool = False
) -> dict[str, Any]:
    """Publish what is under the staging tag; return the index."""
    settings = settings or settings_for(f"{server.host}/app", platforms=["amd64"])
    part = publication.Part(settings, None, "app", {LINUX: bases}, is_seen)
    publication.publish([part], {server.host: registry_of(server)}, say=print)
    return index_of(server)


def refusal_of(server: RegistryServer, *bases: StagedBase) -> str:
    """Return the line with which it is not published; nothing was written."""
    with pytest.raises(BaseMismatchError) as caught:
        release(server, *bases)
    assert [] == [asked for asked in server.asked if asked.startswith("PUT")]
    assert 1 == len(str(caught.value).splitlines())
    return str(caught.value)


def about(index: dict[str, Any]) -> list[dict[str, str]]:
    """Return the annotations of an index, and those of its entries."""
    return [one.get("annotations", {}) for one in (index, *index["manifests"])]


def test_image_that_begins_with_its_base_says_so(server: RegistryServer) -> None:
    """At its own entry, as each platform has another base; the index itself says nothing."""
    base = put(server, "base-amd64", BASE)
    put(server, "latest-amd64", [*BASE, OWN])
    name = f"{server.host}/app@{base['digest']}"
    assert [{}, {DIGEST: base["digest"], NAME: name}] == about(release(server, base_of(server)))
    # Once more, with an image that the cache has.
    assert [{}, {DIGEST: base["digest"], NAME: name}] == about(release(server, base_of(server)))


@pytest.mark.parametrize(
    "layers", [[*OTHER, OWN], [BASE[0]], [BASE[1], BASE[0], OWN], [OWN, *BASE], []], ids=lambda value: str(len(value))
)
def test_image_on_something_else_is_refused(server: RegistryServer, layers: list[str]) -> None:
    """Its layers do not begin with all of the base's, in their order, and it has no provenance."""
    base = put(server, "base-amd64", BASE)
    put(server, "latest-amd64", layers)
    expected = (
        f"not published, gate 'the base is the base': app linux/amd64 ({server.host}/app:latest-amd64) is not known to"
        f" be built on base linux/amd64 ({server.host}/app@{base['digest']}); does its Dockerfile say FROM base? run"
        " build-arch again for both, or release; where it only copies from there, provenance tells of that"
        " (attestations)"
    )
    assert expected == refusal_of(server, base_of(server))


@pytest.mark.parametrize(
    "rootfs", [None, [], "layers", {"diff_ids": "x"}, {"diff_ids": [1]}, {"diff_ids": ["x"] * 501}]
)
def test_layers_that_are_not_told_prove_nothing(server: RegistryServer, rootfs: object) -> None:
    """Neither the base's, nor the image's; a base without layers would begin every image."""
    put(server, "base-amd64", [], rootfs=rootfs)
    put(server, "latest-amd64", BASE)
    refusal_of(server, base_of(server))
    put(server, "base-amd64", BASE)
    put(server, "latest-amd64", [], rootfs=rootfs)
    refusal_of(server, base_of(server))


@pytest.mark.parametrize("is_index", [False, True], ids=["image", "index"])
@pytest.mark.parametrize("kind", [SLSA_02, SLSA_1])
def test_provenance_names_a_base_that_is_only_copied_from(server: RegistryServer, kind: str, *, is_index: bool) -> None:
    """The image itself, or the index of all platforms that a release has handed over; nothing is annotated."""
    base = put(server, "base-amd64", BASE)
    given = listed(server, "all", {**base, "platform": AMD64})["digest"] if is_index else base["digest"]
    image = put(server, "plain", OTHER)
    materials = used("sha256:" + "0" * 64, given)
    predicate = (
        {"materials": materials} if kind == SLSA_02 else {"buildDefinition": {"resolvedDependencies": materials}}
    )
    attest(server, "latest-amd64", image, kind, statement(image["digest"], predicate))
    assert {} == about(release(server, base_of(server)))[1]


@pytest.mark.parametrize(
    "predicate",
    [
        {"materials": used("sha256:" + "0" * 64)},
        {"materials": [{"digest": {"sha256": 1}}, {"digest": "x"}, "x", {}]},
        {"materials": {}},
        {"buildDefinition": {}},
        [],
        None,
    ],
)
def test_provenance_that_does_not_name_the_base_proves_nothing(server: RegistryServer, predicate: Any) -> None:
    """Whatever it holds."""
    put(server, "base-amd64", BASE)
    image = put(server, "plain", OTHER)
    attest(server, "latest-amd64", image, SLSA_02, statement(image["digest"], predicate))
    assert "is not known to be built on base linux/amd64" in refusal_of(server, base_of(server))


def test_provenance_of_another_image_proves_nothing(server: RegistryServer) -> None:
    """Its statement is about something else; nor does another kind of statement."""
    base = put(server, "base-amd64", BASE)
    image = put(server, "plain", OTHER)
    predicate = {"materials": used(base["digest"])}
    attest(server, "latest-amd64", image, SLSA_02, statement("sha256:" + "0" * 64, predicate))
    refusal_of(server, base_of(server))
    attest(server, "latest-amd64", image, "https://spdx.dev/Document", statement(image["digest"], predicate))
    refusal_of(server, base_of(server))


@pytest.mark.parametrize("is_named", [True, False])
def test_image_of_the_same_layers_is_not_told_for_the_base(server: RegistryServer, *, is_named: bool) -> None:
    """It will do, and yet is another one, as provenance tells."""
    base = put(server, "base-amd64", BASE)
    image = put(server, "plain", [*BASE, OWN])
    predicate = {"materials": used(base["digest"] if is_named else "sha256:" + "0" * 64)}
    attest(server, "latest-amd64", image, SLSA_02, statement(image["digest"], predicate))
    own = about(release(server, base_of(server)))[1]
    assert (base["digest"] if is_named else None) == own.get(DIGEST)


def test_build_that_was_seen_needs_no_other_proof(server: RegistryServer) -> None:
    """A release has the vertices of its solves; what it cannot tell from the layers, it does not annotate."""
    put(server, "base-amd64", BASE)
    put(server, "latest-amd64", OTHER)
    assert [{}, {}] == about(release(server, base_of(server), is_seen=True))


def test_missing_base_is_told(server: RegistryServer) -> None:
    """It is not known then what the image should be built on."""
    put(server, "latest-amd64", BASE)
    expected = f"there is no image for base linux/amd64 at {server.host}/app:base-amd64, which others are built on"
    assert refusal_of(server, base_of(server)).endswith(expected)
    listed(
        server,
        "base-amd64",
        {**put(server, "a", BASE), "platform": {"os": "linux", "architecture": "arm64"}},
        {**put(server, "b", BASE, x=1), "platform": {"os": "linux", "architecture": "s390x"}},
    )
    assert refusal_of(server, base_of(server)).endswith(expected)


def test_highest_of_several_bases_is_the_immediate_one(server: RegistryServer) -> None:
    """Where two images are as high, neither is told."""
    put(server, "low-amd64", BASE[:1])
    high = put(server, "base-amd64", BASE)
    put(server, "latest-amd64", [*BASE, OWN])
    low = base_of(server, "low-amd64", "low", "low")
    assert high["digest"] == about(release(server, low, base_of(server)))[1][DIGEST]
    put(server, "twin-amd64", BASE, author="another")
    twin = base_of(server, "twin-amd64", "twin", "twin")
    assert [{}, {}] == about(release(server, twin, base_of(server)))


@pytest.mark.parametrize("key", [NAME, DIGEST])
def test_annotation_of_the_user_wins(server: RegistryServer, key: str) -> None:
    """One of both is enough: ours would not fit to it."""
    put(server, "base-amd64", BASE)
    put(server, "latest-amd64", [*BASE, OWN])
    whole = settings_for(f"{server.host}/app", platforms=["amd64"], annotations={key: "mine"})
    assert [{key: "mine"}, {}] == about(release(server, base_of(server), settings=whole))
    platform = {"platform": "amd64", "annotations": {key: "mine"}}
    one = settings_for(f"{server.host}/app", platforms=[platform])
    assert [{}, {key: "mine"}] == about(release(server, base_of(server), settings=one))


def test_list_of_dockers_own_type_stays_one(server: RegistryServer) -> None:
    """It has no annotations."""
    put(server, "base-amd64", BASE, DOCKER_MANIFEST)
    put(server, "latest-amd64", [*BASE, OWN], DOCKER_MANIFEST)
    index = release(server, base_of(server))
    assert (DOCKER_LIST, [{}, {}]) == (index["mediaType"], about(index))


def test_index_on_a_published_one_names_its_tag(server: RegistryServer) -> None:
    """Its digest is that of the other index, which moves with it; an entry has that of its platform's image."""
    base = put(server, "base-amd64", BASE)
    put(server, "app-amd64", [*BASE, OWN])
    settings = [
        settings_for(f"{server.host}/app", platforms=["amd64"], tags=[tag], arch_tag=f"{tag}-{{platform}}")
        for tag in ("base", "app")
    ]
    parts = [
        publication.Part(settings[0], None, "base"),
        publication.Part(settings[1], None, "app", {LINUX: (base_of(server),)}),
    ]
    published = publication.publish(parts, {server.host: registry_of(server)}, say=print)
    index = published[0].tags[0].digest
    name = f"{server.host}/app:base"
    assert [{NAME: name, DIGEST: index}, {NAME: name, DIGEST: base["digest"]}] == about(index_of(server, "app"))
    assert [{}, {}] == about(index_of(server, "base"))


def test_base_without_tags_gets_its_staging_tag(server: RegistryServer) -> None:
    """After a release, `manifest` run by itself finds it there."""
    base = put(server, "somewhere", BASE)
    image = put(server, "else", [*BASE, OWN])
    settings = settings_for(f"{server.host}/app", platforms=["amd64"])
    handed = StagedBase("base", Leg(LINUX, "base"), ImageReference(server.host, "app", "base-amd64", base["digest"]))
    part = publication.Part(settings, {LINUX: image["digest"]}, "app", {LINUX: (handed,)}, is_seen=True)
    publication.publish([part], {server.host: registry_of(server)}, say=print)
    kept = server.contents["/v2/app/manifests/base-amd64"]
    assert server.contents["/v2/app/manifests/somewhere"] == kept

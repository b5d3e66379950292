"""Platforms of published tags are replaced and removed: one entry, its attestations, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.image.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference
from multiarch.publish.errors import (
    NotPublishedError,
    NotRepairedError,
    PlatformMismatchError,
    TagsNotMovedError,
    UnkeptRepairError,
)
from multiarch.publish.repair import Change, Repair
from multiarch.publish.replacement import Replacement
from tests.unit.registry_server import RegistryServer, Reply, refusal
from tests.unit.staging import AMD64, ARM, ARM64, attested, image, index_of, listed, registry_of, settings_for

if TYPE_CHECKING:
    from multiarch.errors import MultiarchError
    from tests.unit.registry_server import Request

FOREIGN = {"org.example.note": "kept", "multiarch.inputs": "{}"}


def repair(server: RegistryServer, replaced: str = "", removed: str = "", **more: Any) -> list[str]:
    """Repair `app` under its tags; return what is said, but for programs that no layer holds.

    :param replaced: PLATFORM=TAG or PLATFORM=DIGEST of `app`, with blanks between.
    """
    said: list[str] = []
    replacements = []
    for text in filter(None, replaced.split(" ")):
        platform, _, place = text.partition("=")
        reference = f"{server.host}/app{'@' if ':' in place else ':'}{place}"
        replacements.append(Replacement(Platform.parse(platform), ImageReference.parse(reference)))
    change = Change(tuple(replacements), tuple(map(Platform.parse, filter(None, removed.split(" ")))))
    settings = settings_for(f"{server.host}/app", **more)
    Repair(change, settings, {server.host: registry_of(server)}, said.append, lambda _: None).run()
    return [line for line in said if "not checked" not in line]


def published(server: RegistryServer, tag: str = "latest", **more: Any) -> list[dict[str, Any]]:
    """Publish amd64 and arm64, each with an attestation, with fields that are not ours; return the entries."""
    entries = [*attested(server, AMD64, f"{tag}-a"), *attested(server, ARM64, f"{tag}-b")]
    entries[0]["x-of-somebody"] = {"deep": [1]}
    listed(server, tag, *entries, annotations=FOREIGN, **more)
    return entries


def refused(server: RegistryServer, error: type[MultiarchError], *args: str, **more: Any) -> str:
    """Return the line with which it is refused; nothing was written."""
    with pytest.raises(error) as caught:
        repair(server, *args, **more)
    assert [] == [asked for asked in server.asked if asked.startswith("PUT")]
    assert 1 == len(str(caught.value).splitlines())
    return str(caught.value).replace(server.host, "HOST")


def test_entry_and_its_attestations_are_replaced_and_the_others_stay(server: RegistryServer) -> None:
    """Byte for byte, with fields that nobody here knows; what was recorded of the whole goes."""
    before = published(server)
    new = attested(server, {**ARM64, "created": "2026-01-01T00:00:00Z"}, "fixed")
    said = repair(server, "linux/arm64=fixed")
    after = index_of(server)
    assert ([], [*before[:2], *new]) == (said, after["manifests"])
    assert {"org.example.note": "kept"} == after["annotations"]
    assert [json.dumps(one) for one in before[:2]] == [json.dumps(one) for one in after["manifests"][:2]]
    assert ["PUT /v2/app/manifests/latest"] == [asked for asked in server.asked if asked.startswith("PUT")]


def test_platform_is_never_listed_twice(server: RegistryServer) -> None:
    """One that another tool has listed twice is listed once, in the place of the first."""
    amd64, arm64 = image(server, AMD64, "a"), image(server, ARM64, "b")
    other, new = image(server, {**ARM64, "created": "x"}, "c"), image(server, {**ARM64, "created": "y"}, "d")
    named = [{**arm64, "platform": ARM64}, {**amd64, "platform": AMD64}, {**other, "platform": ARM64}]
    listed(server, "latest", *named)
    repair(server, f"linux/arm64={new['digest']}")
    assert [{**new, "platform": ARM64}, named[1]] == index_of(server)["manifests"]


def test_repeat_moves_no_tag(server: RegistryServer) -> None:
    """The index is as it would be written."""
    published(server)
    attested(server, {**ARM64, "created": "2026-01-01T00:00:00Z"}, "fixed")
    repair(server, "linux/arm64=fixed")
    server.requests.clear()
    repair(server, "linux/arm64=fixed")
    assert [] == [asked for asked in server.asked if asked.startswith("PUT")]


def test_platform_that_was_not_there_is_added_with_a_word(server: RegistryServer) -> None:
    """A platform whose build had failed may come later."""
    before = published(server)
    image(server, ARM, "late")
    assert [f"{server.host}/app:latest has no linux/arm/v7 so far: it is added"] == repair(server, "linux/arm/v7=late")
    assert before == index_of(server)["manifests"][:4]
    assert ARM == index_of(server)["manifests"][4]["platform"]


def test_removed_platform_goes_with_its_attestations(server: RegistryServer) -> None:
    """And a second time there is nothing to remove."""
    before = published(server)
    assert [] == repair(server, removed="linux/arm64")
    assert before[:2] == index_of(server)["manifests"]
    server.requests.clear()
    assert [f"{server.host}/app:latest has no linux/arm64: nothing is removed"] == repair(server, removed="linux/arm64")
    assert [] == [asked for asked in server.asked if asked.startswith("PUT")]


def test_attestation_of_an_image_that_stays_stays(server: RegistryServer) -> None:
    """One image may be listed for two platforms."""
    entries = attested(server, AMD64, "a")
    twice = [entries[0], {**entries[0], "platform": ARM64}, entries[1]]
    listed(server, "latest", *twice)
    repair(server, removed="linux/arm64")
    assert [twice[0], twice[2]] == index_of(server)["manifests"]


def test_tags_with_different_indexes_keep_what_is_theirs(server: RegistryServer) -> None:
    """Each tag is repaired as it is."""
    old, new = published(server, "1"), published(server, "latest")
    repair(server, removed="linux/arm64", tags=["1", "latest"])
    assert [old[:2], new[:2]] == [index_of(server, tag)["manifests"] for tag in ("1", "latest")]


def test_docker_list_becomes_an_index_only_where_it_must(server: RegistryServer) -> None:
    """It cannot list what it does not know."""
    kept = {**image(server, AMD64, "a", DOCKER_MANIFEST), "platform": AMD64}
    listed(server, "latest", kept, {**image(server, ARM, "b", DOCKER_MANIFEST), "platform": ARM}, kind=DOCKER_LIST)
    repair(server, removed="linux/arm/v7")
    assert DOCKER_LIST == index_of(server)["mediaType"]
    image(server, ARM64, "fixed")
    repair(server, "linux/arm64=fixed")
    assert (OCI_INDEX, kept) == (index_of(server)["mediaType"], index_of(server)["manifests"][0])


def test_image_out_of_an_index_is_the_one_of_the_platform(server: RegistryServer) -> None:
    """A reference may be that of a release of several platforms; its attestation comes too."""
    published(server)
    other = [*attested(server, {**AMD64, "created": "n"}, "x"), *attested(server, {**ARM64, "created": "n"}, "y")]
    listed(server, "other", *other)
    repair(server, "linux/arm64=other")
    assert other[2:] == index_of(server)["manifests"][2:]


def test_commit_of_the_image_is_said_and_noted(server: RegistryServer) -> None:
    """A repair mostly is of another commit; the index keeps that of the others."""
    key = "org.opencontainers.image.revision"
    published(server)
    image(server, {**ARM64, "config": {"Labels": {key: "b" * 40}}}, "fixed")
    said = repair(server, "linux/arm64=fixed", labels={key: "a" * 40})
    assert [f"linux/arm64: built from commit {'b' * 40}, and this is {'a' * 40}"] == said
    assert {key: "b" * 40} == index_of(server)["manifests"][2]["annotations"]


def test_gates_hold_for_the_new_image(server: RegistryServer) -> None:
    """Its config is for its platform, and it is there."""
    published(server)
    image(server, AMD64, "wrong")
    message = refused(server, PlatformMismatchError, "linux/arm64=wrong")
    assert message.startswith("not published, gate 'the config matches': HOST/app:wrong")
    assert "HOST/app:none is not published: there is no such tag" == refused(
        server, NotPublishedError, "linux/arm64=none"
    )


def test_what_cannot_be_repaired_is_one_line(server: RegistryServer) -> None:
    """No index, no image for the platform, no image left, nothing there."""
    image(server, ARM64, "fixed")
    assert "HOST/app:latest is not published: there is no such tag" == refused(
        server, NotPublishedError, "linux/arm64=fixed"
    )
    image(server, AMD64, "latest")
    image_alone = "no tag was moved: HOST/app:latest is no index of platforms but"
    assert f"{image_alone} application/vnd.oci.image.manifest.v1+json; release it whole" == refused(
        server, NotRepairedError, "linux/arm64=fixed"
    )
    published(server)
    assert "no tag was moved: HOST/app:latest lists no image for linux/s390x; name one by its digest" == refused(
        server, NotRepairedError, "linux/s390x=latest"
    )
    assert "no tag was moved: HOST/app:latest would have no image left; take another away" == refused(
        server, NotRepairedError, "", "linux/arm64 linux/amd64"
    )


def test_second_tag_that_is_refused_puts_the_first_back(server: RegistryServer) -> None:
    """All tags or none."""
    published(server, "1")
    published(server, "2")
    before = dict(server.contents)
    server.table["PUT /v2/app/manifests/2"] = [refusal(403)]
    with pytest.raises(TagsNotMovedError):
        repair(server, removed="linux/arm64", tags=["1", "2"])
    assert [before[f"/v2/app/manifests/{n}"] for n in "12"] == [server.contents[f"/v2/app/manifests/{n}"] for n in "12"]


@pytest.mark.parametrize("moment", ["before the write", "after the read-back"])
def test_change_of_somebody_else_is_not_lost(server: RegistryServer, moment: str) -> None:
    """Whoever moves the tag in between: it is read again, and both changes are in it."""
    before = published(server)
    new = image(server, {**ARM64, "created": "new"}, "fixed")
    theirs = {**image(server, {**AMD64, "created": "theirs"}, "theirs"), "platform": AMD64}
    reads = {"before the write": 2, "after the read-back": 4}[moment]

    def react(request: Request) -> Reply:
        nonlocal reads
        reads -= 1
        if reads == 0:
            listed(server, "latest", theirs, *before[2:], annotations=FOREIGN)
        return server.from_contents(request)

    server.table["GET /v2/app/manifests/latest"] = [react]
    said = repair(server, "linux/arm64=fixed")
    assert ["a tag was moved by somebody else meanwhile: it is read and repaired again"] == said
    assert [theirs["digest"], new["digest"]] == [one["digest"] for one in index_of(server)["manifests"]]


@pytest.mark.parametrize("more", [{"removed": "linux/s390x"}, {"replaced": "linux/amd64=latest-a linux/arm64=fixed"}])
def test_what_the_repair_did_not_change_makes_no_release_of_somebody_else_a_lost_one(
    server: RegistryServer, more: dict[str, str]
) -> None:
    """A platform that was not there, or had this very image already, is in their release as it was before too."""
    before = published(server)
    image(server, {**ARM64, "created": "new"}, "fixed")
    theirs = [before[0], {**image(server, {**ARM64, "created": "z"}, "z"), "platform": ARM64}]
    reads = 4

    def react(request: Request) -> Reply:
        nonlocal reads
        reads -= 1
        if reads == 0:
            listed(server, "latest", *theirs)
        return server.from_contents(request)

    server.table["GET /v2/app/manifests/latest"] = [react]
    assert [] == [line for line in repair(server, **{"replaced": "linux/arm64=fixed", **more}) if "meanwhile" in line]
    del server.table["GET /v2/app/manifests/latest"]
    assert theirs == index_of(server)["manifests"]


def test_repair_that_is_overwritten_each_time_is_no_success(server: RegistryServer) -> None:
    """What never came to stay is not told as published."""
    published(server)
    theirs = [*attested(server, {**AMD64, "created": "theirs"}, "theirs"), *attested(server, ARM64, "latest-b")]
    image(server, {**ARM64, "created": "new"}, "fixed")
    reads = 0

    def react(request: Request) -> Reply:
        nonlocal reads
        reads += 1
        if reads % 4 == 0:
            listed(server, "latest", *theirs, annotations={**FOREIGN, "of": str(reads)})
        return server.from_contents(request)

    server.table["GET /v2/app/manifests/latest"] = [react]
    with pytest.raises(UnkeptRepairError) as caught:
        repair(server, "linux/arm64=fixed")
    assert str(caught.value).replace(server.host, "HOST") == (
        "HOST/app:latest was repaired, and somebody else has written it without that 10 times;"
        " look with manifest --inspect, and run this again"
    )
    assert 10 == server.asked.count("PUT /v2/app/manifests/latest")


def test_registry_that_fails_when_the_repair_is_looked_at_again_is_told(server: RegistryServer) -> None:
    """It is written; that it has stayed is not known."""
    published(server)
    new = image(server, {**ARM64, "created": "new"}, "fixed")
    server.table["GET /v2/app/manifests/latest"] = [*[server.from_contents] * 3, refusal(403)]
    with pytest.raises(UnkeptRepairError) as caught:
        repair(server, "linux/arm64=fixed")
    assert "latest was repaired, and whether somebody else has overwritten that cannot be seen (" in str(caught.value)
    assert new["digest"] == index_of(server)["manifests"][2]["digest"]


def test_rollback_and_release_of_somebody_else_are_left_alone(server: RegistryServer) -> None:
    """What was put back whole, or has another image for the platform, is no lost repair."""
    for entries in (published(server), [{**image(server, {**ARM64, "created": "z"}, "z"), "platform": ARM64}]):
        published(server)
        image(server, {**ARM64, "created": "new"}, "fixed")
        reads = 4

        def react(request: Request) -> Reply:
            nonlocal reads
            reads -= 1
            if reads == 0:
                listed(server, "latest", *entries, annotations=FOREIGN)  # noqa: B023 (called within the iteration)
            return server.from_contents(request)

        server.table["GET /v2/app/manifests/latest"] = [react]
        assert [] == repair(server, "linux/arm64=fixed")
        del server.table["GET /v2/app/manifests/latest"]
        assert entries == index_of(server)["manifests"]

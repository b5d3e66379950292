"""Registries in which a tag can be set once: nothing is written that is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multiarch.image.platform import Platform
from multiarch.publish.errors import TagsNotMovedError
from tests.unit.registry_server import Request, json_reply, refusal
from tests.unit.staging import ARM64, image, only_arm64, publish

if TYPE_CHECKING:
    from tests.unit.registry_server import RegistryServer, Reply

# What registries say: Amazon ECR, Harbor, Quay.
WORDS = [
    (400, "TAG_INVALID", "The image tag 'latest' already exists in the 'app' repository and cannot be overwritten"),
    (412, "PRECONDITION", "Failed to process request due to 'app:latest' configured as immutable."),
    (409, "TAG_IMMUTABLE", "tag is immutable"),
]


def test_staging_tag_that_is_there_is_not_written_again(server: RegistryServer) -> None:
    """A second run of the same images writes nothing; a staging tag with another image is moved."""
    staged = image(server, ARM64, "anywhere")
    digests = {Platform.parse("arm64"): staged["digest"]}
    publish(server, only_arm64(server), digests=digests)
    assert ["PUT /v2/app/manifests/latest-arm64", "PUT /v2/app/manifests/latest"] == [
        asked for asked in server.asked if asked.startswith("PUT")
    ]
    server.requests.clear()
    publish(server, only_arm64(server), digests=digests)
    assert [] == [asked for asked in server.asked if asked.startswith("PUT")]
    image(server, {**ARM64, "created": "later"}, "latest-arm64")
    publish(server, only_arm64(server), digests=digests)
    assert ["PUT /v2/app/manifests/latest-arm64"] == [asked for asked in server.asked if asked.startswith("PUT")]


@pytest.mark.parametrize(("status", "code", "message"), WORDS, ids=[code for _, code, _ in WORDS])
def test_tag_that_cannot_be_moved_says_what_to_do(server: RegistryServer, status: int, code: str, message: str) -> None:
    """Whatever the registry's words are, and without another try."""
    image(server, ARM64, "latest-arm64")
    server.table["PUT /v2/app/manifests/latest"] = [refusal(status, code, message)]
    with pytest.raises(TagsNotMovedError) as caught:
        publish(server, only_arm64(server))
    assert "its tags can be set once: publish a new one, with {build} in arch_tag" in str(caught.value)
    assert 1 == server.asked.count("PUT /v2/app/manifests/latest")


def test_tag_that_somebody_else_has_set_to_the_same_index_is_a_success(server: RegistryServer) -> None:
    """Two jobs publish one version: the second is told that it cannot, and that is no matter."""
    image(server, ARM64, "latest-arm64")
    status, code, message = WORDS[0]

    def other_was_first(request: Request) -> Reply:
        server.contents["/v2/app/manifests/latest"] = (request.headers["content-type"], request.body)
        return refusal(status, code, message)

    server.table["PUT /v2/app/manifests/latest"] = [other_was_first]
    (published,) = publish(server, only_arm64(server))
    assert f"{server.host}/app:latest@sha256:" == str(published)[:-64]


def test_other_refusals_are_told_as_they_are(server: RegistryServer) -> None:
    """A quota is no tag that can be set once."""
    image(server, ARM64, "latest-arm64")
    reply: Any = json_reply({"errors": [{"code": "DENIED", "message": "quota exceeded"}]}, 403)
    server.table["PUT /v2/app/manifests/latest"] = [reply]
    with pytest.raises(TagsNotMovedError) as caught:
        publish(server, only_arm64(server))
    assert ("quota exceeded" in str(caught.value), "set once" in str(caught.value)) == (True, False)

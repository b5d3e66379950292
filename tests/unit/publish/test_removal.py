"""Removal of staging tags where something is not known, or changes meanwhile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.image.manifest import IMAGE_CONFIGS, OCI_INDEX, OCI_MANIFEST
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference
from multiarch.publish.leftovers import Leftover, find_leftovers
from multiarch.publish.previous import note_moves
from multiarch.publish.reachable import UnknownReachError, Walk
from multiarch.publish.removal import CannotDeleteError, Removal, remove_tag
from multiarch.publish.staging_names import StagingName
from multiarch.publish.tags import Move
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.unit.registry_server import Reply, refusal

if TYPE_CHECKING:
    from tests.unit.registry_server import RegistryServer, Request

AMD64 = Platform("linux", "amd64")
_FOLDER = "/v2/app/manifests/"


def _image(server: RegistryServer, tag: str, word: str = "", **more: Any) -> dict[str, Any]:
    config = json.dumps({"os": "linux", "architecture": "amd64", "word": word}).encode()
    described = {"mediaType": IMAGE_CONFIGS[0], "digest": server.hold_blob("app", config), "size": len(config)}
    return server.hold_manifest("app", tag, {"schemaVersion": 2, "config": described, "layers": [], **more})


def _index(server: RegistryServer, tag: str, *entries: dict[str, Any]) -> dict[str, Any]:
    value = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return server.hold_manifest("app", tag, value, OCI_INDEX)


def _walk(server: RegistryServer) -> Walk:
    return Walk(Registry(server.host, Policy(seconds=0), lambda _: None), ImageReference(server.host, "app"))


def _leftovers(walk: Walk, *tags: str) -> list[Leftover]:
    return find_leftovers(walk, walk.look(), {tag: StagingName(AMD64, "1") for tag in tags}, None)


def _tags(server: RegistryServer) -> set[str]:
    return {path.removeprefix(_FOLDER) for path in server.contents if path.startswith(_FOLDER) and ":" not in path}


def test_tag_that_cannot_be_read_keeps_all(server: RegistryServer) -> None:
    """What is behind it is not known: of another type, malformed, or listed and gone, as a nested index may be."""
    _image(server, "old")
    for reaction, problem in (
        (Reply(200, b"{}", {"Content-Type": "application/vnd.example"}), "app:other: 'application/vnd.example' is no"),
        (Reply(200, b'{"manifests": 1}', {"Content-Type": OCI_INDEX}), "app:other: it has no manifests"),
        (refusal(404, "MANIFEST_UNKNOWN"), "app:other: the tag is listed, and has no manifest; nothing of its repos"),
    ):
        _image(server, "other", "other")
        server.table[f"GET {_FOLDER}other"] = [reaction]
        with pytest.raises(UnknownReachError, match=problem):
            _walk(server).look()
    server.table.clear()
    lost = _index(server, "gone")
    del server.contents[f"{_FOLDER}{lost['digest']}"], server.contents[f"{_FOLDER}gone"]
    _index(server, "other", lost)
    walk = _walk(server)
    with pytest.raises(UnknownReachError, match="an index lists it, and it is not there; nothing of its repository"):
        _leftovers(walk, "old")


def test_indexes_without_end_keep_all(server: RegistryServer) -> None:
    """Nobody nests them so deep."""
    _image(server, "old")
    inner = _index(server, "i0")
    for number in range(1, 10):
        inner = _index(server, f"i{number}", inner)
    for number in range(9):
        del server.contents[f"{_FOLDER}i{number}"]
    with pytest.raises(UnknownReachError, match="app: indexes are nested more than 8 deep"):
        _leftovers(_walk(server), "old")


def test_what_refers_to_what_is_published_stays(server: RegistryServer) -> None:
    """An attestation, with the image as its subject, that only an old staging tag lists."""
    image = {**_image(server, "x"), "platform": {"os": "linux", "architecture": "amd64"}}
    del server.contents[f"{_FOLDER}x"]
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}
    platform = {"os": "unknown", "architecture": "unknown"}
    own = [
        {**_image(server, f"a{n}", f"a{n}", **more), "platform": platform, "annotations": about}
        for n, more in enumerate(({"subject": image}, {}))
    ]
    for number in range(2):
        del server.contents[f"{_FOLDER}a{number}"]
    wrapper = _index(server, "old", image, *own)
    _index(server, "latest", image)
    walk = _walk(server)
    Removal(walk).run(_leftovers(walk, "old"))
    paths = [f"{_FOLDER}{one['digest']}" for one in (wrapper, image, *own)]
    assert [False, True, True, False] == [path in server.contents for path in paths]
    assert {"latest"} == _tags(server)


def test_tag_that_moves_meanwhile_stays(server: RegistryServer) -> None:
    """It is another build's now."""
    _image(server, "old")
    walk = _walk(server)
    found = _leftovers(walk, "old")
    new = _image(server, "old", "new")
    removal = Removal(walk)
    removal.run(found)
    assert ["it has moved meanwhile"] == [one.kept for one in removal.done]
    assert {"old"} == _tags(server)
    assert f"{_FOLDER}{new['digest']}" in server.contents


def test_manifest_that_is_published_while_it_is_deleted_is_put_back(server: RegistryServer) -> None:
    """Another release lists an image between the look and its deletion, which no registry forbids."""
    image = {**_image(server, "old"), "platform": {"os": "linux", "architecture": "amd64"}}
    path = f"{_FOLDER}{image['digest']}"

    def publish_first(request: Request) -> Reply:
        _index(server, "latest", image)
        return server.from_contents(request)

    walk = _walk(server)
    found = _leftovers(walk, "old")
    server.table[f"DELETE {path}"] = [publish_first]
    Removal(walk).run(found)
    assert {"latest"} == _tags(server)
    assert OCI_MANIFEST == server.contents[path][0]
    assert [f"PUT {path}"] == [asked for asked in server.asked if asked.startswith("PUT")]


def test_image_that_is_published_since_it_was_listed_only_loses_its_tag(server: RegistryServer) -> None:
    """The tags are read again before anything is deleted."""
    image = {**_image(server, "old"), "platform": {"os": "linux", "architecture": "amd64"}}
    walk = _walk(server)
    found = _leftovers(walk, "old")
    assert [False] == [one.is_reached for one in found]
    _index(server, "latest", image)
    Removal(walk).run(found)
    assert {"latest"} == _tags(server)
    assert f"{_FOLDER}{image['digest']}" in server.contents
    assert f"DELETE {_FOLDER}{image['digest']}" not in server.asked


def test_requests_grow_with_the_tags_and_no_faster(server: RegistryServer) -> None:
    """Three looks for up to 32 digests, and some requests for each that goes."""
    for number in range(30):
        _image(server, f"old-{number}", str(number))
    _image(server, "latest", "latest")
    walk = _walk(server)
    Removal(walk).run(_leftovers(walk, *(f"old-{number}" for number in range(30))))
    assert {"latest"} == _tags(server)
    # GET of each tag and its config; HEAD of each in a look, and before its deletion; its deletion; lists.
    assert len(server.requests) < 31 + 30 + 31 + 30 + 30 + 3 * 5


@pytest.mark.parametrize(
    ("host", "remedy"),
    [
        ("docker.io", "Docker Hub may delete by its own API alone: remove it at hub.docker.com, under Tags"),
        ("ghcr.io", "GitHub deletes by its own API alone: use the action actions/delete-package-versions"),
        ("quay.io", "REGISTRY_STORAGE_DELETE_ENABLED=true, then restart it"),
    ],
)
def test_registry_that_does_not_delete_is_told_with_what_to_use(server: RegistryServer, host: str, remedy: str) -> None:
    """In one line; where the registry has a way of its own, nothing is written to get around that."""
    _image(server, "old")
    server.deletes = ()
    registry = Registry(server.host, Policy(seconds=0), lambda _: None)
    with pytest.raises(CannotDeleteError, match=remedy):
        remove_tag(registry, ImageReference(host, "app", "old"))
    assert (host == "quay.io") is any(asked.startswith("PUT") for asked in server.asked)
    assert {"old"} == _tags(server)


def test_what_a_tag_was_before_stays_by_what_this_machine_remembers(server: RegistryServer) -> None:
    """As without `note_previous`; and what the note names stays too, since others may know of nothing else."""
    images = [
        {**_image(server, f"old-{n}", f"of {n}"), "platform": {"os": "linux", "architecture": "amd64"}} for n in "12"
    ]
    noted, remembered = (_index(server, "latest", one) for one in images)
    annotations = {"multiarch.previous": json.dumps({"latest": noted["digest"]})}
    now = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": annotations}
    last = server.hold_manifest("app", "latest", now, OCI_INDEX)
    reference = ImageReference(server.host, "app", "latest")
    note_moves([Move(reference, remembered["digest"], last["digest"])])
    walk = _walk(server)
    Removal(walk).run(_leftovers(walk, "old-1", "old-2"))
    assert {"latest"} == _tags(server)
    assert [True, True] == [f"{_FOLDER}{image['digest']}" in server.contents for image in images]


def test_what_a_tag_was_before_stays(server: RegistryServer) -> None:
    """The tag may be put back on it: the index of the release before, as the annotation names it, with its images."""
    image = {**_image(server, "old"), "platform": {"os": "linux", "architecture": "amd64"}}
    former = _index(server, "latest", image)
    annotations = {"multiarch.previous": json.dumps({"latest": former["digest"]})}
    now = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": annotations}
    server.hold_manifest("app", "latest", now, OCI_INDEX)
    walk = _walk(server)
    Removal(walk).run(_leftovers(walk, "old"))
    assert {"latest"} == _tags(server)
    assert f"{_FOLDER}{image['digest']}" in server.contents

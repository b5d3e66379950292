"""The grid of versions and flavours: exactly its 24 tags on 4 digests, whatever the order of its axes."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.project import load_project
from multiarch.image.manifest import OCI_MANIFEST
from multiarch.publish.publication import Part, publish
from multiarch.registry.client import Registry
from multiarch.retry import Policy

if TYPE_CHECKING:
    from tests.unit.registry_server import RegistryServer

AXES: dict[str, Any] = {
    "version": [
        {"version": "1.27", "aliases": ["1.27.0", "1", ""]},
        {"version": "1.26", "aliases": ["1.26.7"]},
    ],
    "flavour": [{"flavour": "bookworm", "aliases": [""]}, {"flavour": "alpine3.24", "aliases": ["alpine"]}],
}
PLATFORMS = ("amd64", "arm64", "arm/v7", "386", "ppc64le", "s390x")
# By version and flavour, the tags of its index.
EXPECTED = {
    ("1.27", "bookworm"): "1.27-bookworm 1.27 1.27.0-bookworm 1.27.0 1-bookworm 1 bookworm latest",
    ("1.27", "alpine3.24"): (
        "1.27-alpine3.24 1.27-alpine 1.27.0-alpine3.24 1.27.0-alpine 1-alpine3.24 1-alpine alpine3.24 alpine"
    ),
    ("1.26", "bookworm"): "1.26-bookworm 1.26 1.26.7-bookworm 1.26.7",
    ("1.26", "alpine3.24"): "1.26-alpine3.24 1.26-alpine 1.26.7-alpine3.24 1.26.7-alpine",
}
EXCLUDED: dict[str, list[dict[str, str]]] = {
    "nothing": [],
    "one": [{"version": "1.26", "flavour": "alpine3.24"}],
    "a flavour": [{"flavour": "alpine3.24"}],
}


def is_excluded(names: tuple[str, str], excluded: list[dict[str, str]]) -> bool:
    """Whether a combination is in the list."""
    return any(item.items() <= {"version": names[0], "flavour": names[1]}.items() for item in excluded)


@pytest.mark.parametrize("order", list(permutations(AXES)), ids="-".join)
@pytest.mark.parametrize("excluded", EXCLUDED)
def test_each_index_has_its_tags_and_no_others(server: RegistryServer, order: tuple[str, ...], excluded: str) -> None:
    """Each tag points to the index of its own version and flavour; what is excluded takes its own tags with it."""
    golang = {"tags": ["{version}-{flavour}"], "matrix": {axis: AXES[axis] for axis in order}}
    targets = {"golang": {**golang, "exclude": EXCLUDED[excluded]}}
    block = {"image": f"{server.host}/golang", "platforms": list(PLATFORMS), "targets": targets}
    project = load_project(block, {}, {}, directory=Path("/somewhere"))
    for target in project:
        for entry in target.settings.matrix:
            platform = entry.platform
            described = {"os": "linux", "architecture": platform.architecture, "variant": platform.variant}
            tag = str(entry.staging.tag)
            config = json.dumps({**described, "of": tag.removesuffix(f"-{platform.slug}")}).encode()
            body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}
            body["config"] = {"digest": server.hold_blob("golang", config), "size": len(config)}
            server.hold_manifest("golang", tag, body)

    parts = [Part(target.settings) for target in project]
    published = publish(parts, {server.host: Registry(server.host, Policy(attempts=1), print)}, say=print)

    digests = {tag.reference.tag: tag.digest for one in published for tag in one.tags}
    left = {names: set(tags.split()) for names, tags in EXPECTED.items() if not is_excluded(names, EXCLUDED[excluded])}
    assert {"nothing": (24, 4), "one": (20, 3), "a flavour": (12, 2)}[excluded] == (
        len(digests),
        len({*digests.values()}),
    )
    assert left == {names: {tag for tag in digests if of(server, digests[tag]) == "-".join(names)} for names in left}
    folder = "/v2/golang/manifests/"
    assert set(digests) == {
        tag
        for tag in (path.removeprefix(folder) for path in server.contents if path.startswith(folder))
        if not tag.startswith("sha256:") and json.loads(server.contents[folder + tag][1]).get("manifests")
    }


def of(server: RegistryServer, digest: str) -> str:
    """Return what the images of an index were built for: version and flavour, which is the same for all six."""
    entries = json.loads(server.contents[f"/v2/golang/manifests/{digest}"][1])["manifests"]
    images = [json.loads(server.contents[f"/v2/golang/manifests/{entry['digest']}"][1]) for entry in entries]
    configs = [json.loads(server.contents[f"/v2/golang/blobs/{image['config']['digest']}"][1]) for image in images]
    (name,) = {config["of"] for config in configs}
    assert len(PLATFORMS) == len(entries)
    return str(name)

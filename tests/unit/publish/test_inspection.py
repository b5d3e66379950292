"""`multiarch manifest --inspect`: what is published, as a table, against a registry that listens on loopback."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.image.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from multiarch.publish import inspection
from tests.unit.registry_server import RegistryServer, refusal
from tests.unit.staging import registry_of, settings_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.image.reference import ImageReference
    from tests.unit.project import Project, Result

HEAD = ["PLATFORM", "DIGEST", "SIZE", "LAYERS", "ATTESTATIONS"]
AMD64 = {"os": "linux", "architecture": "amd64"}
ARM = {"os": "linux", "architecture": "arm", "variant": "v7"}
SLSA, SPDX = "https://slsa.dev/provenance/v1", "https://spdx.dev/Document"


def blob(server: RegistryServer, size: int) -> dict[str, Any]:
    """Return the descriptor of a blob of that size, which is not read."""
    return {"digest": f"sha256:{size:064x}", "size": size}


def image(server: RegistryServer, tag: str, *sizes: int, kind: str = OCI_MANIFEST) -> dict[str, Any]:
    """Put an image with a config and layers of these sizes into the repository `app`; return its descriptor."""
    config, *layers = [blob(server, size) for size in sizes]
    body = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}
    return server.hold_manifest("app", tag, body, kind)


def attestation(server: RegistryServer, of: dict[str, Any], *predicates: str | None) -> dict[str, Any]:
    """Put statements about an image there, as BuildKit does; return their entry of the index."""
    layers = [{**blob(server, 5), "annotations": {"in-toto.io/predicate-type": p} if p else {}} for p in predicates]
    body = {"schemaVersion": 2, "config": blob(server, 2), "layers": layers, "for": of["digest"]}
    return {
        **server.hold_manifest("app", f"about-{of['digest'][7:20]}", body),
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": of["digest"],
        },
        "platform": {"os": "unknown", "architecture": "unknown"},
    }


def index(server: RegistryServer, tag: str, *entries: dict[str, Any], kind: str = OCI_INDEX) -> str:
    """Put an index into the repository; return its digest."""
    body = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
    return str(server.hold_manifest("app", tag, body, kind)["digest"])


def inspect(server: RegistryServer, project: Project, *words: str) -> Result:
    """Run it in a project without a matrix; nothing is written."""
    project.write(invoke_yaml=f"multiarch:\n  image: {server.host}/app\n  retry_seconds: 5\n")
    result = project.run("manifest", "--inspect", *words)
    assert {"GET"} >= {request.verb for request in server.requests}
    return result


def cells(line: str) -> list[str]:
    """Return the cells of a line of the table."""
    return re.split(r"\s{2,}", line)


# What is shown.


def test_index_is_shown_with_a_row_for_each_platform(server: RegistryServer, project: Project) -> None:
    """With the compressed size, and the short names of the attestations."""
    amd64, arm = image(server, "amd64", 1000, 2_000_000, 345_678), image(server, "arm", 400, 599)
    digest = index(
        server,
        "latest",
        {**amd64, "platform": AMD64},
        {**arm, "platform": ARM},
        attestation(server, amd64, SPDX, SLSA),
        attestation(server, arm, "https://example.com/other", None),
    )
    result = inspect(server, project)
    assert (0, []) == (result.status, result.err)
    assert [f"{server.host}/app:latest@{digest}", OCI_INDEX] == cells(result.out[0])
    assert [
        HEAD,
        ["linux/amd64", amd64["digest"], "2.3 MB", "2", "sbom, provenance"],
        ["linux/arm/v7", arm["digest"], "999 B", "1", "https://example.com/other, unknown"],
    ] == [cells(line) for line in result.out[1:]]


def test_columns_are_aligned(server: RegistryServer, project: Project) -> None:
    """Each as wide as its widest cell, without blanks at the end of a line."""
    amd64, arm = image(server, "amd64", 1, 2), image(server, "arm", 1_000_000, 4_000_000_000)
    index(server, "latest", {**amd64, "platform": AMD64}, {**arm, "platform": ARM}, attestation(server, amd64, SLSA))
    _, *rows = inspect(server, project).out
    assert [
        f"PLATFORM      DIGEST{' ' * 65}  SIZE    LAYERS  ATTESTATIONS",
        f"linux/amd64   {amd64['digest']}  3 B     1       provenance",
        f"linux/arm/v7  {arm['digest']}  4.0 GB  1       -",
    ] == rows


@pytest.mark.parametrize(
    ("sizes", "size", "layers"),
    [
        ((0,), "0 B", "0"),
        ((999,), "999 B", "0"),
        ((999, 1), "1.0 kB", "1"),
        ((1, 999_000, 499), "999.5 kB", "2"),
        ((1, 2_000_000), "2.0 MB", "1"),
        ((1, *[500_000_000] * 3), "1.5 GB", "3"),
    ],
)
def test_size_is_that_of_config_and_layers(
    server: RegistryServer, project: Project, sizes: tuple[int, ...], size: str, layers: str
) -> None:
    """In the unit that fits."""
    index(server, "latest", {**image(server, "image", *sizes), "platform": AMD64})
    assert [size, layers] == cells(inspect(server, project).out[2])[2:4]


def test_plain_image_is_shown_with_the_platform_of_its_config(server: RegistryServer, project: Project) -> None:
    """It is one row."""
    config = json.dumps({**ARM, "rootfs": {}}).encode()
    body = {"config": {"digest": server.hold_blob("app", config), "size": len(config)}, "layers": [blob(server, 1000)]}
    digest = server.hold_manifest("app", "latest", body, DOCKER_MANIFEST)["digest"]
    result = inspect(server, project)
    assert (0, []) == (result.status, result.err)
    assert [
        [f"{server.host}/app:latest@{digest}", DOCKER_MANIFEST],
        HEAD,
        ["linux/arm/v7", digest, "1.1 kB", "1", "-"],
    ] == [cells(line) for line in result.out]


def test_unknown_platform_is_shown_as_a_dash(server: RegistryServer, project: Project) -> None:
    """Every row has all its cells."""
    body = {"config": {"digest": server.hold_blob("app", b"{}"), "size": 2}, "layers": []}
    digest = server.hold_manifest("app", "latest", body)["digest"]
    assert ["-", digest, "2 B", "0", "-"] == cells(inspect(server, project).out[2])


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ({"os": "linux", "architecture": "arm64", "variant": "v8"}, "linux/arm64/v8"),
        ({"os": "windows", "architecture": "amd64", "os.version": "10.0.1"}, "windows/amd64"),
        ({"os": "unknown", "architecture": "unknown"}, "unknown/unknown"),
        ({"architecture": "amd64", "variant": ""}, "amd64"),
        ({}, "-"),
        (None, "-"),
    ],
)
def test_platform_is_shown_as_the_index_writes_it(
    server: RegistryServer, project: Project, platform: object, expected: str
) -> None:
    """Of an index it is not what we would write, but what is there."""
    digest = image(server, "image", 1)
    index(server, "latest", {**digest, "platform": platform}, kind=DOCKER_LIST)
    assert expected == cells(inspect(server, project).out[2])[0]


def test_missing_image_is_shown_as_missing(server: RegistryServer, project: Project) -> None:
    """With its attestations; those that are missing themselves are left out."""
    amd64, arm = image(server, "amd64", 5, 6), image(server, "arm", 1, 2)
    gone = attestation(server, arm, SLSA)
    statement = attestation(server, amd64, SPDX)
    index(server, "latest", {**amd64, "platform": AMD64}, {**arm, "platform": ARM}, gone, statement)
    lost = (amd64["digest"], gone["digest"])
    server.contents = {
        path: (kind, body) for path, (kind, body) in server.contents.items() if Manifest(kind, body).digest not in lost
    }
    result = inspect(server, project)
    assert 0 == result.status
    assert [
        ["linux/amd64", amd64["digest"], "missing", "-", "sbom"],
        ["linux/arm/v7", arm["digest"], "3 B", "1", "-"],
    ] == [cells(line) for line in result.out[2:4]]


def test_empty_index_has_no_rows(server: RegistryServer, project: Project) -> None:
    """It is no error."""
    index(server, "latest")
    result = inspect(server, project)
    assert (0, [HEAD]) == (result.status, [cells(line) for line in result.out[1:]])


def test_every_tag_of_every_image_has_a_table(server: RegistryServer, project: Project) -> None:
    """In the order of the settings."""
    digests = {tag: index(server, tag, {**image(server, f"{tag}-image", 1), "platform": AMD64}) for tag in ("1", "2")}
    result = inspect(server, project, "--tag", "2", "--tag", "1")
    heads = [cells(line)[0] for line in result.out if "@" in line]
    assert [f"{server.host}/app:{tag}@{digests[tag]}" for tag in ("2", "1")] == heads
    server.contents |= {p.replace("/app/", "/copy/"): content for p, content in server.contents.items()}
    images = [word for name in ("app", "copy") for word in ("--image", f"{server.host}/{name}")]
    result = inspect(server, project, "--tag", "1", *images)
    heads = [cells(line)[0] for line in result.out if "@" in line]
    assert [f"{server.host}/{name}:1@{digests['1']}" for name in ("app", "copy")] == heads


def test_matrix_does_not_matter(server: RegistryServer, project: Project) -> None:
    """What is published is shown, not what would be."""
    index(server, "latest", {**image(server, "image", 1), "platform": AMD64})
    assert inspect(server, project) == inspect(server, project, "--platform", "s390x")


# What others wrote.


@pytest.mark.parametrize("platform", [{"os": ["a"]}, {"os": 7}, ["linux"], {"os.features": "a"}], ids=str)
def test_a_malformed_index_is_named(server: RegistryServer, project: Project, platform: object) -> None:
    """A table without its entries would say that there are none."""
    index(server, "latest", {**image(server, "image", 1), "platform": platform})
    result = inspect(server, project)
    problem = "number 1 of its manifests has no valid platform"
    remedy = "look at what is there, or pass --allow-dropping to replace it"
    assert (1, [], True) == (
        result.status,
        result.out,
        f"{server.host}/app:latest: its platforms are not known: {OCI_INDEX} ({problem}); {remedy}" in result.err[-1],
    )


@pytest.mark.parametrize("hostile", ["a\nlinux/arm64  sha256:1", "\x1b[2J", "a b", "::error::\u202e", "A" * 999])
def test_a_malformed_value_is_a_question_mark(server: RegistryServer, project: Project, hostile: str) -> None:
    """A platform or predicate with a line break would be a row that is not there."""
    entry = image(server, "image", 1)
    stated = attestation(server, entry, hostile)
    digest = index(server, "latest", {**entry, "platform": {"os": hostile, "architecture": "amd64"}}, stated)
    result = inspect(server, project)
    assert (0, [], 3) == (result.status, result.err, len(result.out))
    assert [f"{server.host}/app:latest@{digest}", OCI_INDEX] == cells(result.out[0])
    assert ["?/amd64", entry["digest"], "1 B", "0", "?"] == cells(result.out[2])


# What cannot be shown.


@pytest.mark.parametrize("words", [("--tag", "1"), ("--tag", "latest", "--tag", "1")])
def test_tag_that_does_not_exist_is_named(server: RegistryServer, project: Project, words: tuple[str, ...]) -> None:
    """In one line, also when others exist."""
    index(server, "latest", {**image(server, "image", 1), "platform": AMD64})
    result = inspect(server, project, *words)
    assert (1, []) == (result.status, result.out)
    assert [f"{server.host}/app:1 is not published: there is no such tag"] == result.err


def test_refusal_of_the_registry_is_one_line(server: RegistryServer, project: Project) -> None:
    """With the registry's words."""
    server.table["GET /v2/app/manifests/latest"] = [refusal(403, "DENIED", "not yours")]
    result = inspect(server, project)
    assert (1, []) == (result.status, result.out)
    (line,) = result.err
    assert f"GET {server.host}/app/manifests/latest: the registry answered 403 DENIED: not yours; log in with:" in line


# Dry.


def test_dry_prints_the_documents_commands(server: RegistryServer, project: Project) -> None:
    """One for each tag; no request is sent."""
    project.write(invoke_yaml='multiarch:\n  image: [someone/app, ghcr.io/a/b]\n  tags: [latest, "1"]\n')
    result = project.run("--dry", "manifest", "--inspect")
    names = [f"{name}:{tag}" for name in ("docker.io/someone/app", "ghcr.io/a/b") for tag in ("latest", "1")]
    assert [f"docker manifest inspect --verbose {name}" for name in names] == result.out
    assert (0, []) == (result.status, result.err)
    project.write(invoke_yaml=f"multiarch:\n  image: {server.host}/app\n")
    assert (0, []) == (project.run("--dry", "manifest", "--inspect").status, server.requests)


def test_dry_passes_insecure_where_it_is_needed(project: Project) -> None:
    """`docker manifest` does not use plain HTTP by itself, not even on loopback."""
    project.write(
        invoke_yaml="multiarch:\n  image: [127.0.0.1:5001/app, lab.example/app]\n  insecure_registries: [lab.example]\n"
    )
    lines = project.run("--dry", "manifest", "--inspect").out
    assert [True, True] == ["--insecure" in line.split() for line in lines], lines


def test_what_is_signed_is_told_in_words_and_as_data(server: RegistryServer) -> None:
    """Of the index and of each image; nothing is asked of a digest that cannot be signed."""
    amd64, arm = image(server, "amd64", 1), image(server, "arm", 2)
    digest = index(server, "latest", {**amd64, "platform": AMD64}, {**arm, "platform": ARM})
    known = {digest: "yes", amd64["digest"]: "no", arm["digest"]: "?"}

    def states(references: Sequence[ImageReference]) -> list[str]:
        return [known[reference.digest] for reference in references]

    settings = settings_for(f"{server.host}/app")
    first, head, *rows = inspection.inspect(settings, {server.host: registry_of(server)}, states)
    assert ("signed: yes", "SIGNED") == (cells(str(first))[-1], cells(str(head))[-1])
    assert ["no", "?"] == [cells(str(row))[-1] for row in rows]
    assert ([True, False, None], {}) == ([line.json["signed"] for line in (first, *rows)], head.json)
    assert ("linux/arm/v7", 2, 0, ()) == tuple(
        rows[1].json[name] for name in ("platform", "size", "layers", "attestations")
    )

"""The flags of a repair, and docs/repair.md: its commands do what it says of them."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.unit.project import ROOT
from tests.unit.staging import AMD64, ARM, ARM64, attested, image, index_of, listed

if TYPE_CHECKING:
    from tests.unit.project import Project, Result
    from tests.unit.registry_server import RegistryServer

PAGE = (ROOT / "docs" / "repair.md").read_text()
ANY = f"sha256:{'a' * 64}"
S390X = {"os": "linux", "architecture": "s390x"}


def commands_of_the_page() -> list[str]:
    """Return the commands in their order."""
    return re.findall(r"^ +(invoke .+)$", PAGE, re.MULTILINE)


def platforms(server: RegistryServer, tag: str = "latest") -> list[str]:
    """Return the architectures that a tag lists, attestations too."""
    return [entry["platform"]["architecture"] for entry in index_of(server, tag)["manifests"]]


def test_commands_of_the_page_run(project: Project, server: RegistryServer) -> None:
    """In the order of the page, each on what the one before has left."""
    project.write(invoke_yaml=f"multiarch: {{image: {server.host}/app, platforms: [linux/amd64, linux/arm64]}}\n")
    first = listed(
        server, "latest", *attested(server, AMD64, "a"), *attested(server, ARM64, "b"), *attested(server, S390X, "c")
    )
    fixed = image(server, {**ARM64, "created": "2026-01-01T00:00:00Z"}, "fixed")
    replace, into, remove, back, to, shown = [
        line.replace("ghcr.io/someone/app", f"{server.host}/app").replace(
            "sha256:0123456789abcdef" + "0123456789abcdef" * 3, first["digest"]
        )
        for line in commands_of_the_page()
    ]

    def run(line: str, *more: str) -> Result:
        return project.invoke(*more, *shlex.split(line)[1:], XDG_STATE_HOME=str(project.path / "state"))

    replaced = run(replace)
    assert (0, ["amd64", "unknown", "arm64", "s390x", "unknown"]) == (replaced.status, platforms(server))
    assert fixed["digest"] == index_of(server)["manifests"][2]["digest"]
    planned = run(into, "--dry")
    name = f"{server.host}/app"
    assert (0, f"multiarch manifest --image={name} --tag=latest --replace=linux/arm64={name}:latest-arm64") == (
        planned.status,
        planned.out[-1],
    )
    removed = run(remove)
    assert (0, ["amd64", "unknown", "arm64"]) == (removed.status, platforms(server))
    told = run(shown)
    assert [] == told.err
    before = replaced.out[0].rpartition("@")[2]
    assert (0, [f"docker buildx imagetools create --tag {server.host}/app:latest {server.host}/app@{before}"]) == (
        told.status,
        told.out,
    )
    assert ["amd64", "unknown", "arm64"] == platforms(server)
    returned = run(back)
    assert (0, replaced.out) == (returned.status, returned.out)
    given = run(to)
    assert (0, [f"{server.host}/app:latest@{first['digest']}"]) == (given.status, given.out)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["--replace", "linux/arm64"],
            "--replace: 'linux/arm64' is no PLATFORM=REFERENCE, such as linux/arm64=ghcr.io/someone/app@sha256:…",
        ),
        (["--replace", "linux/arm64=a/b"], "--replace: 'a/b' names no image; add its tag or its digest"),
        (
            ["--replace", "linux/arm64=a/B:1"],
            "--replace: invalid repository in image reference 'a/B:1' (lower-case letters, digits, '.', '_', '-', '/')",
        ),
        (["--replace", "linux/arm64=a/b:1", "--remove", "arm64"], "--replace, --remove: linux/arm64 is given twice"),
        (["--remove", "arm64", "--platform", "arm64"], "--remove: does not go with --platform"),
        (["--remove", "arm64", "--inspect"], "--remove: does not go with --inspect"),
        (["--remove", "arm64", "--annotation", "a=b"], "--remove: does not go with --annotation"),
        (["--rollback", "--allow-dropping"], "--rollback: does not go with --allow-dropping"),
        (["--rollback", "--digests", "d"], "--rollback: does not go with --digests"),
        (["--rollback", "--remove", "arm64"], "--rollback: does not go with --remove; do one after the other"),
        (["--to", ANY], "--to: only goes with --rollback"),
        (["--to", ""], "--to: only goes with --rollback"),
        (["--rollback", "--to", ""], "--to: '' is no digest (expected sha256: and 64 hex digits)"),
        (["--rollback", "--to", "latest"], "--to: 'latest' is no digest (expected sha256: and 64 hex digits)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flags_that_contradict_each_other_are_one_line(project: Project, words: list[str], line: str) -> None:
    """Before anything is asked of a registry; `--dry` says the same."""
    project.write(invoke_yaml="multiarch: {image: 127.0.0.1:9/a, platforms: [linux/arm64]}\n")
    for dry in ([], ["--dry"]):
        result = project.run(*dry, "manifest", *words)
        assert (1, [], [line]) == (result.status, result.out, result.err)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "--into: say which platforms are built: --platform linux/arm64"),
        (["--platform", "arm64", "--tag", "1"], "--into: does not go with --tag"),
        (["--platform", "arm64", "--annotation", "a=b"], "--into: does not go with --annotation"),
        (["--platform", "arm64", "--only-changed"], "--into: does not go with --only-changed"),
        (["--platform", "arm64", "--output", "none"], "--into: does not go with --output"),
        (["--platform", "arm64", "--allow-dropping"], "--into: does not go with --allow-dropping"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flags_that_do_not_go_with_into_are_one_line(project: Project, words: list[str], line: str) -> None:
    """Before anything is built."""
    project.write(
        invoke_yaml="multiarch: {image: 127.0.0.1:9/a, platforms: [linux/arm64]}\n", Dockerfile="FROM scratch\n"
    )
    for dry in ([], ["--dry"]):
        result = project.run(*dry, "release", "--into", "latest", *words)
        assert (1, [], [line]) == (result.status, result.out, result.err)


def test_planned_replacement_is_in_the_repositories_of_the_flags(project: Project) -> None:
    """Those of the file are none of this run's: the command that is shown must not reach them."""
    project.write(
        invoke_yaml="multiarch: {image: 127.0.0.1:9/a, platforms: [linux/arm64]}\n", Dockerfile="FROM scratch\n"
    )
    names = ["127.0.0.1:9/b", "127.0.0.1:9/c"]
    images = [word for name in names for word in ("--image", name)]
    planned = project.run("--dry", "release", "--platform", "arm64", "--into", "latest", *images)
    expected = f"--image={names[0]} --image={names[1]} --tag=latest --replace=linux/arm64={names[0]}:latest-arm64"
    assert (0, f"multiarch manifest {expected}") == (planned.status, planned.out[-1])


def test_several_targets_must_be_told_apart(project: Project, server: RegistryServer) -> None:
    """Where one image, or one digest, cannot be meant for all; to roll all of them back is clear."""
    project.write(
        invoke_yaml=f"multiarch: {{image: '{server.host}/{{target}}', platforms: [arm64],"
        " targets: {app: {}, b: {}}}\n"
    )
    said = [
        project.run("manifest", *words).err
        for words in (["--remove", "arm64"], ["--replace", "arm64=a/b:1"], ["--rollback", "--to", ANY])
    ]
    which = "with several targets say which: --target app"
    assert [[f"--remove: {which}"], [f"--replace: {which}"], [f"--to: {which}"]] == said
    for name in ("app", "b"):
        former = server.hold_manifest(name, "former", {"layers": []})
        note = {"multiarch.previous": f'{{"latest":"{former["digest"]}"}}'}
        server.hold_manifest(
            name, "latest", {"manifests": [], "annotations": note}, "application/vnd.oci.image.index.v1+json"
        )
    back = project.run("manifest", "--rollback")
    assert (0, [f"{server.host}/{name}:latest@{former['digest']}" for name in ("app", "b")]) == (back.status, back.out)


def test_removal_of_one_target_prints_what_came_out(project: Project, server: RegistryServer) -> None:
    """As JSON too; `--dry` names what is kept by its digest."""
    project.write(invoke_yaml=f"multiarch: {{image: {server.host}/app, platforms: [linux/arm64]}}\n")
    entries = [{**image(server, one, one["architecture"]), "platform": one} for one in (AMD64, ARM)]
    listed(server, "latest", *entries)
    planned = project.run("--dry", "manifest", "--remove", "linux/arm/v7")
    words = f"--tag {server.host}/app:latest {server.host}/app@{entries[0]['digest']}"
    assert [f"docker buildx imagetools create {words}"] == planned.out
    removed = project.run("manifest", "--remove", "linux/arm/v7", "--json")
    assert (0, ["amd64"]) == (removed.status, platforms(server))
    (result,) = json.loads(removed.out[0])["results"]
    assert [f"{server.host}/app:latest@{result['digest']}"] == [result["reference"]]

"""`--resume` on a builder that is given, with a small program in the place of buildctl and a real registry protocol."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from multiarch.image.manifest import OCI_INDEX
from tests.unit.rawjson import vertex
from tests.unit.registry_server import EOF, refusal
from tests.unit.steps.test_release import Release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.project import Project, Result
    from tests.unit.registry_server import RegistryServer, Reply, Request

FAILING = "echo $platform >> calls; say said; [ $platform = arm64 ] && sleep 1 && exit 1; push"
BUILDING = "echo $platform >> calls; say said; push"
UNKNOWN = {"os": "unknown", "architecture": "unknown"}
STAGED = {name: f"/v2/app/manifests/latest-{name}" for name in ("amd64", "arm64")}


@pytest.fixture
def left(project: Project, server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Release]:
    """A project with a context of its own, whose builds say what BuildKit's frontend does first."""
    release = Release(project, server)
    path = release.project.path
    (path / "src").mkdir()
    (path / "src" / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (path / "said").write_text(vertex("a", "[internal] load build definition from Dockerfile", seconds=0) + "\n")
    text = (path / "invoke.yaml").read_text()
    release.project.write(invoke_yaml=f"{text}  context: src\n")
    with socket.create_server(("127.0.0.1", 0)) as builder:
        monkeypatch.setenv("BUILDKIT_HOST", f"tcp://127.0.0.1:{builder.getsockname()[1]}")
        yield release


def calls(of: Release) -> list[str]:
    """Return the platforms that were built since this was asked last, and forget them."""
    file = of.project.path / "calls"
    built = sorted(file.read_text().split()) if file.exists() else []
    file.unlink(missing_ok=True)
    return built


def record(of: Release, name: str) -> dict[str, str] | None:
    """Return the record under the staging tag of a platform; None where there is none."""
    found = json.loads(of.server.contents[STAGED[name]][1])
    text = found.get("annotations", {}).get("multiarch.inputs")
    return json.loads(text) if text else None


def build_arch(of: Release, *flags: str) -> Result:
    """Build one platform with ``--resume``."""
    of.install(BUILDING)
    return of.project.run("build-arch", "--platform", "amd64", "--resume", *flags)


def test_platform_that_was_built_before_another_failed_is_taken(left: Release) -> None:
    """The index is that of a release from nothing; lines, table and report say what was taken."""
    assert 1 == left.run(FAILING, "--resume").status
    assert ["amd64", "arm64"] == calls(left)
    assert [STAGED["amd64"]] == [path for path in STAGED.values() if path in left.server.contents]
    result = left.run(BUILDING, "--resume", "--report", "report.json")
    assert 0 == result.status, result.err
    assert ["arm64"] == calls(left)
    staged = f"{left.server.host}/app:latest-amd64@sha256:"
    assert f"linux/amd64: taken from the staging tag: {staged}" == result.err[0][:-64]
    assert "linux/arm64: built: nothing is under its staging tag" == result.err[1]
    rows = [line for line in result.err if "  taken from the staging tag " in line]
    assert ["linux/amd64", left.digests["amd64"]] == rows[0].split()[:2]
    report = json.loads((left.project.path / "report.json").read_text())
    assert [True, False] == [row["taken"] for row in report["platforms"]]
    again = left.run(BUILDING)
    assert (["amd64", "arm64"], result.out) == (calls(left), again.out)


def test_release_that_succeeded_can_be_taken_whole(left: Release) -> None:
    """Nothing is built, and nothing written."""
    first = left.run(BUILDING, "--resume")
    calls(left)
    left.server.requests.clear()
    again = left.run(BUILDING, "--resume")
    assert (0, first.out, []) == (again.status, again.out, calls(left))
    assert [] == [asked for asked in left.server.asked if asked.startswith("PUT")]


def test_manifest_alone_publishes_what_has_a_record(left: Release) -> None:
    """The record changes nothing of what is published."""
    first = left.run(BUILDING)
    again = left.project.run("manifest")
    assert (0, first.out) == (again.status, again.out)


def test_record_names_base_images_only_where_provenance_does_not(left: Release) -> None:
    """They may be nobody's business: whoever leaves provenance in an image says them there."""
    digest = left.digests["amd64"]
    body = {"config": {"digest": left.server.hold_blob("app", b"{}"), "size": 2}, "layers": []}
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest}
    entries = [
        {**left.server.hold_manifest("app", "image", {"config": body["config"]}), "digest": digest},
        {**left.server.hold_manifest("app", "about", body), "annotations": about, "platform": UNKNOWN},
    ]
    entries[0]["size"] = len(left.server.contents[f"/v2/app/manifests/{digest}"][1])
    index = left.server.hold_manifest("app", "index", {"mediaType": OCI_INDEX, "manifests": entries}, OCI_INDEX)
    (left.project.path / "digest-amd64").write_text(index["digest"])
    result = left.run(BUILDING, "--resume")
    assert 0 == result.status, result.err
    assert (False, True) == tuple("fetched" in (record(left, name) or {}) for name in STAGED)
    assert record(left, "amd64")


def test_image_without_attestations_stays_itself_under_its_tag(left: Release) -> None:
    """Others take it from there, such as `docker manifest create`, and take no index; a run with the flag may."""
    assert 0 == left.run(BUILDING).status
    staged = [json.loads(left.server.contents[path][1]) for path in STAGED.values()]
    assert ([None, None], [True, True]) == (
        [record(left, name) for name in STAGED],
        ["manifests" not in one for one in staged],
    )
    assert 0 == left.run(BUILDING, "--resume").status
    assert [True, True] == [record(left, name) is not None for name in STAGED]


def test_nothing_is_recorded_of_files_that_change_during_the_build(left: Release) -> None:
    """What was sent of them nobody knows; the staging tags are written at the end, as ever."""
    result = left.run(f"date +%N > src/$platform; {BUILDING}")
    assert (0, [None, None]) == (result.status, [record(left, name) for name in STAGED])
    assert 0 == left.run(BUILDING, "--resume").status
    assert ["amd64", "amd64", "arm64", "arm64"] == calls(left)


def test_staging_tag_that_cannot_be_written_early_fails_nothing(left: Release) -> None:
    """A line says that it may not be found; it is written at the end."""
    left.server.table[f"PUT {STAGED['amd64']}"] = [refusal(403, "DENIED", "not now"), left.server.from_contents]
    result = left.run(BUILDING, "--resume")
    assert (0, None) == (result.status, record(left, "amd64")), result.err
    assert 1 == len([line for line in result.err if "linux/amd64 │ --resume may not find what was built: PUT" in line])


def test_failure_of_the_publication_cuts_no_staging_tag_off(left: Release) -> None:
    """What was built is found, whatever else is refused while its staging tag is being written."""
    refused = threading.Event()

    def refuse(_: Request) -> Reply:
        refused.set()
        return refusal(403)

    def write(request: Request) -> Reply:
        assert refused.wait(10)
        time.sleep(0.5)
        return left.server.from_contents(request)

    left.server.table |= {"GET /v2/app/manifests/latest": [refuse], f"PUT {STAGED['amd64']}": [write]}
    first = left.run(BUILDING, "--resume")
    assert (1, True) == (first.status, "403" in first.err[-1])
    assert [] == [line for line in first.err if "--resume" in line], first.err
    calls(left)
    left.server.table.clear()
    again = left.run(BUILDING, "--resume")
    assert (0, []) == (again.status, calls(left)), again.err


def test_signal_ends_the_writing_of_staging_tags(left: Release) -> None:
    """A registry may take its time to answer, while all else waits for it: nobody else has to."""
    ended = threading.Event()

    def hang(_: Request) -> Reply:
        time.sleep(0.3)  # until all that is read beside it is read
        os.kill(os.getpid(), signal.SIGTERM)
        ended.wait(10)
        return EOF

    left.server.table[f"PUT {STAGED['amd64']}"] = [hang]
    began, threads = time.monotonic(), set(threading.enumerate())
    result = left.run(BUILDING, "--resume")
    assert (128 + signal.SIGTERM, "interrupted") == (result.status, result.err[-1])
    assert time.monotonic() - began < 5
    ended.set()
    begun = [one.name for one in set(threading.enumerate()) - threads]
    assert ([], {}) == ([name for name in begun if "(_do)" in name or "(_work)" in name], left.published)


def test_staging_tag_that_can_be_set_once_stays(left: Release) -> None:
    """A second release of the same images is told that it cannot set it, and that is no matter."""
    first = left.run(BUILDING)
    for path in STAGED.values():
        left.server.table[f"PUT {path}"] = [refusal(400, "TAG_INVALID", "The image tag already exists")]
    again = left.run(BUILDING)
    assert (0, first.out, False) == (again.status, again.out, any("--resume" in line for line in again.err))


def test_build_arch_takes_what_it_has_built(left: Release) -> None:
    """Its result is the staging tag, with what is under it."""
    first = build_arch(left)
    assert (0, ["amd64"]) == (first.status, calls(left)), first.err
    assert "" == (record(left, "amd64") or {})["commit"]
    again = build_arch(left)
    assert (0, first.out, []) == (again.status, again.out, calls(left))
    (left.project.path / "src" / "more").touch()
    changed = build_arch(left)
    assert (0, ["amd64"]) == (changed.status, calls(left))
    staged = f"{left.server.host}/app:latest-amd64"
    assert f"linux/amd64: built: {staged} was built from other inputs: context" == changed.err[0]


def test_no_cache_builds_all(left: Release) -> None:
    """It is how to build what was taken and does not pass a gate."""
    left.run(BUILDING)
    calls(left)
    result = left.run(BUILDING, "--resume", "--no-cache")
    assert (0, ["amd64", "arm64"]) == (result.status, calls(left))
    assert "linux/amd64: built: no_cache runs every step again" == result.err[0]


def test_image_that_is_taken_passes_the_gates(left: Release) -> None:
    """One that does not is an error, as the same inputs would give it again; no tag moves."""
    (left.project.path / "digest-arm64").write_text(left.digests["amd64"])
    refused = left.run(BUILDING, "--resume")
    calls(left)
    again = left.run(BUILDING, "--resume")
    assert ([1, 1], [], {}) == ([refused.status, again.status], calls(left), left.published)
    assert refused.err[-1] == again.err[-1]
    assert "gate 'the config matches'" in again.err[-1]


def test_there_is_nothing_to_take_with_digests(left: Release) -> None:
    """Both in one run are an error before anything is done."""
    left.install(BUILDING)
    result = left.project.run("build-arch", "--platform", "amd64", "--resume", "--digests", "out")
    problem = "multiarch.resume: with digests there are no staging tags to take; leave out one of both"
    assert (1, [problem], []) == (result.status, result.err, calls(left))

"""What ``--resume`` takes after each thing that may have happened since: nothing that would be built otherwise."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.buildkit.sent_files import SentFiles
from multiarch.display.progress import Progress
from multiarch.image.manifest import OCI_INDEX, OCI_MANIFEST
from multiarch.image.platform import Platform
from multiarch.publish.inputs import ANNOTATION, inputs_of_platform, write_record
from multiarch.run import Run
from multiarch.steps.resume import Resumption
from tests.exhaustive.released import GIT, Released, commit_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.registry_server import RegistryServer

AMD64 = Platform.parse("linux/amd64")


class Left(Released):
    """A project whose last release has built its base and its app, and published neither."""

    def stage(self, fetched: dict[str, str] | None = None, *, attests: bool = True) -> None:
        """Put under the staging tags what a release from here leaves there."""
        project, commit, host = self.project, commit_of(self.path), self.server.host.replace(":", "%3A")
        alpine = self._material("alpine", f"pkg:docker/{host}/alpine@3?platform=linux%2Famd64", "3")
        more = {"fetched": json.dumps(fetched)} if fetched is not None else {}
        records = {
            target.name: {**inputs_of_platform(project, target, AMD64, commit, SentFiles(), {}), **more}
            for target in project
        }
        self.hold("base", "base-amd64", [alpine] if attests else None, {ANNOTATION: write_record(records["base"])})
        image = self.digest("base", "base-amd64-image")
        uri = f"pkg:docker/{host}/base?digest={image}&platform=linux%2Famd64"
        on = [{"uri": uri, "digest": {"sha256": image.partition(":")[2]}}]
        record = {**records["app"], "base base": image}
        self.hold("app", "latest-amd64", on if attests else None, {ANNOTATION: write_record(record)})

    def digest(self, repository: str, tag: str) -> str:
        """Return the digest of a manifest in the registry."""
        body = self.server.contents[f"/v2/{repository}/manifests/{tag}"][1]
        return next(
            path.rpartition("/")[2]
            for path, (_, content) in self.server.contents.items()
            if content == body and path.startswith(f"/v2/{repository}/manifests/sha256:")
        )

    def index(self, repository: str, tag: str) -> dict[str, Any]:
        """Return what is under a tag."""
        found: dict[str, Any] = json.loads(self.server.contents[f"/v2/{repository}/manifests/{tag}"][1])
        return found

    def lines(self) -> list[str]:
        """Return what a run with ``--resume`` says of each platform."""
        out = io.StringIO()
        run = Run(self.project, Progress(out))
        resumption = Resumption(run)
        resumption.look()
        taken = resumption.take()
        lines = out.getvalue().replace(self.server.host, "HOST").splitlines()
        assert len(taken) == len([line for line in lines if ": taken from" in line])
        return [line.partition("@sha256:")[0] if ": taken" in line else line for line in lines]


@pytest.fixture
def left(tmp_path: Path, server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> Left:
    """The project, which is the working directory."""
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    path = tmp_path / "project"
    path.mkdir()
    monkeypatch.chdir(path)
    made = Left(path, server, Released.create(path, server).written)
    made.written |= {"resume": True, "only_changed": False, "retry_seconds": 0}
    made.stage()
    return made


TAKEN = [
    "base linux/amd64: taken from the staging tag: HOST/base:base-amd64",
    "app linux/amd64: taken from the staging tag: HOST/app:latest-amd64",
]
ON_BASE = "app linux/amd64: built: base linux/amd64, which it is built on, is built"
OTHER = "HOST/app:latest-amd64 was built from other inputs"


def anew(left: Left, repository: str, tag: str, **fields: Any) -> None:
    """Let the index under a tag have other fields."""
    left.server.hold_manifest(repository, tag, {**left.index(repository, tag), **fields}, OCI_INDEX)


def record_of(left: Left, **fields: str | None) -> None:
    """Let the record of the app have other fields; None is none."""
    record = json.loads(left.index("app", "latest-amd64")["annotations"][ANNOTATION])
    kept = {name: value for name, value in {**record, **fields}.items() if value is not None}
    anew(left, "app", "latest-amd64", annotations={ANNOTATION: json.dumps(kept)})


def without(left: Left, repository: str, digest: str) -> None:
    """Remove a manifest."""
    del left.server.contents[f"/v2/{repository}/manifests/{digest}"]


def moved_alpine(left: Left) -> None:
    """Let the tag of the base image be another."""
    left.server.hold_manifest("alpine", "3", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "of": 1})


def base_anew(left: Left) -> None:
    """Stage another image of the base, of the same inputs."""
    annotations = left.index("base", "base-amd64")["annotations"]
    left.config = {"created": "later"}
    host = left.server.host.replace(":", "%3A")
    alpine = left._material("alpine", f"pkg:docker/{host}/alpine@3?platform=linux%2Famd64", "3")
    left.hold("base", "base-amd64", [alpine], annotations)


def two_images(left: Left) -> None:
    """Let the index of the app list the base's platform twice."""
    entries = left.index("app", "latest-amd64")["manifests"]
    other = {**entries[0], "platform": {"os": "linux", "architecture": "arm64"}}
    anew(left, "app", "latest-amd64", manifests=[*entries, other])


def both(*happenings: Callable[[Left], object]) -> Callable[[Left], None]:
    """Let one thing happen after the other."""

    def happen(left: Left) -> None:
        for one in happenings:
            one(left)

    return happen


def without_provenance(left: Left) -> None:
    """Stage images without provenance, whose record names the base image."""
    left.stage({f"{left.server.host}/alpine:3": left.digest("alpine", "3")}, attests=False)


NO_RECORD = "HOST/app:latest-amd64 does not say what it was built from"
NOT_TOLD = "it has no provenance, and its record does not tell which images it was built from"
CASES: dict[str, tuple[Callable[[Left], object], list[str]]] = {
    "nothing": (lambda _: None, TAKEN),
    "file": (lambda left: left.write("app/main.py", "1"), [TAKEN[0], f"app linux/amd64: built: {OTHER}: context"]),
    "file of the base": (
        lambda left: left.write("base/more", "1"),
        [
            "base linux/amd64: built: HOST/base:base-amd64 was built from other inputs: context",
            f"app linux/amd64: built: {OTHER}: bases",
        ],
    ),
    "commit": (
        lambda left: left.commit(),
        [
            "base linux/amd64: built: HOST/base:base-amd64 was built from other inputs: commit",
            f"app linux/amd64: built: {OTHER}: commit",
        ],
    ),
    "argument": (
        lambda left: left.of_app(build_args={"A": "1"}),
        [TAKEN[0], f"app linux/amd64: built: {OTHER}: build_args"],
    ),
    "other platforms of the matrix": (
        lambda left: left.written.update(platforms=["arm64", "amd64"]),
        [
            "base linux/arm64: built: nothing is under its staging tag",
            TAKEN[0],
            "app linux/arm64: built: nothing is under its staging tag",
            TAKEN[1],
        ],
    ),
    "base image": (
        moved_alpine,
        ["base linux/amd64: built: HOST/alpine:3, which it is built on, is another now", ON_BASE],
    ),
    "no base": (
        lambda left: without(left, "base", "base-amd64"),
        ["base linux/amd64: built: nothing is under its staging tag", ON_BASE],
    ),
    "other base": (
        base_anew,
        [TAKEN[0], "app linux/amd64: built: base linux/amd64, which it is built on, is another image now"],
    ),
    "record without base": (
        lambda left: record_of(left, **{"base base": None}),
        [TAKEN[0], "app linux/amd64: built: base linux/amd64, which it is built on, is another image now"],
    ),
    "no_cache": (
        lambda left: left.written.update(no_cache=True),
        [f"{name} linux/amd64: built: no_cache runs every step again" for name in ("base", "app")],
    ),
    "secret": (
        lambda left: left.of_app(secrets={"token": "env:HOME"}),
        [TAKEN[0], "app linux/amd64: built: the secret token is not compared"],
    ),
    "no record": (
        lambda left: anew(left, "app", "latest-amd64", annotations={}),
        [TAKEN[0], f"app linux/amd64: built: {NO_RECORD}"],
    ),
    "no JSON": (
        lambda left: anew(left, "app", "latest-amd64", annotations={ANNOTATION: "{"}),
        [TAKEN[0], f"app linux/amd64: built: {NO_RECORD}"],
    ),
    "no texts": (
        lambda left: anew(left, "app", "latest-amd64", annotations={ANNOTATION: '{"a": 1}'}),
        [TAKEN[0], f"app linux/amd64: built: {NO_RECORD}"],
    ),
    "more in the record": (
        lambda left: record_of(left, more="x"),
        [TAKEN[0], f"app linux/amd64: built: {OTHER}: more of them"],
    ),
    "no index": (
        lambda left: left.server.hold_manifest("app", "latest-amd64", {"schemaVersion": 2, "layers": 1}, OCI_MANIFEST),
        [TAKEN[0], "app linux/amd64: built: HOST/app:latest-amd64 is no image: it has no layers"],
    ),
    "two images": (two_images, [TAKEN[0], "app linux/amd64: built: HOST/app:latest-amd64 has other platforms"]),
    "image is gone": (
        lambda left: without(left, "app", left.digest("app", "latest-amd64-image")),
        [TAKEN[0], "app linux/amd64: built: HOST/app:latest-amd64 lists DIGEST, which is gone"],
    ),
    "without provenance": (without_provenance, TAKEN),
    "without provenance, base image": (
        both(without_provenance, moved_alpine),
        [f"{name} linux/amd64: built: HOST/alpine:3, which it is built on, is another now" for name in ("base", "app")],
    ),
    "without provenance, unknown": (
        lambda left: left.stage(attests=False),
        [f"{name} linux/amd64: built: {NOT_TOLD}" for name in ("base", "app")],
    ),
    "without provenance, no image": (
        both(without_provenance, lambda left: record_of(left, fetched='{"a b": "sha256:1"}')),
        [
            TAKEN[0],
            "app linux/amd64: built: the record of what it was built from names what is no image: ",
        ],
    ),
    "no registry": (
        lambda left: left.server.stop(),
        [
            f"{name} linux/amd64: built: what is under its staging tag cannot be read (GET HOST/{name}/manifests/"
            for name in ("base", "app")
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_platform_is_taken_only_where_it_would_be_built_the_same(left: Left, name: str) -> None:
    """Each that is not says in one line why."""
    happens, expected = CASES[name]
    happens(left)
    lines = left.lines()
    assert len(expected) == len(lines)
    gone = left.server.contents and name == "image is gone"
    for line, start in zip(lines, expected, strict=True):
        shown = " ".join("DIGEST," if gone and word.startswith("sha256:") else word for word in line.split(" "))
        assert start == (shown[: len(start)] if start.endswith((": ", "/")) else shown)

"""``cleanup`` on real registries: 200 tags of 40 builds, and another release that runs meanwhile."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.exhaustive.stocked import IMAGE, INDEX, PLATFORMS, Stocked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.project import Project, Result

BUILDS = range(40)
OLD = range(32)  # those that ended more than a day ago: one every three hours
_YAML = """\
multiarch:
  image: {}/app
  tags: [latest]
  platforms: [linux/amd64, linux/arm64, linux/s390x, linux/arm/v7]
"""


@pytest.fixture(params=["2", "3"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stocked]:
    """A real registry, without contents."""
    registry = Stocked(tmp_path / "registry", request.param).start()
    yield registry
    registry.stop()


def _stage(registry: Stocked, build: int) -> list[dict[str, Any]]:
    """Stage a build; three that follow each other have the same images, and each eighth has no provenance."""
    hours = None if build % 8 == 7 else (40 - build) * 3 - 1
    form = "v0.2" if build % 2 else "v1"
    return [
        entry
        for slug in PLATFORMS
        for entry in registry.stage(f"latest-{build}-{slug}", slug, f"of {build // 3}", hours, form)
    ]


def _stock(registry: Stocked) -> set[str]:
    """Fill a registry with 200 tags; return those that are no staging tags."""
    # Those that have the same images one after the other: the registry writes a manifest anew while others read it.
    alike = [BUILDS[start : start + 3] for start in range(0, 40, 3)]
    with ThreadPoolExecutor(8) as pool:
        staged = list(pool.map(lambda builds: [_stage(registry, build) for build in builds], alike))
    entries = dict(zip(BUILDS, [entries for group in staged for entries in group], strict=True))
    others = {f"1.{build}" for build in BUILDS if build % 4}  # a quarter of the builds failed before they published
    for build in BUILDS:
        if build % 4:
            registry.manifest({"mediaType": INDEX, "manifests": entries[build]}, f"1.{build}")
    registry.manifest({"mediaType": INDEX, "manifests": entries[39]}, "latest")
    # An index of an index; what nothing but it reaches is of a build that failed.
    inner = registry.manifest({"mediaType": INDEX, "manifests": entries[4]})
    registry.manifest({"mediaType": INDEX, "manifests": [inner]}, "nested")
    # A signature of what is staged, by the tag schema of referrers.
    signed = registry.digest("latest-8-amd64")
    config = registry.blob(b"{}", "application/vnd.oci.empty.v1+json")
    subject = {"mediaType": INDEX, "digest": signed, "size": 1}
    registry.manifest({"mediaType": IMAGE, "config": config, "layers": [], "subject": subject}, "sig")
    named = f"sha256-{registry.digest('latest-12-amd64').removeprefix('sha256:')}.sig"
    registry.manifest({"mediaType": IMAGE, "config": config, "layers": []}, named)
    # Tags that look like staging tags, and hold no image of the platform.
    cache = registry.blob(b"{}", "application/vnd.buildkit.cacheconfig.v0")
    registry.manifest({"mediaType": IMAGE, "config": cache, "layers": []}, "buildcache-amd64")
    registry.manifest({"mediaType": INDEX, "manifests": entries[0]}, "all-amd64")
    registry.manifest({"mediaType": INDEX, "manifests": entries[0][:2]}, "other-arm64")
    others |= {"latest", "nested", "sig", named, "buildcache-amd64", "all-amd64", "other-arm64"}
    for number in range(200 - 160 - len(others)):
        others.add(f"extra-{number}")
        registry.manifest({"mediaType": INDEX, "manifests": entries[number]}, f"extra-{number}")
    return others


def _errors(result: Result) -> list[str]:
    """Return what was said of errors; version 2 answers 500 while another tag is just being written."""
    return [line for line in result.err if ": attempt " not in line]


def _staging(builds: Any) -> set[str]:
    return {f"latest-{build}-{slug}" for build in builds for slug in PLATFORMS}


def test_exactly_the_old_builds_that_nothing_reaches_are_removed(registry: Stocked, project: Project) -> None:
    """Of 200 tags of 40 builds; what a walk of its own finds from the tags that stay is all there, and nothing else."""
    others = _stock(registry)
    assert 200 == len(registry.tags) == len(others | _staging(BUILDS))
    project.write(invoke_yaml=_YAML.format(registry.host))
    going = _staging(build for build in OLD if build % 8 != 7)
    before = registry.walk(registry.tags)
    named = {tag[:71].replace("-", ":") for tag in others if tag.startswith("sha256-")}  # it is signed
    kept = registry.walk(registry.tags - going | named)

    listed = project.run("cleanup", "--json")
    assert (0, []) == (listed.status, listed.err)
    tags = {row["reference"].rpartition(":")[2]: row for row in json.loads(listed.out[0])["tags"]}
    assert going == {tag for tag, row in tags.items() if row["action"] != "keep"}
    reached = {tag for tag in going if registry.digest(tag) in kept}
    assert reached == {tag for tag, row in tags.items() if row["action"] == "untag"}
    assert {"latest-0-amd64", "latest-8-amd64", "latest-12-amd64"} == reached  # another tag; signatures of both kinds
    assert before == registry.walk(registry.tags)

    removed = project.run("cleanup", "--delete")
    assert [0, []] == [removed.status, _errors(removed)]
    assert others | _staging(BUILDS) - going == registry.tags
    assert kept == registry.walk(registry.tags | named)
    assert set() == {digest for digest in before - kept if registry.has(digest)}
    assert 112 == len([line for line in removed.out if line.startswith(("removed ", "untagged "))])

    again = project.run("cleanup", "--delete")
    assert set() == {line.partition(" ")[0] for line in again.out} - {"kept"}


class _Publisher(threading.Thread):
    """Another release, again and again, of images that are those of old builds, with a provenance of its own.

    It does as BuildKit does: what is there it does not push, and what a registry lacks then it pushes again.
    """

    def __init__(self, registry: Stocked) -> None:
        super().__init__()
        self._registry = registry
        self._is_over = threading.Event()
        self.published: list[str] = []
        self.problems: list[str] = []

    def run(self) -> None:
        number = 0
        while not self._is_over.is_set() or not number:
            number += 1
            for attempt in range(5):
                try:
                    self._publish(number)
                    break
                except LookupError as error:
                    if "MANIFEST" not in str(error) or attempt == 4:
                        self.problems.append(str(error))

    def _publish(self, number: int) -> None:
        registry = self._registry
        entries = [
            entry
            for slug in PLATFORMS
            for entry in registry.stage(f"latest-again-{number}-{slug}", slug, f"of {number % 11}", 0.0)
        ]
        registry.manifest({"mediaType": INDEX, "manifests": entries}, f"again-{number}")
        self.published.append(f"again-{number}")

    def end(self) -> None:
        """End it after the release that runs."""
        self._is_over.set()
        self.join()


def test_what_another_release_publishes_meanwhile_is_whole(registry: Stocked, project: Project) -> None:
    """Its images are those that are being removed: what it has published, and what it has staged, is all there."""
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda group: [_stage(registry, build) for build in group], [range(n, n + 3) for n in (0, 8, 16, 24)]
            )
        )
    project.write(invoke_yaml=_YAML.format(registry.host))
    other = _Publisher(registry)
    other.start()
    try:
        removed = project.run("cleanup", "--delete")
    finally:
        other.end()
    assert [0, [], []] == [removed.status, _errors(removed), other.problems]
    assert set(other.published) <= registry.tags
    assert "removed" in {line.partition(" ")[0] for line in removed.out}
    registry.walk(registry.tags)  # every manifest that any tag leads to is there
    again = {f"latest-{again}-{slug}" for again in other.published for slug in PLATFORMS}
    assert again <= registry.tags


@pytest.mark.parametrize("version", ["2", "3"])
def test_registry_that_does_not_delete_is_told_with_the_remedy(version: str, tmp_path: Path, project: Project) -> None:
    """Nothing has changed then; with --json, too, the status is that of a failure."""
    registry = Stocked(tmp_path / "registry", version, deletes=False).start()
    try:
        registry.stage("latest-7-amd64", "amd64", "old", 30)
        project.write(invoke_yaml=_YAML.format(registry.host))
        result = project.run("cleanup", "--delete")
        assert (1, []) == (result.status, result.out)
        (line,) = result.err
        assert line.startswith(f"{registry.host}/app@sha256:")
        assert "the registry does not delete (405 UNSUPPORTED: The operation is unsupported" in line
        assert "REGISTRY_STORAGE_DELETE_ENABLED=true, then restart it" in line
        registry.walk(registry.tags)
        assert {"latest-7-amd64"} == registry.tags
    finally:
        registry.stop()


def test_build_is_removed_whatever_its_age(registry: Stocked, project: Project) -> None:
    """Of its staging tags alone; what has no provenance, and so no age, too. A part of another build's name is none."""
    for build in ("7", "17", "1-7"):
        registry.stage(f"latest-{build}-amd64", "amd64", build, None)
        registry.stage(f"latest-{build}-arm64", "arm64", build, 1)
    registry.manifest({"mediaType": INDEX, "manifests": [registry.image("amd64", "17")]}, "latest")
    project.write(invoke_yaml=_YAML.format(registry.host))
    commands = project.run("--dry", "cleanup", "--build", "7").out
    digests = [registry.digest(f"latest-7-{slug}") for slug in ("amd64", "arm64")]
    assert [f"regctl manifest delete {registry.host}/app@{digest}" for digest in digests] == commands
    removed = project.run("cleanup", "--build", "7", "--delete")
    assert [0, 2, []] == [removed.status, len(removed.out), _errors(removed)]
    others = {f"latest-{build}-{slug}" for build in ("17", "1-7") for slug in ("amd64", "arm64")}
    assert {"latest", *others} == registry.tags

    published = registry.digest("latest-17-amd64")
    commands = project.run("--dry", "cleanup", "--build", "17").out
    assert f"regctl tag delete {registry.host}/app:latest-17-amd64" in commands
    untagged = project.run("cleanup", "--build", "17", "--delete")
    assert (
        f"untagged {registry.host}/app:latest-17-amd64@{published}: build 17, a tag that stays reaches its image"
        in (untagged.out)
    )
    assert registry.has(published)
    assert {"latest", "latest-1-7-amd64", "latest-1-7-arm64"} == registry.tags

"""Several images of one project: what is built on what, and all of their tags or none."""

from __future__ import annotations

import json
import random
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.conftest import REGISTRY, Project, fresh_builder

if TYPE_CHECKING:
    from pathlib import Path

BASE = "FROM busybox:stable\nRUN date +%s%N > /when\n"
PAIR = """\
multiarch:
  image: {registry}/{name}/{{target}}
  platforms: [linux/amd64, linux/arm64]
  tags: ["1.0", latest]
  targets:
    app: {{context: app, contexts: {{base: "target:base"}}, smoke: [cat, /app]}}
    worker: {{context: worker, contexts: {{base: "target:base"}}, platforms: [linux/amd64]}}
    base: {{context: base, tags: []}}
  groups: {{default: [app, worker]}}
"""
BASE_OF = "org.opencontainers.image.base."
PULL_REQUEST = {"TRAVIS": "true", "TRAVIS_BUILD_NUMBER": "7", "TRAVIS_BRANCH": "main", "TRAVIS_PULL_REQUEST": "3"}


@pytest.fixture
def pair(project: Project, embedded: None) -> Project:
    """Two images on a base that only they are for."""
    files = {"base": BASE, "app": "FROM base\nRUN cat /when > /app\n", "worker": "FROM base\nRUN cat /when > /worker\n"}
    for name, text in files.items():
        (project.path / name).mkdir()
        (project.path / name / "Dockerfile").write_text(text)
    project.write(invoke_yaml=PAIR.format(registry=REGISTRY, name=project.path.name))
    return project


def read(repository: str, reference: str) -> dict[str, Any]:
    """Return a manifest or an index of the embedded registry."""
    kinds = ["index.v1", "manifest.v1"]
    request = urllib.request.Request(f"http://{REGISTRY}/v2/{repository}/manifests/{reference}")
    request.add_header("Accept", ", ".join(f"application/vnd.oci.image.{kind}+json" for kind in kinds))
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def tags(repository: str) -> list[str]:
    """Return the tags of a repository of the embedded registry."""
    try:
        with urllib.request.urlopen(f"http://{REGISTRY}/v2/{repository}/tags/list") as answer:
            return sorted(json.load(answer)["tags"] or [])
    except urllib.error.HTTPError:
        return []


def layers(repository: str, reference: str) -> dict[str, list[str]]:
    """Return the digests of the layers of each platform's image."""
    entries = [entry for entry in read(repository, reference)["manifests"] if entry["platform"]["os"] != "unknown"]
    return {
        entry["platform"]["architecture"]: [layer["digest"] for layer in read(repository, entry["digest"])["layers"]]
        for entry in entries
    }


def said_of_bases(repository: str, reference: str) -> list[dict[str, str]]:
    """Return what an index, and then each platform's entry in it, says of its base."""
    index = read(repository, reference)
    entries = [entry for entry in index["manifests"] if entry["platform"]["os"] != "unknown"]
    own = [one.get("annotations") or {} for one in (index, *entries)]
    return [{key[len(BASE_OF) :]: text for key, text in one.items() if key.startswith(BASE_OF)} for one in own]


def image(repository: str, tag: str) -> str:
    """Return the digest of the one image under a staging tag."""
    (entry,) = [one for one in read(repository, tag)["manifests"] if one["platform"]["os"] != "unknown"]
    digest: str = entry["digest"]
    return digest


def solved(report: Path, target: str) -> list[str]:
    """Return the RUNs that ran for a target, by the report of a run."""
    solves = json.loads(report.read_text())["solves"]
    own = [solve for solve in solves if solve["platforms"][0].startswith(target)]
    return [step["name"] for solve in own for step in solve["steps"] if "] RUN " in step["name"] and not step["cached"]]


def check_begun(name: str) -> None:
    """Check that the layers of the base are the first of each image, on each platform."""
    app, worker = layers(f"{name}/app", "1.0"), layers(f"{name}/worker", "1.0")
    base = layers(f"{name}/base", "base-amd64") | layers(f"{name}/base", "base-arm64")
    assert (["amd64", "arm64"], ["amd64"]) == (sorted(app), sorted(worker))
    assert [base["amd64"], base["arm64"], base["amd64"]] == [
        of[:-1] for of in (app["amd64"], app["arm64"], worker["amd64"])
    ]
    assert base["amd64"] != base["arm64"]


def test_base_is_built_once_for_each_platform_and_begins_its_images(pair: Project) -> None:
    """Its layers are the first of each image that is built on it; it has no tag of its own."""
    published = pair.ok("release", "--no-cache", "--report", "report.json")

    name = pair.path.name
    assert [f"{REGISTRY}/{name}/{target}:{tag}" for target in ("app", "worker") for tag in ("1.0", "latest")] == [
        line.partition("@")[0] for line in published
    ]
    assert 2 == len(solved(pair.path / "report.json", "base"))
    check_begun(name)
    assert ["base-amd64", "base-arm64"] == tags(f"{name}/base")
    bases = [image(f"{name}/base", f"base-{architecture}") for architecture in ("amd64", "arm64")]
    of_each = [{"name": f"{REGISTRY}/{name}/base@{digest}", "digest": digest} for digest in bases]
    assert [{}, *of_each] == said_of_bases(f"{name}/app", "1.0")
    assert [{}, of_each[0]] == said_of_bases(f"{name}/worker", "1.0")


def test_base_is_handed_over_to_another_builder(pair: Project) -> None:
    """By the registry, or, of a pull request, by a directory: each builder builds the base of its platform once."""
    with fresh_builder() as other:
        address = other["BUILDKIT_HOST"]
        platforms = f"[linux/amd64, {{platform: linux/arm64, builder: {address}}}]"
        config = PAIR.format(registry=REGISTRY, name=pair.path.name)
        pair.write(invoke_yaml=config.replace("[linux/amd64, linux/arm64]", platforms))
        result = pair.run("release", "--report", "report.json", **PULL_REQUEST)
        assert (0, []) == (result.status, result.out), result.err
        assert [[]] * 3 == [tags(f"{pair.path.name}/{target}") for target in ("base", "app", "worker")]
        pair.ok("release", "--no-cache", "--report", "report.json")
    assert 2 == len(solved(pair.path / "report.json", "base"))
    check_begun(pair.path.name)


def test_steps_alone_publish_the_same(pair: Project) -> None:
    """Each job of a CI builds one platform of all targets, the base first; one job publishes."""
    pair.ok("setup-binfmt")
    pair.ok("start-buildkit")
    pair.ok("copy-buildctl")
    for platform, count in (("linux/amd64", 2), ("linux/arm64", 1)):
        assert count == len(pair.ok("build-arch", "--platform", platform))
    assert 4 == len(pair.ok("manifest"))
    app = layers(f"{pair.path.name}/app", "latest")
    assert app["amd64"][:-1] == layers(f"{pair.path.name}/worker", "latest")["amd64"][:-1]


def test_base_of_one_platform_is_built_once_for_all(pair: Project) -> None:
    """By one job of a CI, which builds all platforms; two jobs would each push another."""
    settings = (pair.path / "invoke.yaml").read_text()
    pair.write(invoke_yaml=settings.replace("context: base,", "context: base, platforms: [linux/arm64],"))
    (pair.path / "app" / "Dockerfile").write_text("FROM busybox:stable\nCOPY --from=base /when /app\n")
    (pair.path / "worker" / "Dockerfile").write_text("FROM scratch\nCOPY --from=base /when /worker\n")
    for step in ("setup-binfmt", "start-buildkit", "copy-buildctl"):
        pair.ok(step)

    words = ("--no-cache", "--platform", "linux/amd64", "--platform", "linux/arm64", "--report", "report.json")
    built = pair.ok("build-arch", *words)

    assert (3, 1) == (len(built), len(solved(pair.path / "report.json", "base")))
    assert ["base-arm64"] == tags(f"{pair.path.name}/base")
    pair.ok("manifest")
    pair.ok("release")


def test_pull_request_is_built_and_pushes_nothing(pair: Project) -> None:
    """Not even the base: it is handed over in a directory."""
    result = pair.run("release", "--report", "report.json", **PULL_REQUEST)

    assert (0, []) == (result.status, result.out), result.err
    assert "nothing is pushed: of a pull request" in result.err
    solves = json.loads((pair.path / "report.json").read_text())["solves"]
    assert {"base linux/amd64", "base linux/arm64", "app linux/amd64", "app linux/arm64", "worker linux/amd64"} == {
        leg for solve in solves for leg in solve["platforms"]
    }
    assert [[]] * 3 == [tags(f"{pair.path.name}/{target}") for target in ("base", "app", "worker")]


def test_dockerfile_that_names_another_base_moves_no_tag(pair: Project) -> None:
    """It would have been built on something that was not checked."""
    (pair.path / "worker" / "Dockerfile").write_text("FROM busybox:stable\nRUN echo > /worker\n")
    result = pair.run("release", INVOKE_MULTIARCH_ATTESTATIONS="")

    assert (1, []) == (result.status, result.out)
    expected = "multiarch.targets.worker.contexts.base: nothing in worker/Dockerfile names base; it would be built on"
    assert f"{expected} docker.io/library/busybox:stable" in result.err.splitlines()
    assert [[], []] == [
        [tag for tag in tags(f"{pair.path.name}/{t}") if tag in ("1.0", "latest")] for t in ("app", "worker")
    ]


def test_manifest_alone_publishes_nothing_on_another_base(pair: Project) -> None:
    """It was staged by a job that failed after its push; with provenance and without."""
    words, name = ("--target", "worker", "--platform", "linux/amd64"), pair.path.name
    pair.ok("start-buildkit")
    pair.ok("copy-buildctl")
    (pair.path / "worker" / "Dockerfile").write_text("FROM busybox:stable\nRUN echo > /worker\n")
    for attestations in ("", "provenance"):
        environ = {"INVOKE_MULTIARCH_ATTESTATIONS": attestations}
        assert 1 == pair.run("build-arch", *words, **environ).status
        result = pair.run("manifest", *words, **environ)
        assert (1, []) == (result.status, result.out)
        problem = (
            f"worker linux/amd64 ({REGISTRY}/{name}/worker:1.0-amd64) is not known to be built on base linux/amd64"
        )
        start = f"not published, gate 'the base is the base': {problem} ({REGISTRY}/{name}/base@sha256:"
        assert result.err.splitlines()[-1].startswith(start), result.err
        assert ["1.0-amd64"] == tags(f"{name}/worker")


def test_base_that_is_only_copied_from_is_told_by_provenance(pair: Project) -> None:
    """Also where a release has handed over an index of all platforms; without provenance nobody could know."""
    (pair.path / "worker" / "Dockerfile").write_text("FROM busybox:stable\nCOPY --from=base /when /worker\n")
    published = pair.ok("release")
    assert published == pair.ok("manifest")
    assert [{}, {}] == said_of_bases(f"{pair.path.name}/worker", "1.0")
    words = ("--target", "worker", "--platform", "linux/amd64")
    assert 2 == len(pair.ok("release", *words, INVOKE_MULTIARCH_ATTESTATIONS=""))
    result = pair.run("manifest", *words)
    assert (1, []) == (result.status, result.out)
    assert "where it only copies from there, provenance tells of that (attestations)" in result.err.splitlines()[-1]


def test_failure_of_one_platform_moves_no_tag(pair: Project) -> None:
    """Of any target; with --keep-going each failure is told."""
    for name in ("app", "worker"):
        (pair.path / name / "Dockerfile").write_text(f"FROM base\nRUN echo {name} fails; false\n")
    result = pair.run("release", "--keep-going")

    assert (1, []) == (result.status, result.out)
    for leg in ("app linux/amd64", "app linux/arm64", "worker linux/amd64"):
        assert [leg] == [leg for line in result.err.splitlines() if line.startswith(f"{leg}: build failed")][:1]
    assert [[], []] == [tags(f"{pair.path.name}/{target}") for target in ("app", "worker")]


def test_failure_of_one_platform_of_one_target_moves_no_tag(pair: Project) -> None:
    """Worker fails on arm64 alone: neither its tags move nor those of app, which was built; and all is built again."""
    file = pair.path / "invoke.yaml"
    file.write_text(file.read_text().replace(", platforms: [linux/amd64]}", "}"))
    before = pair.ok("release")
    worker = pair.path / "worker" / "Dockerfile"
    worker.write_text('FROM base\nRUN [ "$(uname -m)" = x86_64 ] || { echo no arm; exit 3; }\n')
    (pair.path / "app" / "Dockerfile").write_text("FROM base\nRUN echo new > /app\n")
    for flags in ([], ["--keep-going"]):
        result = pair.run("release", *flags)
        failed = [line for line in result.err.splitlines() if "build failed" in line]
        assert (1, [], 1) == (result.status, result.out, len(failed)), result.err
        assert "worker linux/arm64" in failed[0].partition(":")[0]
        assert sorted(before) == sorted(inspected(pair))
    assert failed[0].startswith("worker linux/arm64: build failed"), "each platform has a solve of its own"


def inspected(pair: Project) -> list[str]:
    """Return the tags of both targets with their digests."""
    name = pair.path.name
    references = [f"{REGISTRY}/{name}/{target}:{tag}" for target in ("app", "worker") for tag in ("1.0", "latest")]
    found = []
    for reference in references:
        path, _, tag = reference.removeprefix(f"{REGISTRY}/").partition(":")
        request = urllib.request.Request(f"http://{REGISTRY}/v2/{path}/manifests/{tag}", method="HEAD")
        request.add_header("Accept", "application/vnd.oci.image.index.v1+json")
        with urllib.request.urlopen(request) as answer:
            found.append(f"{reference}@{answer.headers['Docker-Content-Digest']}")
    return found


def test_kill_in_a_release_leaves_whole_indexes(pair: Project) -> None:
    """kill -9 at any moment, on the real BuildKit and registry; the next release succeeds."""
    file = pair.path / "invoke.yaml"
    file.write_text(file.read_text().replace(", smoke: [cat, /app]", ""))  # a container would be left
    chance, began = random.Random(15), time.monotonic()  # noqa: S311 (the same moments in each run)
    before = pair.ok("release", "--no-cache")
    longest = time.monotonic() - began
    for _ in range(3):
        process = subprocess.Popen(
            pair.command("release", "--no-cache"), cwd=pair.path, env=pair.env(), stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.2, longest))
        process.kill()
        process.wait()
        for target, count in (("app", 2), ("worker", 1)):
            for tag in ("1.0", "latest"):
                assert count == len(layers(f"{pair.path.name}/{target}", tag)), (target, tag)
    assert len(before) == len(pair.ok("release"))


def test_failure_of_a_base_is_told_of_what_is_built_on_it(pair: Project) -> None:
    """By the name of the base."""
    (pair.path / "base" / "Dockerfile").write_text("FROM busybox:stable\nRUN false\n")
    result = pair.run("release", "--keep-going")

    assert (1, []) == (result.status, result.out)
    assert "not built, because base linux/arm64 failed, which it is built on" in result.err


@pytest.mark.usefixtures("embedded")
def test_grid_of_versions_and_flavours_has_its_tags(project: Project) -> None:
    """Two versions in two flavours are 4 indexes and 24 tags."""
    repository = f"{project.path.name}/golang"
    project.write(
        invoke_yaml=f"""\
multiarch:
  image: {REGISTRY}/{repository}
  platforms: [linux/amd64, linux/arm64]
  targets:
    golang:
      context: "{{version}}/{{flavour}}"
      tags: ["{{version}}-{{flavour}}"]
      matrix:
        version:
          - {{version: "1.27", aliases: ["1.27.0", "1", ""]}}
          - {{version: "1.26", aliases: ["1.26.7"]}}
        flavour:
          - {{flavour: bookworm, aliases: [""]}}
          - {{flavour: alpine3.24, aliases: [alpine]}}
"""
    )
    for version in ("1.27", "1.26"):
        for flavour in ("bookworm", "alpine3.24"):
            place = project.path / version / flavour
            place.mkdir(parents=True)
            (place / "Dockerfile").write_text("FROM scratch\nCOPY name /\n")
            (place / "name").write_text(f"{version} {flavour}")

    published = dict(line.split("@") for line in project.ok("release"))

    assert (24, 4) == (len(published), len(set(published.values())))
    assert published[f"{REGISTRY}/{repository}:latest"] == published[f"{REGISTRY}/{repository}:1.27-bookworm"]
    assert published[f"{REGISTRY}/{repository}:alpine"] == published[f"{REGISTRY}/{repository}:1.27.0-alpine3.24"]

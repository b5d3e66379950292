"""Reproducible releases, and the other options of BuildKit's exporters, on servers with empty caches."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from typing import Any

from tests.integration.conftest import REGISTRY, Project, fresh_builder

INDEX, IMAGE = "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"
DAY = 24 * 60 * 60  # seconds
SETTINGS = """\
multiarch:
  image: {image}
  reproducible: true
  compression: zstd
  compression_level: 3
  platforms: [linux/amd64, linux/arm64]
"""
DOCKERFILE = """\
FROM busybox:stable
ARG SOURCE_DATE_EPOCH
COPY invoke.yaml /kept/
RUN mkdir /made && date > /made/now.tmp && rm /made/now.tmp && echo "$SOURCE_DATE_EPOCH" > /made/epoch
"""


def read(repository: str, kind: str, digest: str) -> Any:
    """Return a manifest or a config of the embedded registry."""
    url = f"http://{REGISTRY}/v2/{repository}/{kind}/{digest}"
    request = urllib.request.Request(url, headers={"Accept": f"{INDEX}, {IMAGE}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def commit(project: Project, seconds: int) -> None:
    """Commit what there is, at a time."""
    git = ["git", "-C", str(project.path), "-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "x"]):
        date = {"GIT_AUTHOR_DATE": f"{seconds} +0000", "GIT_COMMITTER_DATE": f"{seconds} +0000"}
        subprocess.run([*git, *words], check=True, env={**os.environ, **date})


def test_one_commit_gives_the_same_digests_on_two_fresh_servers(project: Project) -> None:
    """A day after the commit too: every time in the image is the commit's, whenever and wherever it is built."""
    project.ok("start-buildkit")
    yesterday = int(time.time()) - DAY
    published: list[str] = []
    for _ in range(2):
        project.write(invoke_yaml=SETTINGS.format(image=project.image), Dockerfile=DOCKERFILE)
        if not published:
            commit(project, yesterday)
        # What is copied has another time than before.
        os.utime(project.path / "invoke.yaml", (yesterday + 9 + len(published), yesterday + 9 + len(published)))
        with fresh_builder() as environ:
            published += project.ok("release", **environ)
    assert [published[0]] * 2 == published

    repository, digest = project.path.name, published[0].partition("@")[2]
    index = read(repository, "manifests", digest)
    assert ["amd64", "arm64"] == [entry["platform"]["architecture"] for entry in index["manifests"]]
    manifests = [read(repository, "manifests", entry["digest"]) for entry in index["manifests"]]
    # The layers of the base image stay as they are.
    assert [2] * 2 == [sum(layer["mediaType"].endswith("+zstd") for layer in m["layers"]) for m in manifests]
    configs = [read(repository, "blobs", manifest["config"]["digest"]) for manifest in manifests]
    assert [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(yesterday))] * 2 == [c["created"] for c in configs]


def test_attestations_may_be_images_for_registries_that_take_no_artifacts(project: Project) -> None:
    """`oci_artifact: false` is for those that refuse a manifest with an artifactType."""
    types = []
    for value in ("true", "false"):
        project.write(
            invoke_yaml=f"multiarch:\n  oci_artifact: {value}\n  attestations: [provenance]\n"
            "  platforms: [linux/amd64]\n"
        )
        (line,) = project.ok("release")
        index = read(project.path.name, "manifests", line.partition("@")[2])
        (entry,) = [entry for entry in index["manifests"] if entry["platform"]["os"] == "unknown"]
        types.append("artifactType" in read(project.path.name, "manifests", entry["digest"]))
    assert [True, False] == types

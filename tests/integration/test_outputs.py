"""Releases that are written here, and pushed nowhere."""

from __future__ import annotations

import json
import tarfile
import urllib.request

from tests.integration.conftest import PLAIN, REGISTRY, Project, runs_as
from tests.integration.docker_host import docker
from tests.integration.test_options import fetched


def test_release_goes_into_one_archive(project: Project) -> None:
    """With platforms of several solves, as one has another Dockerfile; each image is whole, and the registry empty."""
    (path,) = project.ok("release", "--output", "oci,dest=out/all.tar")
    assert ("out/all.tar", "") == (path, fetched(project.path.name, "latest"))
    assert ["all.tar"] == [found.name for found in (project.path / "out").iterdir()]
    with tarfile.open(project.path / path) as tar:

        def read(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file is not None
            return file.read()

        (listed,) = json.loads(read("index.json"))["manifests"]
        index = json.loads(read(f"blobs/sha256/{listed['digest'][7:]}"))
        images = [entry for entry in index["manifests"] if entry["platform"]["os"] == "linux"]
        assert ["amd64", "arm64", "arm"] == [image["platform"]["architecture"] for image in images]
        manifests = [json.loads(read(f"blobs/sha256/{image['digest'][7:]}")) for image in images]
        blobs = [blob for m in manifests for blob in (m["config"], *m["layers"])]
        sizes = [tar.getmember(f"blobs/sha256/{blob['digest'][7:]}").size for blob in blobs]
    assert [blob["size"] for blob in blobs] == sizes


def test_one_platform_is_loaded_into_the_docker_host(project: Project) -> None:
    """Under every tag, as docker build does, with build-arch and with release; it runs from there."""
    names = [f"{project.image}:latest", f"{project.image}:2"]
    project.write(invoke_yaml="multiarch:\n  tags: [latest, '2']\n  platforms: [linux/arm64]\n")
    for step in ("release", "build-arch"):
        assert names == project.ok(step, "--output", "docker", **PLAIN)
        words = ("run", "--rm", "--pull", "never", "--platform", "linux/arm64")
        assert ["aarch64"] * 2 == [docker(*words, name, "uname", "-m") for name in names]
        docker("image", "rm", *names)
    assert "" == fetched(project.path.name, "latest")


def test_jobs_hand_over_digests_without_staging_tags(project: Project) -> None:
    """Each step alone, as a CI runs them, and release: the registry has the published tag, and no other."""
    handed = ("--digests", "handed")
    for step in ("setup-binfmt", "start-buildkit", "copy-buildctl"):
        project.ok(step)
    for platform in ("linux/amd64", "linux/arm64", "linux/arm/v7"):
        (pushed,) = project.ok("build-arch", "--platform", platform, *handed, **PLAIN)
        assert pushed.startswith(f"{project.image}@sha256:")
    missing = project.run("manifest", "--digests", "elsewhere", **PLAIN)
    assert (1, True) == (missing.status, "no image for linux/amd64 (elsewhere/linux-amd64.txt)" in missing.err)
    published = project.ok("manifest", *handed, **PLAIN)
    assert (["latest"], published) == (
        _tags(project.path.name),
        project.ok("release", **PLAIN, INVOKE_MULTIARCH_DIGESTS="x"),
    )
    assert (["latest"], "armv7l") == (_tags(project.path.name), runs_as("linux/arm/v7", published[0]))


def _tags(repository: str) -> list[str]:
    with urllib.request.urlopen(f"http://{REGISTRY}/v2/{repository}/tags/list", timeout=10) as answer:
        return sorted(json.load(answer)["tags"])

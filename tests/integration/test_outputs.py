"""Releases that are written here, and pushed nowhere."""

from __future__ import annotations

import json
import tarfile

from tests.integration.conftest import PLAIN, Project
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

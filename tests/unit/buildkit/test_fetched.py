"""Which images a build has taken from elsewhere, by the names of its vertices."""

from __future__ import annotations

import pytest

from multiarch.buildkit.fetched import fetched_images

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"
HEAD = ["[internal] load build definition from Dockerfile", "[internal] load .dockerignore"]
BUSYBOX = "docker.io/library/busybox:stable"


@pytest.mark.parametrize(
    ("names", "images"),
    [
        (["[internal] load build context", "[1/1] COPY a /a", "exporting to image"], {}),
        (
            [f"[linux/amd64 internal] load metadata for {BUSYBOX}", f"[linux/amd64 1/2] FROM {BUSYBOX}@{DIGEST}"],
            {BUSYBOX: DIGEST},
        ),
        (
            [
                "resolve image config for docker-image://docker.io/docker/dockerfile:1",
                f"docker-image://docker.io/docker/dockerfile:1@{OTHER}",
                f"[internal] load metadata for {BUSYBOX}@{DIGEST}",
                f"[stage-0 1/2] FROM {BUSYBOX}@{DIGEST}",
            ],
            {"docker.io/docker/dockerfile:1": OTHER},
        ),
        ([f"[internal] load metadata for {BUSYBOX}"], None),
        ([f"[internal] load metadata for {BUSYBOX}", f"[1/1] FROM {BUSYBOX}"], None),
        (["[2/3] ADD https://example.com/a.tar /a"], None),
        (["[2/3] ADD git@example.com:a/b.git /a"], None),
        (["[2/3] ADD a.tar /a"], {}),
        (["https://example.com/a.tar"], None),
        (["a name of another frontend"], None),
    ],
)
def test_images_are_known_where_every_name_is(names: list[str], images: dict[str, str] | None) -> None:
    """A digest in the Dockerfile needs no look at a tag; what is of another frontend may mean anything."""
    assert images == fetched_images([*HEAD, *names])


def test_nothing_is_known_of_a_build_whose_names_were_not_read() -> None:
    """The first vertex of the frontend is missing."""
    assert None is fetched_images([])
    assert None is fetched_images(["exporting to image"])

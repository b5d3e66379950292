"""A whole release, by a real BuildKit, is signed as `manifest` alone signs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fleet.parts import BUILDCTL, Builder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.signing.parts import Keys, Project, Registry


def test_release_signs_what_it_built(project: Project, registry: Registry, keys: Keys, tmp_path: Path) -> None:
    """The index with its attestation, and the image; the attestation is covered by the index."""
    builder = Builder(tmp_path / "builder", f"unix://{tmp_path}/b.sock", plain_registries=(registry.host,)).start()
    try:
        project.write(more=f"  dest: {BUILDCTL.parent}\n")
        (project.folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        done = project.run("release", "--platform", "linux/amd64", BUILDKIT_HOST=f"unix://{tmp_path}/b.sock")
    finally:
        builder.end()
    assert 0 == done.status, done.err
    digest = registry.digest()
    image, attestation = registry.entries(digest)
    assert [f"{registry.host}/app:latest@{digest}"] == done.out
    assert ["", ""] == [keys.verify(f"{registry.host}/app@{one}") for one in (digest, image)]
    assert [1, 1, 0] == [registry.signatures(one) for one in (digest, image, attestation)]

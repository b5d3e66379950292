"""What is published is signed before its tag moves, as cosign itself verifies, in registries of three kinds."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.signing.parts import DEBIAN, DISTRIBUTION, REFERRERS, Keys, Project, Registry

if TYPE_CHECKING:
    from pathlib import Path

KINDS = pytest.mark.parametrize("registry", [DEBIAN, DISTRIBUTION, REFERRERS], indirect=True)


def signed(registry: Registry, keys: Keys, digest: str) -> list[str]:
    """Return what cosign complains of: an index, and what it lists."""
    digests = [digest, *registry.entries(digest)]
    return [keys.verify(f"{registry.host}/app@{one}") for one in digests]


@KINDS
def test_cosign_verifies_the_index_and_each_image(project: Project, registry: Registry, keys: Keys) -> None:
    """By digest; and each is signed once, also when the same is published again."""
    first = project.run("manifest")
    assert (0, [f"{registry.host}/app:latest@{registry.digest()}"]) == (first.status, first.out), first.err
    digest = registry.digest()
    assert ["", "", ""] == signed(registry, keys, digest)
    again = project.run("manifest", "--tag", "latest", "--tag", "1.0")
    assert (0, digest, digest) == (again.status, registry.digest(), registry.digest("1.0")), again.err
    assert [1, 1, 1] == [registry.signatures(one) for one in [digest, *registry.entries(digest)]]


def test_what_was_published_unsigned_is_signed_without_moving_its_tag(
    project: Project, registry: Registry, keys: Keys
) -> None:
    """As when signing is begun with: the index is there already."""
    project.write(sign="")
    assert 0 == project.run("manifest").status
    digest = registry.digest()
    assert [0, 0, 0] == [registry.signatures(one) for one in [digest, *registry.entries(digest)]]
    project.write()
    assert (0, digest) == (project.run("manifest").status, registry.digest())
    assert ["", "", ""] == signed(registry, keys, digest)


def test_signatures_are_in_each_repository(project: Project, registry: Registry, keys: Keys) -> None:
    """A cluster that pulls from the second one looks for them there."""
    invoked = project.run("manifest", "--image", f"{registry.host}/app", "--image", f"{registry.host}/copy")
    assert 0 == invoked.status, invoked.err
    digest = registry.digest()
    digests = [digest, *registry.entries(digest)]
    assert ["", "", ""] == [keys.verify(f"{registry.host}/copy@{one}") for one in digests]
    assert ["", "", ""] == signed(registry, keys, digest)


def test_tag_is_never_seen_unsigned(project: Project, registry: Registry, keys: Keys) -> None:
    """By one who asks every 20 ms, during 20 releases of another index each."""
    seen: dict[str, int] = {}
    over = threading.Event()

    def poll() -> None:
        while not over.is_set():
            if digest := registry.digest():
                seen.setdefault(digest, registry.signatures(digest))
            time.sleep(0.02)

    poller = threading.Thread(target=poll)
    poller.start()
    published = []
    try:
        for number in range(20):
            done = project.run("manifest", "--annotation", f"number={number}")
            assert 0 == done.status, done.err
            published.append(registry.digest())
    finally:
        time.sleep(0.1)
        over.set()
        poller.join()
    assert (20, dict.fromkeys(published, 1)) == (len(set(published)), seen)
    assert [""] * 20 == [keys.verify(f"{registry.host}/app@{digest}") for digest in published]


def test_inspection_says_what_is_signed(project: Project, registry: Registry, keys: Keys, tmp_path: Path) -> None:
    """By our key; by another it is not, and without cosign that cannot be told."""
    assert 0 == project.run("manifest").status

    def shown(**environ: str) -> list[str]:
        head, _, *rows = project.run("manifest", "--inspect", **environ).out
        return [line.rpartition(" ")[2] for line in (head, *rows)]

    assert ["yes", "yes", "yes"] == shown()
    assert ["?", "?", "?"] == shown(PATH="/usr/bin:/bin")
    other = Keys.make(tmp_path / "other")
    project.write(sign=f"{{key: {other.private}, log: false}}")
    assert ["no", "no", "no"] == shown()
    project.write(sign="")
    assert ["DIGEST" in line for line in project.run("manifest", "--inspect").out] == [False, True, False, False]


def test_key_may_be_in_a_variable(project: Project, registry: Registry, keys: Keys) -> None:
    """As a CI has it among its secrets."""
    project.write(sign="{key: 'env://SIGNING_KEY', log: false}")
    done = project.run("manifest", SIGNING_KEY=keys.private.read_text())
    assert 0 == done.status, done.err
    assert ["", "", ""] == signed(registry, keys, registry.digest())

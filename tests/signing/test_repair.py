"""A repair and a way back move tags too: to nothing that is unsigned."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.signing.parts import Keys, Project, Registry


def unverified(registry: Registry, keys: Keys) -> list[str]:
    """Return what cosign complains of: the index under the tag, and what it lists."""
    digests = [registry.digest(), *registry.entries(registry.digest())]
    return [complaint for one in digests if (complaint := keys.verify(f"{registry.host}/app@{one}"))]


def test_repaired_index_is_signed_with_what_it_keeps(project: Project, registry: Registry, keys: Keys) -> None:
    """What was published before was not signed at all; nor is what it was, until the tag goes back there."""
    project.write(sign="")
    assert 0 == project.run("manifest").status
    before = registry.digest()
    project.write()
    registry.stage("riscv64")
    added = f"linux/riscv64={registry.host}/app:latest-riscv64"
    repaired = project.run("manifest", "--replace", added)
    assert (0, True) == (repaired.status, before != registry.digest()), repaired.err
    assert (3, []) == (len(registry.entries(registry.digest())), unverified(registry, keys))
    assert 0 == registry.signatures(before)
    back = project.run("manifest", "--rollback")
    assert (0, before, []) == (back.status, registry.digest(), unverified(registry, keys)), back.err


def test_repair_that_cannot_be_signed_leaves_the_tag(project: Project, registry: Registry) -> None:
    """As a release does."""
    assert 0 == project.run("manifest").status
    before = registry.digest()
    project.stand_in('[ "$1" = sign ] && echo "Error: no quorum" >&2 && exit 1; exec $real "$@"')
    failed = project.run("manifest", "--remove", "linux/arm64")
    assert (1, before, True) == (failed.status, registry.digest(), "no quorum" in failed.err), failed.err

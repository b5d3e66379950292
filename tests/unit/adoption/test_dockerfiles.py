"""Names of Dockerfiles: platforms are told by them, flavours are not platforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.adoption.adopted import adopt

if TYPE_CHECKING:
    from tests.unit.project import Project

NOWHERE = "image: not sure: nothing names a repository; without one, a release goes to the embedded registry"
UNTAGGED = "tags: not sure: nothing names a tag; the usual one is latest"


def test_a_suffix_is_a_platform_only_where_it_is_one(project: Project) -> None:
    """As projects have it that moved from machines of their own to emulators; alpine is a flavour."""
    names = ("Dockerfile", "Dockerfile.armhf", "Dockerfile.arm64v8", "Dockerfile.alpine", "Dockerfile.arm32v6", "a.txt")
    told = adopt(project, dict.fromkeys(names, ""))
    assert (
        """\
multiarch:
  platforms:
    - platform: linux/arm/v6
      dockerfile: Dockerfile.arm32v6
    - platform: linux/arm64
      dockerfile: Dockerfile.arm64v8
    - platform: linux/arm/v7
      dockerfile: Dockerfile.armhf
"""
        == told.settings
    )
    assert ["Dockerfile.arm32v6 -> multiarch.platforms"] == told.sources
    assert [
        "Dockerfile: platforms: not sure: it is not told for which platforms this is",
        "Dockerfile.alpine: dockerfile: not sure: its suffix is no platform",
        NOWHERE,
        UNTAGGED,
    ] == told.doubts
    assert 0 == project.run("--dry", "release").status


def test_two_names_of_one_platform_are_in_doubt(project: Project) -> None:
    """Which one is built is not told."""
    told = adopt(project, dict.fromkeys(("Dockerfile.arm64", "Dockerfile.aarch64", "Dockerfile.linux-s390x"), ""))
    expected = "multiarch:\n  platforms:\n    - platform: linux/s390x\n      dockerfile: Dockerfile.linux-s390x\n"
    assert expected == told.settings
    assert [
        f"Dockerfile.{name}: platforms: not sure: it is not the only one for linux/arm64"
        for name in (
            "aarch64",
            "arm64",
        )
    ] == told.doubts[1:3]


def test_they_complete_what_a_compose_file_says(project: Project) -> None:
    """Where it says nothing of platforms."""
    files = {"compose.yaml": "services: {app: {image: 'someone/app:1', build: .}}\n"}
    told = adopt(project, files | {"Dockerfile": "", "Dockerfile.armhf": ""})
    assert (
        """\
multiarch:
  image: docker.io/someone/app
  tags: ["1"]
  platforms:
    - platform: linux/arm/v7
      dockerfile: Dockerfile.armhf
"""
        == told.settings
    )


def test_a_project_with_nothing_gets_a_block_to_fill_in(project: Project) -> None:
    """No value is made up, and a tasks.py is written where there is none."""
    told = adopt(project, {"Dockerfile": ""}, tasks=False)
    platforms = "platforms: not sure: nothing says for which platforms; list some, such as linux/arm64"
    assert ("multiarch:\n", [NOWHERE, UNTAGGED, platforms]) == (told.settings, told.doubts)
    assert "from multiarch import ns  # noqa: F401\n" in (project.path / "tasks.py").read_text()
    assert 0 == project.invoke("--list").status

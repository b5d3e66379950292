"""``keep_staging: false``: a build's own staging tags go when its tags have moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.project import Project
    from tests.unit.registry_server import RegistryServer

_FOLDER = "/v2/app/manifests/"
_YAML = "multiarch: {{image: {}/app, keep_staging: {}, platforms: [linux/amd64, linux/arm64]}}\n"


def _tags(server: RegistryServer) -> set[str]:
    return {path.removeprefix(_FOLDER) for path in server.contents if path.startswith(_FOLDER) and ":" not in path}


@pytest.mark.parametrize("deletes", [("tag", "digest"), ("digest",)])
def test_own_staging_tags_go_and_their_images_stay(
    project: Project, server: RegistryServer, staged: dict[str, dict[str, Any]], deletes: tuple[str, ...]
) -> None:
    """Also where the registry deletes by digest alone; those of other platforms, and by default all, stay."""
    server.deletes = deletes
    project.write(invoke_yaml=_YAML.format(server.host, "true"))
    assert (0, []) == (project.run("manifest").status, [asked for asked in server.asked if asked.startswith("DELETE")])
    project.write(invoke_yaml=_YAML.format(server.host, "false"))
    done = project.run("manifest")
    assert (0, 1) == (done.status, len(done.out))
    assert [] == [line for line in done.err if "staging" in line]
    assert {"latest", "latest-arm-v7"} == _tags(server)
    assert all(f"{_FOLDER}{one['digest']}" in server.contents for one in staged.values())


def test_failure_is_told_and_the_release_is_none_the_worse(
    project: Project, server: RegistryServer, staged: dict[str, dict[str, Any]]
) -> None:
    """The tags have moved."""
    server.deletes = ()
    project.write(invoke_yaml=_YAML.format(server.host, "false"))
    done = project.run("manifest")
    assert (0, 1) == (done.status, len(done.out))
    told = [line for line in done.err if "published; not all staging tags are removed: " in line]
    assert [True] == ["the registry does not delete (405 UNSUPPORTED" in line for line in told]
    assert {"latest", "latest-amd64", "latest-arm64", "latest-arm-v7"} == _tags(server)


def test_tag_that_another_build_has_moved_stays(
    project: Project, server: RegistryServer, staged: dict[str, dict[str, Any]]
) -> None:
    """It is that build's."""
    project.write(invoke_yaml=_YAML.format(server.host, "false"))
    answer = server.table[f"PUT {_FOLDER}latest"] = [server.from_contents]

    def move(request: Any) -> Any:
        server.contents[f"{_FOLDER}latest-amd64"] = server.contents[f"{_FOLDER}latest-arm-v7"]
        return server.from_contents(request)

    answer[:] = [move]
    assert 0 == project.run("manifest").status
    assert {"latest", "latest-amd64", "latest-arm-v7"} == _tags(server)

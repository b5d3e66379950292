"""docs/cleanup.md against the step: its commands run, and its lines can be met."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

from multiarch.image.manifest import IMAGE_CONFIGS
from tests.unit.cli.test_tasks import FLAGS
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from tests.unit.project import Project
    from tests.unit.registry_server import RegistryServer

PAGE = (ROOT / "docs" / "cleanup.md").read_text()


def test_commands_of_the_page_run(project: Project, server: RegistryServer) -> None:
    """In their order: the list changes nothing, and the build that is named is gone at the end."""
    config = json.dumps({"os": "linux", "architecture": "arm64"}).encode()
    described = {"mediaType": IMAGE_CONFIGS[0], "digest": server.hold_blob("app", config), "size": len(config)}
    for tag in ("latest-813-arm64", "latest"):
        server.hold_manifest("app", tag, {"schemaVersion": 2, "config": described, "layers": []})
    project.write(invoke_yaml=f"multiarch: {{image: {server.host}/app, platforms: [linux/arm64]}}\n")
    commands = re.findall(r"^    (invoke .+)$", PAGE, re.MULTILINE)
    ran = [project.invoke(*shlex.split(command)[1:]) for command in commands]
    words = [[done.status, done.out[0].partition(" ")[0]] for done in ran]
    assert [[0, "keep"], [0, "kept"], [0, "keep"], [0, "untagged"]] == words
    assert "its age is not known, for want of provenance; name its build with --build" in ran[0].out[0]
    assert "/v2/app/manifests/latest-813-arm64" not in server.contents
    assert "/v2/app/manifests/latest" in server.contents
    assert set() == set(re.findall(r"`--([a-z-]+)`", PAGE)) - set(FLAGS["cleanup"].split())


def test_verbs_of_the_page_are_those_of_the_step() -> None:
    """Each is shown as a line, and explained."""
    shown = re.findall(r"^(remove|untag|keep) ghcr", PAGE, re.MULTILINE)
    assert ["remove", "untag", "keep"] == shown == re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)

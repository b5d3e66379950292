"""Project with the targets of both examples of docs/several-images.md, as the jobs of a CI release it.

Of the grid, one image is for two platforms, and the others for one: so many jobs show as much.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.integration.conftest import ROOT

if TYPE_CHECKING:
    from tests.integration.conftest import Project
    from tests.integration.destination import Destination

_SETTINGS = """\
multiarch:
  install: invoke --version
  image: {image}/{{target}}
  tags: [latest, "1.0"]
  platforms: [linux/amd64, linux/arm64]
  targets:
    base: {{context: base, tags: []}}
    app: {{context: app, contexts: {{base: "target:base"}}, smoke: [app, --version]}}
    worker: {{context: worker, contexts: {{base: "target:base"}}, platforms: [linux/amd64]}}
    tool:
      image: {image}/tool
      context: "{{version}}/{{flavour}}"
      tags: ["{{version}}-{{flavour}}"]
      matrix:
        version:
          - {{version: "1.27", aliases: ["1.27.0", "1", ""]}}
          - {{version: "1.26", aliases: ["1.26.7"], platforms: [linux/amd64]}}
        flavour:
          - {{flavour: bookworm, aliases: [""]}}
          - {{flavour: alpine3.24, aliases: [alpine], platforms: [linux/amd64]}}
  groups: {{default: [app, worker, tool]}}
"""
# What the jobs that build are called, by targets and platform.
JOBS = [
    "app+worker linux/amd64",
    "app linux/arm64",
    "tool-1.27-bookworm linux/amd64",
    "tool-1.27-bookworm linux/arm64",
    "tool-1.27-alpine3.24 linux/amd64",
    "tool-1.26-bookworm linux/amd64",
    "tool-1.26-alpine3.24 linux/amd64",
]


def write_project(project: Project, to: Destination, *, digests: str = "") -> None:
    """Write the files of both examples into a project.

    :param digests: the directory by which jobs hand over digests; empty for staging tags.
    """
    for example in ("app-and-worker", "versions-and-flavours"):
        shutil.copytree(ROOT / "examples" / example, project.path, dirs_exist_ok=True)
    # No two runs of it are the same.
    (project.path / "base" / "Dockerfile").write_text("FROM busybox:stable\nRUN uname -m >/etc/machine; date +%N >/n\n")
    settings = _SETTINGS.format(image=to.image) + (f"  digests: {digests}\n" if digests else "")
    project.write(invoke_yaml=settings)


def check_published(to: Destination, output: str) -> None:
    """Check that all tags were published that the settings ask for, and what is under them.

    :param output: of the job that publishes.
    """
    published = dict(re.findall(rf"{re.escape(to.image)}/(\S+:\S+)@(sha256:[0-9a-f]{{64}})", output))
    app, worker, tool = (replace(to, image=f"{to.image}/{name}") for name in ("app", "worker", "tool"))
    pair = {"app:latest", "app:1.0", "worker:latest", "worker:1.0"}
    assert (28, 6, True) == (len(published), len(set(published.values())), pair < published.keys())
    assert app.layers("latest") == app.layers(published["app:1.0"])
    both, one = ["linux/amd64", "linux/arm64"], ["linux/amd64"]
    assert [both, one] == [sorted(of.layers("latest")) for of in (app, worker)]
    # Both were built on the same base, which was built once.
    assert app.layers("latest")["linux/amd64"][:2] == worker.layers("latest")["linux/amd64"][:2]
    assert {"latest": both, "1-alpine": one, "1.26.7": one, "1.26-alpine": one} == {
        tag: sorted(tool.layers(tag)) for tag in ("latest", "1-alpine", "1.26.7", "1.26-alpine")
    }
    assert published["tool:latest"] == published["tool:1.27.0-bookworm"]

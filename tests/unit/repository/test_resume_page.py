"""docs/resume.md against the steps: its commands run, its lines are said, and its words are settings."""

from __future__ import annotations

import re
import shlex
import socket
from typing import TYPE_CHECKING

from tests.unit.cli.test_tasks import FLAGS
from tests.unit.project import ROOT
from tests.unit.rawjson import vertex
from tests.unit.steps.test_release import Release

if TYPE_CHECKING:
    import pytest

    from tests.unit.project import Project
    from tests.unit.registry_server import RegistryServer

PAGE = (ROOT / "docs" / "resume.md").read_text()


def test_commands_of_the_page_run_and_say_its_lines(
    project: Project, server: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a release in which one platform failed, word for word."""
    release = Release(project, server)
    (project.path / "src").mkdir()
    (project.path / "src" / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (project.path / "said").write_text(vertex("a", "[internal] load build definition from Dockerfile", seconds=0))
    text = (project.path / "invoke.yaml").read_text()
    project.write(invoke_yaml=f"{text}  context: src\n")
    commands = [shlex.split(one)[1:] for one in re.findall(r"^    (invoke .+)$", PAGE, re.MULTILINE)]
    (dry,) = re.findall(r"`invoke (--dry [^`]+)`", PAGE)
    (lines,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as builder:
        monkeypatch.setenv("BUILDKIT_HOST", f"tcp://127.0.0.1:{builder.getsockname()[1]}")
        release.run("say said; [ $platform = arm64 ] && sleep 1 && exit 1; push", "--resume")
        release.install("say said; push")
        ran = [project.run(*command) for command in commands]
        shown = project.run(*shlex.split(dry))
    assert (0, 2) == (shown.status, len([line for line in shown.out if " build --frontend " in line]))
    said = "\n".join(ran[0].err[:2]).replace(server.host, "docker.io/someone")
    assert ([0, 0], lines) == ([one.status for one in ran], re.sub("[0-9a-f]{64}", "…", said) + "\n")
    assert [("release", "--resume"), ("build-arch", "--resume")] == [(words[0], words[-1]) for words in commands]
    assert set() == set(re.findall(r"`--([a-z-]+)`", PAGE)) - set(FLAGS["release"].split())

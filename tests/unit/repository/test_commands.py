"""The commands and settings of the pages whose commands no other test runs: each is understood as it stands."""

from __future__ import annotations

import re
import shlex
import textwrap
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from multiarch.config.project import load_project
from tests.unit.cli.test_tasks import FLAGS
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from tests.unit.project import Project

# Their own tests run what stands there: test_start, test_recipes, and those of the fleet and of signatures for fleet.md
# and sign.md, whose blocks are of sh.
OTHERS = ("start.md", "fleet.md", "sign.md")
PAGES = [page for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))) if page.name not in OTHERS]
# Those of other programs, and why no test of the pages runs them.
OF_OTHER_PROGRAMS = {
    "./invokew lab release": "the lab's own: CI begins with it",
    "./invokew lab test": "it runs this",
    "docker run --rm --platform linux/arm64 127.0.0.1:5001/<this directory>:latest uname -m": "as in start.md",
    "pip install invoke-multiarch": "not on PyPI yet",
    "docker login": "needs an account",
}
SETTINGS = """\
multiarch:
  platforms: [linux/amd64, linux/arm64, linux/arm/v7, linux/s390x]
  install: pip install .
"""
ONE, TWO = "  image: docker.io/someone/app\n", "  image: docker.io/someone/{target}\n  targets: {app: {}, worker: {}}\n"
# What reads a registry even with --dry, as nothing else says what is there; those of these pages are run with one in
# test_cleanup_page, tests/unit/steps and tests/unit/cli/test_repair.
OF_A_REGISTRY = {"cleanup", "log", "manifest --replace", "manifest --remove", "manifest --rollback"}


def code(text: str) -> list[str]:
    """Return a page's blocks of code that are written by indentation, and those in fences, without their marks."""
    fenced = re.findall(r"(?ms)^```\w*[^\n]*\n(.*?)^```", text)
    bare = re.sub(r"(?ms)^```.*?^```", "", text)
    return fenced + [
        textwrap.dedent(block).strip("\n") + "\n"
        for block in re.findall(r"(?m)(?:^(?: {4}.*)?\n)+", bare)
        if block.strip()
    ]


def commands(text: str) -> list[str]:
    """Return the commands in a page's blocks, each program's its own."""
    lines = [line for block in code(text) for line in block.splitlines()]
    lines = [re.sub(r"\s+# .*$", "", line).partition(" | ")[0] for line in lines]
    parts = [part for line in lines for part in line.split(" && ")]
    parts = [re.sub(r"^export \w+=\$\((.*)\)$", r"\1", part) for part in parts]
    return [part for part in parts if re.match(r"(invoke|multiarch|docker|pip|\./invokew)\s\S", part)]


def blocks() -> list[tuple[str, str]]:
    """Return each block of settings that a page shows, with its name."""
    shown = [(page.name, block) for page in PAGES for block in code(page.read_text())]
    return [(name, block) for name, block in shown if block.startswith("multiarch:\n")]


ALL = [(page.name, command) for page in PAGES for command in commands(page.read_text())]
OURS = [(name, command) for name, command in ALL if command.startswith(("invoke ", "multiarch "))]


@pytest.mark.parametrize(("page", "command"), OURS, ids=str)
def test_commands_are_understood(project: Project, page: str, command: str) -> None:
    """By --dry, which reads flags and settings as a run does; where a registry is needed, its flags are there."""
    project.write(invoke_yaml=SETTINGS + (TWO if "--target" in command else ONE))
    words = shlex.split(command.replace("$PLATFORM", "linux/arm64"))[1:]
    words = [word for word in words if word != "--dry"]
    if words[0] in OF_A_REGISTRY or " ".join(words[:2]) in OF_A_REGISTRY:
        assert set() == {word[2:] for word in words if word.startswith("--")} - set(FLAGS[words[0]].split())
        return
    done = project.run("--dry", *words)
    assert (0, True) == (done.status, bool(done.out)), done.err


def test_commands_of_other_programs_are_known() -> None:
    """Each with the reason why it is not run here; one that is gone does not stay in the list."""
    assert set(OF_OTHER_PROGRAMS) == {command for _, command in ALL} - {command for _, command in OURS}
    assert len(OURS) > 30


@pytest.mark.parametrize(("page", "block"), blocks())
def test_settings_are_taken(page: str, block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the loader, with an image and platforms where the page shows a part alone."""
    monkeypatch.chdir(ROOT)
    # Behind an empty line stands a command that goes with it.
    written = YAML(typ="safe").load(block.partition("\n\n")[0])["multiarch"]
    environ = {"BUILD_NUMBER": "7", "API_TOKEN": "secret", "SSH_AUTH_SOCK": "/run/agent"}
    image = {} if "images" in written else {"image": "a/{target}" if "targets" in written else "a/b"}
    load_project({**image, "platforms": ["linux/amd64"], **written}, environ, {}, directory=ROOT)

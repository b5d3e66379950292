"""The commands and settings of all pages: each is run, understood as it stands, or marked as not run here."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from multiarch.config.project import load_project
from tests import pages
from tests.unit.cli.test_tasks import FLAGS
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.project import Project

PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted(ROOT.glob("docs/**/*.md"))]
# Whose blocks of sh their own tests run, as they stand: test_start, test_recipes, those of the fleet and of signatures.
FOLLOWED = [ROOT / "docs" / name for name in ("start.md", "fleet.md", "sign.md")] + sorted(
    ROOT.glob("docs/recipes/*.md")
)
# Those of other programs, and why no test of the pages runs them.
MARKED = {
    "docker run --rm --platform linux/arm64 127.0.0.1:5001/<this directory>:latest uname -m": "as in start.md",
    "pip install git+https://git.example.com/multiarch": "an address that stands for another",
    "docker login": "needs an account",
    "jq -r '.results[0].digest'": "no program of ours; test_outcomes reads the same",
    ".venv/bin/pip install pre-commit": "needs the network",
    ".venv/bin/pre-commit install": "writes into this repository",
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


def commands(page: Path) -> list[str]:
    """Return the commands of a page that no test of its own runs, each program's its own."""
    own = [] if page in FOLLOWED else pages.commands(page)
    lines = own + [line for block in pages.indented(page) if block.language == "sh" for line in block.commands]
    parts = [part for line in lines for part in re.split(r" && | \| ", line)]
    return [re.sub(r"^export \w+=\$\((.*)\)$", r"\1", part) for part in parts]


def settings() -> list[tuple[str, str]]:
    """Return each block of settings that a page shows, with its name; test_reference has those of the reference."""
    own = [page for page in PAGES if page.parent.name != "reference"]
    shown = [(page, block) for page in own for block in (*pages.indented(page), *pages.blocks(page))]
    return [(page.name, block.text) for page, block in shown if block.text.startswith("multiarch:\n")]


ALL = [(page.name, command) for page in PAGES for command in commands(page)]
OURS = [(name, command) for name, command in ALL if command.startswith(("invoke ", "multiarch "))]
OF_THE_REPOSITORY = [command for _, command in ALL if command.startswith("./invokew ")]


@pytest.mark.parametrize(("page", "command"), OURS, ids=str)
def test_commands_are_understood(project: Project, page: str, command: str) -> None:
    """By --dry, which reads flags and settings as a run does; where a registry is needed, its flags are there."""
    project.write(invoke_yaml=SETTINGS + (TWO if "--target" in command else ONE))
    words = shlex.split(command.replace("$PLATFORM", "linux/arm64"))[1:]
    words = [word for word in words if word != "--dry"]
    if words[0] in OF_A_REGISTRY or " ".join(words[:2]) in OF_A_REGISTRY:
        assert "" == unknown(command)
        return
    done = project.run("--dry", *words)
    assert (0, True) == (done.status, bool(done.out)), done.err


def unknown(command: str) -> str:
    """Return what of a command is no task, or no flag of it; ``STEP`` is any."""
    _, *words = shlex.split(command)
    task, *rest = [word for word in words if word != "--dry"]
    flags = [word.partition("=")[0] for word in rest if word.startswith("--")]
    known = " ".join(FLAGS.values()) if task == "STEP" else FLAGS.get(task, "")
    odd = [flag for flag in flags if flag[2:] not in [*known.split(), "file"]]
    return " ".join(odd if task in [*FLAGS, "STEP"] else [task])


def test_other_commands_are_known() -> None:
    """Each with the reason why it is not run here; one that is gone does not stay in the list."""
    others = {command for _, command in ALL} - {command for _, command in OURS} - set(OF_THE_REPOSITORY)
    assert set(MARKED) == others
    assert len(OURS) > 30


def test_tasks_of_this_repository_are_there() -> None:
    """A CI runs them, and this test with them."""
    words = [sys.executable, "-m", "invoke", "--complete", "--", "invoke "]
    tasks = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert set() == {word for command in OF_THE_REPOSITORY for word in command.split()[1:]} - set(tasks)
    assert len(OF_THE_REPOSITORY) > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_sentences_are_understood(page: Path) -> None:
    """Tasks and flags that are named in the text are there."""
    named = re.findall(r"`((?:invoke|multiarch) [^`]+)`", pages.prose(page))
    assert [] == [command for command in named if unknown(command) not in ("", "--print-completion-script")]


def test_every_section_of_the_fleet_is_followed() -> None:
    """By a test of the fleet, which takes as many blocks as the section has."""
    sections = (ROOT / "docs" / "fleet.md").read_text().split("\n## ")
    tests = "".join(file.read_text() for file in sorted((ROOT / "tests" / "fleet").rglob("test_docs.py")))
    assert {part.partition("\n")[0] for part in sections if "\n```sh\n" in part} == set(
        re.findall(r' = blocks\("(.+)"\)', tests)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_block_hides_a_command(page: Path) -> None:
    """What is neither a file nor of sh is of a language in which nobody looks for one."""
    shown = pages.blocks(page)
    assert page.read_text().count("```") == 2 * len(shown)
    assert set() == {block.language for block in shown if not block.title} - {"sh", "text", "yaml"}
    assert [] == [
        block.text for block in shown if block.language == "text" and re.search(r"(?m)^(\$|invoke) ", block.text)
    ]


@pytest.mark.parametrize(("page", "block"), settings())
def test_settings_are_taken(page: str, block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the loader, with an image and platforms where the page shows a part alone."""
    monkeypatch.chdir(ROOT)
    written = YAML(typ="safe").load(block)["multiarch"]
    environ = {"BUILD_NUMBER": "7", "API_TOKEN": "secret", "SSH_AUTH_SOCK": "/run/agent"}
    image = {} if "images" in written else {"image": "a/{target}" if "targets" in written else "a/b"}
    load_project({**image, "platforms": ["linux/amd64"], **written}, environ, {}, directory=ROOT)

"""The pages: their links lead somewhere, and the settings are all told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from docs import settings_schema
from multiarch.config.project import load_project
from multiarch.config.schema import Block, PlatformEntry
from multiarch.errors import ConfigurationError
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.unit.project import Project

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("examples/**/*.md")]
MOST_LINES_OF_README = 100  # what a person reads in three minutes


def text_of(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"(?ms)^```.*?^```", "", page.read_text())


def loaded(text: str) -> Any:
    """Return a text of YAML as plain data."""
    return YAML(typ="safe").load(text)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """To a file that there is, and a heading in it."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith(("http://", "https://")):
            continue
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert [] == dead


def test_every_setting_is_told() -> None:
    """In the table of docs/settings.md, and those of a platform in the block below; no other is."""
    table, _, below = (ROOT / "docs" / "settings.md").read_text().partition("A platform is named")
    rows = re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    # `images` is another word for `image`.
    assert {field.name for field in msgspec.structs.fields(Block)} == told - {"images"}
    words = set(re.findall(r"[a-z_]+", below))
    assert set() == {field.name for field in msgspec.structs.fields(PlatformEntry)} - words


def test_readme_is_read_in_three_minutes() -> None:
    """The rest has pages of its own, all of which the first of them leads to."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert (True, True) == (len(lines) <= MOST_LINES_OF_README, "(docs/index.md)" in "".join(lines))
    pages = {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")} - {"index.md"}
    assert set() == pages - set(re.findall(r"\(([a-z0-9/-]+\.md)", (ROOT / "docs" / "index.md").read_text()))


def test_schema_of_invoke_yaml_is_up_to_date() -> None:
    """It is what ``./invokew schema`` writes."""
    assert settings_schema.text() == settings_schema.FILE.read_text()


FILES = [ROOT / "invoke.yaml", *ROOT.glob("examples/*/invoke.yaml")]
BLOCKS = [
    (page.name, block)
    for page in PAGES
    for block in re.findall(r"(?ms)^ *```yaml\n(.*?)^ *```", page.read_text())
    if block.startswith("multiarch:")
]


@pytest.mark.parametrize("text", [file.read_text() for file in FILES] + [block for _, block in BLOCKS])
def test_schema_takes_what_is_valid(text: str) -> None:
    """Each invoke.yaml of this repository and of its pages."""
    assert [] == [error.message for error in Draft202012Validator(settings_schema.schema()).iter_errors(loaded(text))]


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("platform: [linux/arm64]", "'platform' was unexpected"),
        ("tags: [1.5]", "[1.5] is not valid under any of the given schemas"),
        ("jobs: many", "'many' is not of type 'integer'"),
        ("targets: {app: {jobs: 1}}", "{'jobs': 1} is not valid under any of the given schemas"),
    ],
)
def test_schema_finds_mistakes(block: str, problem: str) -> None:
    """Those that the tool would find."""
    document = loaded(f"multiarch: {{{block}}}")
    (error,) = Draft202012Validator(settings_schema.schema()).iter_errors(document)
    assert problem in error.message
    with pytest.raises(ConfigurationError):
        load_project(document["multiarch"], {}, {})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_tasks(project: Project, shell: str) -> None:
    """The script that docs/settings.md names is printed, and asks for tasks and flags that it then gets."""
    script = project.invoke("--print-completion-script", shell)
    assert (0, True) == (script.status, "--complete" in "\n".join(script.out))
    assert {"release", "build-arch"} <= set(project.invoke("--complete", "--", "invoke ").out)
    assert {"--only-changed", "--resume"} <= set(project.invoke("--complete", "--", "invoke release -").out)

"""The pages: their links lead somewhere, and the settings are all told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from multiarch.config.schema import Block, PlatformEntry
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("examples/**/*.md")]
MOST_LINES_OF_README = 120  # what a person reads in three minutes


def text_of(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"(?ms)^```.*?^```", "", page.read_text())


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
    """The rest has pages of its own, each of which it names."""
    readme = (ROOT / "README.md").read_text()
    pages = {page.name for page in ROOT.glob("docs/*.md")}
    assert (True, pages) == (readme.count("\n") <= MOST_LINES_OF_README, set(re.findall(r"docs/([a-z-]+\.md)", readme)))

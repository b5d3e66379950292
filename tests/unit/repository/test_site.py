"""The site of docs/: it builds strictly and without the network, has every page, and loads nothing from elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from docs.site_hooks import OUTSIDE
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# Attributes by which a browser loads something by itself; an <a> is followed by a person.
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}
# A link of these kinds tells where a page is, and loads nothing.
NOT_LOADED = {"canonical", "next", "prev"}


class Loads(HTMLParser):
    """Collects the addresses that a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what is loaded."""
        values = dict(attrs)
        if tag in LOADED and values.get("rel") not in NOT_LOADED and (address := values.get(LOADED[tag])):
            self.addresses.append(address)


def built(place: Path, docs: Path = ROOT / "docs") -> subprocess.CompletedProcess[str]:
    """Build the site as ``./invokew site`` does; proxies that do not answer keep it from the network."""
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "NO_MKDOCS_2_WARNING": "1"}
    config = docs.parent / "mkdocs.yml"
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config), "--site-dir", str(place)],
        cwd=ROOT,
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once."""
    place = tmp_path_factory.mktemp("site")
    done = built(place)
    assert (0, "") == (done.returncode, done.stderr if done.returncode else "")
    return place


def test_every_page_is_on_the_site_and_found(site: Path) -> None:
    """Strictness refuses a page that the navigation lacks; they are counted, with those from outside of docs/."""
    pages = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")] + list(OUTSIDE.values())
    places = {page: page.removesuffix("index.md").removesuffix(".md") for page in pages}
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    assert sorted(pages) == sorted(re.findall(r": ([\w/-]+\.md)$", navigation, re.MULTILINE))
    assert [] == [page for page, place in places.items() if not (site / place / "index.html").is_file()]
    index = json.loads((site / "search" / "search_index.json").read_text())
    found = {entry["location"].partition("#")[0].strip("/") for entry in index["docs"]}
    assert {place.strip("/") for place in places.values()} == found


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    """No font, script, style or picture: a reader of the site is seen by nobody else, and needs no internet."""
    loads = {}
    for page in site.rglob("*.html"):
        parser = Loads()
        parser.feed(page.read_text())
        loads[page.name, page.parent.name] = parser.addresses
        # The theme would load Mermaid from a CDN where a diagram of it is.
        assert 'class="mermaid"' not in page.read_text()
    assert [] == [one for addresses in loads.values() for one in addresses if re.match(r"(\w+:)?//", one)]
    styles = [style.read_text() for style in site.rglob("*.css")]
    assert [] == [one for style in styles for one in re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)]+", style)]
    assert (True, True) == (min(map(len, loads.values())) > 2, len(styles) > 2)


def test_a_dead_link_or_anchor_fails(tmp_path: Path) -> None:
    """The build says which, and where."""
    (tmp_path / "docs").mkdir()
    for name in ("site_hooks.py", "pictures"):
        (tmp_path / "docs" / name).symlink_to(ROOT / "docs" / name)
    text = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(f"{text}\nnav: [index.md]\n")
    links = "[one](nowhere.md), [two](#nothing), [three](../CHANGELOG.md#no)"
    (tmp_path / "docs" / "index.md").write_text(f"# A\n\n{links}\n")
    done = built(tmp_path / "site", tmp_path / "docs")
    words = [word for word in ("'nowhere.md'", "'#nothing'", "'changelog.md#no'") if word in done.stderr]
    assert (1, 3) == (done.returncode, len(words)), done.stderr

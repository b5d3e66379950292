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
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "srcset", "object": "data"}
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


def loaded_by(page: Path) -> list[str]:
    """Return the addresses that a page of HTML loads by itself."""
    parser = Loads()
    parser.feed(page.read_text())
    return parser.addresses


def built(place: Path, docs: Path = ROOT / "docs", mode: str = "--strict") -> subprocess.CompletedProcess[str]:
    """Build the site as ``./invokew site`` does; proxies that do not answer keep it from the network."""
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "NO_MKDOCS_2_WARNING": "1"}
    config = docs.parent / "mkdocs.yml"
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", mode, "--config-file", str(config), "--site-dir", str(place)],
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
    loads = {page: loaded_by(page) for page in site.rglob("*.html")}
    # The theme would load Mermaid from a CDN where a diagram of it is.
    assert [] == [page for page in loads if 'class="mermaid"' in page.read_text()]
    assert [] == [one for addresses in loads.values() for one in addresses if re.match(r"(\w+:)?//", one)]
    styles = [style.read_text() for style in site.rglob("*.css")]
    assert [] == [one for style in styles for one in re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)]+", style)]
    assert (True, True) == (min(map(len, loads.values())) > 2, len(styles) > 2)


def test_what_is_loaded_is_there(site: Path) -> None:
    """Also the pictures of pages that stand elsewhere in the repository, such as the charts of the benchmarks."""
    places = [(page, one) for page in site.rglob("*.html") if page.name != "404.html" for one in loaded_by(page)]
    assert [] == [(page, one) for page, one in places if not (page.parent / one.partition("?")[0]).exists()]
    assert {"../pictures/live.svg"} == {one for page, one in places if page.parent.name == "start" and "live" in one}


def test_pictures_in_html_are_found(tmp_path: Path) -> None:
    """As GitHub needs them where there is one for light and one for dark."""
    sources = '<source media="(prefers-color-scheme: dark)" srcset="pictures/live.svg">'
    page = f'# A\n\n<picture>\n{sources}\n<img src="pictures/live.svg" alt="a">\n</picture>\n\n`<img src="x.svg">`\n'
    done = built(tmp_path / "site", with_page(tmp_path, "# Home\n", page), "--no-strict")
    assert 0 == done.returncode, done.stderr
    text = (tmp_path / "site" / "other" / "index.html").read_text()
    assert (2, 1) == (text.count('="../pictures/live.svg"'), text.count("x.svg"))


def with_page(directory: Path, home: str, other: str = "# Other\n") -> Path:
    """Return docs/ of a small site, made by the hooks and settings of ours, with the pages from outside."""
    docs = directory / "docs"
    docs.mkdir()
    for name in ("site_hooks.py", "pictures"):
        (docs / name).symlink_to(ROOT / "docs" / name)
    text = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[0]
    (directory / "mkdocs.yml").write_text(f"{text}\nnav: [index.md, other.md]\n")
    (docs / "index.md").write_text(home)
    (docs / "other.md").write_text(other)
    return docs


def test_a_dead_link_or_anchor_fails(tmp_path: Path) -> None:
    """The build says which, and where."""
    links = "[one](nowhere.md), [two](#nothing), [three](../CHANGELOG.md#no)"
    done = built(tmp_path / "site", with_page(tmp_path, f"# A\n\n{links}\n"))
    words = [word for word in ("'nowhere.md'", "'#nothing'", "'changelog.md#no'") if word in done.stderr]
    assert (1, 3) == (done.returncode, len(words)), done.stderr

"""Hooks of mkdocs: pages that stand beside docs/, and links that hold in the repository and on the site alike."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
# Pages of the repository that stand outside of docs/, and their places on the site.
OUTSIDE = {
    "benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
_HOME = {"README.md": "index.md"}  # a page of its own takes its place
# Code, in which nothing is a link; or a link's address; or that of a picture in HTML, which mkdocs leaves as it is.
_CODE_OR_LINK = re.compile(
    r"(?ms)^( *)```.*?^\1```$|``.+?``|`[^`\n]+`|(?<=\]\()(?P<link>[^)\s]+)(?=\))|(?<=\bsrc=\")(?P<picture>[^\"]+)"
    r"|(?<=\bsrcset=\")(?P<choice>[^\" ]+)(?=\")"
)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages from outside of docs/."""
    for name, place in OUTSIDE.items():
        files.append(File.generated(config, place, content=(ROOT / name).read_text()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page whose relative links lead to pages of the site, or to copies of the repository's files."""
    sources = {place: name for name, place in OUTSIDE.items()}
    source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def on_the_site(link: re.Match[str]) -> str:
        address = link["link"] or link["picture"] or link["choice"]
        if address is None or re.match(r"[a-z]+:|#", address):
            return link[0]
        path, mark, anchor = address.partition("#")
        name = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        place = _place(name, config, files)
        here = posixpath.dirname(page.file.src_uri) if link["link"] else page.file.url
        return posixpath.relpath(place, here or ".") + mark + anchor

    return _CODE_OR_LINK.sub(on_the_site, markdown)


def _place(name: str, config: MkDocsConfig, files: Files) -> str:
    """Return where a file of the repository is on the site; what is no page is copied there."""
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    if place := (OUTSIDE | _HOME).get(name):
        return place
    place = f"files/{name}"
    if (ROOT / name).is_file() and files.get_file_from_path(place) is None:
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return place

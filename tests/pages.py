"""The blocks of a page: files that a reader copies, commands that a reader types, and those that no test can run.

- A file has its name as the title of its block: ```` ```yaml title="invoke.yaml" ````.
- Commands are in blocks of ``sh``, one a line; a line that ends in a backslash goes on in the next. Or they are
  indented, as settings may be, which begin with their key.
- A block that no test can run has the comment ``<!-- not run here: REASON -->`` on the line above.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = re.compile(
    r"^(?:<!-- not run here: (?P<reason>[^\n]+) -->\n)?"
    r"```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code: *title* is the file's name, *reason* why no test runs it; empty where there is none."""

    language: str
    title: str
    text: str
    reason: str

    @property
    def commands(self) -> list[str]:
        """The commands, one each, without comments."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        return [bare for line in lines if (bare := re.sub(r"(^|\s+)# .*$", "", line))]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in their order."""
    return [
        Block(found["language"], found["title"] or "", found["text"], found["reason"] or "")
        for found in _BLOCK.finditer(page.read_text())
    ]


def prose(page: Path) -> str:
    """Return a page without its blocks in fences."""
    return _FENCED.sub("", page.read_text())


def indented(page: Path) -> list[Block]:
    """Return the paragraphs that are code by their indentation: settings as ``yaml``, and commands as ``sh``."""
    found = map(textwrap.dedent, re.findall(r"(?:^ {4}.*\S.*\n)+", prose(page), re.MULTILINE))
    return [Block("yaml" if text.startswith("multiarch:\n") else "sh", "", text, "") for text in found]


def files(page: Path) -> dict[str, str]:
    """Return the files that a page shows, by their names."""
    return {block.title: block.text for block in blocks(page) if block.title}


def commands(page: Path) -> list[str]:
    """Return the commands of a page that a test runs."""
    shown = [block for block in blocks(page) if block.language == "sh" and not block.title]
    return [one for block in shown if not block.reason for one in block.commands]


def unrun(page: Path) -> list[str]:
    """Return the commands of a page that no test can run."""
    return [one for block in blocks(page) if block.reason for one in block.commands]

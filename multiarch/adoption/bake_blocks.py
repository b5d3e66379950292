"""Lines of the blocks and attributes in files of bake, so that each value can be told with its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.adoption.findings import Place
from multiarch.adoption.source_files import UnreadableError, line_of, mapping, source_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

_HCL = re.compile(r'[^\S\n]*target[^\S\n]+"([^"\n]+)"[^\n]*\{')
# What begins something else, at the left margin of HCL.
_OTHER = re.compile(r"(?:group|target|variable|function)\b")
_NAME = re.compile(r'[^\S\n]*name[^\S\n]*=[^\S\n]*"([^\n]*)"')


class _Block(Struct, frozen=True):
    """Block of a target.

    :ivar line: number of its first line in the file.
    :ivar label: name of the target.
    :ivar template: template of the names that its matrix makes, such as ``app-${version}``; empty without a matrix.
    """

    file: str
    line: int
    label: str
    template: str
    lines: tuple[str, ...]

    def makes(self, target: str) -> bool:
        """Whether the block defines a target: one of its label, or, in a matrix, of a name that fits its template."""
        head, dollar, rest = self.template.partition("${")
        is_made = bool(dollar) and target.startswith(head) and target.endswith(rest.rpartition("}")[2])
        return target == self.label or is_made


class Blocks:
    """Blocks of targets in the files of a project. One of a later file is preferred, as it overrides."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._file = list(texts)[-1]
        self._blocks = [block for file, text in texts.items() for block in _blocks(file, text)]
        self._json = [(file, _targets(text, file)) for file, text in texts.items() if file.endswith(".json")]

    def place(self, target: str, attribute: str = "") -> Place:
        """Return where an attribute of a target stands; else its block, which inherits it; else the file."""
        blocks = [block for block in reversed(self._blocks) if block.makes(target)]
        pattern = re.compile(rf"[^\S\n]*{re.escape(attribute)}[^\S\n]*[={{]")
        for block in blocks if attribute else ():
            for number, line in enumerate(block.lines):
                if pattern.match(line):
                    return Place(block.file, block.line + number)
        if blocks:
            return Place(blocks[0].file, blocks[0].line)
        for file, targets in reversed(self._json):
            if target in targets:
                first = line_of(targets, target, 0)
                return Place(file, line_of(targets[target], attribute, first))
        return Place(self._file)


def _targets(text: str, file: str) -> Any:
    """Return the targets of a file in JSON, with their lines; JSON without tabs is YAML too (YAML 1.2.2, 1.2)."""
    spaced = re.sub(r"^\t+", lambda tabs: " " * len(tabs[0]), text, flags=re.MULTILINE)
    try:
        return mapping(source_yaml(spaced, file), "target")
    except UnreadableError:
        return {}


def _blocks(file: str, text: str) -> list[_Block]:
    """Return the blocks of a file in HCL."""
    if file.endswith(".json"):
        return []
    lines = text.split("\n")
    starts = [(number, match[1]) for number, line in enumerate(lines) if (match := _HCL.match(line))]
    blocks = []
    for index, (number, label) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else len(lines)
        end = next((n for n in range(number + 1, end) if _OTHER.match(lines[n])), end)
        # The rest of the first line may hold attributes too, behind its brace.
        body = (lines[number].partition("{")[2], *lines[number + 1 : end])
        template = next((match[1] for line in body if (match := _NAME.match(line))), "")
        blocks.append(_Block(file, number + 1, label, template, body))
    return blocks

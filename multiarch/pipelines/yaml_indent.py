"""Indentation of a CI's file, so that our part is written as the project's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from ruamel.yaml.comments import CommentedMap, CommentedSeq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ruamel.yaml import YAML

_DASH = re.compile(r"( *)- +(?=[^\s#])")


def indent_as(yaml: YAML, data: CommentedMap, lines: list[str]) -> None:
    """Set how far the writer indents, as the first mapping and the first list in a file do."""
    mappings = (value for value in data.values() if isinstance(value, CommentedMap))
    widths = (column - data.lc.col for column in map(_column, mappings) if column is not None)
    width = next((width for width in widths if width > 0), None)
    if width is not None:
        yaml.indent(mapping=width, sequence=width, offset=0)
    if (dash := next(_dashes(data, lines), None)) is not None:
        yaml.indent(sequence=dash.width, offset=dash.offset)


def _column(mapping: CommentedMap) -> int | None:
    """Return the column of a mapping's first key; None where it has none, or is in braces."""
    if mapping.fa.flow_style() or not mapping.lc.data:
        return None
    return int(next(iter(mapping.lc.data.values()))[1])


class _Dash(Struct, frozen=True):
    """How an item of a list stands below the key of the list: the columns before its dash, and before its text."""

    offset: int
    width: int


def _dashes(node: Any, lines: list[str]) -> Iterator[_Dash]:
    """Yield how the lists in a file are indented, in order."""
    if isinstance(node, CommentedMap):
        column = _column(node)
        for value in node.values():
            if isinstance(value, CommentedSeq) and value.lc.data and column is not None:
                dash = _DASH.match(lines[value.lc.data[0][0]])
                if dash and len(dash[1]) >= column:
                    yield _Dash(len(dash[1]) - column, len(dash[0]) - column)
            yield from _dashes(value, lines)
    elif isinstance(node, CommentedSeq):
        for item in node:
            yield from _dashes(item, lines)

"""Nodes of a ``.travis.yml``, each with its line, read as https://github.com/travis-ci/travis-yml reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from multiarch.pipelines.yaml_reader import new_yaml, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ruamel.yaml.nodes import Node


class Field(Struct, frozen=True):
    """Key of a mapping, and its value."""

    key: Node
    value: Node


# By the text of the key.
Fields: TypeAlias = "dict[str, Field]"


def line_of(node: Node) -> int:
    """Return the line that a node begins in, counted from 1."""
    return int(node.start_mark.line) + 1


def compose(text: str) -> Node | None:
    """Return the outermost node of a file; None for an empty one.

    :raises YamlError: it cannot be read.
    """
    with reading(text):
        node: Node | None = new_yaml().compose(text)
    return node


def fields_of(node: MappingNode, above: tuple[MappingNode, ...] = ()) -> Fields:
    """Return the fields of a mapping, with those that it merges (``<<``).

    :param above: the mappings that merge this one, which a loop of anchors would come back to.
    """
    merged: Fields = {}
    own: Fields = {}
    for key, value in node.value:
        if key.value == "<<":
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                if isinstance(source, MappingNode) and source not in (*above, node):
                    for word, field in fields_of(source, (*above, node)).items():
                        merged.setdefault(word, field)
        elif isinstance(key, ScalarNode):
            own[key.value] = Field(key, value)
    return {**merged, **own}


def items_of(node: Node, above: tuple[Node, ...] = ()) -> Iterator[Node]:
    """Yield the items of a list and of lists within it, as Travis does; a node that is no list is its own only item.

    :param above: the lists that hold this one, which a loop of anchors would come back to.
    """
    if not isinstance(node, SequenceNode):
        yield node
    elif node not in above:
        for item in node.value:
            yield from items_of(item, (*above, node))


def is_text(node: Node) -> bool:
    """Whether Travis takes a node for text."""
    # It makes text of true and false, and `install: true` is what many write.
    return isinstance(node, ScalarNode) and _tag(node) in ("str", "bool")


def is_value(node: Node) -> bool:
    """Whether a node is a scalar that is not empty."""
    return isinstance(node, ScalarNode) and _tag(node) != "null"


def is_anchored(node: Node) -> bool:
    """Whether a node or an item of it has an anchor."""
    return bool(node.anchor) or any(item.anchor for item in node.value if isinstance(node, SequenceNode))


def kind_of(node: Node | None) -> str:
    """Return what a message calls a node."""
    if node is None:
        return "nothing"
    if isinstance(node, MappingNode | SequenceNode):
        return "a mapping" if isinstance(node, MappingNode) else "a list"
    return {"null": "empty", "int": "a number", "float": "a number"}.get(_tag(node), "text")


def _tag(node: Node) -> str:
    return str(node.tag).rpartition(":")[2]

"""YAML of a CI's file, read within limits: its nodes or its data, or one line that says why there are none."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import MappingNode, SequenceNode
from ruamel.yaml.reader import ReaderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ruamel.yaml.nodes import Node

# levels, with anchors followed; GitLab reads no more (docs.gitlab.com, "Instance limits": max_yaml_depth)
_DEEPEST = 100
# nodes; some 10,000 lines, which take ruamel.yaml 2 s
_MOST_NODES = 30_000
# nodes, with anchors followed as a CI follows them
_MOST_EXPANDED = 300_000
# characters; to read a longer one takes more than linear time
_LONGEST_NUMBER = 1000
# ruamel.yaml's words for it
_SEVERAL = "but found another document"
# What ruamel.yaml raises beside its own errors where a value is not of the kind that it looks like or its tag says.
_UNFIT = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


class YamlError(Exception):
    """Text that cannot be read.

    :ivar line: where, counted from 1.
    :ivar problem: what is wrong there.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


class NotYamlError(YamlError):
    """Text that is not YAML."""


class SeveralDocumentsError(NotYamlError):
    """Text that is more than one document."""


class LimitError(YamlError):
    """YAML that is deeper or larger than what is read here; its problem says what to do."""


def new_yaml() -> YAML:
    """Return a parser that keeps comments and has limits; call it in `reading`."""
    yaml = YAML()
    yaml.Composer = _Composer
    yaml.Constructor = _Constructor
    yaml.representer.add_representer(_Float, _represent_float)
    return yaml


@contextmanager
def reading(text: str) -> Iterator[None]:
    """Turn all errors of the parser into `YamlError`.

    :param text: that is read.
    """
    try:
        with warnings.catch_warnings():
            # For example: an anchor may be named again; the last one counts.
            warnings.simplefilter("ignore")
            yield
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context).split())
        kind = SeveralDocumentsError if error.problem == _SEVERAL else NotYamlError
        raise kind(mark.line + 1 if mark else 1, problem) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotYamlError(line, f"the character U+{error.character:04X} may not be in it") from None
    except (YAMLError, RecursionError, *_UNFIT) as error:
        raise NotYamlError(1, " ".join(str(error).split()) or type(error).__name__) from None


class _Extent(Struct, frozen=True):
    """Size of a node, with anchors followed. :ivar nodes: how many, with itself. :ivar levels: how deep."""

    nodes: int
    levels: int


class _Composer(Composer):
    """Composer with limits, on nodes and on what they are once a CI has followed all anchors."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader=loader)
        # By the identity of the node; those that are not complete are missing.
        self._extents: dict[int, _Extent] = {}
        self._level = 0
        self._nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node, complete.

        :raises LimitError: it is beyond the limits.
        """
        event = self.parser.peek_event()
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._extents:
                raise LimitError(line, f"the anchor {event.anchor!r} holds itself; take it out of there")
            return node
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise LimitError(line, f"it has more than {_MOST_NODES:,} nodes; make it smaller")
        self._level += 1
        self._check_depth(self._level, line)
        node = super().compose_node(parent, index)
        self._level -= 1
        extents = [self._extents[id(inner)] for inner in _inner(node)]
        nodes = 1 + sum(extent.nodes for extent in extents)
        levels = 1 + max((extent.levels for extent in extents), default=0)
        self._check_depth(levels, line)
        if nodes > _MOST_EXPANDED:
            raise LimitError(line, f"with its anchors followed, this is more than {_MOST_EXPANDED:,} nodes; use fewer")
        self._extents[id(node)] = _Extent(nodes, levels)
        return node

    def _check_depth(self, levels: int, line: int) -> None:
        if levels > _DEEPEST:
            raise LimitError(line, f"this is more than {_DEEPEST} levels deep; make it flatter")


class _Float(float):
    """Number that is written again as it was, with all of its digits. :ivar text: as it was written."""

    text: str


def _represent_float(representer: Any, number: _Float) -> Any:
    """Write a number as it was."""
    return representer.represent_scalar("tag:yaml.org,2002:float", number.text)


class _Constructor(RoundTripConstructor):
    """Constructor that says in which line a value is not of its kind."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Return the value of a node.

        :raises NotYamlError: it has none.
        """
        line = node.start_mark.line + 1
        if str(node.tag).endswith((":int", ":float")) and len(node.value) > _LONGEST_NUMBER:
            raise NotYamlError(line, f"a number has more than {_LONGEST_NUMBER:,} characters")
        try:
            return super().construct_object(node, deep)
        except _UNFIT as error:
            raise NotYamlError(line, " ".join(str(error).split())) from None


def _float(constructor: Any, node: Any) -> Any:
    # An anchor is kept by ruamel.yaml's own kind only.
    number = constructor.construct_yaml_float(node)
    if node.anchor:
        return number
    kept = _Float(number)
    kept.text = node.value
    return kept


_Constructor.add_constructor("tag:yaml.org,2002:float", _float)


def _inner(node: Node) -> list[Node]:
    """Return the nodes that a node holds."""
    if isinstance(node, MappingNode):
        return [inner for pair in node.value for inner in pair]
    return node.value if isinstance(node, SequenceNode) else []

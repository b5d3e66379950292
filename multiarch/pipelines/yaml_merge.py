"""Merge of our part of a CI's file into the file of a project, whose own parts and comments stay.

Keys and jobs that we do not write stay, wherever they are, unless the writer knows that it wrote them earlier. Lists of
commands are ours as a whole; lists of jobs and stages are a project's too, and keep their order.
"""

from __future__ import annotations

import io
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from multiarch.pipelines.errors import PipelineError
from multiarch.pipelines.yaml_indent import indent_as
from multiarch.pipelines.yaml_reader import LimitError, SeveralDocumentsError, YamlError, new_yaml, reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from ruamel.yaml import YAML

# Keys from the top of a file down to a node; an item of a list is "[]".
Place: TypeAlias = "tuple[str, ...]"

# The mark of a document's beginning, and the lines above it: the parser keeps neither.
_ABOVE = re.compile(r"(?:#[^\n]*\n|[^\S\n]*\n)*---[^\n]*\n")
# Ends of lines in YAML 1.1, and in ruamel.yaml; in YAML 1.2, and for CIs, not all of them are.
_OTHER_END = re.compile(r"[\r\x85\u2028\u2029]")
# columns; wider than any line of a project's, which would be folded anew
_WIDTH = 4096


def load_file(text: str, name: str) -> Any:
    """Return a file as data that keeps its comments; None for an empty file.

    :raises PipelineError: it is not one document of YAML, or not a mapping.
    """
    if end := _OTHER_END.search(text):
        line = text.count("\n", 0, end.start()) + 1
        raise PipelineError(f"{name}:{line}: U+{ord(end[0]):04X} ends a line; end lines in LF, or in CR and LF")
    try:
        with reading(text):
            data = _yaml().load(text)
    except SeveralDocumentsError:
        raise PipelineError(f"{name}: it holds several documents, and is left as it is; put ours into one") from None
    except LimitError as error:
        raise PipelineError(f"{name}:{error.line}: {error.problem}") from None
    except YamlError as error:
        raise PipelineError(f"{name}:{error.line}: this is not YAML; correct it, or remove the file") from None
    if data is not None and not isinstance(data, CommentedMap):
        raise PipelineError(f"{name}: this is no mapping; correct it, or remove the file")
    return data


def merged(
    text: str,
    data: Any,
    wanted: dict[str, Any],
    lists: frozenset[Place],
    is_ours: Callable[[Place, str, Any], bool],
) -> str:
    """Return the text of a file with our part in it.

    :param text: of the file.
    :param data: the same as `load_file` returned it; it is changed.
    :param wanted: our part.
    :param lists: the places of lists of jobs or stages, which are a project's too.
    :param is_ours: whether a value that is not wanted any more is removed: by its place, and its key or the name of an
        item.
    """
    yaml = _yaml()
    above = _ABOVE.match(text)
    if data is None:
        data, start = CommentedMap(), text
    else:
        start = above[0] if above else ""
        indent_as(yaml, data, text.splitlines())
    _Merge(lists, is_ours).into(data, wanted, ())
    out = io.StringIO()
    yaml.dump(data, out)
    return start + out.getvalue()


def _yaml() -> YAML:
    yaml = new_yaml()
    yaml.width = _WIDTH
    yaml.preserve_quotes = True
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), _nothing)
    return yaml


class _Merge:
    def __init__(self, lists: frozenset[Place], is_ours: Callable[[Place, str, Any], bool]) -> None:
        self._lists = lists
        self._is_ours = is_ours

    def into(self, kept: Any, wanted: dict[str, Any], place: Place) -> None:
        """Merge our part into a mapping of the file."""
        for key in list(kept):
            if key not in wanted and self._is_ours(place, str(key), kept[key]):
                _remove(kept, key)
        after = len(kept)
        for key, value in wanted.items():
            if key in kept:
                new = self._value(kept[key], value, (*place, key))
                if new is not kept[key]:
                    kept[key] = new
                after = list(kept).index(key) + 1
                if new in ({}, []):
                    _remove(kept, key)
                    after -= 1
            elif value not in ({}, []):
                # The order at the top is the project's.
                at = after if place else len(kept)
                kept.insert(at, key, self._value(None, value, (*place, key)))
                after = at + 1

    def _value(self, kept: Any, wanted: Any, place: Place) -> Any:
        """Return a value of the file brought to the wanted one; an equal one stays as it is written."""
        if isinstance(wanted, dict):
            mapping = kept if isinstance(kept, CommentedMap) else CommentedMap()
            # An anchored mapping is shared: ours gets a copy, with what a project has added to it.
            if mapping.merge or not _is_alone(mapping):
                mapping = CommentedMap((key, deepcopy(value)) for key, value in mapping.items())
            self.into(mapping, wanted, place)
            return mapping
        if isinstance(wanted, list):
            sequence = kept if isinstance(kept, CommentedSeq) else CommentedSeq()
            if not _is_alone(sequence):
                sequence = CommentedSeq(deepcopy(item) for item in sequence)
            return self._shared(sequence, wanted, place) if place in self._lists else self._own(sequence, wanted, place)
        if kept is not None and type(wanted) in (type(kept), *type(kept).__mro__) and kept == wanted:
            return kept
        if isinstance(wanted, str) and "\n" in wanted:
            return LiteralScalarString(wanted)
        if isinstance(wanted, str) and wanted.replace(".", "").isdigit():
            return DoubleQuotedScalarString(wanted)
        return wanted

    def _own(self, kept: CommentedSeq, wanted: list[Any], place: Place) -> CommentedSeq:
        """Bring a list that is ours as a whole to the wanted one; a comment below it stays there."""
        named = {name: item for item in kept if (name := _name(item))}
        items = [self._value(named.get(_name(item)), item, (*place, "[]")) for item in wanted]
        below = _below(kept) if len(kept) != len(items) else None
        for index, item in enumerate(items):
            if index >= len(kept):
                kept.append(item)
            elif item is not kept[index]:
                kept[index] = item
        while len(kept) > len(items):
            del kept[-1]
        _put_below(kept, below)
        return kept

    def _shared(self, kept: CommentedSeq, wanted: list[Any], place: Place) -> CommentedSeq:
        """Bring our items of a list to the wanted ones; a new one comes before the next that is ours."""
        names = [_name(item).lower() for item in wanted]
        for index in reversed(range(len(kept))):
            item = kept[index]
            if self._name_of_ours(item, place) not in names and self._is_ours(place, _name(item), item):
                _remove(kept, index)
        existing = [self._name_of_ours(item, place) for item in kept]
        for number, (name, item) in enumerate(zip(names, wanted, strict=True)):
            if name in existing and not isinstance(item, dict):
                continue
            if name in existing:
                index = existing.index(name)
                new = self._value(kept[index], item, (*place, "[]"))
                if new is not kept[index]:
                    kept[index] = new
            else:
                at = min((existing.index(later) for later in names[number:] if later in existing), default=len(kept))
                below = _below(kept) if at == len(kept) else None
                kept.insert(at, self._value(None, item, (*place, "[]")))
                _put_below(kept, below)
                existing.insert(at, name)
        return kept

    def _name_of_ours(self, item: Any, place: Place) -> str:
        """Return the name of an item that is ours, in lower case; empty for one of the project's."""
        # Stages have no owner: ours and the project's of one name are the same, in whatever case.
        is_ours = isinstance(item, str) or self._is_ours(place, _name(item), item) or place == ("stages",)
        return _name(item).lower() if is_ours else ""


def _remove(kept: Any, key: Any) -> None:
    """Remove a key or an item; the comment below it, which the parser gives to it, goes to the one above."""
    keys = list(range(len(kept)) if isinstance(kept, CommentedSeq) else kept)
    above = keys[keys.index(key) - 1] if keys.index(key) else None
    below = _below(kept, key)
    del kept[key]
    if above is not None:
        _put_below(kept, below, above)


def _below(node: Any, key: Any = None) -> Any:
    """Take away the comment below a node, or below one of its items, and return it."""
    end = _end(node, key)
    if end is None or end.key not in end.holder.ca.items:
        return None
    slots = end.holder.ca.items[end.key]
    token = slots[end.slot]
    # A comment behind the node, on its own line, stays with it.
    if token is None or not token.value.startswith("\n"):
        return None
    slots[end.slot] = None
    return token


def _put_below(node: Any, token: Any, key: Any = None) -> None:
    """Put a comment below a node, or below one of its items."""
    end = _end(node, key)
    if token is None or end is None:
        return
    slots = end.holder.ca.items.setdefault(end.key, [None, None, None, None])
    if slots[end.slot] is None:
        slots[end.slot] = token
    else:
        slots[end.slot].value += token.value.removeprefix("\n")


class _End(Struct, frozen=True):
    """Mapping or list in which a node ends, with the key or index of its last scalar."""

    holder: Any
    key: Any

    @property
    def slot(self) -> int:
        """The slot that ruamel.yaml keeps a comment behind the scalar in."""
        return 0 if isinstance(self.holder, CommentedSeq) else 2


def _end(node: Any, key: Any = None) -> _End | None:
    """Return where a node ends, or one of its items; None for an empty one."""
    while isinstance(node, (CommentedMap, CommentedSeq)):
        if not node:
            return None
        last = key if key is not None else len(node) - 1 if isinstance(node, CommentedSeq) else list(node)[-1]
        if not isinstance(node[last], (CommentedMap, CommentedSeq)):
            return _End(node, last)
        node, key = node[last], None
    return None


def _is_alone(node: Any) -> bool:
    """Whether a node stands in one place only, so that it may be changed there."""
    return node.anchor.value is None


def _name(item: Any) -> str:
    """Return the name that an item of a list is known by."""
    if not isinstance(item, dict):
        return re.split(r"(?<=\w)=", str(item))[0]
    if len(item) == 1 and isinstance(inner := next(iter(item.values())), dict):
        return str(inner.get("name") or next(iter(item)))
    return str(next((item[key] for key in ("name", "platform", "run", "uses", "if") if item.get(key)), ""))


def _nothing(representer: Any, _: None) -> Any:
    """Write ``pull_request:``, with nothing after it."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "")

"""What stands in a CI's file, brought to what is wanted there: what is a project's own stays, and its comments.

Keys and jobs that we do not write stay, wherever they are, unless the writer knows them for its own of before. Lists of
commands are ours as a whole; lists of jobs and stages are a project's too, and keep their order.
"""

from __future__ import annotations

import io
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import ComposerError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString
from ruamel.yaml.util import load_yaml_guess_indent

from multiarch.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

# The mark of a document's beginning, which the parser does not keep, nor what stands above it.
_ABOVE = re.compile(r"(?:#[^\n]*\n|[^\S\n]*\n)*---[^\n]*\n")
# Whatever is a project's is not folded anew.
_WIDTH = 4096


def load_file(text: str, name: str) -> Any:
    """Return a file as data that keeps its comments; None where there is nothing in it.

    :raises PipelineError: it is no YAML, or no mapping.
    """
    try:
        data = _yaml().load(text)
    except ComposerError:
        raise PipelineError(f"{name}: it holds several documents, and is left as it is; put ours into one") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise PipelineError(f"{where}: this is not YAML; correct it, or remove the file") from None
    if data is not None and not isinstance(data, CommentedMap):
        raise PipelineError(f"{name}: this is no mapping; correct it, or remove the file")
    return data


def merged(
    text: str,
    data: Any,
    wanted: dict[str, Any],
    lists: frozenset[tuple[str, ...]],
    is_ours: Callable[[tuple[str, ...], str, Any], bool],
) -> str:
    """Return the text of a file with what is wanted in it.

    :param text: of the file; *data* is what `load_file` made of it, and is changed.
    :param lists: where lists of jobs or stages are, which are a project's too.
    :param is_ours: tells of a place, a key (or the name of an item) and its value whether it is removed where it is not
        wanted any more.
    """
    yaml = _yaml()
    above = _ABOVE.match(text)
    if data is None:
        data, start = CommentedMap(), text
    else:
        start = above[0] if above else ""
        _, sequence, offset = load_yaml_guess_indent(text)
        if sequence is not None:
            yaml.indent(sequence=sequence, offset=offset or 0)
        yaml.indent(mapping=_indent(data))
    _Merge(lists, is_ours).into(data, wanted, ())
    out = io.StringIO()
    yaml.dump(data, out)
    return start + out.getvalue()


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = _WIDTH
    yaml.preserve_quotes = True
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), _nothing)
    return yaml


class _Merge:
    def __init__(self, lists: frozenset[tuple[str, ...]], is_ours: Callable[[tuple[str, ...], str, Any], bool]) -> None:
        self._lists = lists
        self._is_ours = is_ours

    def into(self, kept: Any, wanted: dict[str, Any], place: tuple[str, ...]) -> None:
        """Merge a mapping in place."""
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
                # At the top a project has its own order.
                at = after if place else len(kept)
                kept.insert(at, key, self._value(None, value, (*place, key)))
                after = at + 1

    def _value(self, kept: Any, wanted: Any, place: tuple[str, ...]) -> Any:
        """Return what is there, brought to what is wanted; what is equal stays as it is written."""
        if isinstance(wanted, dict):
            mapping = kept if isinstance(kept, CommentedMap) else CommentedMap()
            # What others share is written out for ours, with what a project has in it.
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

    def _own(self, kept: CommentedSeq, wanted: list[Any], place: tuple[str, ...]) -> CommentedSeq:
        """Bring a list that is ours to what is wanted; what stands below it in the file stays there."""
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

    def _shared(self, kept: CommentedSeq, wanted: list[Any], place: tuple[str, ...]) -> CommentedSeq:
        """Bring the items of ours in a list to what is wanted; those that are new come before the next of ours."""

        def ours(item: Any) -> str:
            # A stage is whoever's names it, in whatever case.
            is_ours = isinstance(item, str) or self._is_ours(place, _name(item), item) or place == ("stages",)
            return _name(item).lower() if is_ours else ""

        names = [_name(item).lower() for item in wanted]
        for index in reversed(range(len(kept))):
            if ours(kept[index]) not in names and self._is_ours(place, _name(kept[index]), kept[index]):
                _remove(kept, index)
        there = [ours(item) for item in kept]
        for number, (name, item) in enumerate(zip(names, wanted, strict=True)):
            if name in there and not isinstance(item, dict):
                continue
            if name in there:
                index = there.index(name)
                new = self._value(kept[index], item, (*place, "[]"))
                if new is not kept[index]:
                    kept[index] = new
            else:
                at = min((there.index(later) for later in names[number:] if later in there), default=len(kept))
                below = _below(kept) if at == len(kept) else None
                kept.insert(at, self._value(None, item, (*place, "[]")))
                _put_below(kept, below)
                there.insert(at, name)
        return kept


def _indent(data: CommentedMap) -> int:
    """Return by how many columns a file indents the mappings in a mapping."""
    inner = (value for value in data.values() if isinstance(value, CommentedMap) and value)
    return next((int(value.lc.col - data.lc.col) for value in inner if not value.fa.flow_style()), 2)


def _remove(kept: Any, key: Any) -> None:
    """Remove a key or an item; the comment below it, which the parser takes for a part of it, goes to what is above."""
    keys = list(range(len(kept)) if isinstance(kept, CommentedSeq) else kept)
    above = keys[keys.index(key) - 1] if keys.index(key) else None
    below = _below(kept, key)
    del kept[key]
    if above is not None:
        _put_below(kept, below, above)


def _below(node: Any, key: Any = None) -> Any:
    """Take the comment that stands below a node, or below one of its items."""
    found = _last(node, key)
    if found is None or found[1] not in found[0].ca.items:
        return None
    holder, last = found
    slot = 0 if isinstance(holder, CommentedSeq) else 2
    token = holder.ca.items[last][slot]
    # What stands behind it on its own line is its own.
    if token is None or not token.value.startswith("\n"):
        return None
    holder.ca.items[last][slot] = None
    return token


def _put_below(node: Any, token: Any, key: Any = None) -> None:
    """Put a comment below a node, or below one of its items."""
    found = _last(node, key)
    if token is None or found is None:
        return
    holder, last = found
    slot = 0 if isinstance(holder, CommentedSeq) else 2
    slots = holder.ca.items.setdefault(last, [None, None, None, None])
    if slots[slot] is None:
        slots[slot] = token
    else:
        slots[slot].value += token.value.removeprefix("\n")


def _last(node: Any, key: Any = None) -> tuple[Any, Any] | None:
    """Return the mapping or list in which a node ends, with the key or index of its last scalar."""
    while isinstance(node, (CommentedMap, CommentedSeq)):
        if not node:
            return None
        last = key if key is not None else len(node) - 1 if isinstance(node, CommentedSeq) else list(node)[-1]
        if not isinstance(node[last], (CommentedMap, CommentedSeq)):
            return node, last
        node, key = node[last], None
    return None


def _is_alone(node: Any) -> bool:
    """Tell whether a node stands in one place, so that it may be changed there."""
    return node.anchor.value is None


def _name(item: Any) -> str:
    """Return what an item of a list is known by."""
    if not isinstance(item, dict):
        return re.split(r"(?<=\w)=", str(item))[0]
    if len(item) == 1 and isinstance(inner := next(iter(item.values())), dict):
        return str(inner.get("name") or next(iter(item)))
    return str(next((item[key] for key in ("name", "platform", "run", "uses", "if") if item.get(key)), ""))


def _nothing(representer: Any, _: None) -> Any:
    """Write ``pull_request:``, with nothing after it."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "")

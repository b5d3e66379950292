"""Placeholders of targets: ``{target}`` and the axes of a matrix, in settings that are texts.

Those of git (`multiarch.config.tags`) stay, and so do braces that a program of the image may want.
"""

from __future__ import annotations

import difflib
import itertools
import math
import re
from typing import TYPE_CHECKING, Any

from multiarch.config.tags import NAMES
from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The settings that are filled in; whether braces that name nothing are a mistake there.
FILLED = {
    "image": True,
    "context": True,
    "dockerfile": True,
    "target": True,
    "contexts": True,
    "build_args": False,
    "labels": False,
    "annotations": False,
    "smoke": False,
}
# Characters that join the parts of a tag; an empty part goes with one of them.
_SEPARATORS = "-._"
_MOST = 1_000  # tags that one becomes by the aliases of its axes; a registry moves each by requests of its own
_FIELD = re.compile(r"\{([^{}]*)\}")


def fill(value: Any, words: Mapping[str, str], where: str, *, strict: bool) -> Any:
    """Return a setting with the words in place of their names; its names of keys stay as they are.

    :param where: its key, for the error.
    :param strict: whether other names in braces are an error; those of git are none.
    """
    if isinstance(value, str):
        if strict:
            for name in _FIELD.findall(value):
                if name not in words and name not in NAMES:
                    near = difflib.get_close_matches(name, words, n=1)
                    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(words)}"
                    raise ConfigurationError(where, f"{{{name}}} is no axis; {hint}")
        return _FIELD.sub(lambda match: words.get(match[1], match[0]), value)
    if isinstance(value, dict):
        return {key: fill(item, words, f"{where}.{key}", strict=strict) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, words, f"{where}[{index}]", strict=strict) for index, item in enumerate(value)]
    return value


def fill_tags(templates: Sequence[Any], words: Mapping[str, Sequence[str]], where: str) -> list[Any]:
    """Return the tags for each combination of the words of each axis, each once, in order.

    An empty word goes with its separator; a tag of nothing else is ``latest``.

    :param words: by name, the value of an axis and its aliases.
    :param where: the key of the tags, for the error.
    :raises ConfigurationError: a tag becomes too many.
    """
    tags: dict[Any, None] = {}
    for template in templates:
        if not isinstance(template, str):
            return list(templates)  # it is told what is wrong with it where types are
        used = [name for name in dict.fromkeys(_FIELD.findall(template)) if name in words]
        values = [list(dict.fromkeys(words[name])) for name in used]
        if math.prod(map(len, values)) > _MOST:
            raise ConfigurationError(where, f"{template!r} becomes more than {_MOST} tags; give fewer aliases")
        for combination in itertools.product(*values):
            tags[_tag(template, dict(zip(used, combination, strict=True)))] = None
    return list(tags)


def _tag(template: str, words: Mapping[str, str]) -> str:
    tag, after_nothing = "", False
    for part in re.split(r"(\{[^{}]*\})", template):
        name = part[1:-1]
        if part.startswith("{") and name in words:
            if words[name]:
                tag, after_nothing = tag + words[name], False
            elif tag[-1:] and tag[-1] in _SEPARATORS:
                tag = tag[:-1]
            else:
                after_nothing = True
        elif part:
            tag += part[1:] if after_nothing and part[0] in _SEPARATORS else part
            after_nothing = False
    return tag or "latest"

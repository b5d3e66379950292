"""JSON documents from outside: manifests, indexes, and the configs of images."""

from __future__ import annotations

import json
import math
import re
from typing import Any

# Objects and lists within each other in a document; those of BuildKit have 5.
_DEEPEST = 64
_TEXT = re.compile(rb'"(?:[^"\\]+|\\.)*"?', re.DOTALL)  # of JSON, also without its end
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# Digits of a number; those of 64 bits have 20, and Python takes quadratic time for thousands.
_MOST_DIGITS = 20
# The fields that are used. Programs in Go take them in any case, and of several the last one.
_FIELDS = frozenset(
    {"schemaversion", "mediatype", "manifests", "config", "layers", "digest", "size", "platform", "annotations", "urls"}
    | {"architecture", "os", "variant", "os.version", "os.features"}
    | {"rootfs", "diff_ids"}
    | {"entrypoint", "cmd", "env", "workingdir", "labels"}
)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a document from outside is.

    :raises ValueError: it is none, is nested too deeply, has numbers or texts that JSON has not, or a field twice.
    """
    check_depth(body)
    try:
        numbers: dict[str, Any] = {"parse_int": _integer, "parse_float": _float, "parse_constant": _float}
        parsed = json.loads(body.decode(), object_pairs_hook=_object, **numbers)
    except _TwiceError as error:
        raise ValueError(str(error)) from None
    except ValueError:
        raise ValueError("it is no JSON") from None
    if not isinstance(parsed, dict):
        raise ValueError("it is no JSON object")
    level: list[Any] = [parsed]
    while level:
        texts = [value for value in level if isinstance(value, str)]
        lists = [value for value in level if isinstance(value, list)]
        objects = [value for value in level if isinstance(value, dict)]
        if not all(map(_is_unicode, texts)):
            raise ValueError("it has text that is no Unicode")
        level = [child for values in (*lists, *objects, *(value.values() for value in objects)) for child in values]
    return parsed


def check_depth(body: bytes) -> None:
    """Check that JSON is not nested deeply, before a parser calls itself for each level of it.

    Where a parser comes to the interpreter's limit, whatever is cleared away by then fails too.

    :raises ValueError: it is.
    """
    depth = 0
    for bracket in _TEXT.sub(b"", body).translate(None, delete=_NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")


class _TwiceError(ValueError):
    """An object has a field twice: what reads the document after us may take the other one."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. :raises _TwiceError: it has a name twice, or two names that are one field to some programs."""
    value = dict(pairs)
    names = [name.lower() for name in value if name.lower() in _FIELDS]
    if len(value) < len(pairs) or len(set(names)) < len(names):
        raise _TwiceError("it has a field twice")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError("a number of too many digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):  # it could not be written again
        raise ValueError("a number that is too large, or none")
    return value


def _is_unicode(text: str) -> bool:
    """Whether text has no lone surrogates, which escapes may write and nothing can encode."""
    return text.isascii() or text.isprintable() or not any("\ud800" <= character <= "\udfff" for character in text)


def parse_config(body: bytes) -> dict[str, Any]:
    """Return an image's config (image-spec, config.md).

    :raises ValueError: it is none, or the message names the field that is not what it should be.
    """
    config = parse_object(body)
    run = config.get("config") or {}
    if not isinstance(run, dict):
        raise ValueError("its config is no object")
    for where, kinds in ((config, PLATFORM), (run, _RUN)):
        for key, is_valid in kinds.items():
            if where.get(key) is not None and not is_valid(where[key]):
                raise ValueError(f"its {key} is malformed")
    return config


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def are_texts(value: object) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list) and all(map(_is_text, value))


def _is_text_or_texts(value: object) -> bool:
    """Whether a value is what Docker takes for the words of a command: texts, or one for a list of one."""
    return _is_text(value) or are_texts(value)


def maps_texts(value: object) -> bool:
    """Whether a value is an object whose values are texts."""
    return isinstance(value, dict) and are_texts([*value.values()])


# The fields that are used, of a platform, of a config, and of what it runs. None is as good as missing.
PLATFORM = {**dict.fromkeys(("architecture", "os", "variant", "os.version"), _is_text), "os.features": are_texts}
_RUN = {
    "Entrypoint": _is_text_or_texts,
    "Cmd": _is_text_or_texts,
    "Env": are_texts,
    "WorkingDir": _is_text,
    "Labels": maps_texts,
}

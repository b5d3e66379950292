"""The layers of configuration, joined and typed.

Strongest first: flags, ``INVOKE_MULTIARCH_*`` variables, the ``multiarch`` block of Invoke's configuration
(``invoke.yaml``), the defaults below. Each layer replaces a whole setting; lists are not joined.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from multiarch.config.plain import check_plain
from multiarch.config.schema import PREFIX, Block, PlatformEntry
from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
# The repeatable flags of list-valued settings, each named after one item.
_FLAG_OF = {"tags": "tag", "platforms": "platform"}
# Those that may be written as text with commas.
LISTS = (
    *("image", "tags", "platforms", "attestations", "insecure_registries", "ssh", "branches"),
    *("entitlements", "nameservers", "foreign", "add", "smoke_tmpfs", "smoke_capabilities"),
)
# Settings whose values may be secrets, also where something else was expected.
_PRIVATE = ("secrets", "buildkitd_env")
# `images` reads better where there are several.
_SYNONYMS = {"images": "image"}


class Layers(Struct, frozen=True):
    """The joined block, and where each of its settings came from.

    :ivar merged: the block before it is typed.
    """

    block: Block
    origin: Mapping[str, str]
    merged: Mapping[str, Any]

    def where(self, name: str, index: int | None = None) -> str:
        """Name the flag, variable or key that set *name*: ``--tag``, ``multiarch.platforms[1]``."""
        where = self.origin.get(name, f"multiarch.{name}")
        return f"{where}[{index}]" if index is not None and where.startswith("multiarch.") else where

    def error(self, name: str, problem: str, index: int | None = None) -> ConfigurationError:
        """Return the error of a setting."""
        return ConfigurationError(self.where(name, index), problem)

    def check(self, name: str, index: int | None, parse: Callable[[str], T], text: str) -> T:
        """Return *text* as parsed by *parse*, whose ValueError becomes an error of the setting *name*."""
        try:
            return parse(text)
        except ValueError as error:
            raise self.error(name, str(error), index) from None

    def check_unique(self, name: str, values: Sequence[str]) -> None:
        """Check that no value is there twice."""
        counts = Counter(values)
        for value in values:
            if counts[value] > 1:
                raise self.error(name, f"{value!r} is given twice")


def join(configured: object, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Layers:
    """Join the layers.

    :param configured: the ``multiarch`` block of Invoke's configuration, plain data.
    :param environ: variables; those of other programs are ignored.
    :param flags: by setting name; None, False and empty lists were not given.
    :raises ConfigurationError: a name or type that no setting has.
    """
    block = {} if configured is None else configured
    check_plain("multiarch", block)
    if not isinstance(block, dict):
        raise ConfigurationError("multiarch", f"expected a mapping of settings, got {block!r}")
    merged, origin = _named(block, "multiarch")
    for variable in sorted(environ):
        if variable.startswith(PREFIX):
            written = variable.removeprefix(PREFIX).lower()
            name = _SYNONYMS.get(written, written)
            origin[name] = variable
            merged[name] = _from_environment(variable, name, environ[variable])
    for name, value in flags.items():
        if value not in (None, False, [], ()):
            merged[name], origin[name] = value, f"--{_FLAG_OF.get(name, name).replace('_', '-')}"
    _spell_out(merged)
    return Layers(typed(merged, origin, Block), origin, merged)


def tidied(written: Mapping[str, Any], where: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings of a mapping by their names, as `typed` takes them, and the key of each.

    :param where: the key of the mapping.
    :raises ConfigurationError: a setting is given by two names, or its name is no text.
    """
    values, origin = _named(written, where)
    _spell_out(values)
    return values, origin


def _named(written: Mapping[str, Any], where: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a mapping by the name of their setting, and where each is written.

    :raises ConfigurationError: a name is no text, or a setting is given twice.
    """
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for key, value in written.items():
        if not isinstance(key, str):
            raise ConfigurationError(where, "expected text as a name: quote it")
        name = _SYNONYMS.get(key, key)
        if name in values:
            raise ConfigurationError(f"{where}.{key}", f"is the same setting as {origin[name]}; give one of them")
        values[name], origin[name] = value, f"{where}.{key}"
    return values, origin


def _spell_out(values: dict[str, Any]) -> None:
    """Turn the short forms of settings into the long ones."""
    for name in LISTS:
        if isinstance(values.get(name), str):
            values[name] = [part.strip() for part in values[name].split(",") if part.strip()]
    if isinstance(values.get("attestations"), dict):
        values["attestations"] = [values["attestations"]]
    if isinstance(values.get("platforms"), list):
        values["platforms"] = [{"platform": item} if isinstance(item, str) else item for item in values["platforms"]]


def _from_environment(variable: str, name: str, text: str) -> Any:
    """A variable is text: read it as the type of its setting, where Invoke would call ``false`` true."""
    types = {item.name: item.type for item in msgspec.structs.fields(Block)}
    if name not in types or name in LISTS:
        return text
    try:
        return msgspec.convert(text, types[name], strict=False)
    except UnicodeError:
        raise ConfigurationError(variable, "it is not UTF-8; correct it") from None
    except msgspec.ValidationError as error:
        raise ConfigurationError(variable, _expected(str(error)) + _got(name, text)) from None


def typed(merged: Mapping[str, Any], origin: Mapping[str, str], kind: type[S]) -> S:
    """Return settings as a record.

    :param origin: the key, flag or variable of each.
    :param kind: `Block`, or the record of a target.
    :raises ConfigurationError: a name or type that no setting has.
    """
    try:
        return msgspec.convert(merged, kind)
    except msgspec.ValidationError as error:
        if no_text := re.search(r" - at `key` in `\$(.*?)`", str(error)):
            expected = _expected(str(error).partition(" - at")[0])
            name, rest = re.fullmatch(r"\.?(\w*)(.*)", no_text[1]).groups()  # type: ignore[union-attr]
            raise ConfigurationError(origin.get(name, "multiarch") + rest, f"{expected} as a name: quote it") from None
        problem, _, path = str(error).partition(" - at `$")
        keys = re.findall(r"\w+", path)
    if unknown := re.search(r"unknown field `(.*)`", problem):
        struct: type[msgspec.Struct] = PlatformEntry if keys else kind
        names = struct.__struct_fields__
        near = difflib.get_close_matches(unknown[1], names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
        rest = path.rstrip("`").removeprefix(f".{keys[0]}") if keys else ""
        where = f"{origin[keys[0]]}{rest}.{unknown[1]}" if keys else origin[unknown[1]]
        raise ConfigurationError(where, f"unknown setting; {hint}")
    value: Any = merged
    for key in keys:
        value = value[int(key)] if isinstance(value, (list, tuple)) else value.get(key)
    if not keys:
        raise ConfigurationError("multiarch", _expected(problem))
    where = origin.get(keys[0], "multiarch") + path.rstrip("`").removeprefix(f".{keys[0]}")
    if where.endswith("[...]"):  # a mapping with text or lists in it, and somewhere something else
        fitting = (list, tuple) if problem.startswith("Expected `array`") else str
        key = next(key for key, item in value.items() if not isinstance(item, fitting))
        where, value = f"{where.removesuffix('[...]')}.{key}", value[key]
    expected = _expected(problem)
    is_quoted = expected.endswith(("text", "list", "mapping"))
    quotable = keys[0] not in _PRIVATE and is_quoted and _is_number(value)
    hint = f" (quote it: {str(value)!r})" if quotable else ""
    raise ConfigurationError(where, f"{expected}{_got(keys[0], value)}{hint}")


def _got(name: str, value: object) -> str:
    """Return the end of an error that shows the wrong value; empty where that may be a secret."""
    return f", got {value!r}" if name not in _PRIVATE else ""


def _expected(problem: str) -> str:
    """Return what was expected, in words of YAML, from the error of msgspec."""
    text = problem.partition(", got")[0].replace("`", "").lower()
    for name, word in {
        "str": "text",
        "bool": "true or false",
        "object": "a mapping",
        "array": "a list",
        "float": "a number",
    }.items():
        text = re.sub(rf"\b{name}\b", word, text)
    return text.replace(" | null", "")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

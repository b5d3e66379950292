"""Targets as they are written: named images of one project, each with what it says otherwise than the top level.

A matrix of axes makes one target for each combination of their values. What stands at the top level is every target's
default; what a flag or a variable says holds for all of them. Mappings merge, lists and texts replace.
"""

from __future__ import annotations

import difflib
import fnmatch
import itertools
import math
import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from multiarch.config.layers import Layers, tidied, typed
from multiarch.config.placeholders import FILLED, fill, fill_tags
from multiarch.config.schema import OF_THE_PROJECT, Axes, Block, TargetBlock
from multiarch.config.tags import NAMES
from multiarch.errors import ConfigurationError
from multiarch.image.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# What may be in a tag of an image, where the name of a target is.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", re.ASCII)
# Names that stand for something else. An axis may be the version of what is inside: it hides git's {version}.
_TAKEN = {*NAMES, "target", "build", "platform", "architecture"} - {"version"}
_MOST = 1_000  # targets of a project
_MOST_COMBINATIONS = 100_000  # of a matrix, before those that are excluded are left out
_BASE = "target:"  # the scheme of a context that is another target


class WrittenTarget(Struct, frozen=True):
    """One target, with the layers of settings that hold for it.

    :ivar group: the name as it is written, which stands for all combinations of its matrix.
    :ivar bases: by name of the context, the target that it is.
    """

    name: str
    group: str
    layers: Layers
    bases: Mapping[str, str] = field(default_factory=dict)


def read_targets(layers: Layers) -> tuple[WrittenTarget, ...]:
    """Read ``targets``, in the order in which they are written; each combination of a matrix is one.

    :raises ConfigurationError: naming the key, its value, and what is allowed.
    """
    found: list[WrittenTarget] = []
    for name, written in layers.block.targets.items():
        where = f"multiarch.targets.{name}"
        if not _NAME.fullmatch(name):
            raise ConfigurationError(where, f"{name!r} is no name: letters, digits, '.', '_' and '-'")
        if not isinstance(written, (dict, type(None))):
            raise ConfigurationError(where, f"expected a mapping of settings, got {written!r}")
        for target in _combinations(layers, name, where, written or {}):
            found.append(target)
            if len(found) > _MOST:
                problem = f"there are more than {_MOST} targets; exclude some, or divide the project"
                raise ConfigurationError(where, problem)
    names = [target.name for target in found]
    for target in found:
        if names.count(target.name) > 1 or (target.name != target.group and target.name in layers.block.targets):
            raise ConfigurationError(f"multiarch.targets.{target.group}", f"{target.name} is another target's name too")
    return tuple(_with_bases(target, found) for target in found)


def choose(layers: Layers, targets: Sequence[WrittenTarget], wanted: Iterable[str] | None) -> set[str]:
    """Return the names of the targets that a run is for.

    :param wanted: of ``--target``: names, groups and patterns; None for the group ``default``, else all.
    :raises ConfigurationError: there is no such target, or a group is broken.
    """
    groups = {name: _members(layers, targets, name) for name in layers.block.groups}
    if wanted is None:
        return groups.get("default") or {target.name for target in targets}
    chosen: set[str] = set()
    for word in wanted:
        names = groups.get(word) or _matching(targets, word)
        if not names:
            raise ConfigurationError("--target", f"there is no target {word}{_near(word, _names(targets, groups))}")
        chosen |= names
    return chosen


def _members(layers: Layers, targets: Sequence[WrittenTarget], group: str) -> set[str]:
    """Return the names of the targets in a group. :raises ConfigurationError: it has none, or names no target."""
    where = f"multiarch.groups.{group}"
    if group in layers.block.targets or any(target.name == group for target in targets):
        raise ConfigurationError(where, "is a target's name too")
    members: set[str] = set()
    written = layers.block.groups[group]
    if not isinstance(written, list) or not all(isinstance(word, str) for word in written):
        raise ConfigurationError(where, f"expected a list of targets, got {written!r}")
    for word in written:
        names = _matching(targets, word)
        if not names:
            raise ConfigurationError(where, f"there is no target {word}{_near(word, _names(targets))}")
        members |= names
    if not members:
        raise ConfigurationError(where, "names no target")
    return members


def _matching(targets: Sequence[WrittenTarget], word: str) -> set[str]:
    """Return the targets that a word means: by name, by the name of a matrix, or by a pattern."""
    return {t.name for t in targets if word in (t.name, t.group) or fnmatch.fnmatchcase(t.name, word)}


def _names(targets: Sequence[WrittenTarget], groups: Iterable[str] = ()) -> list[str]:
    return list(dict.fromkeys([name for t in targets for name in (t.group, t.name)] + list(groups)))


def _near(word: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(names[:20])}"


def _with_bases(target: WrittenTarget, all_targets: Sequence[WrittenTarget]) -> WrittenTarget:
    """Find the targets that contexts name."""
    bases = {}
    for name, place in target.layers.block.contexts.items():
        if not place.startswith(_BASE):
            continue
        wanted, where = place.removeprefix(_BASE), f"multiarch.targets.{target.group}.contexts.{name}"
        known = [other.name for other in all_targets]
        if wanted not in known:
            if several := [other.name for other in all_targets if other.group == wanted]:
                raise ConfigurationError(where, f"{wanted} is several targets; name one of {', '.join(several)}")
            raise ConfigurationError(where, f"there is no target {wanted}{_near(wanted, known)}")
        bases[name] = wanted
    # The others are directories, repositories and images.
    others = {name: place for name, place in target.layers.block.contexts.items() if name not in bases}
    block = msgspec.structs.replace(target.layers.block, contexts=others)
    return replace(target, layers=replace(target.layers, block=block), bases=bases)


class _Value(Struct, frozen=True):
    """A value of an axis. *settings* are those that it carries, *where* its key, for errors."""

    axis: str
    text: str
    aliases: tuple[str, ...]
    settings: Mapping[str, Any]
    where: str


def _combinations(layers: Layers, name: str, where: str, written: Mapping[str, Any]) -> Iterator[WrittenTarget]:
    """Yield the target, or, of one with a matrix, those of its combinations.

    :raises ConfigurationError: a setting or an axis is wrong, or the combinations are none or too many.
    """
    own, origin = tidied(written, where)
    for key in own:
        if key in OF_THE_PROJECT:
            raise ConfigurationError(f"{where}.{key}", f"is the project's; write multiarch.{key}")
    typed(own, origin, TargetBlock)
    written_axes = typed({key: own[key] for key in ("matrix", "exclude") if key in own}, origin, Axes)
    own = {key: value for key, value in own.items() if key not in ("matrix", "exclude")}
    axes = [_axis(axis, values, f"{where}.matrix.{axis}") for axis, values in written_axes.matrix.items()]
    excluded = [_excluded(axes, item, f"{where}.exclude[{i}]") for i, item in enumerate(written_axes.exclude)]
    if math.prod(map(len, axes)) > _MOST_COMBINATIONS:
        raise ConfigurationError(where, f"its matrix has more than {_MOST_COMBINATIONS} combinations; divide it")
    is_empty = True
    for combination in itertools.product(*axes):
        texts = {value.axis: value.text for value in combination}
        if any(item.items() <= texts.items() for item in excluded):
            continue
        full = "-".join([name, *texts.values()])
        if not _NAME.fullmatch(full):
            raise ConfigurationError(where, f"{full!r} cannot be a target's name: a value of its matrix does not fit")
        is_empty = False
        yield WrittenTarget(full, name, _layers_of(layers, full, where, own, origin, combination))
    if is_empty:
        raise ConfigurationError(where, "its matrix has no combination left")


def _axis(axis: str, values: Sequence[Any], where: str) -> list[_Value]:
    if axis in _TAKEN:
        raise ConfigurationError(where, f"the name is taken by git's {{{axis}}}; call the axis otherwise")
    if axis in Block.__struct_fields__ or axis == "aliases" or not axis.isidentifier():
        raise ConfigurationError(where, f"{axis!r} is a setting's name, or none; call the axis otherwise")
    if not values:
        raise ConfigurationError(where, "needs at least one value")
    found = []
    for index, item in enumerate(values):
        here = f"{where}[{index}]"
        item = {axis: item} if isinstance(item, (str, int, float)) else item
        if not isinstance(item, dict) or axis not in item:
            raise ConfigurationError(here, f"has no {axis}: expected {{{axis}: VALUE}}")
        text, aliases = item[axis], item.get("aliases", [])
        if not isinstance(text, str):
            quote = " (quote it: YAML reads 1.20 as 1.2)" if isinstance(text, (int, float)) else ""
            raise ConfigurationError(here, f"expected text, got {text!r}{quote}")
        if not isinstance(aliases, (list, tuple)) or not all(isinstance(alias, str) for alias in aliases):
            raise ConfigurationError(f"{here}.aliases", f"expected a list of texts, got {aliases!r} (quote each)")
        settings, places = tidied({k: v for k, v in item.items() if k not in (axis, "aliases")}, here)
        for key in settings:
            if key not in TargetBlock.__struct_fields__ or key in ("matrix", "exclude"):
                near = difflib.get_close_matches(key, TargetBlock.__struct_fields__, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ConfigurationError(f"{here}.{key}", f"is no setting of a target{hint}")
        typed(settings, places, TargetBlock)
        found.append(_Value(axis, text, tuple(aliases), settings, here))
    if len({value.text for value in found}) < len(found):
        raise ConfigurationError(where, "a value is given twice")
    return found


def _excluded(axes: Sequence[Sequence[_Value]], item: Mapping[str, str], where: str) -> Mapping[str, str]:
    known = {values[0].axis: [value.text for value in values] for values in axes}
    for axis, text in item.items():
        if axis not in known:
            raise ConfigurationError(where, f"{axis!r} is no axis{_near(axis, list(known))}")
        if text not in known[axis]:
            raise ConfigurationError(where, f"{axis} {text!r} is none of {', '.join(known[axis])}")
    return item


def _layers_of(
    layers: Layers,
    name: str,
    where: str,
    own: Mapping[str, Any],
    origin: Mapping[str, str],
    combination: Sequence[_Value],
) -> Layers:
    """Return the layers of one target: the top level's, its own, those of its values; flags and variables above."""
    merged, origins = dict(layers.merged), dict(layers.origin)
    for key in ("targets", "groups"):
        merged.pop(key, None)
    strong = {key for key, place in layers.origin.items() if not place.startswith("multiarch.")}
    texts: dict[str, str] = {}

    def lay(values: Mapping[str, Any], places: Mapping[str, str], value: _Value | None = None) -> None:
        for key, new in values.items():
            if key in strong:
                continue
            if value and key == "platforms" and key in merged:
                new = _common(merged[key], new, where, name)
            elif value and isinstance(new, (str, bool, int, float)):
                if key in texts:
                    raise ConfigurationError(f"{value.where}.{key}", f"is set by the axis {texts[key]} too")
                texts[key] = value.axis
            old = merged.get(key)
            merged[key] = {**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new
            origins[key] = places[key]

    lay(own, origin)
    for value in combination:
        lay(value.settings, {key: f"{value.where}.{key}" for key in value.settings}, value)
    words = {"target": (name,)} | {value.axis: (value.text, *value.aliases) for value in combination}
    plain = {axis: texts_[0] for axis, texts_ in words.items()}
    for key in FILLED.keys() & merged.keys():
        merged[key] = fill(merged[key], plain, origins.get(key, where), strict=FILLED[key])
    if "tags" in merged:
        merged["tags"] = fill_tags(merged["tags"], words, origins.get("tags", where))
    return Layers(typed(merged, origins, Block), origins, merged)


def _common(old: Sequence[Any], new: Sequence[Any], where: str, name: str) -> list[Any]:
    """Return the platforms of both lists; an entry of the later one wins, as it says more."""

    def of(items: Sequence[Any]) -> dict[Platform, Any]:
        return {Platform.parse(str(item["platform"])): item for item in items if isinstance(item, dict)}

    try:
        wider, narrower = of(old), of(new)
    except (ValueError, KeyError) as error:
        raise ConfigurationError(where, str(error)) from None
    common = [{**wider[platform], **item} for platform, item in narrower.items() if platform in wider]
    if not common:
        raise ConfigurationError(where, f"{name} has no platform in common; put it into exclude")
    return common

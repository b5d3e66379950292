"""Tags from what git knows: ``{branch}``, ``{tag}``, ``{sha}``, ``{semver}``, ``{version}``, ``{major}``, ``{minor}``.

As docker/metadata-action has them (README, "tags input"), but that no two branches become one tag; a template that does
not apply to what is built, such as ``{semver}`` on a branch, gives no tag. What several versions share, as ``latest``
and ``{major}``, is for the highest stable one of them. ``TAG if CONDITION`` says it otherwise.
"""

from __future__ import annotations

import re
import string
from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.config.versions import Version, parse_version
from multiarch.image.reference import safe_tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.config.checkout import Checkout

# What every version has for itself; what several versions may share.
_WHOLE = {"tag", "semver", "version"}
_PARTS = {"major", "minor"}
NAMES = ("branch", "tag", "sha", "semver", "version", "major", "minor")
_LATEST = "latest"
# characters of a branch or a git tag in a tag; beside it a staging tag has those of the build and of the platform
_LONGEST_NAME = 60
# digits of a short hash, as docker/metadata-action has it
_SHORT_HASH = 7
_CONDITIONED = re.compile(r"(.*\S)\s+if(?:\s+(.*))?", re.DOTALL)


class Condition(Enum):
    """What must hold of what is built, behind the ``if`` of a tag."""

    ANY = "any"
    DEFAULT_BRANCH = "default-branch"
    STABLE = "stable"  # a version that is no pre-release
    HIGHEST = "highest"  # of the stable versions that would give the same tag


class TagRule(Struct, frozen=True):
    """A tag to publish, as it is written.

    :ivar condition: None for the one that a template has by itself.
    """

    template: str
    condition: Condition | None = None

    @property
    def names(self) -> set[str]:
        """What stands between braces."""
        return set(fields_of(self.template))


class ExpandedTag(Struct, frozen=True):
    """A tag that applies. :ivar may_change: whether another version, tagged meanwhile, would take it away."""

    text: str
    may_change: bool


class Sources(Struct, frozen=True):
    """What tags are made of.

    :ivar pattern: how git's tags name versions, None for the usual way.
    :ivar branches: those that may be the default branch, where nothing says which one is.
    """

    checkout: Checkout
    pattern: str | None = None
    branches: tuple[str, ...] = ()

    @property
    def is_default_branch(self) -> bool:
        """Whether the default branch is checked out."""
        default = self.checkout.default_branch
        return self.checkout.branch in ((default,) if default else self.branches)

    @property
    def version(self) -> Version | None:
        """The version that is checked out."""
        return parse_version(self.checkout.tag, self.pattern)

    def value(self, name: str) -> str:
        """Return the value of a name; empty where it does not apply."""
        checkout = self.checkout
        if name == "branch":
            return checkout.branch
        if name == "sha":
            return checkout.revision[:_SHORT_HASH]
        return checkout.tag if name == "tag" else _part(name, self.version)


def fields_of(template: str) -> list[str]:
    """Return what stands between braces, conversion and format included. :raises ValueError: a brace has no partner."""
    fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
    return [f"{name}{'!' if how else ''}{how or ''}{':' if spec else ''}{spec}" for _, name, spec, how in fields]


def read_rule(text: str) -> TagRule:
    """Read ``TEMPLATE`` or ``TEMPLATE if CONDITION``. :raises ValueError: it is broken, or has an unknown name."""
    match = _CONDITIONED.fullmatch(text)
    template = match[1] if match else text
    try:
        unknown = [name for name in fields_of(template) if name not in NAMES]
    except ValueError as error:
        raise ValueError(f"{template!r}: {error}") from None
    if unknown:
        raise ValueError(f"{template!r}: unknown {{{unknown[0]}}} (known: {', '.join(NAMES)})")
    try:
        return TagRule(template, Condition(match[2] or "") if match else None)
    except ValueError:
        known = ", ".join(condition.value for condition in Condition)
        raise ValueError(f"{text!r}: the condition is none of {known}") from None


def expand(rules: Sequence[TagRule], sources: Sources) -> tuple[ExpandedTag, ...]:
    """Return the tags that apply to what is checked out, each once, in order; a text without braces is a tag itself.

    :raises ValueError: it is not known which version is the highest.
    """
    tags: dict[str, ExpandedTag] = {}
    has_versions = any(rule.names & (_PARTS | _WHOLE - {"tag"}) for rule in rules)
    for rule in rules:
        values = {name: _tag_part(name, sources.value(name)) for name in rule.names}
        if not all(values.values()):
            continue
        condition = rule.condition or _usual_condition(rule, sources, has_versions=has_versions)
        if condition is not None and _holds(condition, rule.template, sources):
            text = rule.template.format(**values)
            tags.setdefault(text, ExpandedTag(text, condition is Condition.HIGHEST))
    return tuple(tags.values())


def _usual_condition(rule: TagRule, sources: Sources, *, has_versions: bool) -> Condition | None:
    """Return the condition of a tag that is written without one; None where it does not apply.

    :param has_versions: whether a tag is made of versions, so that releases come from git's tags.
    """
    if rule.names & _PARTS and not rule.names & _WHOLE:
        return Condition.HIGHEST
    # What a person publishes by hand, from no versions, is no release of a git tag that is there by chance.
    if rule.template != _LATEST or not (has_versions or sources.checkout.ci):
        return Condition.ANY
    if sources.version:
        return Condition.HIGHEST
    is_tag_build = sources.checkout.tag and not sources.checkout.branch
    return None if has_versions or is_tag_build else Condition.ANY


def _holds(condition: Condition, template: str, sources: Sources) -> bool:
    """Whether a condition holds for what is checked out."""
    if condition is Condition.ANY:
        return True
    if condition is Condition.DEFAULT_BRANCH:
        return sources.is_default_branch
    version = sources.version
    if version is None or not version.is_stable:
        return False
    return condition is Condition.STABLE or _is_highest(template, version, sources)


def _is_highest(template: str, version: Version, sources: Sources) -> bool:
    """Whether no stable version that git knows, and that gives the same tag, is higher."""
    known_tags = sources.checkout.known_tags
    if known_tags is None:
        problem = "git knows no tags, and the remote repository could not be asked"
        advice = "fetch them (git fetch --tags), or write the tag with 'if stable' or 'if any'"
        raise ValueError(f"is {version} the highest version that gives {template!r}? {problem}; {advice}")
    varying = [name for name in fields_of(template) if name in _PARTS | _WHOLE]
    for tag in known_tags:
        other = parse_version(tag, sources.pattern)
        if other and other.is_stable and other.order > version.order:
            values = {name: tag if name == "tag" else _part(name, other) for name in varying}
            if all(values[name] == sources.value(name) for name in varying):
                return False
    return True


def _tag_part(name: str, value: str) -> str:
    """Return a value as a part of a tag; those of versions and hashes are one."""
    return safe_tag(value, _LONGEST_NAME) if value and name in ("branch", "tag") else value


def _part(name: str, version: Version | None) -> str:
    """Return a part of a version; empty where it has none."""
    if version is None:
        return ""
    if name == "version" or (name == "semver" and version.is_semver):
        return str(version)
    # 1.4 must not move to 1.4.2-rc.1.
    if name == "semver" or not version.is_stable:
        return ""
    position = 0 if name == "major" else 1
    return version.numbers[position] if position < len(version.numbers) else ""

"""Tags from what git knows: ``{branch}``, ``{tag}``, ``{sha}``, ``{semver}``, ``{major}``, ``{minor}``.

As docker/metadata-action has them (README, "tags input"): a branch or tag loses what a tag of an image cannot hold; a
template that does not apply to what is built, such as ``{semver}`` on a branch, gives no tag.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiarch.config.checkout import Checkout

# semver.org, "Is there a suggested regular expression": with the v that git tags have in front.
_SEMVER = re.compile(r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", re.ASCII)
NAMES = ("branch", "tag", "sha", "semver", "major", "minor")
# digits of a short hash, as docker/metadata-action has it
_SHORT_HASH = 7


def fields_of(template: str) -> list[str]:
    """Return what stands between braces, conversion and format included. :raises ValueError: a brace has no partner."""
    fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
    return [f"{name}{'!' if how else ''}{how or ''}{':' if spec else ''}{spec}" for _, name, spec, how in fields]


def check_template(template: str) -> None:
    """Check that a template can be filled in. :raises ValueError: it is broken, or has an unknown name."""
    try:
        unknown = [name for name in fields_of(template) if name not in NAMES]
    except ValueError as error:
        raise ValueError(f"{template!r}: {error}") from None
    if unknown:
        raise ValueError(f"{template!r}: unknown {{{unknown[0]}}} (known: {', '.join(NAMES)})")


def expand(templates: tuple[str, ...], checkout: Checkout) -> tuple[str, ...]:
    """Return the tags that apply to what is checked out, each once, in order; a text without braces is a tag itself.

    :raises ValueError: a template is broken.
    """
    tags: dict[str, None] = {}
    for template in templates:
        check_template(template)
        values = {name: _value(name, checkout) for name in fields_of(template)}
        if all(values.values()):
            tags[template.format(**values)] = None
    return tuple(tags)


def _value(name: str, checkout: Checkout) -> str:
    """Return the value of a name; empty where it does not apply."""
    if name == "branch":
        return _clean(checkout.branch)
    if name == "sha":
        return checkout.revision[:_SHORT_HASH]
    if name == "tag":
        return _clean(checkout.tag)
    version = _SEMVER.fullmatch(checkout.tag)
    if version is None:
        return ""
    if name == "semver":
        return ".".join(version.group(1, 2, 3)) + (version[4] or "")
    # 1.4 must not move to 1.4.2-rc.1.
    return "" if version[4] else version[1 if name == "major" else 2]


def _clean(name: str) -> str:
    """Return a git name with dashes for what a tag of an image cannot hold."""
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", name).lstrip("-.")

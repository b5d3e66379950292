"""The settings ``tags``, ``version_tag`` and ``allow_untagged``, read for what is checked out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.config.tags import ExpandedTag, Sources, expand, read_rule
from multiarch.config.versions import check_pattern, parse_version
from multiarch.image.reference import check_tag

if TYPE_CHECKING:
    from multiarch.config.checkout import Checkout
    from multiarch.config.layers import Layers

# The tag where none applies; it is not pushed.
_UNTAGGED = "untagged"


class Tags(Struct, frozen=True):
    """The tags of a run.

    :ivar names: those to publish; one placeholder where none applies.
    :ivar lasting: the first that no later git tag takes away, so that all jobs of a build stage under it; else the
        first of all.
    :ivar withheld: why a CI pushes nothing by default; empty where it does.
    :ivar problem: the error of tags none of which applies; empty where one does.
    """

    names: tuple[str, ...]
    lasting: str
    withheld: str
    problem: str


def read_sources(layers: Layers, checkout: Checkout) -> Sources:
    """Return what tags and other texts are made of. :raises ConfigurationError: ``version_tag`` is no pattern."""
    pattern = layers.block.version_tag
    if pattern is not None:
        layers.check("version_tag", None, check_pattern, pattern)
    return Sources(checkout, pattern, layers.block.branches)


def read_tags(layers: Layers, sources: Sources, target: str = "") -> Tags:
    """Read ``tags``.

    :param target: the name of the target, which may have no tags; empty where the project has none.
    :raises ConfigurationError: one is broken, or it is not known whether it applies.
    """
    checkout = sources.checkout
    if target and not layers.block.tags:
        return Tags((), target, _withheld(layers, checkout, ""), "")
    expanded = _expand(layers, sources)
    # Each target stages under a name of its own.
    names = tuple(tag.text for tag in expanded) or (target or _UNTAGGED,)
    lasting = [tag.text for tag in expanded if not tag.may_change] or names
    here = f"{checkout.branch or 'no branch'}, {checkout.tag or 'no tag'}" if not expanded else ""
    untagged = f"none of {', '.join(layers.block.tags)} applies to what is checked out ({here})" if here else ""
    problem = f"{layers.where('tags')}: {untagged}; {_advice(layers, checkout)}" if untagged else ""
    return Tags(names, lasting[0], _withheld(layers, checkout, untagged), problem)


def _expand(layers: Layers, sources: Sources) -> tuple[ExpandedTag, ...]:
    """Return the tags that apply to what is checked out, which may be none."""
    written = layers.block.tags
    if not written:
        raise layers.error("tags", "needs at least one tag")
    rules = [layers.check("tags", index, read_rule, text) for index, text in enumerate(written)]
    layers.check_unique("tags", written)
    try:
        tags = expand(rules, sources)
    except ValueError as error:
        raise layers.error("tags", str(error)) from None
    for tag in tags:
        layers.check("tags", written.index(tag.text) if tag.text in written else None, check_tag, tag.text)
    return tags


def _withheld(layers: Layers, checkout: Checkout, untagged: str) -> str:
    """Return why a CI pushes nothing by default.

    :param untagged: why there is no tag to publish. On a branch that is usual; a git tag is there to be published.
    """
    if checkout.is_pull_request:
        return "of a pull request"
    is_usual = checkout.ci is not None and (not checkout.tag or layers.block.allow_untagged)
    return untagged if is_usual else ""


def _advice(layers: Layers, checkout: Checkout) -> str:
    """Return what to do where there is no tag to publish."""
    if not checkout.tag:
        return "add one that does"
    if parse_version(checkout.tag, layers.block.version_tag) is None:
        return "add one that does, such as {tag}, say how versions are named (version_tag), or set allow_untagged"
    return "add one that does, such as {version}, or set allow_untagged"

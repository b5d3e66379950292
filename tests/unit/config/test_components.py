"""Components of a project: what one machine builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from multiarch.config.components import components
from multiarch.config.project import load_project
from multiarch.errors import EmptyMatrixError

BASE = {"contexts": {"base": "target:base"}}


def components_of(written: dict[str, Any], *platforms: str, **flags: Any) -> list[str]:
    """Return the components of a project on two platforms, or on others; each as a line."""
    block = {"image": ["a/{target}"], "platforms": list(platforms or ("amd64", "arm64")), "targets": written}
    project = load_project(block, {}, flags, directory=Path("/somewhere"))
    return [", ".join(str(entry.leg) for entry in component) for component in components(project)]


def test_one_image_has_a_component_for_each_platform() -> None:
    """As a job of a CI is for a platform there."""
    project = load_project({"image": ["a/b"], "platforms": ["amd64", "arm64"]}, {}, {}, directory=Path("/somewhere"))
    assert [["linux/amd64"], ["linux/arm64"]] == [[str(e.leg) for e in one] for one in components(project)]


def test_targets_on_one_base_are_one_component_on_each_platform() -> None:
    """Whatever the order in which they are written, and however long the chain; others are apart."""
    targets = {"top": {"contexts": {"x": "target:app"}}, "other": {}, "app": BASE, "worker": BASE, "base": {}}
    assert [
        "base linux/amd64, app linux/amd64, top linux/amd64, worker linux/amd64",
        "base linux/arm64, app linux/arm64, top linux/arm64, worker linux/arm64",
        "other linux/amd64",
        "other linux/arm64",
    ] == components_of(targets)


def test_target_of_fewer_platforms_is_in_fewer_components() -> None:
    """And a platform of the base that nothing is built on is a component alone."""
    targets = {"base": {}, "app": {**BASE, "platforms": ["arm64"]}}
    assert ["base linux/amd64", "base linux/arm64, app linux/arm64"] == components_of(targets)


def test_base_of_one_platform_joins_the_platforms() -> None:
    """Two machines would build it twice, and one image of it would be lost."""
    targets = {"base": {"platforms": ["amd64"]}, "app": BASE, "tool": {}}
    assert [
        "base linux/amd64, app linux/amd64, app linux/arm64",
        "tool linux/amd64",
        "tool linux/arm64",
    ] == components_of(targets)
    assert ["base linux/amd64, app linux/amd64"] == components_of(targets, targets=["app"], platforms=["amd64"])


def test_base_of_one_platform_joins_nothing_where_there_is_no_other() -> None:
    """It is as any other base then."""
    targets = {"base": {"platforms": ["amd64"]}, "app": {**BASE, "platforms": ["amd64"]}}
    assert ["base linux/amd64, app linux/amd64"] == components_of(targets)


def test_two_bases_join_what_is_built_on_either() -> None:
    """One that is built on both is what joins them."""
    both = {"contexts": {"x": "target:left", "y": "target:right"}}
    one = {"contexts": {"x": "target:right"}}
    targets = {"left": {}, "right": {}, "one": one, "both": both}
    expected = "left linux/amd64, right linux/amd64, one linux/amd64, both linux/amd64"
    assert [expected] == components_of(targets, "amd64")


def test_base_without_platforms_is_an_error() -> None:
    """Nothing could be built on it."""
    project = load_project(
        {"image": ["a/{target}"], "targets": {"base": {}, "app": {**BASE, "platforms": ["amd64"]}}},
        *({}, {}),
        directory=Path("/somewhere"),
    )
    with pytest.raises(EmptyMatrixError):
        components(project)

"""Targets of any names in any repositories: no two of them have a tag, a staging tag or a cache in common."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from multiarch.buildkit.builder import Builder
from multiarch.buildkit.command import build_command
from multiarch.config.project import load_project
from multiarch.errors import ConfigurationError
from multiarch.image.reference import ImageReference
from tests.exhaustive.fuzz.limits import EXAMPLES, fuzz

if TYPE_CHECKING:
    from multiarch.config.project import Project
    from multiarch.config.settings import MatrixEntry, Settings

# Words that are joined by hyphens: what one ends with, another may begin with.
WORDS = ("a", "b", "windows", "arm", "v7", "amd64", "buildcache")
NAMES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map("-".join)
BUILDER = "tcp://elsewhere:1234"
PLATFORMS: tuple[Any, ...] = (
    "linux/amd64",
    "linux/arm/v7",
    "linux/arm/v6",
    {"platform": "windows/amd64", "builder": BUILDER},
    {"platform": "freebsd/amd64", "builder": BUILDER},
)
IMAGES = st.sampled_from(["h.io/x", "h.io/x-a", "k.io/x", "h.io/{target}", "h.io/x/{target}", "h.io/x-{target}"])
TAGS = NAMES | st.sampled_from(["{target}", "latest", "1.0"])
CACHES = st.sampled_from(["registry", "local", "gha"])
ARCH_TAGS = st.sampled_from(["{tag}-{platform}", "{platform}", "{tag}-{build}-{architecture}", "buildcache-{platform}"])
PARTS: dict[str, Any] = {
    "image": IMAGES,
    "tags": st.lists(TAGS, min_size=1, max_size=2, unique=True),
    "platforms": st.lists(st.sampled_from(PLATFORMS), min_size=1, max_size=2, unique_by=str),
    "cache": CACHES,
    "arch_tag": ARCH_TAGS,
}
PROJECTS = st.fixed_dictionaries(
    {
        "targets": st.dictionaries(NAMES, st.fixed_dictionaries({}, optional=PARTS), min_size=2, max_size=4),
        "platforms": PARTS["platforms"],
        "cache": CACHES,
        "image": IMAGES,
        "tags": st.sampled_from([["{target}"], ["latest"], ["{target}-1"]]),
    },
    optional={"arch_tag": ARCH_TAGS, "digests": st.just("digests")},
)
IN_ACTIONS = {"GITHUB_ACTIONS": "true", "ACTIONS_RUNTIME_TOKEN": "x", "GITHUB_RUN_NUMBER": "7"}
ONE = {"cache": "local", "platforms": ["linux/amd64"], "tags": ["{target}"]}
AMBIGUOUS = {"a": {"platforms": [PLATFORMS[3]], "tags": ["x"]}, "a-windows": {"tags": ["y"]}}


def caches(target: Settings, entry: MatrixEntry) -> tuple[str, ...]:
    """Return where BuildKit is told to keep the cache of a platform."""
    command = build_command(target, (entry,), Path("buildctl"), Builder("x"), "")
    records = [value for word, value in itertools.pairwise(command) if word == "--export-cache"]
    fields = [dict(field.split("=", 1) for field in record.split(",")) for record in records]
    return tuple(one["type"] + one.get("ref", one.get("dest", one.get("scope", ""))) for one in fields)


def places(project: Project) -> list[str]:
    """Return every place that a release of a project writes to."""
    written: list[str] = []
    for target in project:
        written += [f"registry{reference}" for reference in target.settings.publish.references]
        for entry in target.settings.matrix:
            written += [f"registry{entry.staging}", *caches(target.settings, entry)]
    return written


@given(PROJECTS)
@example({**ONE, "cache": "registry", "image": "h.io/x", "targets": AMBIGUOUS})
@example({**ONE, "cache": "local", "image": "h.io/x", "targets": AMBIGUOUS})
@example({**ONE, "cache": "gha", "image": "h.io/x", "targets": {"b-a": {}, "a": {"image": "h.io/x-b"}}})
@example({**ONE, "cache": "registry", "image": "h.io/x", "targets": {"a": {}, "buildcache-a": {}}})
@example({**ONE, "cache": "registry", "image": "h.io/x", "targets": {"a": {"tags": ["buildcache-b-amd64"]}, "b": {}}})
@settings(fuzz, max_examples=EXAMPLES // 4)
def test_no_two_targets_write_to_one_place(block: dict[str, Any]) -> None:
    """All places are different and valid, or the error names one that is not, in one line."""
    try:
        project = load_project(block, IN_ACTIONS, {}, directory=Path("/somewhere/project"))
    except ConfigurationError as error:
        assert 1 == len(str(error).splitlines())
        event("refused")
        return
    written = places(project)
    event("read")
    assert [] == sorted({place for place in written if written.count(place) > 1})
    for place in written:
        if place.startswith("registry"):
            assert ImageReference.parse(place.removeprefix("registry")).tag

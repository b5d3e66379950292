"""Settings, variables and Invoke's files, as hostile as they may be: valid settings, or one line."""

from __future__ import annotations

import os
import resource
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from multiarch.buildkit.builder import Builder
from multiarch.buildkit.command import build_command, export
from multiarch.config.load import load
from multiarch.config.schema import PREFIX, Block, PlatformEntry
from multiarch.errors import MultiarchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST = 20.0  # seconds a case
MOST = 300 << 20  # bytes
TEXTS = st.text(max_size=12) | st.sampled_from(
    ["a=b", "", "\0", "a\nb", "linux/arm64", "latest", "env:A", "file:x", "{tag}", "{branch}", "oci,dest=x", "1e999"]
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.integers() | st.floats(), inner, max_size=3),
    max_leaves=6,
)
PAIRS = st.dictionaries(TEXTS, TEXTS, max_size=3)
LISTS = st.lists(TEXTS, max_size=3)
NAMES = [field.name for field in msgspec.structs.fields(Block)]
ENTRIES = st.lists(
    st.fixed_dictionaries(
        {"platform": st.sampled_from(["linux/arm64", "amd64", "arm", "x"])},
        optional={field.name: ANY | PAIRS for field in msgspec.structs.fields(PlatformEntry)[1:]},
    ),
    max_size=3,
)
VALUES = ANY | PAIRS | LISTS | TEXTS
# A few settings of any kind, so that a mistake in one does not hide those in others.
BLOCKS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=2) | st.fixed_dictionaries({"platforms": ENTRIES})
fuzz = settings(
    max_examples=int(os.environ.get("MULTIARCH_EXAMPLES", "2000")),
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def in_bounds() -> Iterator[None]:
    """No test holds more than it may."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST


def laughter(times: int) -> Any:
    """Return lists that hold one another, as aliases of YAML do."""
    value: Any = ["x"]
    for _ in range(times):
        value = [value, value]
    return value


def deep(times: int) -> Any:
    """Return a list in a list."""
    value: Any = "x"
    for _ in range(times):
        value = [value]
    return value


def check(block: Any, environ: dict[str, str], directory: Path) -> None:
    """Check that a block gives commands whose words a program can be given, or one line."""
    began = time.monotonic()
    try:
        loaded = load(block, environ, {}, directory=directory)
        for entry in loaded.matrix:
            words = build_command(loaded, (entry,), directory, Builder(""), export(loaded, str(entry.staging)))
            assert [] == [word for word in words if "\0" in word]
            options = [word.partition("=")[0] for word in words if word.startswith(("label:", "build-arg:"))]
            assert len(options) == len(set(options)) == len(entry.build_args) + len(loaded.build.labels)
    except MultiarchError as error:
        assert str(error)
        assert len(str(error)) < 100_000
    assert time.monotonic() - began < LONGEST


@fuzz
@given(BLOCKS)
@example({"labels": {"a=b": "c"}})
@example({1: "x", 2.5: "y"})
def test_a_block_is_settings_or_one_line(tmp_path_factory: pytest.TempPathFactory, block: Any) -> None:
    """Beside what every project has."""
    check({"image": "a/b", "platforms": ["arm64"], **block}, {}, tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("value", [laughter(40), deep(5000)], ids=["laughter", "deep"])
def test_lists_without_end_are_told(tmp_path: Path, value: Any) -> None:
    """In the place of a setting, and of all of them."""
    check({"tags": value}, {}, tmp_path)
    check({"platforms": [{"platform": "arm64", "smoke": value}]}, {}, tmp_path)
    check(value, {}, tmp_path)


@fuzz
@given(ANY)
@example([1])
def test_anything_in_the_place_of_the_block_is_told(tmp_path_factory: pytest.TempPathFactory, block: Any) -> None:
    """Lists, numbers, and mappings of something else."""
    check(block, {}, tmp_path_factory.getbasetemp())


@fuzz
@given(
    st.dictionaries(st.sampled_from(NAMES), st.text(st.characters(exclude_characters="\0"), max_size=30), max_size=3)
)
def test_variables_are_settings_or_one_line(tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]) -> None:
    """Whatever a CI puts into them."""
    environ = {f"{PREFIX}{name.upper()}": value for name, value in values.items()}
    check({"platforms": ["arm64"]}, environ, tmp_path_factory.getbasetemp())

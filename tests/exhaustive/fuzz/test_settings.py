"""Settings, variables and Invoke's files, as hostile as they may be: valid settings, or one line."""

from __future__ import annotations

import io
import resource
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from invoke.config import Config

from multiarch.buildkit.builder import Builder
from multiarch.buildkit.command import build_command, export
from multiarch.cli.invoke_files import check_project_file, show_error
from multiarch.config.load import load
from multiarch.config.schema import PREFIX, Block, PlatformEntry
from multiarch.errors import MultiarchError
from tests.exhaustive.fuzz.limits import fuzz

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
    began = time.process_time()
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
    assert time.process_time() - began < LONGEST


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


PIECES = [
    *(f"{name}: " for name in NAMES),
    *("multiarch:\n  ", "multiarch: ", "run: ", "platforms: [", "{platform: arm64}", "linux/arm64", "a/b", "latest"),
    *(
        "\n",
        "\n  ",
        "\n    ",
        "\n- ",
        "- ",
        "? ",
        ": ",
        ", ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "<<: *a",
        "|\n ",
        ">-\n ",
    ),
    *("!!int ", "!!set ", "!!omap ", "!!binary ", "!!timestamp ", "!!python/none ", "# c\n", "'", '"', "\\", "---\n"),
    *(
        "...\n",
        "%YAML 1.1\n",
        "%TAG ! x\n",
        "\r",
        "\x85",
        "\u2028",
        "\ufeff",
        "\0",
        "\t",
        "2020-99-99",
        "1e999",
        "0x",
        "~",
    ),
    *("[" * 300, "- " * 300, "{a: " * 300, "9" * 5000, "1:2:3", ".nan", "=", "\ud800"),
]
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=25).map("".join) | st.text()


@fuzz
@given(TEXT.map(lambda text: text.encode(errors="surrogatepass")) | st.binary())
@example(b"multiarch: {tags: [a]}\n")
def test_any_text_of_an_invoke_yaml_is_settings_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """As the console script reads it, by Invoke's own parser."""
    directory = tmp_path_factory.getbasetemp() / "yaml"
    directory.mkdir(exist_ok=True)
    (directory / "invoke.yaml").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        shown = io.StringIO()
        patch.setattr("sys.stderr", shown)
        try:
            check_project_file()
            config = Config(project_location=directory, lazy=True)
            config.load_project()
        except SystemExit as end:
            assert 1 == len(str(end).splitlines())
            return
        except Exception as error:  # noqa: BLE001 (judged by what is shown of it)
            show_error(type(error), error, error.__traceback__)
            assert 1 == len(shown.getvalue().splitlines()), shown.getvalue()
            return
    check(_plain(config.get("multiarch")), {"INVOKE_MULTIARCH_PLATFORMS": "arm64"}, directory)


def _plain(value: Any) -> Any:
    return {key: _plain(value[key]) for key in value} if hasattr(value, "keys") else value

"""Files of CIs, whatever a project has in them: merged and stable, or left as they are with an error of one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from multiarch.pipelines import circleci, github, gitlab
from multiarch.pipelines.errors import PipelineError
from multiarch.pipelines.model import plan
from multiarch.pipelines.travis import lint
from multiarch.pipelines.travis import writer as travis
from multiarch.pipelines.update import Writer, pipeline_file
from multiarch.pipelines.yaml_merge import load_file, merged
from tests.exhaustive.fuzz.limits import bounded, fuzz
from tests.unit.pipelines.files import PATHS, project_of

PROJECT = project_of()
WORDS = [
    *("jobs", "include", "stages", "stage", "name", "script", "if", "env", "build", "publish", "matrix", "on", "push"),
    *("workflows", "multiarch", "multiarch-build", "version", "conditions", "variables", ".multiarch", "<<", "steps"),
    *("build linux/amd64", "linux/amd64", "publish manifest", "extends", "rules", "requires", "filters", "permissions"),
]
SCALARS = [
    "2.1",
    "invoke build-arch",
    "~",
    "''",
    "true",
    "1e9",
    "0x1",
    "2020-99-99",
    "09",
    "branch = main",
    "true",
    "é",
]
PIECES = [
    *(f"{word}: " for word in WORDS),
    *(f"{word}:\n" for word in WORDS),
    *SCALARS,
    *(
        "\n",
        "\n  ",
        "\n    ",
        "\n- ",
        "\n  - ",
        "-   ",
        "? ",
        ": ",
        ", ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "|\n  ",
        ">-\n ",
    ),
    *(
        "# c\n",
        "\n# d",
        "!!int ",
        "!!set ",
        "!!omap ",
        "!!binary ",
        "!!timestamp ",
        "!reference ",
        "!!python/none ",
        "\t",
    ),
    *("'", '"', "\\", "---\n", "...\n", "%YAML 1.1\n", "\r\n", "\r", "\x85", "\u2028", "\ufeff", "\0", "\ud800", "\t"),
    *("[" * 200, "- " * 200, "9" * 5000, "# Written by `invoke pipeline --ci travis`\n", "# To be set at the CI: x.\n"),
]
TEXTS = (
    some.lists(some.sampled_from(PIECES), max_size=25).map("".join)
    | some.lists(some.sampled_from(PIECES) | some.text(max_size=4), max_size=25).map("".join)
    | some.text()
)
KEYS = some.sampled_from(WORDS) | some.text(max_size=5)
DATA = some.dictionaries(
    KEYS,
    some.recursive(
        some.none()
        | some.booleans()
        | some.integers()
        | some.floats()
        | some.sampled_from(SCALARS + WORDS)
        | some.text(),
        lambda inner: some.lists(inner, max_size=3) | some.dictionaries(KEYS, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
PART = {"stages": ["build"], "jobs": {"mine": {"script": "make", "env": {"A": "1"}, "steps": [{"run": "a\nb"}]}}}
WRITERS: dict[str, Writer] = {"travis": travis, "github": github, "gitlab": gitlab, "circleci": circleci}
PIPELINE = plan(PROJECT, "travis", program="invoke")
CIS = some.sampled_from(sorted(PATHS))


def check_merge(ci: str, content: bytes) -> None:
    """Check that our part is merged into a file, and that the same is then wanted again."""
    with TemporaryDirectory() as name, bounded():
        directory, path = Path(name), Path(name) / PATHS[ci]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        try:
            wanted = pipeline_file(PROJECT, ci, directory, program="invoke").wanted
        except PipelineError as error:
            assert (1, True) == (len(str(error).splitlines()), str(error).startswith(PATHS[ci]))
            return
        path.write_bytes(wanted.encode())
        assert wanted == pipeline_file(PROJECT, ci, directory, program="invoke").wanted
        text = content.decode().removeprefix("\ufeff").replace("\r\n", "\n")
        former = load_file(re.sub(r"\A(?:[ \t]*\n)*\s*\Z|\A(?:[ \t]*\n)*", "", text), ci) or {}
        data = load_file(wanted.removeprefix("\ufeff").replace("\r\n", "\n"), ci)
        assert set() == {str(key) for key in former if not is_ours(key)} - set(map(str, data))


def is_ours(key: Any) -> bool:
    """Whether a key at the top of a file may be one that was written earlier."""
    return str(key).startswith(("build ", "<<"))


@fuzz
@given(CIS, TEXTS)
def test_any_text_is_merged_or_refused(ci: str, text: str) -> None:
    """Whole or broken YAML."""
    check_merge(ci, text.encode(errors="surrogatepass"))


@fuzz
@given(CIS, DATA)
def test_any_data_has_room_or_is_refused(ci: str, data: dict[str, Any]) -> None:
    """Mappings of the keys that a CI knows, with values of any kind; a small part has all kinds that ours has."""
    writer: Writer = WRITERS[ci]
    text = json.dumps(data)
    with bounded():
        try:
            existing = load_file(text, ci)
            writer.write(PIPELINE, existing)
        except PipelineError as error:
            assert 1 == len(str(error).splitlines())
            return
        former = set(map(str, existing))
        new = load_file(merged(text, existing, PART, writer.LISTS, writer.is_ours), ci)
        assert set() == {key for key in former if not is_ours(key)} - set(map(str, new))
        assert "make" == new["jobs"]["mine"]["script"]


@fuzz
@given(CIS, some.binary() | some.sampled_from([b"\xff\xfea\0", b"\xef\xbb\xbfa: 1\n", b"\0" * 1000, b"a: \xe4"]))
def test_any_bytes_are_merged_or_refused(ci: str, content: bytes) -> None:
    """In whatever encoding."""
    check_merge(ci, content)


@fuzz
@given(TEXTS | DATA.map(json.dumps))
def test_any_travis_file_has_mistakes_of_one_line(text: str) -> None:
    """Each with a line of the file."""
    with bounded():
        lines = max(1, len(text.splitlines()) + 1)
        for mistake in lint.check(text, "x"):
            name, line, problem = mistake.split(":", 2)
            assert ("x", True, 1) == (name, 1 <= int(line) <= lines, len(problem.splitlines()))

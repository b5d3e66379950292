"""YAML of CIs' files that is hostile: one line says where, in bounded time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from multiarch.pipelines.errors import PipelineError
from multiarch.pipelines.travis import lint
from multiarch.pipelines.update import pipeline_file
from tests.unit.pipelines.files import merged, project_of

NOT_YAML = "this is not YAML; correct it, or remove the file"
# Each list names the one before nine times: 9^8 items once anchors are followed.
LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 5000))
DEEP = "this is more than 100 levels deep; make it flatter"
EXPANDED = "with its anchors followed, this is more than 300,000 nodes; use fewer"
CASES = {
    "lists": ("a: " + "[" * 5000, 1, DEEP),
    "mappings": ("".join(" " * level + "a:\n" for level in range(700)), 100, DEEP),
    "dashes": ("a:\n" + "- " * 5000, 2, DEEP),
    "chain": (CHAIN, 100, DEEP),
    "laughs": (LAUGHS, 7, EXPANDED),
    "merges": (MERGES, 13, EXPANDED),
    "many": ("a:\n" + "- x\n" * 40_000, 29_999, "it has more than 30,000 nodes; make it smaller"),
    "loop": ("a: &a\n- b\n- *a\n", 3, "the anchor 'a' holds itself; take it out of there"),
    "merged loop": ("a: &a\n  <<: *a\n", 2, "the anchor 'a' holds itself; take it out of there"),
}


def error(tmp_path: Path, content: str) -> str:
    """Return the error of a .travis.yml that our jobs are to be merged into."""
    (tmp_path / ".travis.yml").write_text(content, newline="")
    with pytest.raises(PipelineError) as caught:
        pipeline_file(project_of(), "travis", tmp_path, program="invoke")
    return str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_limits_end_the_reading_of_what_is_too_much(tmp_path: Path, name: str) -> None:
    """A CI expands anchors, and so does what looks into a file: neither depth nor number may explode."""
    text, line, problem = CASES[name]
    began = time.process_time()
    assert f".travis.yml:{line}: {problem}" == error(tmp_path, text)
    assert [f".travis.yml:{line}: {problem}"] == lint.check(text, ".travis.yml")
    assert time.process_time() - began < 60


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2\n", 2),
        ("b: 1\na: !!int abc\n", 2),
        ("b: 1\na: !!float x\n", 2),
        ("b: 1\na: !!bool x\n", 2),
        ("b: 1\na: 2020-99-99\n", 2),
        ("b: 1\na: " + "9" * 10_000 + "\n", 2),
        ("%YAML 1.1\n---\na: " + "1:1" * 10_000 + "\n", 3),
        ("a: 1\nb: \0\n", 2),
        ("a: 1\nb: *c\n", 2),
    ],
)
def test_values_that_are_not_of_their_kind_are_errors_with_a_line(tmp_path: Path, text: str, line: int) -> None:
    """The parser has other errors for them, or takes quadratic time."""
    assert f".travis.yml:{line}: {NOT_YAML}" == error(tmp_path, text)


def test_tags_make_nothing(tmp_path: Path) -> None:
    """A tag that names a function of Python's stays a tag, as it is written."""
    text = "_a: !!python/object/apply:os.mkdir [made]\n"
    (tmp_path / ".travis.yml").write_text(text)
    assert text in pipeline_file(project_of(), "travis", tmp_path, program="invoke").wanted
    assert [".travis.yml"] == [path.name for path in tmp_path.iterdir()]
    assert not Path("made").exists()


@pytest.mark.parametrize("ci", ["gitlab", "github"])
def test_lists_are_indented_as_the_first_one(tmp_path: Path, ci: str) -> None:
    """An item of blanks alone, an anchor and a block of text with dashes are no measure."""
    text = "x-text: |\n  - a\nx: &b\n  c:\n    - e\n    -   \ny: *b\n"
    assert "x: &b\n  c:\n    - e\n    -\ny: *b\n" in merged(tmp_path, ci, text).text.replace("- \n", "-\n")


@pytest.mark.parametrize(
    "text", ["x: 1 # c", "# c", "#!", "x: 4.287239440988162e+16\n", "x: 1.10\n", "x: &a 1.50\ny: *a\n"]
)
def test_what_is_a_projects_own_stays(tmp_path: Path, text: str) -> None:
    """A last line without an end is not run together with ours, and a number keeps its digits."""
    assert f"{text.rstrip()}\n" in merged(tmp_path, "github", text).text


@pytest.mark.parametrize("end", ["\r", "\x85", "\u2028"])
def test_other_ends_of_lines_are_errors(tmp_path: Path, end: str) -> None:
    """YAML and CIs disagree whether they are any."""
    expected = f".travis.yml:2: U+{ord(end):04X} ends a line; end lines in LF, or in CR and LF"
    assert expected == error(tmp_path, f"a: 1\nb: 2{end}c: 3\n")


def test_what_is_not_written_as_it_was_read_is_left_alone(tmp_path: Path) -> None:
    """A tag without a value: the parser takes it for an empty file, and would lose what follows."""
    expected = ".travis.yml: ours cannot be merged into it as it is written; write it more simply"
    assert expected == error(tmp_path, "!\n")
    assert "!\n" == (tmp_path / ".travis.yml").read_text()

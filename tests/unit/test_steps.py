"""What BuildKit tells of the steps of a solve."""

from __future__ import annotations

import json

import pytest

from multiarch.buildkit.status import Vertex, Vertices
from multiarch.formatting import one_line
from tests.unit.rawjson import status, vertex


def _step(*lines: str) -> Vertex:
    """Return the one step that these lines are about."""
    steps = Vertices()
    for line in lines:
        list(steps.vertexes(json.loads(line)))
        steps.statuses(json.loads(line))
    (step,) = steps
    return step


def test_bytes_are_those_of_all_layers() -> None:
    """What came of each, last; what is unpacked after it came is not counted again."""
    lines = [status("a", "sha256:1", 1, 10), status("a", "sha256:2", 5, 20), status("a", "sha256:1", 10, 10)]
    step = _step(vertex("a", "FROM busybox"), *lines, status("a", "extracting sha256:1", 3, 3), status("a", "resolve"))
    assert ((15, 30), "resolve") == (step.transferred, step.doing)


def test_where_one_size_is_unknown_the_whole_is() -> None:
    """A context is sent without telling how large it is."""
    step = _step(vertex("a", "load"), status("a", "transferring context:", 7), status("a", "sha256:1", 1, 10))
    assert (8, 0) == step.transferred


def test_a_step_that_is_begun_again_runs_again() -> None:
    """An export is followed by its push, under the same name: with a time of its own, and from no byte on."""
    first, then = vertex("a", "exporting to image", seconds=3), "2026-01-02T03:04:09Z"
    again = vertex("a", "exporting to image", started=then)
    step = _step(first, status("a", "exporting layers", 5), again)
    assert (True, None, "", (0, 0)) == (step.is_running, step.seconds, step.doing, step.transferred)
    over = vertex("a", "exporting to image", started=then, completed="2026-01-02T03:04:10Z")
    step = _step(first, again, status("a", "pushing layers"), over)
    assert (False, 1.0, True) == (step.is_running, step.seconds, step.is_pushing)


def test_what_is_told_twice_is_over_still() -> None:
    """The same beginning without an end is no new one."""
    step = _step(vertex("a", "RUN make", seconds=3), vertex("a", "RUN make"))
    assert (False, True) == (step.is_running, step.seconds is not None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN <<EOF\n\tmake\nEOF", "RUN <<EOF make EOF"),
        ("\x1b[1;31mred\x1b[0m\x1b[2K\x1b[3A", "red"),
        ("\x1b]0;title\x07text\x1b]8;;http://a\x1b\\link\x1b(B", "text link"),
        ("a\x00b\x7f\x9bc", "a b c"),
        ("grün │ 漢字", "grün │ 漢字"),
    ],
)
def test_text_of_one_line_moves_no_cursor(text: str, expected: str) -> None:
    """Of what programs write, for terminals too, the words are left."""
    assert expected == one_line(text)

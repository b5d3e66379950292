"""The vertices of a solve, read from BuildKit's states."""

from __future__ import annotations

from multiarch.buildkit.rawjson import read_state
from multiarch.buildkit.status import Vertex, Vertices
from tests.unit.rawjson import status, vertex


def _only_vertex(*lines: str) -> Vertex:
    """Return the only vertex that these lines describe."""
    vertices = Vertices()
    for line in lines:
        state = read_state(line.encode())
        assert state
        list(vertices.vertexes(state))
        vertices.statuses(state)
    (only,) = vertices
    return only


def test_transferred_bytes_are_those_of_all_layers() -> None:
    """The last count of each layer is added; unpacking a layer that was transferred counts no byte again."""
    lines = [status("a", "sha256:1", 1, 10), status("a", "sha256:2", 5, 20), status("a", "sha256:1", 10, 10)]
    lines += [status("a", "extracting sha256:1", 3, 3), status("a", "resolve")]
    pulled = _only_vertex(vertex("a", "FROM busybox"), *lines)
    assert ((15, 30), "resolve") == (pulled.transferred, pulled.doing)


def test_total_is_unknown_where_one_size_is() -> None:
    """A context is sent without its size, and a sum of the others would be too small."""
    loaded = _only_vertex(vertex("a", "load"), status("a", "transferring context:", 7), status("a", "sha256:1", 1, 10))
    assert (8, 0) == loaded.transferred


def test_restarted_vertex_runs_again() -> None:
    """An export is followed by its push under the same name, with a time of its own, and from no byte on."""
    first, then = vertex("a", "exporting to image", seconds=3), "2026-01-02T03:04:09Z"
    again = vertex("a", "exporting to image", started=then)
    export = _only_vertex(first, status("a", "exporting layers", 5), again)
    assert (True, None, "", (0, 0)) == (export.is_running, export.seconds, export.doing, export.transferred)
    over = vertex("a", "exporting to image", started=then, completed="2026-01-02T03:04:10Z")
    push = _only_vertex(first, again, status("a", "pushing layers"), over)
    assert (False, 1.0, True) == (push.is_running, push.seconds, push.is_pushing)


def test_vertex_that_is_reported_twice_stays_over() -> None:
    """BuildKit repeats a vertex without its end; the same start is no restart."""
    made = _only_vertex(vertex("a", "RUN make", seconds=3), vertex("a", "RUN make"))
    assert (False, True) == (made.is_running, made.seconds is not None)

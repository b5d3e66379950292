"""BuildKit's lines and its metadata file, as hostile as they may be: no exception, in bounded memory and time."""

from __future__ import annotations

import base64
import io
import json
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multiarch.buildkit.faults import hint_for, is_transient_fault
from multiarch.buildkit.metadata import read_digest
from multiarch.buildkit.output import Output
from multiarch.buildkit.rawjson import read_state
from multiarch.buildkit.status import Vertices, warnings
from multiarch.display.progress import Progress
from tests.exhaustive.fuzz.limits import fuzz
from tests.unit.legs import leg

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 20.0  # seconds a case
MOST = 300 << 20  # bytes that all cases of a test may hold at once
ARM64 = leg("arm64")
TIMES = st.sampled_from(
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:06.5+14:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "2026-13-99T99:99:99Z",
        "2026-01-02T03:04:05+99:99",
        "x",
        "",
    ]
)
NAMES = st.sampled_from(
    [
        "[1/2] RUN x",
        "[linux/arm64 2/3] COPY a b",
        "[linux/amd64->arm64 b 9999999/1] x",
        "[internal] load",
        "[",
        "[] ",
        "importing cache manifest from x",
        "exporting to image",
        "[auth] x",
        "[" * 50,
        "] [",
        "[a]b] c",
    ]
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | TIMES | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
DIGESTS = st.sampled_from(["a", "b", "sha256:" + "0" * 64, ""])
DATA = st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()) | st.sampled_from(["%", "A", "AA=="])


def record(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return records in which any field is missing, or anything at all."""
    return st.fixed_dictionaries({}, optional={name: value | ANY for name, value in fields.items()})


def listed(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return lists of such records, and mostly no others."""
    right = st.fixed_dictionaries({}, optional=dict(fields))
    return st.lists(right, max_size=4) | st.lists(right | record(**fields) | ANY, max_size=3) | ANY


VERTEX = {"digest": DIGESTS, "name": NAMES, "started": TIMES, "completed": TIMES, "cached": st.booleans()}
NUMBERS = st.integers() | st.sampled_from([-1, 0, 1 << 63, 10**400])
STATES = st.fixed_dictionaries(
    {},
    optional={
        "vertexes": listed(**VERTEX, error=st.text(max_size=30) | NAMES),
        "statuses": listed(vertex=DIGESTS, id=st.text(max_size=10), current=NUMBERS, total=NUMBERS),
        "logs": listed(vertex=DIGESTS, data=DATA),
        "warnings": listed(short=DATA),
        "other": ANY,
    },
)
LINES = st.one_of(
    STATES.map(lambda state: json.dumps(state).encode()),
    st.binary(max_size=200),
    ANY.map(lambda value: json.dumps(value).encode()),
    STATES.flatmap(lambda state: st.integers(0, 400).map(lambda cut: json.dumps(state).encode()[:cut] + b"\xff")),
)


@pytest.fixture(autouse=True)
def in_bounds() -> Iterator[None]:
    """No test holds more than it may."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST


@fuzz
@given(st.lists(LINES, max_size=6))
@example([b'{"x": ' + b"[" * 200_000])
@example([b'{"vertexes": [' + b'{"digest": "a"},' * 50_000 + b'{"digest": "b"}]}'])
@example([b'{"vertexes": [' + b",".join(b'{"digest": "%d"}' % n for n in range(50_000)) + b"]}"])
@example([b'{"statuses": [' + b",".join(b'{"vertex": "a", "id": "%d", "total": 1}' % n for n in range(50_000)) + b"]}"])
def test_no_line_is_an_exception(lines: list[bytes]) -> None:
    """Each is a state or words, for what is shown of it, too."""
    began = time.process_time()
    vertices = Vertices()
    shown = io.StringIO()
    progress = Progress(shown)
    for line in lines:
        state = read_state(line)
        if state is None:
            continue
        for vertex in vertices.vertexes(state):
            progress.changed(vertex, (ARM64,))
        vertices.statuses(state)
        for vertex, text in vertices.logs(state):
            progress.said(vertex, text, (ARM64,))
        for text in warnings(state):
            progress.say(text, (ARM64,))
    for vertex in vertices:
        current, total = vertex.transferred
        assert current >= 0
        assert total >= 0
        assert isinstance(vertex.seconds, float | None)
    assert time.process_time() - began < LONGEST


def last_state(line: bytes) -> str:
    """Return a line as a terminal shows it in the end."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")


@fuzz
@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"\r", b"\n", b"\r\n", b"a\rb", b"\xc3"]), max_size=20))
def test_output_is_the_same_however_it_is_cut(pieces: list[bytes]) -> None:
    """As if it had come at once, and its carriage returns been applied afterwards."""
    output = Output()
    for piece in pieces:
        list(output.add(piece))
    *whole, rest = b"".join(pieces).split(b"\n")
    expected = [last_state(line) for line in whole] + ([last_state(rest)] if last_state(rest) else [])
    assert expected == output.lines


@fuzz
@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from(["scanner", ": not found", "503 A", "dial unix ", " "])).map("".join)
)
def test_words_have_a_verdict(text: str) -> None:
    """Whatever they are."""
    assert isinstance(hint_for(text), str)
    assert is_transient_fault(text) in (True, False)


@fuzz
@given(
    st.binary(max_size=200)
    | ANY.map(lambda value: json.dumps({"containerimage.digest": value}).encode())
    | st.text("0123456789abcdef", min_size=63, max_size=65).map(
        lambda digest: json.dumps({"containerimage.digest": f"sha256:{digest}"}).encode()
    )
)
def test_metadata_is_a_digest_or_a_reason(text: bytes) -> None:
    """And the reason is one line."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "metadata.json"
        file.write_bytes(text)
        try:
            digest = read_digest(file)
        except ValueError as error:
            assert 1 == len(str(error).splitlines())
        else:
            assert (71, "sha256:") == (len(digest), digest[:7])

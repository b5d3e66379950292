"""What docs/several-images.md shows is what is drawn."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from multiarch.buildkit.output import Output
from multiarch.buildkit.status import Vertex
from multiarch.display.rows import RowState
from multiarch.display.summary import Summary, summary_lines
from tests.unit.display.test_rows import LEGS, rows_of, screen
from tests.unit.display.test_summary import DIGEST
from tests.unit.legs import leg
from tests.unit.project import ROOT

if TYPE_CHECKING:
    import pytest

PAGE = (ROOT / "docs" / "several-images.md").read_text()
ROWS, TABLE = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[:2]


def test_rows_of_24_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal of ten lines, twelve and 38 seconds after what is shown began."""
    rows = rows_of(LEGS)
    for row in rows[:14]:
        row.end(RowState.DONE)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    rows[18].changed(Vertex(instruction="exporting to image", started=1.0, doing="pushing layers"))
    monkeypatch.setattr(time, "monotonic", lambda: 126.0)
    for row in rows[14:16]:
        log = Output(["  CC main.o"])
        row.changed(Vertex(instruction="RUN make -j4", number=5, total=9, started=1.0, log=log))
    monkeypatch.setattr(time, "monotonic", lambda: 138.0)
    assert ROWS.splitlines() == screen(rows, 100, 10)


def test_table_of_three_targets() -> None:
    """A base that is not published has no size."""
    legs = [
        leg("amd64", "base"),
        leg("arm64", "base"),
        leg("amd64", "app"),
        leg("arm64", "app"),
        leg("amd64", "worker"),
    ]
    rows = [
        Summary(
            one.platform,
            DIGEST,
            0 if one.target == "base" else 12_345_678,
            12.3,
            3,
            1,
            str(one.platform) == "linux/arm64",
            target=one.target,
        )
        for one in legs
    ]
    assert TABLE.splitlines() == summary_lines(rows, 100)

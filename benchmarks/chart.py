"""A chart of a group's tables: bars in SVG, which is read on light and on dark pages."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.table import Bar

# pixels
_WIDTH, _LEFT, _RIGHT = 760, 250, 76
_HEAD, _BAR, _GAP, _BETWEEN = 24, 16, 4, 14
# Ours in a colour, others in grey; both are seen on white and on black, and texts change with the page.
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.case { font-weight: 600; }
.bar { fill: #8c959f; }
.ours { fill: #1f883d; }
.goal { stroke: #bc4c00; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .bar { fill: #656c76; }
  .ours { fill: #3fb950; }
  .goal { stroke: #f0883e; }
}
"""


def chart(cases: Mapping[str, Sequence[Bar]], title: str, ours: str) -> str:
    """Return an SVG with the bars of each case on an axis of its own, from 0; a line across a bar is its goal.

    :param title: what readers that do not see it are told.
    :param ours: what the labels of our bars begin with.
    """
    parts, top = [], 0
    for name, bars in cases.items():
        parts.append(_text(0, top + _HEAD - 8, name, "case"))
        top += _HEAD
        longest = max(max(bar.value, bar.mark or 0.0) for bar in bars) or 1.0
        scale = (_WIDTH - _LEFT - _RIGHT) / longest
        has_others = any(bar.label.startswith(ours) for bar in bars)  # else all are ours
        for bar in bars:
            is_ours = bar.label.startswith(ours) or not has_others
            parts += _drawn(bar, top, scale, "ours" if is_ours else "bar")
            top += _BAR + _GAP
        top += _BETWEEN
    size = f'width="{_WIDTH}" height="{top}" viewBox="0 0 {_WIDTH} {top}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{escape(title)}</title>'
    return "\n".join([head, f"<style>{_STYLE}</style>", *parts, "</svg>", ""])


def _drawn(bar: Bar, top: int, scale: float, kind: str) -> list[str]:
    length = max(bar.value * scale, 1.0)
    parts = [
        _text(_LEFT - 8, top + _BAR - 4, bar.label, "", "end"),
        f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{length:.1f}" height="{_BAR}"/>',
        _text(_LEFT + max(length, (bar.mark or 0.0) * scale) + 6, top + _BAR - 4, bar.text),
    ]
    if bar.mark is not None:
        x = _LEFT + bar.mark * scale
        parts.append(f'<line class="goal" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 2}" y2="{top + _BAR + 2}"/>')
    return parts


def _text(x: float, y: int, text: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}"{style}>{escape(text)}</text>'

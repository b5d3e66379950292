"""Rows on a terminal: one for each platform, redrawn in place, with what is finished kept above."""

from __future__ import annotations

from multiarch.progress import Progress


class LiveProgress(Progress):
    """Shows the same as `Progress`, as rows."""

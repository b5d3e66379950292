"""What buildctl writes with ``--progress rawjson``, to be said by scripts in its place."""

from __future__ import annotations

import base64
import json
from typing import Any


def vertex(digest: str, name: str, *, seconds: float | None = None, **more: Any) -> str:
    """Return a line with the state of a step; with *seconds*, it is completed."""
    state: dict[str, Any] = {"digest": digest, "name": name, "started": "2026-01-02T03:04:05.000000001Z", **more}
    if seconds is not None:
        state.setdefault("completed", f"2026-01-02T03:04:{5 + seconds:012.9f}Z")
    return json.dumps({"vertexes": [state]})


def log(digest: str, text: str | bytes) -> str:
    """Return a line with output of a step."""
    data = text.encode() if isinstance(text, str) else text
    return json.dumps({"logs": [{"vertex": digest, "stream": 1, "data": base64.b64encode(data).decode()}]})


def warning(text: str) -> str:
    """Return a line with a warning of the Dockerfile's checks."""
    return json.dumps({"warnings": [{"short": base64.b64encode(text.encode()).decode()}]})


def status(digest: str, what: str, current: int = 0, total: int = 0) -> str:
    """Return a line with what a step is at."""
    return json.dumps({"statuses": [{"vertex": digest, "id": what, "current": current, "total": total}]})

"""Lines as ``buildctl --progress rawjson`` writes them, for scripts that take its place."""

from __future__ import annotations

import base64
import json
from typing import Any


def vertex(digest: str, name: str, *, seconds: float | None = None, **fields: Any) -> str:
    """Return a line with the state of a vertex; with *seconds*, it is completed after them."""
    state: dict[str, Any] = {"digest": digest, "name": name, "started": "2026-01-02T03:04:05.000000001Z", **fields}
    if seconds is not None:
        state.setdefault("completed", f"2026-01-02T03:04:{5 + seconds:012.9f}Z")
    return json.dumps({"vertexes": [state]})


def log(digest: str, text: str | bytes) -> str:
    """Return a line with output of a vertex."""
    data = text.encode() if isinstance(text, str) else text
    return json.dumps({"logs": [{"vertex": digest, "stream": 1, "data": base64.b64encode(data).decode()}]})


def warning(text: str) -> str:
    """Return a line with a warning of the Dockerfile's checks."""
    return json.dumps({"warnings": [{"short": base64.b64encode(text.encode()).decode()}]})


def status(digest: str, name: str, current: int = 0, total: int = 0) -> str:
    """Return a line with the work of a vertex, such as ``pushing layers``, and its bytes."""
    return json.dumps({"statuses": [{"vertex": digest, "id": name, "current": current, "total": total}]})

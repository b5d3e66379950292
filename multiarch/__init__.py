"""Multi-architecture images from a single-architecture CI, as Invoke tasks.

``from multiarch import ns`` in a tasks.py adopts them.
"""

from __future__ import annotations

from typing import Any

from multiarch.version import __version__

__all__ = ["__version__", "ns"]


def __getattr__(name: str) -> Any:
    """Import the tasks, and Invoke with them, only when they are asked for."""
    if name == "ns":
        from multiarch.cli.entry import prepare
        from multiarch.cli.tasks import ns

        prepare(ns)
        return ns
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

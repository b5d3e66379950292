"""Where this tool keeps its files, after the XDG base directory specification."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return where files lie that can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multiarch"


def state_directory() -> Path:
    """Return where files lie that outlive a reboot but are of no use to anybody else."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "multiarch"

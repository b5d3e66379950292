"""Directories of the lab; it keeps nothing elsewhere."""

from __future__ import annotations

from pathlib import Path

NAME = "multiarch-lab"

SOURCE = Path(__file__).parent

# What is costly to make or to download; `lab.down` keeps it.
CACHE = Path("/var/cache") / NAME
PARTS = CACHE / "parts"
GO = CACHE / "go"
MIRROR_STORAGE = CACHE / "mirror"

# What lives as long as the lab is up, a reboot included.
STATE = Path("/var/lib") / NAME
DATA_ROOT = STATE / "docker"

# What lives as long as the daemons.
RUN = Path("/run") / NAME
EXEC_ROOT = RUN / "docker"

# Docker hosts beside the lab's own, for tests.
HOSTS = STATE / "hosts"

# A Kubernetes of one node, for tests.
CLUSTER = STATE / "cluster"

LOGS = Path("/var/log") / NAME

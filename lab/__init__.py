"""The lab: makes a bare Debian machine a Docker host with an offline mirror of Docker Hub."""

from __future__ import annotations

from invoke.collection import Collection

from lab import tasks

ns = Collection("lab")
ns.add_task(tasks.up, default=True)
ns.add_task(tasks.down)
ns.add_task(tasks.status)
ns.add_task(tasks.kubernetes)

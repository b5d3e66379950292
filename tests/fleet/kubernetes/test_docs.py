"""What docs/fleet.md says of Kubernetes: its commands, run as they stand there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.fleet.kubernetes.conftest import NAMESPACE
from tests.fleet.test_docs import blocks, shell

if TYPE_CHECKING:
    from tests.fleet.kubernetes.conftest import Pool
    from tests.fleet.parts import Project


def test_builders_in_kubernetes_from_nothing(inside: Project, pool: Pool) -> None:
    """The first block as who may do all there, the second with the account that came with it."""
    make, use = blocks("From nothing, in Kubernetes")
    invoke = inside.path / "invoke"
    invoke.write_text(f'#!/bin/sh\nexec {sys.executable} -m invoke "$@"\n')
    invoke.chmod(0o755)
    inside.write("FROM scratch\nCOPY Dockerfile /\n", pool.settings() + f"  buildkitd_config: {pool.toml}\n")
    path = f"{inside.path}:{inside.environ['PATH']}"
    try:
        made = shell(make, inside.path, inside.env(PATH=path, KUBECONFIG=str(pool.cluster.kubeconfig)))
        printed = shell(use, inside.path, inside.env(PATH=path))
    finally:
        pool.cluster.run("-n", NAMESPACE, "scale", "statefulset/z", "--replicas=2")
    assert "statefulset.apps/z configured" in made
    assert "statefulset rolling update complete" in made or "partitioned roll out complete" in made
    assert f"{inside.image}:latest@sha256:" in printed
    assert "z/z-0 " in printed

"""Builders in pods: a release with no other rights than those of fleet-pods, and pods that end while they build."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from tests.fleet.kubernetes.conftest import NAMESPACE, POOL
from tests.fleet.parts import commands_of, processes_of, published, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fleet.kubernetes.conftest import Pool
    from tests.fleet.parts import Builder, Project

    Start = Callable[..., Builder]

DOCKERFILE = "FROM busybox:stable\nCOPY Dockerfile /\nRUN uname -m >/machine\n"
SLOW = "FROM busybox:stable\nRUN echo {0} && sleep {1} && true\n"


def builders_of(project: Project) -> list[tuple[str, list[str]]]:
    """Return by the report who built, and who was lost before."""
    rows = json.loads((project.path / "report.json").read_text())["platforms"]
    return [(row["builder"], row["lost"]) for row in rows]


def test_release_has_the_digest_of_a_local_one(inside: Project, pool: Pool, local: Start) -> None:
    """With the Role of fleet-pods alone; and it goes to the same pod each time, whose cache is warm."""
    settings, digests, pods = pool.settings() + "  reproducible: true\n", [], []
    here = local("here", pool.registry.host)
    for setting in (settings, settings, settings.replace(POOL, f"here: {{address: '{here.address}'}}")):
        inside.write(DOCKERFILE, setting)
        os.utime(inside.path / "Dockerfile", (1_700_000_000, 1_700_000_000))
        result = inside.run("release", "--report", "report.json", SOURCE_DATE_EPOCH="1700000000")
        assert 0 == result.status, result.err
        digests.append(published(inside))
        pods += builders_of(inside)
    assert (1, True) == (len(set(digests)), digests[0].startswith("sha256:"))
    assert pods[0] == pods[1]
    assert pods[0][0] in ("z/z-0", "z/z-1")
    assert ("here", []) == pods[2]


def test_fleet_shows_each_pod(inside: Project, pool: Pool) -> None:
    """With what it has, as of every builder."""
    inside.write(DOCKERFILE, pool.settings())
    shown = inside.run("fleet")
    assert (0, ["z/z-0", "z/z-1"]) == (shown.status, sorted(line.split()[0] for line in shown.out[1:])), shown.err


def test_build_goes_on_in_another_pod_when_its_own_is_deleted(inside: Project, pool: Pool) -> None:
    """By force, as where a machine is taken away: nothing is drained."""
    inside.write(SLOW.format("deleted", 5), pool.settings())
    run = inside.begin("release", "--report", "report.json")
    wait_until(lambda: bool(commands_of("echo deleted")), "the RUN", 60)
    (pod,) = {words.partition("kube-pod://")[2].partition("?")[0] for words in processes_of("kube-pod://")}
    pool.cluster.run("-n", NAMESPACE, "delete", "pod", pod, "--force", "--grace-period=0")
    result = inside.end(run)
    assert 0 == result.status, result.err
    assert [(f"z/z-{1 - int(pod[-1])}", [f"z/{pod}"])] == builders_of(inside)
    assert [f"{inside.image}:latest@{published(inside)}"] == result.out
    assert [] == processes_of(inside.path.name) + processes_of("kube-pod") + processes_of("exec")


def test_build_goes_on_in_a_pod_of_another_name(inside: Project, pool: Pool, tmp_path: Path) -> None:
    """As of a Deployment, which never gives a name again: the pool has no pod left but the new one."""
    template = json.loads(pool.cluster.run("-n", NAMESPACE, "get", "statefulset", "z", "-o", "json"))["spec"][
        "template"
    ]

    def create(name: str) -> None:
        about = {"name": name, "namespace": NAMESPACE, "labels": {"app": "replaced"}}
        objects = {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": template["spec"]}
        (tmp_path / "pod.json").write_text(json.dumps(objects))
        pool.cluster.run("create", "-f", str(tmp_path / "pod.json"))
        pool.cluster.run("-n", NAMESPACE, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")

    create("d-old")
    inside.write(SLOW.format("replaced", 6), pool.settings(POOL.replace("app=buildkit", "app=replaced")))
    run = inside.begin("release", "--report", "report.json")
    wait_until(lambda: bool(commands_of("echo replaced")), "the RUN", 60)
    pool.cluster.run("-n", NAMESPACE, "delete", "pod", "d-old", "--force", "--grace-period=0")
    create("d-new")
    result = inside.end(run)
    pool.cluster.run("-n", NAMESPACE, "delete", "pod", "d-new", "--force", "--grace-period=0")
    assert 0 == result.status, result.err
    assert [("z/d-new", ["z/d-old"])] == builders_of(inside)


def test_pod_that_ends_finishes_its_build_and_gets_no_other(inside: Project, pool: Pool) -> None:
    """BuildKit drains when it is told to end; Kubernetes calls the pod Running and Ready for so long."""
    inside.write(SLOW.format("drained", 12), pool.settings())
    run = inside.begin("release", "--report", "report.json")
    wait_until(lambda: bool(commands_of("echo drained")), "the RUN", 60)
    (pod,) = {words.partition("kube-pod://")[2].partition("?")[0] for words in processes_of("kube-pod://")}
    pool.cluster.run("-n", NAMESPACE, "delete", "pod", pod, "--wait=false")
    shown = inside.run("fleet")
    assert (0, [f"z/z-{1 - int(pod[-1])}"]) == (shown.status, [line.split()[0] for line in shown.out[1:]]), shown.err
    result = inside.end(run)
    assert 0 == result.status, result.err
    assert [(f"z/{pod}", [])] == builders_of(inside)


def test_build_goes_on_elsewhere_when_the_kubelet_is_killed(inside: Project, pool: Pool, local: Start) -> None:
    """Its pods are shown as ready for half a minute still; no build begins in them."""
    here = local("here", pool.registry.host)
    inside.write(SLOW.format("killed", 5), pool.settings(f"{POOL}\nhere: {{address: '{here.address}'}}"))
    run = inside.begin("release", "--report", "report.json")
    wait_until(lambda: bool(commands_of("echo killed")), "the RUN", 60)
    pool.cluster.kill_kubelet()
    try:
        result = inside.end(run)
        again = inside.run("release", "--report", "again.json", "--no-cache")
    finally:
        pool.cluster.start_kubelet()
    assert 0 == result.status, result.err
    assert "here" == builders_of(inside)[0][0]
    assert builders_of(inside)[0][1]
    assert 0 == again.status, again.err
    assert [] == processes_of("kube-pod")

"""Fixtures: a cluster with builders as fleet-pods prints them, and what their pods reach."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from lab import cluster as lab_cluster
from lab import mirror, processes
from lab.daemons import CGROUP
from lab.paths import CLUSTER, MIRROR_STORAGE
from tests.fleet.parts import Daemon, Project, Registry, command_lines, listens, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.cluster import Cluster

NAMESPACE = "builders"
POOL = "z: {pods: {selector: app=buildkit, namespace: builders}, platforms: [linux/amd64]}"
_MIRROR = f"{lab_cluster.ADDRESS}:{mirror.PORT}"


@dataclass(frozen=True)
class Pool:
    """Two builders in pods.

    :ivar registry: that they push to.
    :ivar account: the kubeconfig of those who build: with the Role of fleet-pods alone.
    :ivar toml: the configuration of the builders.
    """

    cluster: Cluster
    registry: Registry
    account: Path
    toml: Path

    def pods(self) -> list[str]:
        """Return the names of the pods that Kubernetes holds for ready."""
        template = '{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
        text = self.cluster.run("-n", NAMESPACE, "get", "pods", "-o", f"jsonpath={template}")
        return [line.split()[0] for line in text.splitlines() if line.endswith(" True")]

    def wait(self) -> None:
        """Wait until both are ready."""
        wait_until(lambda: len(self.pods()) == 2, "the start of both pods", 90)

    def environ(self, kubeconfig: Path | None = None) -> dict[str, str]:
        """Return the environment of those who build."""
        path = f"{self.cluster.kubectl.parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        return {"KUBECONFIG": str(kubeconfig or self.account), "PATH": path}

    def settings(self, builders: str = POOL) -> str:
        """Return the settings of a project on these builders."""
        lines = ["platforms: [linux/amd64]", f"insecure_registries: ['{self.registry.host}']", "builders:"]
        return "".join(f"  {line}\n" for line in lines) + "".join(f"    {line}\n" for line in builders.splitlines())


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A Kubernetes of one node; nothing of it is left at the end."""
    with lab_cluster.cluster() as one:
        yield one
    groups = [path for path in CGROUP.glob("**/multiarch-lab-cluster*") if path.is_dir()]
    assert ([], [], []) == (processes.mounts_in(CLUSTER), groups, processes.rooted_in(CLUSTER))
    assert [] == [line for line in command_lines() if f"{CLUSTER}/" in line]
    namespaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert "cni-" not in namespaces


@pytest.fixture(scope="session")
def pool(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """The objects that fleet-pods prints, applied; two pods of them, ready."""
    folder = tmp_path_factory.mktemp("pool")
    registry = Registry(folder / "registry", lab_cluster.ADDRESS).start()
    served = _serve_mirror(folder)
    project = Project(folder, f"{registry.host}/app")
    (folder / "buildkitd.toml").write_text(
        f'[registry."docker.io"]\nmirrors = ["{_MIRROR}"]\n[registry."{_MIRROR}"]\nhttp = true\n'
    )
    one = Pool(cluster, registry, folder, folder / "buildkitd.toml")
    project.write("FROM scratch\n", one.settings() + f"  buildkitd_config: {folder}/buildkitd.toml\n")
    printed = project.run("fleet-pods")
    assert (0, "") == (printed.status, printed.err)
    objects = "\n".join(printed.out)
    words = [str(cluster.kubectl), "--kubeconfig", str(cluster.kubeconfig), "apply", "-f", "-"]
    applied = subprocess.run(words, input=objects, capture_output=True, text=True)
    assert (0, "") == (applied.returncode, applied.stderr)
    cluster.run("-n", NAMESPACE, "scale", "statefulset/z", "--replicas=2")
    one = Pool(cluster, registry, cluster.account(NAMESPACE, "multiarch"), folder / "buildkitd.toml")
    one.wait()
    yield one
    for daemon in (registry.daemon, served):
        daemon.end()


@pytest.fixture
def inside(pool: Pool, tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    """A project of the test's own, on these builders."""
    pool.wait()
    (tmp_path / "project").mkdir()
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")[:60].strip("-")
    return Project(tmp_path / "project", f"{pool.registry.host}/{name}", pool.environ())


def _serve_mirror(folder: Path) -> Daemon:
    """Serve the lab's mirror of Docker Hub where pods reach it."""
    config = folder / "mirror.yml"
    config.write_text(
        "version: 0.1\nlog: {accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {MIRROR_STORAGE}}}, maintenance: {{readonly: {{enabled: true}}}}}}\n"
        f"http: {{addr: '{_MIRROR}'}}\n"
    )
    daemon = Daemon(["docker-registry", "serve", str(config)], folder / "mirror.log")
    daemon.start()
    wait_until(lambda: listens(lab_cluster.ADDRESS, mirror.PORT), "the start of the mirror")
    return daemon

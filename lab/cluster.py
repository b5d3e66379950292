"""A Kubernetes of one node, as users have it: off the Docker host, in a directory and on a network of its own.

It takes its images from the lab's mirror, and is up within its context.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import shutil
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from lab import buildkit, kubernetes, mirror, processes, runtime
from lab.changes import Changes
from lab.commands import run
from lab.daemons import Daemon, answers, remove_cgroups
from lab.errors import LabError
from lab.paths import CLUSTER, SOURCE

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

NODE = "lab"
ADDRESS = "10.231.7.1"  # of this machine, as pods see it
_BRIDGE, _NETWORK, _FIRST = "multiarch-lab1", "10.231.7.0/24", "10.231.7.10"
_CGROUP = "multiarch-lab-cluster"
_API = f"https://{ADDRESS}:6443"
_SECONDS = 90.0  # seconds for a start; each takes a few
PARTS = (kubernetes.PROGRAMS, kubernetes.ETCD, kubernetes.PAUSE_IMAGE, buildkit.CNI)
# The last started first: what starts containers ends before what they are in.
_DAEMONS = ("kubelet", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
# What a kubelet makes, whatever its configuration says: a socket, and links to logs.
_DEVICES, _CONTAINER_LOGS = Path("/var/lib/kubelet/device-plugins"), Path("/var/log/containers")
_MADE = (_DEVICES, _CONTAINER_LOGS)
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "30")


@dataclass
class Cluster:
    """A cluster that is up.

    :ivar kubectl: the program.
    :ivar kubeconfig: of a user who may do all.
    """

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def kubectl(self) -> Path:
        """The program."""
        return kubernetes.PROGRAMS.folder / "kubectl"

    @property
    def kubeconfig(self) -> Path:
        """Of a user who may do all."""
        return self.folder / "admin.json"

    def run(self, *words: str) -> str:
        """Return what kubectl prints. :raises LabError: it failed."""
        return run([self.kubectl, "--kubeconfig", self.kubeconfig, *words])

    def user(self, name: str, groups: str = "") -> Path:
        """Return the kubeconfig of a user, who has no rights but those that RBAC gives."""
        organisation = f"/O={groups}" if groups else ""
        certificate, key = _certificate(self.folder, name, f"{organisation}/CN={name}", "clientAuth")
        user = {"client-certificate": str(certificate), "client-key": str(key)}
        return _kubeconfig(self.folder / f"{name}.json", user)

    def account(self, namespace: str, name: str) -> Path:
        """Return the kubeconfig of a ServiceAccount."""
        token = self.run("--namespace", namespace, "create", "token", name).strip()
        return _kubeconfig(self.folder / f"{namespace}-{name}.json", {"token": token})

    def kill_kubelet(self) -> None:
        """Kill the kubelet, as where a machine fails: its pods run on, and nobody reaches them."""
        process = self.daemons.pop("kubelet")
        process.send_signal(signal.SIGKILL)
        process.wait()

    def start_kubelet(self) -> None:
        """Start the kubelet, and wait until its node is ready."""
        argv = ["--config", f"{self.folder}/kubelet.yaml", "--root-dir", f"{self.folder}/kubelet"]
        argv += [
            "--cert-dir",
            f"{self.folder}/pki",
            "--kubeconfig",
            str(self.user(f"system:node:{NODE}", "system:nodes")),
        ]
        argv += ["--hostname-override", NODE, "--node-ip", ADDRESS]
        self._start("kubelet", argv, lambda: answers(socket.AF_INET, (ADDRESS, 10248)))
        for state in ("create", "condition=Ready"):
            self.run("wait", f"--for={state}", f"node/{NODE}", f"--timeout={_SECONDS:g}s")

    def _start(self, program: str, argv: list[str], is_up: Callable[[], bool]) -> None:
        folder = kubernetes.ETCD.folder if program == "etcd" else kubernetes.PROGRAMS.folder
        path = shutil.which("containerd") if program == "containerd" else str(folder / program)
        daemon = Daemon(program, f"{self.folder}/", is_up, f"cluster-{program}")
        self.daemons[program] = daemon.start([path or program, *argv], _SECONDS)

    def start(self) -> None:
        """Start all of it."""
        self._write_files()
        self._start(
            "containerd",
            ["--config", f"{self.folder}/containerd.toml", "--log-level", "warn"],
            lambda: _connects(self.folder / "containerd.sock"),
        )
        urls = [f"http://{ADDRESS}:2379", f"http://{ADDRESS}:2380"]
        argv = [
            "--data-dir",
            f"{self.folder}/etcd",
            "--listen-client-urls",
            urls[0],
            "--advertise-client-urls",
            urls[0],
        ]
        argv += ["--listen-peer-urls", urls[1], "--initial-advertise-peer-urls", urls[1], "--unsafe-no-fsync"]
        argv += ["--initial-cluster", f"default={urls[1]}"]
        self._start("etcd", argv, lambda: answers(socket.AF_INET, (ADDRESS, 2379)))
        self._start("kube-apiserver", self._api_server(urls[0]), self._is_ready)
        for name, more in (("controller-manager", ["--controllers=*,-node-ipam-controller"]), ("scheduler", [])):
            argv = ["--kubeconfig", str(self.kubeconfig), "--leader-elect=false", "--bind-address", ADDRESS, *more]
            self._start(f"kube-{name}", [*argv, "--cert-dir", f"{self.folder}/pki/{name}"], lambda: True)
        self.start_kubelet()

    def _api_server(self, etcd: str) -> list[str]:
        pki = self.folder / "pki"
        certificate, key = _certificate(self.folder, "apiserver", "/CN=apiserver", "serverAuth")
        client, client_key = _certificate(self.folder, "masters", "/O=system:masters/CN=apiserver", "clientAuth")
        run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", pki / "sa.key"])
        argv = ["--etcd-servers", etcd, "--bind-address", ADDRESS, "--advertise-address", ADDRESS]
        argv += ["--tls-cert-file", str(certificate), "--tls-private-key-file", str(key)]
        argv += ["--client-ca-file", f"{pki}/ca.crt", "--cert-dir", str(pki)]
        argv += ["--kubelet-client-certificate", str(client), "--kubelet-client-key", str(client_key)]
        argv += ["--kubelet-preferred-address-types", "InternalIP", "--authorization-mode", "Node,RBAC"]
        argv += ["--service-account-key-file", f"{pki}/sa.key", "--service-account-signing-key-file", f"{pki}/sa.key"]
        argv += ["--service-account-issuer", _API, "--service-cluster-ip-range", "10.231.8.0/24"]
        argv += ["--disable-admission-plugins", "ServiceAccount", "--endpoint-reconciler-type", "none"]
        return [*argv, "--allow-privileged=true"]

    def _is_ready(self) -> bool:
        with contextlib.suppress(LabError):
            return self.run("get", "--raw", "/readyz") == "ok"
        return False

    def _write_files(self) -> None:
        Changes().make_bridge(_BRIDGE, f"{ADDRESS}/24")
        for path in _MADE:
            Changes().directory(path)
        for name in ("cni", "pki"):
            (self.folder / name).mkdir(parents=True)
        own = self.folder / "runc"
        values = {
            "folder": self.folder,
            "address": ADDRESS,
            "bridge": _BRIDGE,
            "network": _NETWORK,
            "first": _FIRST,
            "cgroup": _CGROUP,
            "pause": f"docker.io/{kubernetes.PAUSE}:latest",
            "plugins": buildkit.CNI.folder,
            "runtime": own if runtime.write(own) else "runc",
            "mirror": mirror.ADDRESS,
        }
        for name in ("containerd.toml", "kubelet.yaml", "network.conflist"):
            path = self.folder / ("cni" if name == "network.conflist" else "") / name
            path.write_text(Template((SOURCE / "kubernetes" / name).read_text()).substitute(values))
        pki = self.folder / "pki"
        extensions = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
        where = ("-keyout", str(pki / "ca.key"), "-out", str(pki / "ca.crt"), "-subj", "/CN=lab")
        run(["openssl", "req", "-x509", *_KEY, *where, *extensions])
        _certificate(self.folder, "kubelet", f"/CN={NODE}", "serverAuth")
        self.user("admin", "system:masters")


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster, once its parts are made; one at a time on a machine.

    :raises LabError: a part cannot be made, or a program does not come up.
    """
    from lab.jobs import run_jobs
    from lab.lock import alone
    from lab.plan import jobs_of

    with alone():
        run_jobs(jobs_of(PARTS))
    CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    with (CLUSTER.parent / "cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stop()
        one = Cluster(CLUSTER)
        try:
            one.start()
            yield one
        finally:
            stop()
            for process in one.daemons.values():
                process.wait()


def is_cached() -> bool:
    """Whether what takes longest to make is there."""
    return kubernetes.PROGRAMS.fresh()


def stop() -> None:
    """Stop a cluster, or what is left of one after a crash: processes, containers, mounts, cgroups, files."""
    mark = f"{CLUSTER}/"
    # Killed, not ended: nothing of it is kept, and an API server waits for those who watch it.
    for program in _DAEMONS:
        processes.stop(processes.find(program, mark), 0)
    processes.stop(processes.find("containerd-shim-runc-v2", mark), 0)
    processes.stop(processes.rooted_in(CLUSTER), 0)
    processes.stop(processes.find("containerd", mark), 0)
    _unmount()
    remove_cgroups(_CGROUP)
    if not processes.find("kubelet", ""):
        (_DEVICES / "kubelet.sock").unlink(missing_ok=True)
    for link in _CONTAINER_LOGS.glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(mark):
            link.unlink()
    shutil.rmtree(CLUSTER, ignore_errors=True)


def _unmount() -> None:
    """Unmount what is left; a container that has just ended may take its own mounts away meanwhile."""
    for point in processes.mounts_in(CLUSTER):
        with contextlib.suppress(LabError):
            run(["umount", "--lazy", point])
    if left := processes.mounts_in(CLUSTER):
        raise LabError(f"{left[0]} stays mounted: umount it, and run this again")


def _certificate(folder: Path, name: str, subject: str, usage: str) -> tuple[Path, Path]:
    """Make a certificate of the cluster's CA; return it and its key."""
    pki = folder / "pki"
    certificate, key = pki / f"{name}.crt", pki / f"{name}.key"
    if not certificate.exists():
        extensions = ["-addext", f"extendedKeyUsage={usage}", "-addext", "basicConstraints=critical,CA:FALSE"]
        extensions += ["-addext", f"subjectAltName=IP:{ADDRESS},DNS:{NODE}"] if usage == "serverAuth" else []
        signed = ["-CA", str(pki / "ca.crt"), "-CAkey", str(pki / "ca.key")]
        where = ["-keyout", str(key), "-out", str(certificate), "-subj", subject]
        run(["openssl", "req", "-x509", *_KEY, *signed, *where, *extensions])
    return certificate, key


def _kubeconfig(path: Path, user: dict[str, str]) -> Path:
    """Write a kubeconfig, which may be JSON."""
    authority = base64.b64encode((path.parent / "pki/ca.crt").read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": _API, "certificate-authority-data": authority}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "me"}}],
        "current-context": "lab",
    }
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path


def _connects(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        return True
    return False

"""Kubernetes built from its own source, with etcd and the image of a pod's sandbox: made on first need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import busybox, golang, packages
from lab.debs import DEBS
from lab.images import Image
from lab.packages import PORTS
from lab.parts import Part
from lab.paths import SOURCE
from lab.published import image_part

if TYPE_CHECKING:
    from pathlib import Path

# Not newer: from 1.35 on, a kubelet refuses cgroup v1 unless it is told otherwise (failCgroupV1).
VERSION = "v1.34.4"

_MODULE = "k8s.io/kubernetes/cmd"
_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet")
_MAJOR, _MINOR, _ = VERSION[1:].split(".")
_LDFLAGS = (
    f"-s -w -X k8s.io/component-base/version.gitVersion={VERSION} -X k8s.io/component-base/version.gitMajor={_MAJOR}"
    f" -X k8s.io/component-base/version.gitMinor={_MINOR} -X k8s.io/client-go/pkg/version.gitVersion={VERSION}"
)
_ETCD = "etcd-server"
PAUSE = "kubernetes/pause"


def _make_programs(folder: Path) -> str:
    go = golang.build(SOURCE / "kubernetes", [f"{_MODULE}/{name}" for name in _PROGRAMS], folder, _LDFLAGS)
    return f"{VERSION} (go {go})"


def _make_etcd(folder: Path) -> str:
    packages.download([_ETCD], folder)
    package = packages.find(folder, _ETCD, packages.host_architecture())
    version = packages.version(package)
    (packages.unpack(package, folder / "unpacked") / "usr/bin/etcd").rename(folder / "etcd")
    return version


def _pause(folder: Path) -> list[Image]:
    host = packages.host_architecture()
    config = {**busybox.CONFIG, "Entrypoint": ["/bin/busybox", "sleep", "infinity"]}
    return [Image(PORTS[host], (busybox.layer(host, folder),), config)]


PROGRAMS = Part(
    name="kubernetes-programs",
    make=_make_programs,
    recipe=(VERSION, _LDFLAGS, *_PROGRAMS),
    files=("kubernetes/go.mod", "kubernetes/go.sum"),
)
ETCD = Part(name="etcd", make=_make_etcd, recipe=(packages.SUITE, packages.ARCHIVE, _ETCD))
PAUSE_IMAGE = image_part(
    PAUSE,
    ("latest",),
    images=_pause,
    version=lambda: "of busybox",
    files=("kubernetes.py", "busybox.py"),
    needs=(DEBS,),
)

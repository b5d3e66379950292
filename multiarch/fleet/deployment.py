"""Kubernetes objects of builders in pods, as ``kubectl apply -f -`` takes them.

For each architecture a StatefulSet, whose pods drain before they end; and a Role with what buildctl needs, no more.
"""

from __future__ import annotations

import hashlib
import io
import re
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.buildkit.configuration import PATH, compose, registry_tables
from multiarch.config.builders import Pods
from multiarch.docker_info import HostInfo
from multiarch.errors import ConfigurationError, EmptyMatrixError, MultiarchError
from multiarch.image.reference import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from multiarch.buildkit.configuration import Configuration
    from multiarch.config.builders import RemoteBuilder
    from multiarch.config.settings import Settings
    from multiarch.image.platform import Platform

Object = dict[str, Any]
_NAME = "buildkit"
_NAMESPACE = "builders"  # where the settings name no pods yet
_USER, _ROLE = "multiarch", "multiarch-builders"
_DRAIN_SECONDS = 3600  # for the builds of a pod that is to end; BuildKit ends when the last one has
_PATIENCE = {"periodSeconds": 5, "timeoutSeconds": 10}  # a pod that builds answers late
_ARCHITECTURE = "architecture"  # a label: StatefulSets must not share their pods
_STATE, _SOCKET = "/var/lib/buildkit", "unix:///run/buildkit/buildkitd.sock"
_TOML = PurePosixPath(PATH)
# A label of a selector (Kubernetes, "Labels and Selectors"): its key may have a prefix, its value may be empty.
_WORD = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LABEL = re.compile(rf"\s*((?:[a-z0-9.-]{{1,253}}/)?{_WORD})\s*==?\s*({_WORD})?\s*", re.ASCII)
# Namespaces that are there, and are not only the builders'.
_SHARED = re.compile(r"default|kube-.*")


class Pool(Struct, frozen=True):
    """Pods that are alike.

    :ivar name: of their StatefulSet.
    :ivar architecture: of their machines, as Kubernetes calls it (``kubernetes.io/arch``).
    :ivar labels: by which the settings find them.
    """

    name: str
    architecture: str
    labels: Mapping[str, str]
    namespace: str
    container: str


def pools_of(settings: Settings) -> tuple[Pool, ...]:
    """Return the pools that ``builders`` names; where it names none, one for each architecture of the matrix.

    :raises ConfigurationError: labels or architecture of a pool are not said.
    :raises EmptyMatrixError: there is no platform.
    """
    named = [builder for builder in settings.builder.remote if builder.pods]
    if named:
        pools = tuple(pool for builder in named for pool in _pools_of(builder, builder.pods or Pods("")))
        if len({(pool.namespace, pool.name) for pool in pools}) < len(pools):
            raise ConfigurationError("multiarch.builders", "two have names that Kubernetes would hold for one")
        return pools
    if not settings.matrix:
        raise EmptyMatrixError
    names = {arch: f"{_NAME}-{arch}" for arch in _architectures(entry.platform for entry in settings.matrix)}
    return tuple(Pool(name, arch, {"app": name}, _NAMESPACE, "buildkitd") for arch, name in names.items())


def manifest(settings: Settings, info: Callable[[], HostInfo], say: Callable[[str], None]) -> str:
    """Return the objects as YAML.

    :param info: returns what the Docker host says of itself, whose mirrors hold for the pods too, if there is one.
    :param say: takes lines on what is left out, and on what is to be done.
    :raises ConfigurationError: settings say too little, or what a pod must not be given.
    """
    from ruamel.yaml import YAML

    pools = pools_of(settings)
    known = HostInfo("")
    with suppress(MultiarchError):
        known = info()
    insecure = settings.publish.insecure_registries
    configuration = compose(settings.builder.buildkitd, registry_tables(known, settings.registries, insecure))
    _drop_loopback(configuration.tables.get("registry", {}), say)
    documents: list[Object] = []
    for namespace in dict.fromkeys(pool.namespace for pool in pools):
        alike = [pool for pool in pools if pool.namespace == namespace]
        documents += [*_rights(namespace), _config_map(configuration, namespace)]
        for pool in alike:
            documents += [_service(pool), _stateful_set(pool, settings, configuration, say)]
        if not _SHARED.fullmatch(namespace):
            documents.insert(0, _namespace(namespace))
    if not any(builder.pods for builder in settings.builder.remote):
        for pool in pools:
            entry = f"{{pods: {{selector: app={pool.name}, namespace: {pool.namespace}}}}}"
            say(f"its entry of multiarch.builders is {pool.architecture}: {entry}")
    text = io.StringIO()
    yaml = YAML()
    yaml.width = 1000  # columns; no command of a container is folded
    yaml.dump_all(documents, text)
    return text.getvalue()


def _pools_of(builder: RemoteBuilder, pods: Pods) -> list[Pool]:
    """Return the pools of a builder in pods, one for each architecture.

    :raises ConfigurationError: it names no platform or namespace, or its selector is no list of labels.
    """
    where = builder.where
    architectures = _architectures(builder.platforms)
    if not architectures:
        raise ConfigurationError(where, "needs platforms, which say on what machines its pods are to run")
    if not pods.namespace:
        raise ConfigurationError(f"{where}.pods", "needs a namespace, which the account of those who build is of")
    labels: dict[str, str] = {}
    for part in pods.selector.split(","):
        label = _LABEL.fullmatch(part)
        if not label:
            problem = f"{part.strip()!r} is no label=value, of which labels of new pods can be made"
            raise ConfigurationError(f"{where}.pods.selector", problem)
        labels[label[1]] = label[3] or ""
    name = re.sub(r"[^a-z0-9-]+", "-", builder.name.lower()).strip("-")[:40].strip("-") or _NAME
    several = len(architectures) > 1
    return [
        Pool(f"{name}-{arch}" if several else name, arch, labels, pods.namespace, pods.container or "buildkitd")
        for arch in architectures
    ]


def _architectures(platforms: Iterable[Platform]) -> list[str]:
    """Return the machines that run platforms natively: an arm64 is taken for one that runs 32-bit ARM too."""
    named = dict.fromkeys(platform.architecture for platform in platforms)
    covered = {"arm": "arm64", "386": "amd64"}
    return [name for name in named if covered.get(name) not in named]


def _drop_loopback(registries: Object, say: Callable[[str], None]) -> None:
    """Leave out what is on this machine's loopback interface, which pods have not."""
    for name, table in list(registries.items()):
        mirrors = table.get("mirrors", [])
        for mirror in mirrors:
            if is_loopback(mirror.partition("/")[0]):
                say(f"left out: mirror {mirror} of {name} is on this machine's loopback, which pods cannot reach")
        if mirrors:
            table["mirrors"] = [mirror for mirror in mirrors if not is_loopback(mirror.partition("/")[0])]
        if is_loopback(name) or table == {"mirrors": []}:
            del registries[name]


def _object(kind: str, version: str, name: str, namespace: str, **fields: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **fields}


def _namespace(name: str) -> Object:
    # BuildKit's containers are privileged (Kubernetes, "Pod Security Admission").
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _rights(namespace: str) -> list[Object]:
    """Return an account of those who build, and what buildctl needs: for WebSocket ``get``, for SPDY ``create``."""
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
    ]
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": _USER, "namespace": namespace}
    role = {"apiGroup": group, "kind": "Role", "name": _ROLE}
    return [
        _object("ServiceAccount", "v1", _USER, namespace, automountServiceAccountToken=False),
        _object("Role", f"{group}/v1", _ROLE, namespace, rules=rules),
        _object("RoleBinding", f"{group}/v1", _ROLE, namespace, subjects=[subject], roleRef=role),
    ]


def _config_map(configuration: Configuration, namespace: str) -> Object:
    from ruamel.yaml.scalarstring import LiteralScalarString

    data = {_TOML.name: LiteralScalarString(configuration.toml())}
    for path, content in configuration.files.items():
        if b"PRIVATE KEY" in content:
            problem = (
                "a registry has a client's key, which no ConfigMap may hold: leave keypair out, and mount a Secret"
            )
            raise ConfigurationError("multiarch.buildkitd_config", problem)
        data[PurePosixPath(path).name] = LiteralScalarString(content.decode(errors="replace"))
    return _object("ConfigMap", "v1", _NAME, namespace, data=data)


def _items(configuration: Configuration) -> list[Object]:
    """Return which key of the ConfigMap is which file below the directory of buildkitd.toml."""
    paths = [_TOML, *map(PurePosixPath, configuration.files)]
    return [{"key": path.name, "path": str(path.relative_to(_TOML.parent))} for path in paths]


def _service(pool: Pool) -> Object:
    spec = {"clusterIP": "None", "selector": _labels(pool)}
    return _object("Service", "v1", pool.name, pool.namespace, spec=spec)


def _stateful_set(pool: Pool, settings: Settings, configuration: Configuration, say: Callable[[str], None]) -> Object:
    # A server does not read its configuration again: a new digest is a new pod.
    digest = hashlib.sha256(configuration.label().encode()).hexdigest()[:16]
    template = {
        "metadata": {"labels": _labels(pool), "annotations": {"multiarch/configuration": digest}},
        "spec": {
            "nodeSelector": {"kubernetes.io/arch": pool.architecture},
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": _DRAIN_SECONDS,
            "containers": [_container(pool, settings, say)],
            "volumes": [
                {"name": "state", "emptyDir": {}},
                {"name": "configuration", "configMap": {"name": _NAME, "items": _items(configuration)}},
            ],
        },
    }
    spec = {
        "serviceName": pool.name,
        "replicas": 1,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": _labels(pool)},
        "template": template,
    }
    return _object("StatefulSet", "apps/v1", pool.name, pool.namespace, spec=spec)


def _container(pool: Pool, settings: Settings, say: Callable[[str], None]) -> Object:
    allowed = [f"--allow-insecure-entitlement={one.value}" for one in settings.builder.entitlements]
    mounts = [{"name": "state", "mountPath": _STATE}]
    mounts += [{"name": "configuration", "mountPath": str(_TOML.parent)}]
    container: Object = {
        "name": pool.container,
        "image": settings.builder.image,
        "args": ["--addr", _SOCKET, "--config", PATH, *allowed],
        "securityContext": {"privileged": True},
        "readinessProbe": {"exec": {"command": ["buildctl", "debug", "workers"]}, **_PATIENCE},
        "volumeMounts": mounts,
    }
    environment = []
    for name, value in settings.builder.buildkitd.environment.items():
        if "@" in value:
            say(f"left out: {name} of buildkitd_env may hold a password, which is a Secret's to keep")
        else:
            environment.append({"name": name, "value": value})
    return {**container, "env": environment} if environment else container


def _labels(pool: Pool) -> dict[str, str]:
    return {**pool.labels, _ARCHITECTURE: pool.architecture}

"""The pods of a pool, as ``kubectl get pods`` finds them: those that run, are ready, and are not about to end.

What Kubernetes says of a pod may be old: one whose machine is gone is ready for half a minute still. So each is asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from multiarch.errors import BuildctlNotExecutableError
from multiarch.fleet.errors import BuilderFaultError
from multiarch.fleet.faults import fault_of
from multiarch.fleet.member import score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.buildkit.builder import Builder
    from multiarch.config.builders import Pods, RemoteBuilder
    from multiarch.fleet.asking import Asking

_LONGEST = 16 << 20  # bytes of an answer; a pod has some thousand
_MOST = 100  # pods of a pool that are asked
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)  # RFC 1123


class _Condition(msgspec.Struct, frozen=True):
    type: str = ""
    status: str = ""


class _Status(msgspec.Struct, frozen=True):
    phase: str = ""
    conditions: tuple[_Condition, ...] | None = None


class _Metadata(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    deletionTimestamp: str | None = None  # noqa: N815 (Kubernetes' name)


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    status: _Status = _Status()

    @property
    def is_ready(self) -> bool:
        ready = any(c.type == "Ready" and c.status == "True" for c in self.status.conditions or ())
        is_named = _NAME.fullmatch(self.metadata.name) and _NAME.fullmatch(self.metadata.namespace)
        return bool(is_named and ready and self.status.phase == "Running" and not self.metadata.deletionTimestamp)


class _List(msgspec.Struct, frozen=True):
    items: tuple[_Pod, ...] = ()


_LIST = msgspec.json.Decoder(_List)


class Pod(Struct, frozen=True):
    """A pod that is a builder, and its address for buildctl (BuildKit, client/connhelper/kubepod)."""

    name: str
    address: str


def command(pods: Pods) -> list[str]:
    """Return the command that lists the pods of a pool."""
    flags = ["--context", pods.context] if pods.context else []
    flags += ["--namespace", pods.namespace] if pods.namespace else []
    return ["kubectl", *flags, "get", "pods", "--selector", pods.selector, "--output", "json"]


def addresses(remote: RemoteBuilder, pool: Builder, asking: Asking, keys: Sequence[str] = ()) -> tuple[Pod, ...]:
    """Return the pods of a pool that can be asked, by name.

    :param pool: names the pool in errors.
    :param keys: of what is to be built: of more pods than are asked, the first for each of them are taken.
    :raises BuilderFaultError: kubectl refuses, does not answer, or there is no such pod.
    """
    pods = remote.pods
    if pods is None:
        return ()
    try:
        text = asking.run(command(pods), pool, longest=_LONGEST)
    except BuildctlNotExecutableError:
        raise fault_of(pool, 'exec: "kubectl": executable file not found') from None
    try:
        found = _LIST.decode(text) if len(text) <= _LONGEST else _List()
    except (msgspec.MsgspecError, RecursionError):
        raise BuilderFaultError(pool, "what kubectl says of its pods cannot be read", "has no pods") from None
    ready = sorted((pod for pod in found.items if pod.is_ready), key=lambda pod: pod.metadata.name)
    if not ready:
        problem = f"no pod of {pods.selector} is running and ready; look with {' '.join(command(pods)[:-2])}"
        raise BuilderFaultError(pool, problem, "has no pod that is ready", lasts=False)
    chosen = _preferred({f"{remote.name}/{pod.metadata.name}": pod for pod in ready}, keys)
    return tuple(Pod(pod.metadata.name, address(pod.metadata.name, pods, pod.metadata.namespace)) for pod in chosen)


def _preferred(pods: dict[str, _Pod], keys: Sequence[str]) -> list[_Pod]:
    """Return as many pods as are asked: the first of each key, then the second of each, and so on."""
    if len(pods) <= _MOST:
        return list(pods.values())
    orders = [sorted(pods, key=lambda name: score(name, key)) for key in keys] or [list(pods)]
    wanted = dict.fromkeys(name for rank in zip(*orders, strict=True) for name in rank)
    chosen = set(list(wanted)[: max(_MOST, len(orders))])
    return [pod for name, pod in pods.items() if name in chosen]


def address(pod: str, pods: Pods, namespace: str | None = None) -> str:
    """Return the address of a pod, as buildctl takes it."""
    options = {"context": pods.context, "namespace": namespace or pods.namespace, "container": pods.container}
    return f"kube-pod://{pod}?{urlencode({name: value for name, value in options.items() if value})}"

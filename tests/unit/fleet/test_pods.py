"""The pods of a pool, by a kubectl that says what a test wants; tests of a real Kubernetes are elsewhere."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from multiarch.buildkit.builder import Builder
from multiarch.config.builders import Pods, RemoteBuilder
from multiarch.config.load import load
from multiarch.docker_host import DockerHost
from multiarch.fleet.answers import Health
from multiarch.fleet.asking import Asking
from multiarch.fleet.errors import BuilderFaultError
from multiarch.fleet.member import Member, in_order
from multiarch.fleet.pods import addresses
from multiarch.image.platform import Platform
from multiarch.retry import Policy

if TYPE_CHECKING:
    from pathlib import Path

ARM64 = Platform.parse("linux/arm64")
POOL = RemoteBuilder(name="z", address="", pods=Pods("app=buildkit", "builders", "prod"), platforms=(ARM64,))


def pod(name: str, ready: str = "True", phase: str = "Running", **metadata: Any) -> dict[str, Any]:
    """Return a pod as Kubernetes lists it."""
    conditions = [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": ready}]
    about = {"name": name, "namespace": "builders", "uid": "x", **metadata}
    return {"kind": "Pod", "metadata": about, "status": {"phase": phase, "conditions": conditions}}


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asking:
    """How builders are asked, with a kubectl that prints a file."""
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/words\n/bin/cat {tmp_path}/answer\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return Asking(tmp_path / "buildctl", DockerHost(Policy(attempts=1), print), threading.Event())


def found(asking: Asking, tmp_path: Path, answer: bytes) -> dict[str, str]:
    """Return the address of each pod, by name."""
    (tmp_path / "answer").write_bytes(answer)
    return {one.name: one.address for one in addresses(POOL, Builder("kube-pod://", name="z"), asking)}


def test_pods_that_can_be_asked(asking: Asking, tmp_path: Path) -> None:
    """Those that run, are ready, and are not about to end; in the context and namespace of the settings."""
    pods = [
        pod("b-1"),
        pod("b-0"),
        pod("b-2", ready="False"),
        pod("b-3", phase="Pending"),
        pod("b-4", deletionTimestamp="2026-01-01T00:00:00Z"),
        pod("b-5?container=x"),
        pod("--all"),
    ]
    options = "context=prod&namespace=builders"
    expected = {"b-0": f"kube-pod://b-0?{options}", "b-1": f"kube-pod://b-1?{options}"}
    assert expected == found(asking, tmp_path, json.dumps({"kind": "List", "items": pods}).encode())
    words = "--context prod --namespace builders get pods --selector app=buildkit --output json\n"
    assert words == (tmp_path / "words").read_text()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b'{"items": []}', "no pod of app=buildkit is running and ready; look with kubectl --context prod"),
        (b"{}", "no pod of app=buildkit is running and ready"),
        (b"no resources", "what kubectl says of its pods cannot be read"),
        (b'{"items": {}}', "what kubectl says of its pods cannot be read"),
        (b"[" * 100_000, "what kubectl says of its pods cannot be read"),
    ],
)
def test_pool_without_a_pod_is_told(asking: Asking, tmp_path: Path, answer: bytes, expected: str) -> None:
    """In one line."""
    with pytest.raises(BuilderFaultError) as caught:
        found(asking, tmp_path, answer)
    assert str(caught.value).startswith(f"builder z: {expected}")


def test_missing_kubectl_is_told(asking: Asking, tmp_path: Path) -> None:
    """By its own name: buildctl is another program, and may well be there."""
    (tmp_path / "kubectl").unlink()
    with pytest.raises(BuilderFaultError) as caught:
        found(asking, tmp_path, b"")
    expected = "builder z is reached through the kubectl command, which is not there: install it, or choose another"
    assert (True, f"{expected} address") == (caught.value.lasts, str(caught.value))


def order(names: list[str], image: str, platform: str = "arm64") -> list[str]:
    """Return pods in the order of preference for an image and a platform."""
    listed = (Platform.parse("linux/arm64"), Platform.parse("linux/s390x"))
    members = [Member(POOL, Builder("kube-pod://x", name=f"z/{name}"), Health(listed, "v1", 0.1)) for name in names]
    (entry,) = load({"image": image, "platforms": [platform]}, {}, {}).matrix
    pool = replace(POOL, platforms=listed)
    return [member.name.removeprefix("z/") for member in in_order(members, replace(entry, builders=(pool,)))]


def test_an_image_gets_the_same_pod_each_time() -> None:
    """In whatever order they are listed; and images are spread over the pods."""
    names = [f"b-{number}" for number in range(5)]
    images = [f"registry.example/app{number}" for number in range(40)]
    firsts = {image: order(names, image)[0] for image in images}
    assert firsts == {image: order(names[::-1], image)[0] for image in images}
    assert set(names) == set(firsts.values())
    assert order(names, images[0]) != order(names, images[0], "s390x")


def test_the_loss_of_a_pod_moves_only_its_own() -> None:
    """What was on another pod stays there; what was on it goes to its own next one."""
    names = [f"b-{number}" for number in range(5)]
    images = [f"registry.example/app{number}" for number in range(40)]
    rest = [name for name in names if name != "b-2"]
    for image in images:
        before = order(names, image)
        expected = before[0] if before[0] != "b-2" else before[1]
        assert expected == order(rest, image)[0]

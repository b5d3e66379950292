"""Pods that come and go while a fleet builds, by a kubectl and a buildctl that say what a test wants."""

from __future__ import annotations

import io
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from multiarch.buildkit.builder import Builder
from multiarch.config.load import load
from multiarch.display.progress import Progress
from multiarch.docker_host import DockerHost
from multiarch.errors import BuildFailedError
from multiarch.fleet.asking import Asking
from multiarch.fleet.errors import NoBuilderLeftError
from multiarch.fleet.fleet import Fleet
from multiarch.fleet.member import key_of, score
from multiarch.fleet.pods import addresses
from multiarch.retry import Policy
from tests.unit.fleet.test_pods import ARM64, POOL, pod

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from multiarch.config.settings import MatrixEntry

_BUILDCTL = """\
#!/bin/sh
name=${2#kube-pod://}
name=${name%%\\?*}
if [ ! -e FOLDER/pods/$name ]; then echo "error: pods \\"$name\\" not found" >&2; exit 1; fi
echo "$name" >>FOLDER/asked
[ "$4" = info ] && echo '{}' || echo '[{"platforms": [{"os": "linux", "architecture": "arm64"}]}]'
"""


@dataclass(frozen=True)
class Pods:
    """Pods that run, as kubectl and buildctl find them."""

    folder: Path
    asking: Asking

    def run(self, *names: str) -> None:
        """Let these pods run, and no others."""
        for path in (self.folder / "pods").iterdir():
            path.unlink()
        for name in names:
            (self.folder / "pods" / name).touch()
        (self.folder / "answer").write_text(json.dumps({"items": [pod(name) for name in names]}))

    def fleet(self) -> Fleet:
        """Return a fleet of the pods that run."""
        fleet = Fleet(self.asking, Policy(seconds=0, attempts=1), Progress(io.StringIO()))
        fleet.ask_all([POOL], [entry_of("registry.example/app")])
        return fleet


def entry_of(image: str) -> MatrixEntry:
    """Return an image that the pool builds."""
    (entry,) = load({"image": image, "platforms": [str(ARM64)]}, {}, {}).matrix
    return replace(entry, builders=(POOL,))


@pytest.fixture
def pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pods:
    """No pods."""
    (tmp_path / "pods").mkdir()
    for name, text in (("kubectl", f"#!/bin/sh\ncat {tmp_path}/answer\n"), ("buildctl", _BUILDCTL)):
        (tmp_path / name).write_text(text.replace("FOLDER", str(tmp_path)))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Pods(tmp_path, Asking(tmp_path / "buildctl", DockerHost(Policy(attempts=1), print), threading.Event()))


def losing(change: Callable[[], None], built: list[str]) -> Callable[[Builder], str]:
    """Return a build that changes the pods and loses its own at first, and is done then."""

    def build(builder: Builder) -> str:
        built.append(builder.name)
        if len(built) == 1:
            change()
            raise BuildFailedError("linux/arm64", "Unavailable: EOF", is_builders=True)
        return builder.address

    return build


def test_pod_of_another_name_takes_over(pods: Pods) -> None:
    """A Deployment never gives a name again: what its pool has is asked anew before it is given up."""
    pods.run("b-old")
    fleet = pods.fleet()
    built: list[str] = []
    place = fleet.build([entry_of("registry.example/app")], losing(lambda: pods.run("b-new"), built))
    assert ["z/b-old", "z/b-new"] == built
    assert "kube-pod://b-new?context=prod&namespace=builders" == place
    assert ["z/b-new"] == [member.name for member in fleet.members]


def test_pod_of_the_same_name_takes_over(pods: Pods) -> None:
    """A StatefulSet gives the name again."""
    pods.run("b-0")
    fleet = pods.fleet()
    built: list[str] = []
    fleet.build([entry_of("registry.example/app")], losing(lambda: pods.run("b-0"), built))
    assert ["z/b-0", "z/b-0"] == built


def test_pool_without_a_pod_is_lost(pods: Pods) -> None:
    """The error names the pod that was lost; it may be back, so the policy's time goes on."""
    pods.run("b-0")
    fleet = pods.fleet()
    built: list[str] = []
    with pytest.raises(NoBuilderLeftError) as caught:
        fleet.build([entry_of("registry.example/app")], losing(pods.run, built))
    assert "linux/arm64: no builder is left: z/b-0 was lost; nothing was published" == str(caught.value)
    assert (True, ["z/b-0"]) == (caught.value.transient, built)


def test_other_pods_are_asked_once(pods: Pods) -> None:
    """A pod that is lost says nothing about the others: these are asked at the start, for workers and for info."""
    pods.run("b-0", "b-1")
    fleet = pods.fleet()
    built: list[str] = []
    fleet.build([entry_of("registry.example/app")], losing(lambda: pods.run("b-0", "b-1", "b-2"), built))
    assert 2 == len(set(built))
    assert [2, 2] == [(pods.folder / "asked").read_text().split().count(name) for name in ("b-0", "b-1")]


@pytest.mark.parametrize("images", [1, 40, 120])
def test_preferred_pod_of_an_image_is_among_those_that_are_asked(pods: Pods, images: int) -> None:
    """Of a pool that is larger than what is asked: its cache is the warm one."""
    names = [f"b-{number:03}" for number in range(500)]
    pods.run(*names)
    keys = [key_of(entry_of(f"registry.example/app{number}")) for number in range(images)]
    found = [one.name for one in addresses(POOL, Builder("kube-pod://", name="z"), pods.asking, keys)]
    preferred = {min(names, key=lambda name: score(f"z/{name}", key)) for key in keys}
    assert set() == preferred - set(found)
    assert max(100, images) == len(found)
    assert sorted(found) == found

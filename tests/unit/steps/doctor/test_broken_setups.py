"""Set-ups that are broken in one way, or in all of them: each is named, with what to do about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.registry_server import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.steps.doctor.conftest import Scene

# The SDK leaves the socket that it could not connect.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
NOBODY = "127.0.0.1:9"  # a port below 1024, which no test listens on


def _no_docker(scene: Scene) -> None:
    scene.monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


def _old_docker(scene: Scene) -> None:
    scene.daemon.info["ServerVersion"] = "18.09.1"


def _little_memory(scene: Scene) -> None:
    scene.daemon.info["MemTotal"] = 512 << 20


def _docker_is_ahead(scene: Scene) -> None:
    scene.daemon.ahead = 3600


def _registry_is_ahead(scene: Scene) -> None:
    scene.registry.skew = 90


def _no_registry(scene: Scene) -> None:
    scene.settings["image"] = f"{NOBODY}/app"


def _no_login(scene: Scene) -> None:
    scene.registry.table["GET /v2/"] = [refusal(401, "UNAUTHORIZED", "who are you", WWW_Authenticate="Basic realm=x")]


def _no_push(scene: Scene) -> None:
    scene.registry.table["POST /v2/app/blobs/uploads/"] = [refusal(403, "DENIED", "you may not")]


def _no_password(scene: Scene) -> None:
    name = f"REGISTRY_{scene.registry.host.replace('.', '_').replace(':', '_')}_USERNAME"
    scene.monkeypatch.setenv(name, "me")


def _no_base(scene: Scene) -> None:
    scene.dockerfile(f"ARG V=9\nFROM {scene.registry.host}/base:$V\n")


def _no_base_for_a_platform(scene: Scene) -> None:
    scene.settings["platforms"] = ["linux/amd64", "linux/s390x"]


def _odd_dockerfile(scene: Scene) -> None:
    scene.dockerfile("FROM ${V%1}\n")


def _no_dockerfile(scene: Scene) -> None:
    scene.settings["dockerfile"] = "Nowhere"


def _no_secret(scene: Scene) -> None:
    scene.settings["secrets"] = {"token": "env:NOWHERE"}


def _no_builder(scene: Scene) -> None:
    scene.settings["platforms"] = ["linux/amd64", {"platform": "linux/arm64", "builder": f"tcp://{NOBODY}"}]


def _old_buildkit(scene: Scene) -> None:
    scene.settings["buildkit_image"] = "moby/buildkit:v0.12.5"


def _no_buildkit(scene: Scene) -> None:
    scene.settings["buildkit_image"] = f"{scene.registry.host}/buildkit:v0.99.0"


def _stale_ci_file(scene: Scene) -> None:
    heading = "# Written by `invoke pipeline --ci travis` from invoke.yaml\n# To be set at the CI: nothing.\n"
    scene.project.write(**{".travis_yml": f"{heading}os: linux\n"})


def _dead_proxy(scene: Scene) -> None:
    scene.monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{NOBODY}")


SETUPS: list[tuple[Callable[[Scene], None], str, str]] = [
    (_no_docker, "failure docker: no Docker host at unix:///nowhere/docker.sock", "point DOCKER_HOST at one"),
    (_old_docker, "warning docker: Docker 18.09.1 on x86_64", "; update Docker"),
    (_little_memory, "warning memory: the Docker host has 536.9 MB for builds", "multiarch.jobs: 1"),
    (_docker_is_ahead, "failure clock: this machine's is ", "timedatectl set-ntp true"),
    (_registry_is_ahead, "warning clock: this machine's is ", "timedatectl set-ntp true"),
    (_no_registry, f"failure registry: GET {NOBODY}/: no answer from the registry", "is it running"),
    (_no_login, "failure login: no login for 127.0.0.1", "docker login 127.0.0.1"),
    (_no_push, "failure push: POST 127.0.0.1", "have write access to 127.0.0.1"),
    (_no_password, "failure login: REGISTRY_127_0_0_1_", "set both, or neither"),
    (_no_base, "failure base-images: Dockerfile:2: no registry has 127.0.0.1", "correct its name"),
    (_no_base_for_a_platform, "failure base-images: Dockerfile:1: 127.0.0.1", "or drop the platform"),
    (_odd_dockerfile, "unknown base-images: linux/amd64: Dockerfile: ${V%1} is not read here", ""),
    (_no_dockerfile, "failure settings: Dockerfile for linux/amd64 not found: Nowhere", "--dockerfile"),
    (_no_secret, "failure settings: multiarch.secrets.token: the variable NOWHERE is not set", ""),
    (_no_builder, f"failure builders: no BuildKit answers at tcp://{NOBODY}", "start it, or correct"),
    (_old_buildkit, "failure buildkit: moby/buildkit:v0.12.5: BuildKit 0.12.5 is older", "such as moby/buildkit"),
    (_no_buildkit, "failure buildkit: no registry has 127.0.0.1", "name another with multiarch.buildkit_image"),
    (_stale_ci_file, "failure ci-file: .travis.yml", "pipeline --ci travis"),
    (_dead_proxy, f"failure proxies: http://{NOBODY} does not answer: Connection refused", "correct HTTPS_PROXY"),
]  # fmt: skip


def test_a_set_up_without_a_fault_is_fine(scene: Scene) -> None:
    """No finding is a failure, and what cannot be seen without a real Docker host is said to be unknown."""
    status, lines = scene.doctor()
    assert (0, []) == (status, [line for line in lines if line.startswith(("failure", "warning"))])
    assert ["dockerfile:", "disk:"] == [line.split()[1] for line in lines if line.startswith("unknown")][::-1]


@pytest.mark.parametrize(("fault", "problem", "remedy"), SETUPS, ids=[fault.__name__ for fault, _, _ in SETUPS])
def test_a_fault_is_named_with_its_remedy(
    scene: Scene, fault: Callable[[Scene], None], problem: str, remedy: str
) -> None:
    """In one line; where a release would fail, the status is 1."""
    fault(scene)
    status, lines = scene.doctor()
    found = [line for line in lines if line.startswith(problem)]
    assert (1, True) == (len(found), remedy in "".join(found)), lines
    assert int(any(line.startswith("failure") for line in lines)) == status
    assert [] == [line for line in lines if "secret@" in line]


def test_all_faults_are_named_at_once(scene: Scene) -> None:
    """Those that do not exclude each other; and the last line says how many there are."""
    together = [
        *(_old_docker, _little_memory, _docker_is_ahead, _registry_is_ahead, _no_login, _no_push, _no_password),
        *(_no_base, _no_secret, _no_builder, _old_buildkit, _stale_ci_file, _dead_proxy),
    ]
    for fault in together:
        fault(scene)
    status, lines = scene.doctor()
    expected = {problem for fault, problem, _ in SETUPS if fault in together}
    assert set() == {problem for problem in expected if not any(line.startswith(problem) for line in lines)}
    assert (1, 13) == (status, len(expected))


def test_settings_that_cannot_be_used_hide_nothing_else(scene: Scene) -> None:
    """What does not depend on them is checked all the same; the rest is unknown."""
    scene.settings["platforms"] = ["linux/amr64"]
    _old_docker(scene)
    status, lines = scene.doctor()
    problem = "failure settings: multiarch.platforms[0]: unknown platform 'linux/amr64'; did you mean linux/arm64?"
    assert (1, problem) == (status, lines[0])
    assert [True] == [line.startswith("warning docker: Docker 18.09.1") for line in lines if " docker: " in line]
    skipped = "unknown base-images: not checked: the settings cannot be used; correct them"
    assert skipped in lines


def test_json_says_the_same(scene: Scene) -> None:
    """One line of data, with a version; the exit status is the same."""
    _no_base(scene)
    status, (line,) = scene.doctor("--json")
    data = json.loads(line)
    assert (1, 1, False) == (status, data["version"], data["ok"])
    failed = [finding for finding in data["findings"] if finding["state"] == "failure"]
    expected = {
        "name": "base-images",
        "state": "failure",
        "message": f"Dockerfile:2: no registry has {scene.registry.host}/base:9",
        "remedy": "correct its name, or docker login to see it",
    }
    assert [expected] == failed


def test_it_uploads_and_tags_nothing(scene: Scene) -> None:
    """The upload that is begun is cancelled, and nothing else is written."""
    scene.doctor()
    written = [line for line in scene.registry.asked if line.split()[0] in ("PUT", "POST", "PATCH", "DELETE")]
    assert ["POST /v2/app/blobs/uploads/", "DELETE /v2/app/blobs/uploads/one"] == written


def test_dry_shows_commands(scene: Scene) -> None:
    """And asks nobody."""
    scene.project.write(invoke_yaml=json.dumps({"multiarch": scene.settings}))
    done = scene.project.run("--dry", "doctor")
    assert (0, "docker info", []) == (done.status, done.out[0], scene.registry.asked)

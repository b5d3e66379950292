"""Lines of --verbose: programs and requests, without secrets."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from typing import TYPE_CHECKING

import pytest

from multiarch.buildkit.solve import Solve
from multiarch.display.progress import Progress
from multiarch.docker_host import DockerHost
from multiarch.errors import MultiarchError, RegistryUnreachableError
from multiarch.image.manifest import OCI_MANIFEST
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from multiarch.trace import Trace
from tests.unit.legs import leg
from tests.unit.registry_server import RESET, RegistryServer, Reply, json_reply, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.image.platform import Leg
    from tests.unit.project import Project
    from tests.unit.registry_server import Request

USER, PASSWORD, IDENTITY, TOKEN, SIGNED = "somebody", "pass-w0rd", "identity-s3cret", "token-s3cret", "s1gnature"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (USER, PASSWORD, IDENTITY, TOKEN, SIGNED, BASIC, "Bearer", "Basic")


class Shown:
    """The lines of a trace, with T for its times."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.trace = Trace(self.say)

    def say(self, text: str, about: tuple[Leg, ...] = ()) -> None:
        """Take a line."""
        self.lines.append(re.sub(r"\d+ ms$|\d+\.\ds$", "T", " ".join([*map(str, about), text])))

    @property
    def secrets(self) -> list[str]:
        """The secrets that are in the lines."""
        return [secret for secret in SECRETS if secret in "\n".join(self.lines)]


def client(server: RegistryServer, shown: Shown) -> Registry:
    """Return a client that makes one attempt."""
    return Registry(server.host, Policy(attempts=1), print, trace=shown.trace)


@pytest.mark.parametrize(
    ("login", "scheme", "token_lines"),
    [
        ({"auth": BASIC}, "Basic", []),
        ({"auth": BASIC}, "Bearer", ["GET {}/token: 200, T"]),
        ({"identitytoken": IDENTITY}, "Bearer", ["POST {}/token: 200, T"]),
    ],
    ids=["basic", "bearer", "identity"],
)
def test_requests_are_shown_without_secrets(
    server: RegistryServer, docker_config: Path, login: dict[str, str], scheme: str, token_lines: list[str]
) -> None:
    """Verb, address, status and time of each, those for tokens too: the log of a CI is public."""
    docker_config.write_text(json.dumps({"auths": {server.host: login}}))
    base = f"http://{server.host}"
    challenge = f'{scheme} realm="http://{server.host}/token?account={SIGNED}",service="s"'

    def react(request: Request) -> Reply:
        if "authorization" in request.headers:
            return Reply(200, b"{}", {"Content-Type": OCI_MANIFEST})
        return refusal(401, "UNAUTHORIZED", "no", WWW_Authenticate=challenge)

    server.table["GET /v2/app/manifests/latest"] = [react]
    server.table["GET /token"] = server.table["POST /token"] = [json_reply({"token": TOKEN})]
    shown = Shown()
    client(server, shown).manifest("app", "latest")
    manifest = f"GET {base}/v2/app/manifests/latest"
    assert [f"{manifest}: 401, T", *(line.format(base) for line in token_lines), f"{manifest}: 200, T"] == shown.lines
    assert [] == shown.secrets


def test_redirect_is_shown_without_its_signature(server: RegistryServer) -> None:
    """The address of a redirect lets anyone read the blob: it is shown without its query."""
    digest = server.hold_blob("app", b"content")
    place = f"http://{server.host}/elsewhere?X-Amz-Signature={SIGNED}"
    server.table[f"GET /v2/app/blobs/{digest}"] = [Reply(307, headers={"Location": place})]
    server.table["GET /elsewhere"] = [Reply(200, b"content")]
    shown = Shown()
    assert b"content" == client(server, shown).blob("app", digest)
    blob = f"GET http://{server.host}/v2/app/blobs/{digest}: 307, T"
    assert [blob, f"GET http://{server.host}/elsewhere: 200, T"] == shown.lines
    assert [] == shown.secrets


def test_unanswered_request_is_shown_by_the_class_of_its_error(server: RegistryServer) -> None:
    """The text of a library's error may hold the whole address, with its signature."""
    digest = server.hold_blob("app", b"content")
    place = f"http://{server.host}/elsewhere?X-Amz-Signature={SIGNED}"
    server.table[f"GET /v2/app/blobs/{digest}"] = [Reply(307, headers={"Location": place})]
    server.table["GET /elsewhere"] = [RESET]
    shown = Shown()
    with pytest.raises(RegistryUnreachableError):
        client(server, shown).blob("app", digest)
    assert f"GET http://{server.host}/elsewhere: ProtocolError, T" == shown.lines[-1]
    assert [] == shown.secrets


def test_requests_to_docker_are_shown(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first asks for the version; none is shown with its query."""
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{server.host}")
    server.table["GET /version"] = [json_reply({"ApiVersion": "1.41"})]
    server.table["GET /v1.41/containers/json"] = [json_reply({"message": "no"}, 500), RESET]
    shown = Shown()
    host = DockerHost(Policy(attempts=1), print, shown.trace)
    for _ in range(2):
        with pytest.raises(MultiarchError):
            host.run("list containers", lambda: host.client.containers.list(filters={"label": SIGNED}))
    host.client.close()
    assert [
        "docker GET /version: 200, T",
        "docker GET /v1.41/containers/json: 500, T",
        "docker GET /v1.41/containers/json: ConnectionError, T",
    ] == shown.lines
    assert [] == shown.secrets


def test_commands_are_shown_as_a_shell_takes_them() -> None:
    """A line at the beginning can be pasted; one at the end has status and time. No user of an address is shown."""
    shown, progress = Shown(), Progress(io.StringIO(), quiet=True)
    progress.trace = shown.trace
    proxy = f"build-arg:HTTP_PROXY=http://{USER}:{PASSWORD}@x@proxy:1/"
    with pytest.raises(MultiarchError):
        Solve([leg("arm64")], progress).run(["/bin/sh", "-c", "exit 3", "a b", proxy], threading.Event())
    shown.trace.command(["true"], environ={"BUILDKIT_HOST": "unix:///a b"})(0)
    assert [
        "linux/arm64 $ /bin/sh -c 'exit 3' 'a b' build-arg:HTTP_PROXY=http://proxy:1/",
        "linux/arm64 $ sh: status 3, T",
        "$ BUILDKIT_HOST='unix:///a b' true",
        "$ true: status 0, T",
    ] == shown.lines
    assert [] == shown.secrets


@pytest.mark.parametrize("step", ["build-arch", "manifest", "release"])
def test_quiet_and_verbose_exclude_each_other(project: Project, step: str) -> None:
    """One line says so, before anything is done."""
    result = project.run(step, "--platform", "arm64", "--quiet", "--verbose")
    lines = ["--verbose: it shows more and --quiet shows nothing; pass one of them"]
    assert (1, [], lines) == (result.status, result.out, result.err)


def test_verbose_leaves_results_alone_on_standard_output(server: RegistryServer, project: Project) -> None:
    """Scripts read them. Without --verbose its module is not imported, because start-up takes time."""
    config = server.hold_blob("app", b'{"os": "linux", "architecture": "arm64"}')
    server.hold_manifest("app", "latest-arm64", {"config": {"digest": config, "size": 40}})
    project.write(invoke_yaml=f"multiarch:\n  image: {server.host}/app\n  platforms: [linux/arm64]\n")
    result = project.run("manifest", "--verbose")
    assert (0, [f"{server.host}/app:latest"]) == (result.status, [line.partition("@")[0] for line in result.out])
    assert [f"GET http://{server.host}/v2/app/manifests/latest-arm64: 200"] == [
        line.rpartition(",")[0] for line in result.err if "latest-arm64: 200" in line
    ]
    program = "import sys; from multiarch.cli.tasks import program; program.run(exit=False); print(sorted(sys.modules))"
    plain = project.invoke("manifest", program=program)
    assert (0, [False, True]) == (plain.status, [f"'multiarch.{x}'" in plain.out[-1] for x in ("trace", "registry")])

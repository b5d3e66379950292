"""Publishing to real registries: attested images, the gates, several registries, and logins."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.conftest import MACHINES, Project, RegistryContainer, runs_as
from tests.integration.token_server import TokenServer
from tests.logins import directories_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD = "someone", "w0nder-s3cret"
HASHED = "$2b$05$TrHjr1qMt9Gnm/USg8VCsucxYaoDIIIuci46YN9OhMQXGHhqjy8UG"  # by htpasswd -B
# A scanner after BuildKit's protocol (docs/attestations/sbom-protocol.md): it lists what is in /www.
SCANNER = r"""FROM busybox:stable
COPY <<"SCRIPT" /scan
#!/bin/sh
names=$(cd "$BUILDKIT_SCAN_SOURCE/www" && echo *)
printf '{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document",' > /tmp/sbom
printf '"predicate": {"name": "%s"}}' "$names" >> /tmp/sbom
cp /tmp/sbom "$BUILDKIT_SCAN_DESTINATION/sbom.spdx.json"
SCRIPT
RUN chmod +x /scan
CMD ["/scan"]
"""


def index_of(reference: str) -> dict[str, Any]:
    """Return what a loopback registry has under a tag or digest of ``host/repository``."""
    host, _, rest = reference.partition("/")
    repository, _, name = rest.partition("@") if "@" in rest else rest.partition(":")
    accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
    request = urllib.request.Request(f"http://{host}/v2/{repository}/manifests/{name}", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        parsed: dict[str, Any] = json.load(answer)
        return parsed


def platform_of(entry: dict[str, Any]) -> str:
    """Return an entry's platform as Docker writes it."""
    return "/".join(entry["platform"][key] for key in ("os", "architecture", "variant") if key in entry["platform"])


def attested(index: dict[str, Any]) -> dict[str, int]:
    """Return how many attestation manifests each platform of an index has."""
    entries = index["manifests"]
    attested_digests = [(e.get("annotations") or {}).get("vnd.docker.reference.digest") for e in entries]
    return {platform_of(e): attested_digests.count(e["digest"]) for e in entries if platform_of(e) != "unknown/unknown"}


def test_attested_images_become_one_flat_index(project: Project) -> None:
    """What makes `docker manifest create` fail is published, with every platform's attestation, and runs."""
    project.write(invoke_yaml="multiarch:\n  attestations: {provenance: mode=max}\n" + _matrix(project))
    (published,) = project.ok("release")
    name = published.partition("@")[0]
    staged = [f"{project.image}:latest-{slug}" for slug in ("amd64", "arm64", "arm-v7")]

    assert [True] * 3 == ["manifests" in index_of(reference) for reference in staged]
    by_docker = subprocess.run(
        ["docker", "manifest", "create", "--insecure", f"{project.image}:by-docker", *staged],
        capture_output=True,
        text=True,
    )
    assert (1, True) == (by_docker.returncode, "is a manifest list" in by_docker.stderr), by_docker.stderr
    assert dict.fromkeys(MACHINES, 1) == attested(index_of(name))
    assert [published] == project.ok("manifest")
    assert MACHINES == {platform: runs_as(platform, name) for platform in MACHINES}
    shown = "\n".join(project.ok("manifest", "--inspect"))
    assert [True] * 3 == [bool(re.search(rf"^{p} +sha256:\w+ .* provenance$", shown, re.MULTILINE)) for p in MACHINES]


def test_an_sbom_is_carried_over(project: Project, tmp_path: Path) -> None:
    """The configured generator makes it, and it is in the index beside the provenance."""
    scanner = Project(tmp_path)
    scanner.write(tasks_py="from multiarch import ns\n", Dockerfile=SCANNER)
    image = f"{project.image}-scanner"
    scanner.ok("release", "--image", image, "--platform", "linux/amd64")
    block = f"attestations: [provenance, {{sbom: 'generator={image}:latest'}}]\n  platforms: [linux/arm64]\n"
    project.write(invoke_yaml=f"multiarch:\n  {block}")
    project.ok("release")
    assert [True] == [row.endswith("sbom, provenance") for row in project.ok("manifest", "--inspect") if "arm64" in row]


def test_a_generator_that_is_not_there_is_one_line(project: Project) -> None:
    """Without BuildKit's own generator the line says which image is missing, and what to do."""
    project.write(
        invoke_yaml="multiarch:\n  attestations: [{sbom: 'generator=absent/scanner'}]\n  platforms: [amd64]\n"
    )
    result = project.run("release")
    assert (1, []) == (result.status, result.out)
    assert "docker.io/absent/scanner:latest: not found; " in result.err.splitlines()[-1]
    assert "the image that makes the SBOM cannot be pulled" in result.err.splitlines()[-1]
    assert "attempt" not in result.err


# The gates.

FOREIGN = """\
FROM --platform=linux/amd64 busybox:stable AS built
FROM busybox:stable
COPY --from=built /bin/busybox /app
ENTRYPOINT ["/app"]
"""


def test_a_foreign_program_is_refused(project: Project) -> None:
    """An amd64 program in the arm64 image: the tag does not move, neither by `release` nor by `manifest`."""
    project.write(invoke_yaml="multiarch:\n  platforms: [linux/amd64, linux/arm64]\n")
    (before,) = project.ok("release")
    project.write(Dockerfile=FOREIGN)
    released = project.run("release")
    alone = project.run("manifest")
    for result in (released, alone):
        assert (1, []) == (result.status, result.out)
        assert "not published, gate 'the program matches'" in result.err.splitlines()[-1]
        assert "is for linux/arm64, but its /app is a program for amd64" in result.err.splitlines()[-1]
    assert before in "\n".join(project.ok("manifest", "--inspect"))


def test_a_platform_is_not_dropped_by_accident(project: Project) -> None:
    """A smaller set than the published one is refused unless it is asked for."""
    (before,) = project.ok("release")
    refused = project.run("release", "--platform", "linux/amd64")
    assert (1, []) == (refused.status, refused.out)
    assert f"gate 'nothing is dropped': {project.image}:latest has linux/arm/v7, linux/arm64 today" in refused.err
    assert before in "\n".join(project.ok("manifest", "--inspect"))
    project.ok("release", "--platform", "linux/amd64", "--allow-dropping")
    assert ["linux/amd64"] == list(attested(index_of(f"{project.image}:latest")))


# Several registries, and logins.


def test_two_registries_and_three_tags_get_one_index(project: Project, registry: RegistryContainer) -> None:
    """Built once, copied with its attestations, and the same index under all six tags, which run everywhere."""
    registry.start()
    images = [project.image, f"{registry.host}/copied/app"]
    tags = ["latest", "1.4", "1.4.2"]
    flags = [word for image in images for word in ("--image", image)] + [w for tag in tags for w in ("--tag", tag)]
    published = project.ok("release", *flags)
    assert [f"{image}:{tag}" for image in images for tag in tags] == [line.partition("@")[0] for line in published]
    assert 1 == len({line.partition("@")[2] for line in published})
    assert dict.fromkeys(MACHINES, 1) == attested(index_of(f"{images[1]}:1.4.2"))
    assert MACHINES == {platform: runs_as(platform, f"{images[1]}:1.4.2") for platform in MACHINES}


@pytest.fixture
def token_server() -> Iterator[TokenServer]:
    """A server that gives tokens to one user."""
    server = TokenServer(USER, PASSWORD)
    yield server
    server.stop()


@pytest.mark.parametrize("kind", ["htpasswd", "token"])
@pytest.mark.parametrize("stored", ["config", "helper", "environment"])
def test_a_login_is_used_and_never_shown(
    project: Project, registry: RegistryContainer, token_server: TokenServer, kind: str, stored: str
) -> None:
    """Basic and token authorisation, with a stored login, a helper, or variables; no secret is ever shown."""
    registry.options = token_server.options(project.path) if kind == "token" else _htpasswd(project.path)
    registry.start()
    config = project.path / "config"
    config.mkdir()
    if stored == "environment":
        environ = {"DOCKER_CONFIG": str(config), "DOCKER_USERNAME": USER, "DOCKER_PASSWORD": PASSWORD, "CI": "true"}
    else:
        environ = {"DOCKER_CONFIG": str(config), "PATH": _log_in(config, registry.host, stored)}
    image = f"{registry.host}/private/app"
    words = ["release", "--image", image, "--tag", "latest", "--tag", "2", "--platform", "linux/arm64"]

    anonymous = project.run(*words, DOCKER_CONFIG=str(project.path / "empty"))
    released = project.run(*words, **environ)
    inspected = project.ok("manifest", "--inspect", "--image", image, **environ)

    assert (1, []) == (anonymous.status, anonymous.out)
    assert f"log in with: docker login {registry.host}" in anonymous.err.splitlines()[-1]
    assert "attempt" not in anonymous.err
    assert (0, [f"{image}:latest", f"{image}:2"]) == (
        released.status,
        [line.partition("@")[0] for line in released.out],
    ), released.err
    assert released.out[0] in inspected[0]
    output = "\n".join([anonymous.err, released.err, *released.out, *inspected])
    assert [] == [secret for secret in (PASSWORD, *token_server.tokens) if secret in output]
    assert kind == "htpasswd" or token_server.tokens
    assert [] == directories_with(registry.host)
    # BuildKit's client keeps a random seed there, which is no credential (BuildKit, session/auth/authprovider).
    written = [path.name for path in config.iterdir() if not path.name.startswith(".token_seed")]
    assert stored != "environment" or [] == written


def _htpasswd(directory: Path) -> tuple[str, ...]:
    """Return the options of a registry that knows one user."""
    users = directory / "auth"
    users.mkdir()
    (users / "htpasswd").write_text(f"{USER}:{HASHED}\n")
    return (
        *("-v", f"{users}:/auth:ro", "-e", "REGISTRY_AUTH=htpasswd", "-e", "REGISTRY_AUTH_HTPASSWD_REALM=test"),
        *("-e", "REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd"),
    )


def _log_in(config: Path, host: str, stored: str) -> str:
    """Store the login as ``docker login`` does, or write a helper; return a PATH with it."""
    path = os.environ["PATH"]
    if stored == "config":
        encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (config / "config.json").write_text(json.dumps({"auths": {host: {"auth": encoded}}}))
        return path
    answer = json.dumps({"ServerURL": host, "Username": USER, "Secret": PASSWORD})
    helper = config / "docker-credential-tested"
    helper.write_text(
        f"#!/bin/sh\nread -r asked\n"
        f'[ "$1 $asked" = "get {host}" ] || {{ echo "credentials not found in native keychain"; exit 1; }}\n'
        f"echo '{answer}'\n"
    )
    helper.chmod(0o755)
    (config / "config.json").write_text(json.dumps({"credsStore": "tested"}))
    return f"{config}:{path}"


def _matrix(project: Project) -> str:
    return (project.path / "invoke.yaml").read_text().partition("\n")[2]

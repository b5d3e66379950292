"""A registry of a company: TLS and tokens behind a CA of its own, which wants to see a certificate of its clients."""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import PLAIN, Project, RegistryContainer, free_port
from tests.integration.docker_host import bridge_address, docker
from tests.integration.test_publishing import PASSWORD, USER, _htpasswd, _log_in
from tests.integration.token_server import TokenServer
from tests.unit.certificates import make_certificate, server_context

if TYPE_CHECKING:
    from collections.abc import Iterator

CERTIFICATES = Path("/etc/docker/certs.d")
PLATFORMS = "  platforms: [linux/amd64, linux/arm64]\n"


@dataclass(frozen=True)
class Company:
    """The registry, its token server, and the directory of what Docker trusts for it.

    :ivar tls: the options of a registry with the same certificate.
    """

    registry: RegistryContainer
    tokens: TokenServer
    trusted: Path
    tls: tuple[str, ...]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """Both listen on the address of Docker's bridge, which is no loopback address."""
    address = bridge_address()
    directory = tmp_path_factory.mktemp("company")
    certificate = make_certificate(directory, address)
    tokens = TokenServer(USER, PASSWORD, address, server_context(certificate))
    names = ("CERTIFICATE=/tls/ca.crt", "KEY=/tls/ca.key", 'CLIENTCAS=["/tls/ca.crt"]')
    tls = ("-v", f"{directory}:/tls:ro", *(word for name in names for word in ("-e", f"REGISTRY_HTTP_TLS_{name}")))
    options = (*tls, *tokens.options(directory))
    registry = RegistryContainer(f"test-registry-{secrets.token_hex(3)}", free_port(), options, address)
    registry.start()
    trusted = CERTIFICATES / registry.host
    trusted.mkdir(parents=True)
    shutil.copy(certificate, trusted / "ca.crt")
    # The CA vouches for itself as a client too.
    shutil.copy(certificate, trusted / "client.cert")
    shutil.copy(certificate.with_suffix(".key"), trusted / "client.key")
    yield Company(registry, tokens, trusted, tls[:-2])
    shutil.rmtree(trusted)
    registry.remove()
    tokens.stop()


@pytest.fixture
def user(project: Project, company: Company) -> Project:
    """Somebody who is logged in, and has set nothing else."""
    config = project.path / "docker"
    config.mkdir()
    _log_in(config, company.registry.host, "config")
    project.write(invoke_yaml=f"multiarch:\n  image: {company.registry.host}/team/app\n{PLATFORMS}")
    return Project(project.path, {"DOCKER_CONFIG": str(config), **PLAIN})


def test_whole_release_trusts_what_docker_trusts(user: Project, company: Company) -> None:
    """Our client, BuildKit's, and the server: its push, its cache, and the base image that it pulls from there."""
    before = len(company.tokens.tokens)
    (published,) = user.ok("release", INVOKE_MULTIARCH_CACHE="registry")
    assert f"{company.registry.host}/team/app:latest" == published.partition("@")[0]
    assert len(company.tokens.tokens) > before
    user.write(Dockerfile=f"FROM {published}\nRUN uname -m\n")
    user.ok("release", "--image", f"{company.registry.host}/team/other")
    # The steps one by one, which begin with nothing but what the others left.
    (arm64,) = user.ok("build-arch", "--platform", "linux/arm64")
    user.ok("build-arch", "--platform", "linux/amd64")
    user.ok("manifest")
    words = ("--config", user.environ["DOCKER_CONFIG"], "run", "--rm", "--quiet", "--pull", "always")
    assert "aarch64" == docker(*words, "--platform", "linux/arm64", arm64, "uname", "-m")


def test_refused_cache_fails_no_build(user: Project, company: Company) -> None:
    """The repository of the cache is one that this user may only read; it is told, and the image is published."""
    company.tokens.refused = ("team/cache",)
    cache = {
        "INVOKE_MULTIARCH_CACHE": "registry",
        "INVOKE_MULTIARCH_CACHE_IMAGE": f"{company.registry.host}/team/cache",
    }
    result = user.run("release", **cache)
    assert (0, 1) == (result.status, len(result.out)), result.err
    assert "exporting cache to registry: " in result.err
    assert f"{company.registry.host}/team/app:latest" == result.out[0].partition("@")[0]


def test_unknown_ca_is_told_with_its_remedy(user: Project, company: Company) -> None:
    """In one line, by `release` in its first second, which names the directory and the setting."""
    away = company.trusted.rename(company.trusted.parent / "away")
    try:
        result = user.run("release")
    finally:
        away.rename(company.trusted)
    assert (1, []) == (result.status, result.out)
    remedy = f"put its CA into {company.trusted}/ca.crt, or name it in insecure_registries"
    assert remedy in result.err.splitlines()[-1], result.err


def test_insecure_registry_is_pushed_to_with_any_certificate(
    user: Project, company: Company, registry: RegistryContainer
) -> None:
    """Its own is vouched for by nobody here: there is no directory for this registry."""
    registry.address = company.registry.address
    registry.options = (*company.tls, *_htpasswd(user.path))
    registry.start()
    _log_in(Path(user.environ["DOCKER_CONFIG"]), registry.host, "config")
    (published,) = user.ok(
        "release", "--image", f"{registry.host}/team/app", INVOKE_MULTIARCH_INSECURE_REGISTRIES=registry.host
    )
    assert f"{registry.host}/team/app:latest" == published.partition("@")[0]


def test_bundle_of_the_user_is_trusted_by_the_server(
    user: Project, company: Company, registry: RegistryContainer
) -> None:
    """For a registry that has no directory of certificates; and the server keeps what others have brought."""
    registry.address = company.registry.address
    registry.options = (*company.tls, *_htpasswd(user.path))
    registry.start()
    _log_in(Path(user.environ["DOCKER_CONFIG"]), registry.host, "config")
    bundle = {"REQUESTS_CA_BUNDLE": str(company.trusted / "ca.crt")}
    (published,) = user.ok("release", "--image", f"{registry.host}/team/app", **bundle)
    assert f"{registry.host}/team/app:latest" == published.partition("@")[0]
    assert "recreating" not in user.run("start-buildkit", **bundle).err
    assert "recreating" not in user.run("start-buildkit").err


def test_helper_and_variables_go_together(user: Project, company: Company, registry: RegistryContainer) -> None:
    """The base image is pulled with the helper's login, the push has that of variables; also with an old client."""
    registry.address = company.registry.address
    registry.options = (*company.tls, *_htpasswd(user.path))
    registry.start()
    directory = CERTIFICATES / registry.host
    shutil.copytree(company.trusted, directory)
    try:
        (base,) = user.ok("release")
        config = Path(user.environ["DOCKER_CONFIG"])
        path = _log_in(config, company.registry.host, "credsStore")
        name = f"REGISTRY_{re.sub('[^0-9]', '_', registry.host)}"
        environ = {"PATH": path, f"{name}_USERNAME": USER, f"{name}_PASSWORD": PASSWORD}
        user.write(Dockerfile=f"FROM {base}\nRUN uname -m\n")
        user.ok("release", "--image", f"{registry.host}/team/new", **environ)
        # A client of before BuildKit 0.24 does not know the variable.
        client = user.path / "bin/buildctl"
        client.parent.mkdir()
        (real,) = user.ok("copy-buildctl")
        client.write_text(f'#!/bin/sh\nunset ${{OLD:-DOCKER_AUTH}}_CONFIG\nexec {real} "$@"\n')
        client.chmod(0o755)
        image = ("--image", f"{registry.host}/team/old", "--platform", "linux/arm64")
        user.write(Dockerfile=f"FROM {base}\nRUN uname -a\n")
        (pushed,) = user.ok("build-arch", *image, **environ, INVOKE_MULTIARCH_DEST=str(client.parent))
        assert f"{registry.host}/team/old:latest-arm64" == pushed.partition("@")[0]
    finally:
        shutil.rmtree(directory)

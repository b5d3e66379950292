"""cosign speaks to a registry as everything else does: plain, over TLS that nobody verifies, or with Docker's CA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fleet.certificates import Authority
from tests.fleet.network import another_network
from tests.signing.parts import DEBIAN, DISTRIBUTION, Keys, Project, Registry

if TYPE_CHECKING:
    from pathlib import Path

INSECURE = "  insecure_registries: ['{host}']\n"


@pytest.mark.parametrize(
    ("kind", "has_tls", "more", "has_ca"),
    [
        (DEBIAN, False, INSECURE, False),
        (DISTRIBUTION, True, INSECURE, False),
        (DISTRIBUTION, True, "", True),
    ],
    ids=["plain", "unverified", "certs.d"],
)
def test_registry_on_another_address(
    tmp_path: Path, keys: Keys, kind: str, has_tls: bool, more: str, has_ca: bool
) -> None:
    """Each signs, and finds what it has signed, when it publishes again."""
    with another_network() as network:
        certificates = Authority().make(tmp_path / "tls", (network.here,)) if has_tls else None
        registry = Registry(tmp_path / "registry", kind, address=network.here, certificates=certificates).start()
        try:
            (tmp_path / "project").mkdir()
            project = Project(tmp_path / "project", registry, keys)
            project.write(more=more.format(host=registry.host))
            if has_ca and certificates:
                place = tmp_path / "config/docker/certs.d" / registry.host
                place.mkdir(parents=True)
                (place / "ca.crt").write_bytes((certificates / "ca.pem").read_bytes())
                project.environ["XDG_CONFIG_HOME"] = str(tmp_path / "config")
            registry.stage("amd64", "arm64")
            first, second = project.run("manifest"), project.run("manifest")
            assert (0, 0) == (first.status, second.status), first.err + second.err
            digest = registry.digest()
            assert [1, 1, 1] == [registry.signatures(one) for one in [digest, *registry.entries(digest)]]
        finally:
            registry.end()

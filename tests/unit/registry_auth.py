"""A registry that asks who is there, a client of it, and the credentials that ``docker login`` stores."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from multiarch.image.manifest import OCI_MANIFEST, Manifest
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.unit.registry_server import Reply, refusal

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.unit.registry_server import RegistryServer, Request

USER, PASSWORD, IDENTITY, TOKEN = "somebody", "pass-w0rd:x", "identity-s3cret", "token-s3cret"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
MANIFEST = Manifest(OCI_MANIFEST, b"{}")
REPLY = Reply(200, MANIFEST.body, {"Content-Type": OCI_MANIFEST})
READ, WRITE = "GET /v2/app/manifests/latest", "PUT /v2/app/manifests/latest"


def client(server: RegistryServer, shown: list[str] | None = None, policy: Policy | None = None) -> Registry:
    """Return a client with short waits.

    :param shown: takes the lines of its retries.
    :param policy: in place of those waits.
    """
    waits = policy or Policy(seconds=5.0, attempts=4, first=0.001, longest=0.01)
    return Registry(server.host, waits, ([] if shown is None else shown).append)


def authorizations(server: RegistryServer) -> list[str | None]:
    """Return the Authorization header of each request, None for a request without one."""
    return [request.headers.get("authorization") for request in server.requests]


def guard(server: RegistryServer, authorization: str, challenge: str) -> None:
    """Let the manifest be read and written only with an Authorization header; challenge other requests."""

    def react(request: Request) -> Reply:
        if request.headers.get("authorization") == authorization:
            return REPLY if request.verb == "GET" else Reply(201)
        return refusal(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=challenge)

    server.table[READ] = server.table[WRITE] = [react]


def bearer(server: RegistryServer, scope: str = "repository:app:pull") -> str:
    """Return the challenge of a registry whose tokens come from its own /token."""
    return f'Bearer realm="http://{server.host}/token",service="the service",scope="{scope}"'


def log_in(config: Path, server: RegistryServer) -> None:
    """Store a user and a password, as docker login does without a helper."""
    config.write_text(json.dumps({"auths": {server.host: {"auth": BASIC}}}))


def log_in_by_identity(config: Path, server: RegistryServer) -> None:
    """Store an identity token, as docker login does at registries that give one."""
    config.write_text(json.dumps({"auths": {server.host: {"auth": "", "identitytoken": IDENTITY}}}))


def log_in_by_helper(
    config: Path, server: RegistryServer, monkeypatch: pytest.MonkeyPatch, answer: str, key: str
) -> None:
    """Put a credential helper on PATH, and name it under a key of Docker's configuration.

    :param answer: the commands of the helper when it is asked for this server; it fails for any other.
    """
    directory = config.parent / "bin"
    directory.mkdir()
    program = directory / "docker-credential-tested"
    program.write_text(
        f"#!/bin/sh\nread -r asked\n"
        f"[ \"$1 $asked\" = 'get {server.host}' ] || {{ echo 'credentials not found'; exit 1; }}\n"
        f"{answer}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/bin:/usr/bin")
    config.write_text(json.dumps({"credHelpers": {server.host: "tested"}} if key == "credHelpers" else {key: "tested"}))

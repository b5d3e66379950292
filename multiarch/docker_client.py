"""The SDK's client for the Docker host: where that is, and why it does not answer."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from multiarch.errors import DockerPermissionError, NoDockerError
from multiarch.retry import describe

if TYPE_CHECKING:
    import docker

    from multiarch.trace import Trace

_PASSWORD = re.compile(r"(://[^/@:]*):[^/@]*@")  # in an address


def connect(trace: Trace | None) -> docker.DockerClient:
    """Return a client that has got an answer.

    :param trace: shows the requests.
    :raises NoDockerError: nothing answers. :raises DockerPermissionError: we may not ask.
    """
    import docker

    address = os.environ.get("DOCKER_HOST", "its context")
    try:
        address, options = _endpoint()
        client = trace.docker_client(options) if trace else docker.DockerClient(**options)
        try:
            client.ping()
        except BaseException:
            client.close()
            raise
    except Exception as error:  # noqa: BLE001 (the SDK reads the environment, files and answers unchecked)
        address = _PASSWORD.sub(r"\1@", address)
        if "PermissionError" in repr(error) or "Permission denied" in str(error):
            raise DockerPermissionError(address) from None
        raise NoDockerError(address, _PASSWORD.sub(r"\1@", _reason(error))) from None
    return client


def docker_address() -> str:
    """Return the address of the Docker host as docker's command names it; empty where that cannot be told."""
    try:
        return _endpoint()[0]
    except Exception:  # noqa: BLE001 (as above: whoever connects tells of it)
        return ""


def _endpoint() -> tuple[str, dict[str, Any]]:
    """Return the host's address and the SDK's options, as the docker command decides: DOCKER_HOST, else its context."""
    import docker.context
    import docker.utils

    options: dict[str, Any] = {"version": "auto", "timeout": 120}
    if os.environ.get("DOCKER_HOST"):
        options |= docker.utils.kwargs_from_env()
    else:
        context = docker.context.ContextAPI.get_current_context()
        if context is not None and context.name != "default" and context.Host:
            options["base_url"] = context.Host
            if context.TLSConfig:
                options["tls"] = context.TLSConfig
    address = str(options.get("base_url") or "unix:///var/run/docker.sock")
    if address.startswith("ssh://"):
        options["use_ssh_client"] = True
    return address, options


def _reason(error: BaseException) -> str:
    """Return why nothing answers, without the errors of HTTP libraries around it."""
    for sign, reason in {
        "FileNotFoundError": "no such socket",
        "ConnectionRefused": "connection refused",
        "Connection refused": "connection refused",
        "NameResolution": "unknown host",
        "timed out": "timed out",
    }.items():
        if sign in repr(error) or sign in str(error):
            return reason
    return describe(error)

"""The SDK's client for the Docker host, or why that does not answer."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from multiarch.errors import DockerPermissionError, MultiarchError, NoDockerError
from multiarch.retry import describe

if TYPE_CHECKING:
    import docker

    from multiarch.docker_endpoint import Endpoint
    from multiarch.trace import Trace

_SECONDS = 120  # seconds of silence; a busy daemon answers late


def connect(endpoint: Endpoint, trace: Trace | None) -> docker.DockerClient:
    """Return a client that has got an answer.

    :param trace: shows the requests.
    :raises NoDockerError: nothing answers. :raises DockerPermissionError: we may not ask.
    """
    import docker

    try:
        if endpoint.address.startswith("unix://"):
            _try_socket(endpoint.address.removeprefix("unix://"))
        base, options = _client_of(endpoint)
        api = trace.docker_api(base) if trace else base

        class Client(docker.DockerClient):
            def __init__(self) -> None:
                self.api = api(**options)

        client = Client()  # it asks for the version of the API
    except Exception as error:  # noqa: BLE001 (the SDK reads the environment, files and answers unchecked)
        if isinstance(error, MultiarchError) or isinstance(error.__cause__, MultiarchError):  # of ssh, in its words
            raise NoDockerError(endpoint.address, describe(error.__cause__ or error)) from None
        if "PermissionError" in repr(error) or "Permission denied" in str(error):
            raise DockerPermissionError(endpoint.address) from None
        raise NoDockerError(endpoint.address, _reason(error)) from None
    return client


def _try_socket(path: str) -> None:
    """Connect once, and raise the OSError if that fails: the SDK does not close a socket that it cannot connect."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_SECONDS)
        connection.connect(path)


def _client_of(endpoint: Endpoint) -> tuple[type[docker.APIClient], dict[str, Any]]:
    """Return the SDK's class for a Docker host, and its options."""
    import docker

    options: dict[str, Any] = {"base_url": endpoint.address, "version": "auto", "timeout": _SECONDS}
    if endpoint.address.startswith("ssh://"):
        from multiarch import docker_ssh

        return docker_ssh.api_class(endpoint.address, _SECONDS), {**options, "base_url": docker_ssh.BASE + ":80"}
    if endpoint.tls:
        certificate, ca = endpoint.tls.certificate, endpoint.tls.ca
        options["tls"] = docker.TLSConfig(
            client_cert=(str(certificate[0]), str(certificate[1])) if certificate else None,
            ca_cert=str(ca) if ca else None,
            verify=endpoint.tls.verify,
        )
    return _pinned(docker.APIClient), options


def _pinned(base: type[docker.APIClient]) -> type[docker.APIClient]:
    """Return a class of clients whose CA is their own: requests prefers REQUESTS_CA_BUNDLE to that of a session."""

    class Api(base):  # type: ignore[valid-type,misc]
        def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
            own = self.verify if verify is None else verify
            return super().merge_environment_settings(url, proxies, stream, own, cert)

    return Api


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

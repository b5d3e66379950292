"""The container of a server: made whole under its name, or not at all.

Several runs may want one at the same time. Each makes a container under a name of its own, configures it, and renames
it: Docker gives the name to one of them, and nobody meets a container that lacks its configuration.
"""

from __future__ import annotations

import contextlib
import io
import os
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from multiarch.buildkit.configuration import PATH
from multiarch.buildkit.socket_directory import make_private
from multiarch.certificates import PLACE, TRUSTED
from multiarch.errors import DockerConflictError, DockerError, DockerNotFoundError

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.buildkit.server import Server
    from multiarch.docker_host import DockerHost

_MOST_CARRIED = 16 << 20  # bytes of an archive of certificates, each of some kilobytes
_STOP_SECONDS = 10  # seconds, Docker's own default


def make(server: Server, image_id: str, host: DockerHost, carried: bytes = b"") -> Container | None:
    """Make the container of a server, which does not run yet; None where another one has got the name meanwhile.

    :param carried: the `certificates` of the server that it replaces.
    """
    check_directory(server)
    container = host.create(
        f"create container {server.name}",
        server.image,
        server.command(),
        name=f"{server.name}-new-{os.urandom(4).hex()}",
        volumes=server.volumes(),
        labels=server.labels(image_id),
        environment={**TRUSTED, **server.environment},
        use_config_proxy=False,  # the SDK reads the default proxies alone
        restart_policy={"Name": "unless-stopped"},
        **host.privileged,
        **({"dns": list(server.nameservers)} if server.nameservers else {}),
        **({"network_mode": "host"} if server.host_network else {}),
    )
    try:
        is_configured = carried or server.toml() or server.configuration.files
        # The first makes the directory that the second needs.
        for place, archive in (("/", _archive(server) if is_configured else b""), ("/etc/buildkit", carried)):
            if archive:
                host.run(f"configure container {server.name}", partial(container.put_archive, place, archive))
        try:
            host.run(f"rename container {container.name}", lambda: container.rename(server.name))
        except DockerConflictError:
            host.remove(container)
            return None
        host.reload(container)
    except BaseException:
        host.remove(container)
        raise
    return container


def certificates(container: Container, host: DockerHost) -> bytes:
    """Return the certificates and keys of a server as an archive for ``/etc/buildkit``; empty without any."""

    def read() -> bytes:
        content = bytearray()
        for chunk in container.get_archive(PLACE)[0]:
            content += chunk
            if len(content) > _MOST_CARRIED:
                raise DockerError(f"copy {PLACE} out of {container.name}", "it is too large")
        return bytes(content)

    try:
        return bytes(host.run(f"copy {PLACE} out of {container.name}", read))
    except DockerNotFoundError:
        return b""


def discard(container: Container, host: DockerHost) -> None:
    """Stop and remove a server; one that is killed leaves its bridge on the host's network."""
    with contextlib.suppress(DockerNotFoundError):
        host.run(f"stop container {container.name}", lambda: container.stop(timeout=_STOP_SECONDS))
    host.remove(container)


def restart(container: Container, host: DockerHost) -> None:
    """Restart a server, which is killed where it does not end in time.

    By two requests, as Docker obeys each of two runs that ask for a restart: the second would end the new server.
    """
    host.run(f"stop container {container.name}", lambda: container.stop(timeout=_STOP_SECONDS))
    host.run(f"start container {container.name}", container.start)


def check_directory(server: Server) -> None:
    """Check, or make, the directory of its socket. :raises ConfigurationError: it must not be shared."""
    if server.sockets is not None:
        make_private(server.sockets, "--address" if server.sockets_asked else "XDG_STATE_HOME")


def _archive(server: Server) -> bytes:
    """Return a tar of the configuration and of its directories, which the image may lack."""
    import tarfile

    files = dict(server.configuration.files)
    if toml := server.toml():
        files[PATH] = toml.encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        parents = {parent for path in (*files, f"{PLACE}/x") for parent in PurePosixPath(path).parents}
        # Each after the one that it is in.
        for folder in sorted(parents - {PurePosixPath("/"), PurePosixPath("/etc")}):
            directory = tarfile.TarInfo(str(folder)[1:])
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(directory)
        for path, content in files.items():
            file = tarfile.TarInfo(path.lstrip("/"))
            # Keys among them are for root alone.
            file.size, file.mode = len(content), 0o644 if path == PATH else 0o600
            tar.addfile(file, io.BytesIO(content))
    return buffer.getvalue()

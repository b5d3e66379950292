"""Step 3, ``copy-buildctl``: the client, copied out of the server's container, so that both are of one version.

The document: ``docker cp buildkit:/usr/bin/buildctl /usr/bin/``.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import tempfile
from typing import TYPE_CHECKING, BinaryIO

from multiarch.buildkit.address import running_server
from multiarch.buildkit.buildctl import check_executable, default_path
from multiarch.errors import BuildctlNotExecutableError, ConfigurationError, DockerError
from multiarch.paths import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from docker.models.containers import Container

    from multiarch.config.project import Project
    from multiarch.docker_host import DockerHost
    from multiarch.run import Run

INSIDE = "/usr/bin/buildctl"
_LARGEST = 512 << 20  # bytes; v0.32.2 has 40 MB


def run(run: Run) -> tuple[Path]:
    """Put the client of ``buildkit_image`` into ``dest``, or the cache; return its path.

    An existing one that is the same, byte for byte, is left alone; one that cannot run here is not kept.

    :raises BuildctlNotExecutableError: it is a Linux program, and this is a Mac, or another architecture.
    :raises ConfigurationError: ``dest`` cannot be written to.
    """
    settings, host = run.settings, run.host
    path = default_path(settings)
    container = running_server(settings, host) if not settings.builder.host else None
    if container is None:
        image = settings.builder.image
        host.need_image(image, "buildkit_image")
        spare = host.create(f"create a container of {image}", image)
        try:
            _copy(spare, path, host)
        finally:
            host.remove(spare)
    elif _digest(path) not in host.execute(container, ["sha256sum", INSIDE])[1].split():
        _copy(container, path, host)
    try:
        check_executable(path, host.trace)
    except BuildctlNotExecutableError:
        path.unlink(missing_ok=True)  # or it would be preferred to one on PATH
        raise
    return (path,)


def commands(project: Project) -> list[list[str]]:
    """Return the document's command for this step."""
    settings = project.settings
    path = default_path(settings)
    return [["mkdir", "-p", str(path.parent)], ["docker", "cp", f"{settings.builder.container}:{INSIDE}", str(path)]]


def _digest(path: Path) -> str | None:
    """Return the digest of a program, None where there is none that can be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None


def _copy(container: Container, path: Path, host: DockerHost) -> None:
    host.say(f"copying buildctl to {path}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, mode=0o755) as file:
            host.run("copy buildctl out of its container", lambda: _write(container, file))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError("--dest", f"cannot write to {path.parent}: {reason}") from None


def _write(container: Container, file: BinaryIO) -> None:
    """Write the program in the archive that Docker makes of it to a file.

    :raises DockerError: it is none, or larger than a client can be.
    """
    file.seek(0)
    file.truncate()
    size = 0
    with tempfile.TemporaryFile() as archive:
        for chunk in container.get_archive(INSIDE)[0]:
            size += len(chunk)
            if size > _LARGEST:
                raise DockerError("copy buildctl out of its container", f"it is larger than {_LARGEST >> 20} MiB")
            archive.write(chunk)
        archive.seek(0)
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            member = tar.next()
            if member is None or not member.isreg():
                raise DockerError("copy buildctl out of its container", f"{INSIDE} is no file there")
            shutil.copyfileobj(tar.extractfile(member) or io.BytesIO(), file)

"""Step 3, ``copy-buildctl``: the client, copied out of the server's container, so that both are of one version.

The document: ``docker cp buildkit:/usr/bin/buildctl /usr/bin/``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit.buildctl import check_executable, default_path
from multiarch.config.settings import BUILDKIT_CONTAINER
from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.config.settings import Settings
    from multiarch.docker_host import DockerHost
    from multiarch.run import Run

INSIDE = "/usr/bin/buildctl"


def run(run: Run) -> tuple[Path]:
    """Put the client of ``buildkit_image`` into ``dest``, or the cache; return its path.

    An existing one that is the same, byte for byte, is left alone.

    :raises BuildctlNotExecutableError: it is a Linux program, and this is a Mac, or another architecture.
    :raises ConfigurationError: ``dest`` cannot be written to.
    """
    settings, host = run.settings, run.host
    path = default_path(settings)
    container = host.find(BUILDKIT_CONTAINER) if not settings.builder.host else None
    if container is None or container.status != "running":
        image = settings.builder.image
        host.need_image(image, "buildkit_image")
        spare: Container = host.run(f"create a container of {image}", lambda: host.client.containers.create(image))
        try:
            _copy(spare, path, host)
        finally:
            host.remove(spare)
    elif not path.is_file() or _digest(path) not in host.execute(container, ["sha256sum", INSIDE])[1]:
        _copy(container, path, host)
    check_executable(path, host.trace)
    return (path,)


def commands(settings: Settings) -> list[list[str]]:
    """Return the document's command for this step."""
    path = default_path(settings)
    return [["mkdir", "-p", str(path.parent)], ["docker", "cp", f"{BUILDKIT_CONTAINER}:{INSIDE}", str(path)]]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _copy(container: Container, path: Path, host: DockerHost) -> None:
    host.say(f"copying buildctl to {path}")
    host.run("copy buildctl out of its container", lambda: _stream(container, path))


def _stream(container: Container, path: Path) -> None:
    """Write the file beside its place, and move it there when it is whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".buildctl-", dir=path.parent)
    except OSError as error:
        raise ConfigurationError("--dest", f"cannot write to {path.parent}: {error.strerror}") from None
    try:
        chunks, _ = container.get_archive(INSIDE)
        with os.fdopen(descriptor, "wb") as target, tempfile.TemporaryFile() as archive:
            archive.writelines(chunks)
            archive.seek(0)
            with tarfile.open(fileobj=archive) as tar:
                for member in tar:
                    if content := tar.extractfile(member):
                        shutil.copyfileobj(content, target)
        Path(name).chmod(0o755)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

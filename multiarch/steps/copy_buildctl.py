"""Step 3, ``copy-buildctl``: the client, copied out of the server's container, so that both are of one version.

The document: ``docker cp buildkit:/usr/bin/buildctl /usr/bin/``. Where there is no Docker host, as builders elsewhere
need none, it comes out of the image's layers, right from the registry.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from multiarch.buildkit.address import running_server
from multiarch.buildkit.buildctl import buildctl_on_path, check_executable, check_kind, default_path, find_buildctl
from multiarch.errors import (
    BuildctlMissingError,
    BuildctlNotExecutableError,
    ConfigurationError,
    DockerError,
    DockerPermissionError,
    NoDockerError,
)
from multiarch.paths import replacing

if TYPE_CHECKING:
    from collections.abc import Callable
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
    :raises ExtractionError: there is no Docker host, and the image cannot be used without one.
    """
    path = default_path(run.settings)
    if _has_docker(run):
        _copy_from_docker(run, path)
    else:
        _copy_from_registry(run, path)
    try:
        check_executable(path, run.host.trace)
    except BuildctlNotExecutableError:
        path.unlink(missing_ok=True)  # or it would be preferred to one on PATH
        raise
    return (path,)


def _has_docker(run: Run) -> bool:
    """Whether a Docker host answers. :raises DockerPermissionError: we may not ask the one that is needed."""
    try:
        return run.host.client is not None
    except NoDockerError:
        return False
    except DockerPermissionError:
        matrix = run.settings.matrix
        if not matrix or any(entry.is_local for entry in matrix):
            raise
        return False


def _copy_from_docker(run: Run, path: Path) -> None:
    """Copy the client out of the running server, unless it is there already; else out of a container made for that."""
    settings, host = run.settings, run.host
    container = running_server(settings, host) if not settings.builder.host else None
    if container is None:
        image = settings.builder.image
        host.need_image(image, "buildkit_image")
        spare = host.create(f"create a container of {image}", image)
        try:
            _copy(path, host, partial(_take_from_container, spare, host))
        finally:
            host.remove(spare)
    elif _digest(path) not in host.execute(container, ["sha256sum", INSIDE])[1].split():
        _copy(path, host, partial(_take_from_container, container, host))


def _copy_from_registry(run: Run, path: Path) -> None:
    """Copy the client out of the layers of the image. :raises ConfigurationError: its name is none."""
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.registry.client import Registry
    from multiarch.registry.extraction import Extraction

    settings, say = run.settings, run.progress.say
    try:
        image = ImageReference.parse(settings.builder.image)
        platform = Platform.parse(os.uname().machine)
    except ValueError as error:
        raise ConfigurationError("multiarch.buildkit_image", str(error)) from None
    insecure = image.registry in settings.publish.insecure_registries
    registry = Registry(image.registry, run.policy, say, insecure=insecure, trace=run.progress.trace)
    say(f"no Docker host answers: taking buildctl for {platform} out of the layers of {image}")
    remedy = "name another with multiarch.buildkit_image, or install buildctl on PATH"
    _copy(path, run.host, Extraction(registry, image, platform, INSIDE.lstrip("/"), remedy).write)


def ensure(current: Run) -> Path:
    """Return the path of the client: that of our server, which is copied where it is not yet, or any that is found."""
    settings = current.settings
    with suppress(BuildctlMissingError, BuildctlNotExecutableError):
        if not settings.starts_buildkit:
            return find_buildctl(settings)
        path = default_path(settings)
        if path.is_file():
            check_kind(path)
            return path
    other = buildctl_on_path()
    # The program in the image is one of Linux.
    if other and sys.platform != "linux":
        return other
    try:
        return run(current)[0]
    except BuildctlNotExecutableError:
        if other is None:
            raise
        current.progress.say(f"the client of {settings.builder.image} cannot run here; building with {other}")
        return other


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


def _copy(path: Path, host: DockerHost, write: Callable[[BinaryIO], None]) -> None:
    """Put the program in its place, whole or not at all. :param write: writes it to an empty file."""
    host.say(f"copying buildctl to {path}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, mode=0o755) as file:
            write(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError("--dest", f"cannot write to {path.parent}: {reason}") from None


def _take_from_container(container: Container, host: DockerHost, file: BinaryIO) -> None:
    host.run("copy buildctl out of its container", lambda: _write(container, file))


def _write(container: Container, file: BinaryIO) -> None:
    """Copy the client out of a container; Docker sends it as a tar archive.

    :param file: what an earlier attempt has written to it is dropped.
    :raises DockerError: the container has no such file, or one that is larger than a client can be.
    """
    import tarfile

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

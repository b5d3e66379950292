"""Step 3, ``copy-buildctl``: take the client out of the server's container, so that both are of one version.

The document: ``docker cp buildkit:/usr/bin/buildctl /usr/bin/``.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.config.settings import BUILDKIT_CONTAINER
from multiarch.errors import BuildctlMissingError, BuildctlNotExecutableError, ConfigurationError
from multiarch.paths import cache_directory

if TYPE_CHECKING:
    from docker.models.containers import Container

    from multiarch.config.settings import Settings
    from multiarch.docker_host import DockerHost
    from multiarch.trace import Trace

INSIDE = "/usr/bin/buildctl"


def copy_buildctl(settings: Settings, host: DockerHost) -> Path:
    """Put the client of ``buildkit_image`` into ``dest``, or the cache; return its path.

    One that is there already and is the same, byte for byte, is left alone.

    :raises BuildctlNotExecutableError: it is a Linux program, and this is a Mac, or another architecture.
    :raises ConfigurationError: ``dest`` cannot be written to.
    """
    path = default_path(settings)
    container = host.find(BUILDKIT_CONTAINER) if not settings.buildkit_host else None
    if container is None or container.status != "running":
        image = settings.buildkit_image
        host.need_image(image, "buildkit_image")
        spare: Container = host.run(f"create a container of {image}", lambda: host.client.containers.create(image))
        try:
            _copy(spare, path, host)
        finally:
            host.remove(spare)
    elif not path.is_file() or _digest(path) not in host.execute(container, ["sha256sum", INSIDE])[1]:
        _copy(container, path, host)
    check_executable(path, host.trace)
    return path


def find_buildctl(settings: Settings) -> Path:
    """Return the client to build with: in ``dest``, in the cache, else on PATH.

    :raises BuildctlMissingError: there is none.
    :raises BuildctlNotExecutableError: it lacks the permission.
    """
    places = list(dict.fromkeys([default_path(settings), _cache_path(settings)]))
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        on_path = shutil.which("buildctl")
        if on_path is None:
            raise BuildctlMissingError(places)
        return Path(on_path)
    if not os.access(found, os.X_OK):
        raise BuildctlNotExecutableError(found, "it lacks the permission; chmod +x, or run copy-buildctl again")
    return found


def check_executable(path: Path, trace: Trace | None = None) -> None:
    """Run ``buildctl --version``. :raises BuildctlNotExecutableError: the system cannot."""
    command = [str(path), "--version"]
    ended = trace.command(command) if trace else None
    try:
        done = subprocess.run(command, check=True, capture_output=True, timeout=60)
        if ended:
            ended(done.returncode)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BuildctlNotExecutableError(path, f"{os.uname().sysname} on {os.uname().machine}: {reason}") from None


def default_path(settings: Settings) -> Path:
    """Return where this step puts the client."""
    return Path(settings.dest) / "buildctl" if settings.dest else _cache_path(settings)


def commands(settings: Settings) -> list[list[str]]:
    """Return the document's command for this step."""
    path = default_path(settings)
    return [["mkdir", "-p", str(path.parent)], ["docker", "cp", f"{BUILDKIT_CONTAINER}:{INSIDE}", str(path)]]


def _cache_path(settings: Settings) -> Path:
    """One place for each version: the tag or digest of the server's image."""
    version = re.sub(r"[^\w.-]", "-", settings.buildkit_image.rpartition("/")[2].partition(":")[2] or "latest")
    return cache_directory() / "buildctl" / version / "buildctl"


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

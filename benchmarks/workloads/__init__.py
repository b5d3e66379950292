"""Contexts of programs as people build them: C with apt, Python with pip, Go by cross-compiling and emulated."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import debian, golang_image
from lab.errors import LabError
from lab.packages import CERTIFICATES

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDER = Path(__file__).parent
# BuildKit's predefined arguments: they need no ARG, and are in no cache key.
_PROXIES = tuple(name for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") for name in (proxy, proxy.lower()))


@dataclass(frozen=True)
class Workload:
    """One image to build.

    :ivar folder: the context.
    :ivar dockerfile: its path in the context.
    :ivar arguments: build arguments that say where packages come from; none has to be given.
    :ivar has_secrets: whether it takes the secret of :func:`secrets`.
    """

    name: str
    folder: Path
    platforms: tuple[str, ...]
    dockerfile: str = "Dockerfile"
    arguments: tuple[str, ...] = ()
    has_secrets: bool = False

    def write(self, folder: Path) -> None:
        """Copy the context into a folder that is there, with its Dockerfile under that name."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("Dockerfile*"))
        shutil.copy(self.folder / self.dockerfile, folder / "Dockerfile")

    def build_args(self, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the build arguments that the environment (by default this process's) has values for.

        :raises LabError: one has a login in it, which anyone could read in the image.
        """
        values = os.environ if environment is None else environment
        given = {name: values[name] for name in (*_PROXIES, *self.arguments) if values.get(name)}
        if secret := [name for name, value in given.items() if "@" in value]:
            raise LabError(
                f"{', '.join(secret)}: a login in it would be public as a build argument; give it one without"
            )
        return given

    def secrets(self) -> dict[str, Path]:
        """Return the files of its secrets by their names: the certificates that this machine trusts."""
        return {"certificates": CERTIFICATES} if self.has_secrets and CERTIFICATES.is_file() else {}


C = Workload("c", _FOLDER / "c", debian.PLATFORMS)
PYTHON = Workload("python", _FOLDER / "python", debian.PLATFORMS, arguments=("PIP_INDEX_URL",), has_secrets=True)
GO = Workload("go", _FOLDER / "go", golang_image.PLATFORMS, arguments=("GOPROXY",), has_secrets=True)
GO_EMULATED = Workload(
    "go-emulated", GO.folder, GO.platforms, "Dockerfile.emulated", arguments=GO.arguments, has_secrets=True
)
WORKLOADS = (C, PYTHON, GO, GO_EMULATED)


def prepare() -> None:
    """Make the images that workloads are built on available to the Docker host; takes minutes at first.

    :raises LabError: this machine cannot make them.
    """
    debian.prepare(golang_image.IMAGE)

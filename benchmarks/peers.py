"""The contestants: this package, and the tools that compose an index too, in the versions that are compared."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.commands import run_retried
from lab.golang import environment, toolchain
from lab.paths import CACHE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multiarch.image.platform import Platform

CRANE = "github.com/google/go-containerregistry/cmd/crane@v0.22.1"
REGCTL = "github.com/regclient/regclient/cmd/regctl@v0.11.7"
BUILDX = "github.com/docker/buildx/cmd/buildx@v0.36.1"
FOLDER = CACHE / "peers"
OURS = "multiarch manifest"

# What an adopter has; every run gets a directory of its own, and all that these programs keep lies in it.
TASKS = "from multiarch import ns\n"
STATE = {
    "BUILDX_CONFIG": "buildx",
    "DOCKER_CONFIG": "docker",
    "HOME": ".",
    "REGCTL_CONFIG": "regctl.json",
    "XDG_CACHE_HOME": "cache",
    "XDG_STATE_HOME": "state",
}


@dataclass(frozen=True)
class Job:
    """An index to be made: *image* is ``host:port/repository``, in plain HTTP."""

    image: str
    tag: str
    platforms: Sequence[Platform]

    @property
    def host(self) -> str:
        """The registry."""
        return self.image.partition("/")[0]

    @property
    def name(self) -> str:
        """Where it goes."""
        return f"{self.image}:{self.tag}"

    @property
    def staged(self) -> list[str]:
        """Where the platforms' images are."""
        return [f"{self.name}-{platform.slug}" for platform in self.platforms]

    @property
    def configuration(self) -> str:
        """The job as invoke.yaml says it."""
        return f"multiarch:\n  image: {self.image}\n  platforms: [{', '.join(map(str, self.platforms))}]\n"


Commands = list[list[str]]


def contestants() -> dict[str, Callable[[Job], Commands]]:
    """Return, by name, what makes the commands for a job; install what is missing."""
    compile_package()
    crane, regctl, buildx = str(install(CRANE)), str(install(REGCTL)), str(install(BUILDX))
    return {
        OURS: lambda job: [[sys.executable, "-m", "invoke", "manifest", "--tag", job.tag]],
        "crane": lambda job: [[crane, "index", "append", *_each("-m", job.staged), "-t", job.name]],
        "regctl": lambda job: [
            [regctl, "--host", f"reg={job.host},tls=disabled", "index", "create", *_each("--ref", job.staged), job.name]
        ],
        "buildx": lambda job: [[buildx, "imagetools", "create", "--progress", "plain", "-t", job.name, *job.staged]],
        "docker manifest": _docker,
    }


def compile_package() -> None:
    """Compile this package, as pip does when it installs it.

    Invoke sets ``sys.dont_write_bytecode`` before it reads tasks.py: a checkout would compile itself in every run.
    """
    package = Path(__file__).parents[1] / "multiarch"
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(package)], check=True)


def plain_environment() -> dict[str, str]:
    """Return the environment without what is set for the contestants or for Python.

    PYTHONDONTWRITEBYTECODE is among it: what ours depends on is compiled at its first run.
    """
    ours = ("INVOKE_", "BUILDX_", "PYTHON")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)}


def install(package: str) -> Path:
    """Return the path of a Go program, ``package@version``; built once."""
    name = package.rpartition("/")[2]
    folder = FOLDER / name
    program = folder / name.partition("@")[0]
    if not program.is_file():
        run_retried([toolchain(), "install", "-trimpath", package], env={**environment(), "GOBIN": str(folder)})
    return program


def _docker(job: Job) -> Commands:
    lines = [["docker", "manifest", "create", "--insecure", job.name, *job.staged]]
    for platform, staged in zip(job.platforms, job.staged, strict=True):
        words = ["--os", platform.os, "--arch", platform.architecture]
        words += ["--variant", platform.variant] if platform.variant else []
        lines.append(["docker", "manifest", "annotate", *words, job.name, staged])
    return [*lines, ["docker", "manifest", "push", "--purge", "--insecure", job.name]]


def _each(flag: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (flag, value)]

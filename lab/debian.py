"""library/debian: bookworm-slim for three platforms, bootstrapped from Debian's packages; made on first need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import binfmt, packages
from lab.commands import run
from lab.errors import LabError
from lab.jobs import Job
from lab.layers import Layer, compress, directory, file, write_layer
from lab.packages import ARCHIVE, PORTS, SUITE
from lab.parts import Part
from lab.published import image_part, one_for_each

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAME = "debian:bookworm-slim"
ARCHITECTURES = ("amd64", "arm64", "armhf")
PLATFORMS = tuple(PORTS[port] for port in ARCHITECTURES)
CONFIG = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["bash"]}

_EMULATORS = "emulators"
# As in Debian's own image: no syncing of each file, and what "slim" leaves out; licences stay.
_LEFT_OUT = ("doc", "groff", "info", "lintian", "linda", "locale", "man")
_DPKG = (
    "force-unsafe-io",
    *(f"path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT),
    "path-include=/usr/share/doc/*/copyright",
)
# As there, too: a Dockerfile that keeps packages in a cache mount has to remove the first.
_APT = {
    "docker-clean": b"""\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
""",
    "docker-gzip-indexes": b'Acquire::GzipIndexes "true";\nAcquire::CompressionTypes::Order:: "gz";\n',
    "docker-no-languages": b'Acquire::Languages "none";\n',
}


def _is_runnable(port: str) -> bool:
    try:
        run(["arch-test", port])
    except LabError:
        return False
    return True


def _lacking() -> list[str]:
    """Return the platforms whose programs the kernel cannot run."""
    packages.need({"arch-test": "arch-test"})
    return [PORTS[port] for port in ARCHITECTURES if not _is_runnable(port)]


def _register() -> str:
    """Register emulators as users do."""
    names = [platform.split("/")[1] for platform in _lacking()]
    image = f"{binfmt.TONISTIIGI.name}:latest"
    run(["docker", "run", "--rm", "--privileged", image, "--install", ",".join(names)])
    if lacking := _lacking():
        raise LabError(
            f"this machine cannot run programs of {', '.join(lacking)}: its kernel took no emulator for them"
        )
    return f"registered {', '.join(names)}"


def _make_root(port: str, folder: Path) -> str:
    options = [f"--dpkgopt={option}" for option in _DPKG]
    return packages.bootstrap(folder / "root.tar", f"--architectures={port}", *options)


def _root(port: str) -> Part:
    return Part(
        name=f"debian-root-{port}",
        make=lambda folder: _make_root(port, folder),
        recipe=(SUITE, ARCHIVE, port, *_DPKG),
        after=("host-packages", _EMULATORS),
    )


ROOTS = {port: _root(port) for port in ARCHITECTURES}


def layers(port: str, folder: Path) -> tuple[Layer, ...]:
    """Write the layers of one port's image."""
    base = compress(ROOTS[port].folder / "root.tar", folder / f"{port}.tar.gz")
    parents = [directory(name) for name in ("etc", "etc/apt", "etc/apt/apt.conf.d")]
    settings = [*parents, *(file(f"etc/apt/apt.conf.d/{name}", text) for name, text in _APT.items())]
    return base, write_layer(folder / f"{port}-apt.tar.gz", settings)


IMAGE = image_part(
    "library/debian",
    ("bookworm-slim",),
    images=one_for_each(ARCHITECTURES, layers, CONFIG),
    version=lambda: f"{SUITE} for {', '.join(PLATFORMS)}",
    files=("debian.py",),
    needs=tuple(ROOTS.values()),
)


def prepare(*more: Part) -> None:
    """Make this machine's Docker host able to pull the image, and *more* that are made of it; minutes at first.

    A Docker host that is not the lab's, and can pull, gets it from where it gets all others.

    :raises LabError: the Docker host cannot pull, or the image cannot be made here.
    """
    from lab import engine
    from lab.jobs import run_jobs
    from lab.lock import alone
    from lab.plan import jobs, jobs_of

    host = engine.find()
    if host and not host.is_labs:
        if cause := host.cannot_pull():
            raise LabError(f"the Docker host at {host.address} is not the lab's and cannot pull {NAME}: {cause}")
        return
    ready = {job.name: job for job in jobs()}
    emulators = Job(_EMULATORS, due=lambda: bool(_lacking()), work=_register, needs=("dockerd", binfmt.TONISTIIGI.name))
    made: Sequence[Job] = [job for job in jobs_of((IMAGE, *more)) if job.name not in ready]
    try:
        with alone():
            run_jobs([*ready.values(), emulators, *made])
    except PermissionError as error:
        raise LabError(f"{NAME} cannot be made by this user: do this once as root") from error

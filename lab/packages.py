"""Debian packages: those the host needs, and those whose files go into images."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.changes import Changes
from lab.commands import run, run_retried
from lab.layers import EPOCH

SUITE = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Point releases alone, without updates: one suite to fetch, and the same images for months.
ARCHIVE = "http://deb.debian.org/debian"

# Programs that the host must have, and the packages that bring them; a dockerd from elsewhere will do.
HOST_PROGRAMS = {
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
    "xz": "xz-utils",
    # For the tests: to list processes, and to offer keys to a build.
    "pgrep": "procps",
    "ssh-agent": "openssh-client",
    # For the tests that run the pipelines of a repository.
    "git": "git",
    "rsync": "rsync",
}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# Services that systemd starts when these packages are installed; they would be in the way of the lab's own.
UNITS = ("docker.service", "docker.socket", "containerd.service", "docker-registry.service")

# Debian 12's names of the architectures that images are made for.
PORTS = {
    "amd64": "linux/amd64",
    "arm64": "linux/arm64",
    "armhf": "linux/arm/v7",
    "armel": "linux/arm/v5",
    "i386": "linux/386",
    "s390x": "linux/s390x",
    "ppc64el": "linux/ppc64le",
}

_NONINTERACTIVE = {"DEBIAN_FRONTEND": "noninteractive"}


def host_architecture() -> str:
    """Return Debian's name of this machine's architecture."""
    return run(["dpkg", "--print-architecture"]).strip()


def need(programs: dict[str, str], units: tuple[str, ...] = ()) -> None:
    """Install the packages of programs that the host lacks, by program, and keep their services from starting."""
    if lacking := {package for program, package in programs.items() if shutil.which(program) is None}:
        _install(sorted(lacking), units)


def missing() -> list[str]:
    """Return the packages that the host lacks."""
    packages = [package for program, package in HOST_PROGRAMS.items() if shutil.which(program) is None]
    return packages if CERTIFICATES.exists() else [*packages, "ca-certificates"]


def install() -> str:
    """Install what the host lacks, and keep Debian's own services from starting."""
    packages = missing()
    _install(packages, UNITS)
    return "installed " + ", ".join(packages)


def _install(packages: list[str], units: tuple[str, ...]) -> None:
    changes = Changes()
    for unit in units:
        if not Path("/lib/systemd/system", unit).exists():
            changes.mask(unit)
    run_retried(["apt-get", "update"], env=_NONINTERACTIVE)
    # --no-remove: the lab must not remove what the machine's owner installed.
    run_retried(
        ["apt-get", "install", "--yes", "--no-install-recommends", "--no-remove", *packages], env=_NONINTERACTIVE
    )


def bootstrap(root: Path, *options: str) -> str:
    """Write a minimal root file system, as an archive, with more options of mmdebstrap; return the suite."""
    argv: list[str | Path] = ["mmdebstrap", "--variant=minbase", *options, SUITE, root, f"deb {ARCHIVE} {SUITE} main"]
    # The archive must not hold the time it was made at, or every lab would have another image.
    run_retried(argv, env={"SOURCE_DATE_EPOCH": str(EPOCH)})
    return SUITE


def download(packages: list[str], folder: Path) -> None:
    """Download packages of any port into a folder, verified, without touching the machine's own apt or dpkg."""
    state = folder / ".apt"
    for below in ("lists/partial", "cache/archives/partial", "parts"):
        (state / below).mkdir(parents=True)
    (state / "status").touch()
    # The package lists alone, not what apt fetches on a desktop as well.
    options = f"[arch={','.join(PORTS)} target=Packages signed-by={KEYRING}]"
    (state / "sources.list").write_text(f"deb {options} {ARCHIVE} {SUITE} main\n")
    settings = {
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": state / "parts",
        "Dir::Etc::preferencesparts": state / "parts",
        "APT::Architectures": ",".join(PORTS),
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", *(f"-o{name}={value}" for name, value in settings.items())]
    run_retried([*apt, "update"])
    run_retried([*apt, "download", *packages], cwd=folder)
    shutil.rmtree(state)


def find(folder: Path, package: str, port: str) -> Path:
    """Return the downloaded file of a package."""
    return next(folder.glob(f"{package}_*_{port}.deb"))


def version(package: Path) -> str:
    """Return the version of a downloaded package."""
    return run(["dpkg-deb", "--field", package, "Version"]).strip()


def unpack(package: Path, folder: Path) -> Path:
    """Unpack the files of a downloaded package into a folder, and return the folder."""
    run(["dpkg-deb", "--extract", package, folder])
    return folder

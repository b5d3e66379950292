"""Debian packages: those the host needs, and those whose files go into images."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.changes import Changes
from lab.commands import run, run_retried

SUITE = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# The point releases and nothing after them: one suite to fetch, and for months the same images.
ARCHIVE = "http://deb.debian.org/debian"

# What the host must have, and the package that brings it: a dockerd from elsewhere serves as well.
HOST_PROGRAMS = {
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
    "xz": "xz-utils",
    # With these the tests look on, and offer keys to a build.
    "pgrep": "procps",
    "ssh-agent": "openssh-client",
    # With these they run pipelines of a repository.
    "git": "git",
    "rsync": "rsync",
}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# Services that these packages start at once where systemd runs, and that would stand in our way.
UNITS = ("docker.service", "docker.socket", "containerd.service", "docker-registry.service")

# What Debian 12 calls the architectures that the images are made for.
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


def missing() -> list[str]:
    """List the packages that the host lacks."""
    lacking = [package for program, package in HOST_PROGRAMS.items() if shutil.which(program) is None]
    return lacking if CERTIFICATES.exists() else [*lacking, "ca-certificates"]


def install() -> str:
    """Install what the host lacks, with Debian's own services kept from starting."""
    packages = missing()
    changes = Changes()
    for unit in UNITS:
        if not Path("/lib/systemd/system", unit).exists():
            changes.mask(unit)
    run_retried(["apt-get", "update"], env=_NONINTERACTIVE)
    # --no-remove: nothing that the machine's owner chose may go because of us.
    run_retried(
        ["apt-get", "install", "--yes", "--no-install-recommends", "--no-remove", *packages], env=_NONINTERACTIVE
    )
    return "installed " + ", ".join(packages)


def download(packages: list[str], folder: Path) -> None:
    """Download packages of any port into a folder, verified, without touching the machine's own apt or dpkg."""
    state = folder / ".apt"
    for below in ("lists/partial", "cache/archives/partial", "parts"):
        (state / below).mkdir(parents=True)
    (state / "status").touch()
    # Only the package lists: not what a desktop's apt would fetch as well.
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

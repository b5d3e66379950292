"""docs/fleet.md and the recipe: their commands, run as they stand, make this machine a builder of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab import processes
from lab.buildkit import PROGRAMS
from tests.fleet.network import another_network
from tests.fleet.parts import Registry, free_port, listens, wait_until
from tests.fleet.test_ssh import machine  # noqa: F401 (a fixture)
from tests.pages import commands, files, unrun
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fleet.parts import Project
    from tests.fleet.test_ssh import Machine

PAGE = (ROOT / "docs" / "fleet.md").read_text()


def blocks(heading: str) -> list[str]:
    """Return the commands below a heading, block by block."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def shell(commands: str, where: Path, environ: dict[str, str]) -> str:
    """Run commands; what they start in the background goes on."""
    words = ["bash", "-euc", commands]
    done = subprocess.run(words, cwd=where, env=environ, capture_output=True, text=True, timeout=120)
    assert 0 == done.returncode, done.stderr
    return done.stdout


@contextmanager
def another_machine(folder: Path, bin_: Path) -> Iterator[Path]:
    """A home with the archive of BuildKit, where sudo is not needed; what runs there ends with it."""
    home = folder / "home"
    home.mkdir()
    with tarfile.open(home / "buildkit-v0.32.2.linux-arm64.tar.gz", "w:gz", compresslevel=1) as archive:
        for name in ("buildctl", "buildkitd"):
            archive.add(PROGRAMS.folder / name, f"bin/{name}")
    _program(bin_ / "sudo", 'exec "$@"')
    _program(bin_ / "invoke", f'exec {sys.executable} -m invoke "$@"')
    try:
        yield home
    finally:
        processes.stop(processes.find("buildkitd", f"{home}/"), 3)
        for point in processes.mounts_in(home):
            subprocess.run(["umount", "--lazy", point], check=True)


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_builder_over_ssh_from_nothing(project: Project, machine: Machine, tmp_path: Path) -> None:  # noqa: F811
    """As the page says, with the name arm-2 for this machine."""
    key, there, here = blocks("From nothing, over ssh")
    bin_ = machine.folder / "bin"
    with another_network() as network, another_machine(tmp_path, bin_) as home:
        environ = project.env(HOME=str(home), PATH=machine.path)
        shell(key, project.path, environ)
        shutil.copy(project.path / "fleet-key.pub", home)
        shell(there, home, environ)
        (machine.folder / "authorized_keys").write_text((home / ".ssh/authorized_keys").read_text())
        (machine.folder / "known_hosts").unlink()
        config = (machine.folder / "config").read_text().replace(f"{machine.folder}/key", f"{project.path}/fleet-key")
        config = config.replace(f"{machine.folder}/known_hosts", f"{home}/.ssh/known_hosts")
        where = f"  HostName 127.0.0.1\n  HostKeyAlias arm-2\n  Port {machine.port}\n"
        (machine.folder / "config").write_text(f"{config}{where}")
        scan = f"{shutil.which('ssh-keyscan')} -p {machine.port} 127.0.0.1"
        _program(bin_ / "ssh-keyscan", f'{scan} | sed "s/^[^ ]*/$1/"')
        # For arm-2, the loopback interface is another machine's.
        registry = Registry(tmp_path / "reachable", network.here).start()
        project.image = f"{registry.host}/app"
        setting = _setting("address: 'ssh://root@arm-2'") + f"  insecure_registries: ['{registry.host}']\n"
        project.write("FROM scratch\nCOPY Dockerfile /\n", setting)
        wait_until((home / "buildkit/sock").exists, "the start of buildkitd")
        printed = shell(here, project.path, environ)
        registry.daemon.end()
    assert f"{project.image}:latest@sha256:" in printed
    assert re.search(r"^arm-2 +linux/amd64 +natively +v0\.32\.2 ", printed, re.MULTILINE)


def test_recipe_of_a_native_builder(project: Project, machine: Machine, tmp_path: Path) -> None:  # noqa: F811
    """As the page says, with this machine for arm-box, and a directory of its own for /usr/local/bin."""
    page, bin_ = ROOT / "docs" / "recipes" / "native-arm64.md", machine.folder / "bin"
    address = "ssh://build@arm-box/home/build/buildkit/sock"
    assert [True, True] == [address in files(page)[name] for name in ("invoke.yaml", "ci/invoke.yaml")]
    with another_machine(tmp_path, bin_) as home:
        environ = project.env(HOME=str(home), PATH=machine.path)
        shell("\n".join(unrun(page)).replace("/usr/local/bin", str(bin_)), home, environ)
        machine.allow(f'PATH={bin_}:$PATH sh -c \\"$SSH_ORIGINAL_COMMAND\\"')
        address = address.replace("build@arm-box/home/build", f"root@127.0.0.1:{machine.port}{home}")
        project.write("FROM scratch\nCOPY Dockerfile /\n", _setting(f"address: '{address}'"))
        wait_until((home / "buildkit/sock").exists, "the start of buildkitd")
        printed = shell("\n".join(commands(page)), project.path, environ)
    assert f"{project.image}:latest@sha256:" in printed
    assert re.search(r"^arm-2 +linux/amd64 +natively +v0\.32\.2 ", printed, re.MULTILINE)


def test_builder_over_mtls_from_nothing(project: Project, tmp_path: Path) -> None:
    """As the page says, with another port than 1234, and the loopback interface for arm-1.example."""
    certificates, there, here = blocks("From nothing, over mTLS")
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    port = free_port()
    with another_machine(tmp_path, bin_) as home:
        ours = tmp_path / "config"
        environ = project.env(HOME=str(home), XDG_CONFIG_HOME=str(ours), PATH=f"{bin_}:{project.env()['PATH']}")
        project.write("FROM scratch\n", "")
        shell(certificates, project.path, environ)
        shutil.copytree(ours / "multiarch/fleet/servers/arm-1.example", home / "fleet")
        shell(there.replace("0.0.0.0:1234", f"127.0.0.1:{port}"), home, environ)
        wait_until(lambda: listens("127.0.0.1", port), "the start of buildkitd")
        tls = f"tls: {{directory: {ours}/multiarch/fleet, name: arm-1.example}}"
        project.write("FROM scratch\nCOPY Dockerfile /\n", _setting(f"address: 'tcp://127.0.0.1:{port}', {tls}"))
        printed = shell(here, project.path, environ)
    assert f"{project.image}:latest@sha256:" in printed
    assert re.search(r"^arm-2 +linux/amd64 +natively +v0\.32\.2 +\S+ +89 days$", printed, re.MULTILINE)


def _setting(of_the_builder: str) -> str:
    return f"  platforms: [linux/amd64]\n  builders:\n    arm-2: {{{of_the_builder}, platforms: [linux/amd64]}}\n"

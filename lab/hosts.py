"""Docker hosts beside the lab's own, as users have them: each made on first need, in directories of its own.

They take their images from the lab's mirror. A host is up within its context; what it has pulled stays.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab import mirror, processes, runtime
from lab.changes import Changes
from lab.commands import run
from lab.daemons import SOCKET, Daemon, answers
from lab.packages import need
from lab.paths import HOSTS

if TYPE_CHECKING:
    import pwd
    from collections.abc import Iterator

_TUN = Path("/dev/net/tun")
_PRIVILEGE_SEPARATION = Path("/run/sshd")  # sshd wants it, whatever its configuration
_USER = "multiarch-lab"
_BRIDGE, _BRIDGE_NETWORK = "multiarch-lab0", "172.31.255.1/24"
_ROOTLESS = "/usr/share/docker.io/contrib/dockerd-rootless.sh"
_SLIRP_HOST = "10.0.2.2"  # this machine's loopback interface, as a rootless host sees it
_SECONDS = 60  # seconds for a start; each takes a few
_GRACE = 20.0  # seconds; a daemon stops its containers before it ends

_PODMAN_CONF = """\
[containers]
# They would be raised above those of this machine, which takes CAP_SYS_RESOURCE.
default_ulimits = []
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
_PODMAN_REGISTRIES = f"""\
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "{mirror.ADDRESS.partition("//")[2]}"
insecure = true
"""
_SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv PATH={path}
"""
_SSH = """\
Host *
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking accept-new
  LogLevel ERROR
"""


@dataclass(frozen=True)
class Host:
    """A Docker host that is up.

    :ivar environ: the variables by which a client comes to it.
    :ivar user: who its clients are, None for this user.
    """

    environ: dict[str, str] = field(default_factory=dict)
    user: pwd.struct_passwd | None = None

    def words(self, *command: str) -> list[str]:
        """Return a command, as the user of the host."""
        if self.user is None:
            return list(command)
        # This user may read the programs of root, such as those in its home.
        reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
        return [*_as(self.user), *reads, *command]


@contextlib.contextmanager
def remapped() -> Iterator[Host]:
    """A dockerd whose containers have other users (``--userns-remap``)."""
    user = Changes().user(_USER, HOSTS / "rootless")
    yield from _beside("remapped", "--userns-remap", user.pw_name)


@contextlib.contextmanager
def insecure(*registries: str) -> Iterator[Host]:
    """A dockerd that verifies none of these registries, each ``host:port`` (``--insecure-registry``)."""
    yield from _beside("insecure", *(f"--insecure-registry={registry}" for registry in registries))


@contextlib.contextmanager
def rootless() -> Iterator[Host]:
    """A rootless dockerd, and its user as the client."""
    need({"rootlesskit": "rootlesskit", "slirp4netns": "slirp4netns", "newuidmap": "uidmap", "setpriv": "util-linux"})
    folder = _folder("rootless")
    user = Changes().user(_USER, folder)
    Changes().open_device(_TUN)
    (folder / "run").mkdir(mode=0o700, exist_ok=True)
    (folder / "daemon.json").write_text("{}\n")
    for path in (folder, folder / "run"):
        os.chown(path, user.pw_uid, user.pw_gid)
    variables = {
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": f"{folder}/run",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS": "--disable-host-loopback=false",
    }
    argv = [*_as(user), _ROOTLESS, "--config-file", f"{folder}/daemon.json", "--data-root", f"{folder}/data"]
    argv += ["--registry-mirror", mirror.ADDRESS.replace("127.0.0.1", _SLIRP_HOST)]
    with _up(_daemon("rootlesskit", folder, folder / "run/docker.sock"), argv, variables):
        environ = {"DOCKER_HOST": f"unix://{folder}/run/docker.sock", "HOME": str(folder)}
        yield from _cleaned(Host(environ, user))


@contextlib.contextmanager
def podman() -> Iterator[Host]:
    """Podman's service, which speaks Docker's API."""
    need(
        {"podman": "podman"}, ("podman.service", "podman.socket", "podman-auto-update.timer", "podman-restart.service")
    )
    folder = _folder("podman")
    (folder / "containers.conf").write_text(_PODMAN_CONF)
    (folder / "registries.conf").write_text(_PODMAN_REGISTRIES)
    files = {"CONTAINERS_CONF": "containers.conf", "CONTAINERS_REGISTRIES_CONF": "registries.conf"}
    argv = ["podman", "--root", f"{folder}/data", "--runroot", f"{folder}/run", "system", "service", "--time", "0"]
    argv += [f"unix://{folder}/podman.sock"]
    daemon = _daemon("podman", folder, folder / "podman.sock")
    with _up(daemon, argv, {name: str(folder / file) for name, file in files.items()}):
        yield from _cleaned(Host({"DOCKER_HOST": f"unix://{folder}/podman.sock"}))


@contextlib.contextmanager
def over_tcp() -> Iterator[Host]:
    """The lab's own dockerd at an address of tcp."""
    need({"socat": "socat"})
    port = _free_port()
    argv = ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr", f"UNIX-CONNECT:{SOCKET}"]
    daemon = Daemon("socat", f"TCP-LISTEN:{port},", lambda: answers(socket.AF_INET, ("127.0.0.1", port)))
    with _up(daemon, argv):
        yield Host({"DOCKER_HOST": f"tcp://127.0.0.1:{port}"})


@contextlib.contextmanager
def over_ssh() -> Iterator[Host]:
    """The lab's own dockerd over ssh: a server and a key of its own."""
    need({"sshd": "openssh-server", "ssh": "openssh-client"}, ("ssh.service", "ssh.socket"))
    folder, port = _folder("ssh"), _free_port()
    for name in ("host", "key"):
        if not (folder / name).exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name])
    (folder / "known_hosts").unlink(missing_ok=True)
    (folder / "sshd_config").write_text(_SSHD.format(folder=folder, port=port, path=os.environ["PATH"]))
    (folder / "ssh_config").write_text(_SSH.format(folder=folder, port=port))
    # ssh reads the configuration in the home of its user in passwd, wherever HOME is.
    program = folder / "bin" / "ssh"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    program.chmod(0o755)
    _PRIVILEGE_SEPARATION.mkdir(exist_ok=True)
    argv = [shutil.which("sshd") or "sshd", "-D", "-e", "-f", f"{folder}/sshd_config"]
    with _up(Daemon("sshd", str(folder), functools.partial(_listens, port)), argv):
        yield Host({"DOCKER_HOST": "ssh://lab", "PATH": f"{program.parent}:{os.environ['PATH']}"})


def _beside(name: str, *options: str) -> Iterator[Host]:
    """Yield a dockerd beside the lab's own; one at a time, as they have one bridge."""
    folder = _folder(name)
    # A bridge of its own, and no rules: without a bridge, or with rules, it would remove those of the lab's dockerd.
    Changes().make_bridge(_BRIDGE, _BRIDGE_NETWORK)
    (folder / "daemon.json").write_text("{}\n")
    argv = ["dockerd", "--config-file", f"{folder}/daemon.json", "--host", f"unix://{folder}/docker.sock"]
    argv += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/docker.pid"]
    argv += ["--bridge", _BRIDGE, "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
    argv += ["--registry-mirror", mirror.ADDRESS, *options, *runtime.arguments()]
    with _up(_daemon("dockerd", folder, folder / "docker.sock"), argv):
        yield from _cleaned(Host({"DOCKER_HOST": f"unix://{folder}/docker.sock"}))


def stop_all() -> None:
    """Stop what is left of these hosts, such as after a crash."""
    for program in ("dockerd", "rootlesskit", "podman"):
        processes.stop(processes.find(program, f"{HOSTS}/"), _GRACE)
    _clear(HOSTS)


def _folder(name: str) -> Path:
    folder = HOSTS / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _daemon(program: str, folder: Path, path: Path) -> Daemon:
    return Daemon(program, f"{folder}/", lambda: answers(socket.AF_UNIX, str(path)), f"hosts-{folder.name}")


@contextlib.contextmanager
def _up(daemon: Daemon, argv: list[str], env: dict[str, str] | None = None) -> Iterator[None]:
    """Start a daemon, after what is left of an earlier one; stop it at the end."""
    processes.stop(daemon.pids(), _GRACE)
    process = daemon.start(argv, _SECONDS, env)
    try:
        yield
    finally:
        # By its number too: sshd calls itself by another name.
        processes.stop([process.pid, *daemon.pids()], _GRACE)
        process.wait()
        if daemon.mark.startswith(f"{HOSTS}/"):
            _clear(HOSTS / daemon.mark.removeprefix(f"{HOSTS}/").partition("/")[0])


def _clear(folder: Path) -> None:
    """End the processes and mounts that daemons leave below a folder."""
    for program in ("containerd", "containerd-shim-runc-v2", "conmon"):
        processes.stop(processes.find(program, f"{folder}/"), 5)
    processes.stop(processes.rooted_in(folder), 0)
    for point in processes.mounts_in(folder):
        run(["umount", "--lazy", point])


def _cleaned(host: Host) -> Iterator[Host]:
    """Yield a host that has no containers, and remove those that it has at the end."""
    _remove_containers(host)
    try:
        yield host
    finally:
        _remove_containers(host)


def _remove_containers(host: Host) -> None:
    docker = ["docker", "--host", host.environ["DOCKER_HOST"]]
    if names := run([*docker, "ps", "--all", "--quiet"]).split():
        run([*docker, "rm", "--force", "--volumes", *names])


def _as(user: pwd.struct_passwd) -> list[str]:
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False

"""Step 1, ``setup-binfmt``: emulators in the kernel of the Docker host, for the programs of other architectures.

The document: "You don't need physical ARM servers". The kernel's side is binfmt_misc
(Documentation/admin-guide/binfmt-misc.rst): an entry compares the head of a program with a magic under a mask and names
the interpreter. Only an entry with the F flag, whose interpreter is opened when it is registered, works in containers.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.buildkit.address import container_address
from multiarch.errors import DockerError, EmulatorError, ForeignContainerError
from multiarch.image.platform import Platform, runs_natively

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multiarch.config.project import Project
    from multiarch.config.server_settings import BuilderSettings
    from multiarch.config.settings import Settings
    from multiarch.docker_host import DockerHost
    from multiarch.run import Run

_PROC = Path("/proc")
_NAME = re.compile(r"[^\s,]{1,255}")  # a file's name; a comma would divide it in the installer's --uninstall
# The kernel compares the first 256 bytes of a program (BINPRM_BUF_SIZE).
_OFFSET = re.compile(r"[0-9]{1,3}")
_HEX = re.compile(r"(?:[0-9a-f]{2}){1,256}")
_MOST_ATTEMPTS = 2  # of installing; a second one where another run's installer has come between
# binfmt_misc is one per kernel wherever it is mounted, so a mount of the container's own shows the host's entries. On
# arm64 the personality system call refuses linux32 where the CPU cannot run 32-bit programs.
_PROBE = """
command -v linux32 >/dev/null || exit 1
linux32 true 2>/dev/null && echo '# aarch32'
mkdir -p /mnt && mount -t binfmt_misc binfmt_misc /mnt && cd /mnt || exit 1
for entry in *; do [ "$entry" = register ] || { echo "# entry $entry"; cat "$entry"; }; done
"""
_REMOVE = """
mkdir -p /mnt && mount -t binfmt_misc binfmt_misc /mnt || exit 1
for name; do echo -1 > "/mnt/$name" || exit 1; done
"""


class Emulator(Struct, frozen=True):
    """An entry of binfmt_misc."""

    name: str
    enabled: bool
    flags: str
    offset: int
    magic: bytes
    mask: bytes

    def runs(self, platform: Platform) -> bool:
        """Whether the kernel hands *platform*'s programs to this entry."""
        header = platform.elf.header()[self.offset : self.offset + len(self.magic)]
        masked = (bytes(a & m for a, m in zip(side, self.mask, strict=True)) for side in (header, self.magic))
        return self.enabled and len(header) == len(self.magic) and next(masked) == next(masked)


class HostState(Struct, frozen=True):
    """What the Docker host can run.

    :ivar machine: its ``uname -m``.
    :ivar aarch32: whether an arm64 CPU also runs 32-bit programs.
    """

    machine: str
    aarch32: bool
    emulators: tuple[Emulator, ...]

    def is_native(self, platform: Platform) -> bool:
        """Whether the CPU runs *platform* itself."""
        return runs_natively(platform, self.machine, aarch32=self.aarch32)

    def emulator(self, platform: Platform) -> Emulator | None:
        """Return what runs *platform* in containers: None without an entry, or with one that lacks the F flag."""
        return next((e for e in self.emulators if e.runs(platform) and "F" in e.flags), None)

    def name_of(self, platform: Platform) -> str:
        """Return the name of the entry that runs *platform*; ``native`` where the CPU does."""
        emulator = None if self.is_native(platform) else self.emulator(platform)
        return emulator.name if emulator else "native"


class Runnable(Struct, frozen=True):
    """One platform, and by which entry of binfmt_misc the host runs it (``native``: by none)."""

    platform: Platform
    emulator: str

    def __str__(self) -> str:
        return f"{self.platform} {self.emulator}"

    @property
    def json(self) -> dict[str, str]:
        """Its fields for programs."""
        return {"platform": str(self.platform), "emulator": self.emulator}


def run(run: Run) -> tuple[Runnable, ...]:
    """Make the Docker host run each platform of the matrix that it builds itself, or tries the image of.

    Emulators that are there are left alone, unless ``--reinstall``, or an ``--installer`` on the command line, asks for
    others in their place.

    :raises EmulatorError: the installer ran and a platform still has no emulator.
    :raises DockerError: the host refuses privileged containers, or its kernel has no binfmt_misc.
    """
    settings, host = run.settings, run.host
    platforms = settings.local_platforms
    if all(runs_natively(platform, host.machine) for platform in platforms):
        return tuple(Runnable(platform, "native") for platform in platforms)
    if host.info.is_rootless:
        return _run_rootless(platforms, settings, host)
    builder = settings.builder
    state = read_state(host, builder)
    foreign = [p for p in platforms if not state.is_native(p)]
    missing = [p for p in foreign if builder.reinstall or state.emulator(p) is None]
    problem = ""
    for _ in range(_MOST_ATTEMPTS):
        if not missing:
            break
        problem = _install(builder, missing, state, host)
        # Two installers of two runs take turns in replacing an entry: what counts is what is there in the end.
        state = read_state(host, builder)
        missing = [p for p in foreign if state.emulator(p) is None]
    if missing:
        raise EmulatorError(missing, builder.installer, problem)
    return tuple(Runnable(platform, state.name_of(platform)) for platform in platforms)


def _run_rootless(platforms: Sequence[Platform], settings: Settings, host: DockerHost) -> tuple[Runnable, ...]:
    """Check that a rootless Docker host runs each platform. What its administrator registered holds there too.

    From Linux 6.7 on, a mount of binfmt_misc by such a host has entries of its own, none at first, in place of the
    administrator's, until the host ends. So nothing is mounted: by the head of a program the kernel shows what it does.

    :raises DockerError: a platform has no emulator.
    """
    foreign = [platform for platform in platforms if not runs_natively(platform, host.machine)]
    probe = settings.builder.probe_image
    script = ["sh", "-c", _trials(foreign)]
    words = host.run_once(host.need_image(probe, "probe_image"), script, name=probe).splitlines()
    kinds = {p: "emulated" for p in foreign if f"# runs {p}" in words and not settings.builder.reinstall}
    kinds |= {p: "native" for p in platforms if runs_natively(p, host.machine, aarch32="# aarch32" in words)}
    if missing := [p for p in platforms if p not in kinds]:
        (command,) = commands_on(host.machine, settings)
        what = "replace" if settings.builder.reinstall else "register"
        problem = f"it is rootless, and cannot {what} an emulator; root can, once for all: {' '.join(command)}"
        raise DockerError(f"run programs for {', '.join(map(str, missing))}", problem)
    return tuple(Runnable(platform, kinds[platform]) for platform in platforms)


def _trials(platforms: Iterable[Platform]) -> str:
    """Return a script that says which platforms' programs begin: an emulator refuses a mere head by its own status."""
    lines = ["linux32 true 2>/dev/null && echo '# aarch32'"]
    for platform in platforms:
        head = "".join(f"\\{byte:03o}" for byte in platform.elf.header())
        lines.append(f"printf '{head}' >/tmp/head; chmod +x /tmp/head; env /tmp/head >/dev/null 2>&1")
        # env (POSIX): 126 where the kernel knows no such format, 127 where the entry's interpreter is not in here.
        lines.append(f"case $? in 126|127) ;; *) echo '# runs {platform}' ;; esac")
    return "\n".join([*lines, "true"])


def commands(project: Project) -> list[list[str]]:
    """Return the document's command for this step, for a Docker host like this machine; none when all is native."""
    settings = project.settings
    return commands_on(os.uname().machine, settings)


def commands_on(machine: str, settings: Settings) -> list[list[str]]:
    """Return the document's command for a Docker host whose kernel calls itself *machine* (``uname -m``)."""
    missing = [p for p in settings.local_platforms if not runs_natively(p, machine)]
    if not missing:
        return []
    arguments = installer_arguments(settings.builder.installer, missing)
    return [["docker", "run", "--privileged", "--rm", settings.builder.installer, *arguments]]


def read_state(host: DockerHost, builder: BuilderSettings) -> HostState:
    """Read the state of the Docker host's kernel through a container: the host may be another machine.

    :param builder: names our server, which is asked where it runs, and an image with a shell, which installers lack.
    """
    text = ask_server(host, builder.container)
    if not text:
        probe = host.need_image(builder.probe_image, "probe_image")
        text = host.run_once(probe, ["sh", "-c", _PROBE], privileged=True, name=builder.probe_image)
    return HostState(host.machine, "# aarch32" in text.splitlines(), tuple(parse_entries(text)))


def ask_server(host: DockerHost, name: str) -> str:
    """Return what the probe prints in our server, in a mount namespace of its own; empty where it cannot run there.

    A container of its own takes longer than all else that a warm release does before it builds. The server may end or
    be replaced meanwhile, and its image may lack the programs. A server that listens on a socket of this machine runs
    on its kernel, whose entries are looked at from here.
    """
    with contextlib.suppress(DockerError, ForeignContainerError):
        server = host.find(name)
        if server is not None and server.status == "running":
            # What else an arm64 CPU runs, a program has to try. Podman calls it as Go does.
            is_arm64 = host.machine in ("aarch64", "arm64")
            is_here = not is_arm64 and container_address(server, host).startswith("unix://")
            if is_here and (text := _own_entries()):
                return text
            status, text = host.execute(server, ["unshare", "-m", "sh", "-c", _PROBE])
            return "" if status else text
    return ""


def _own_entries() -> str:
    """Return what the probe prints of this machine's entries; empty where these cannot be seen."""
    with contextlib.suppress(OSError, UnicodeError):
        # From Linux 6.7 on, other users' namespaces have entries of their own.
        if (_PROC / "self/uid_map").read_text().split() == ["0", "0", str(0xFFFFFFFF)]:
            entries = [entry for entry in sorted((_PROC / "sys/fs/binfmt_misc").iterdir()) if entry.name != "register"]
            if any(entry.name == "status" for entry in entries):
                return "".join(f"# entry {entry.name}\n{entry.read_text()}" for entry in entries)
    return ""


def parse_entries(text: str) -> Iterable[Emulator]:
    """Yield the entries in what the probe printed; none while binfmt_misc as a whole is disabled.

    What is no entry as the kernel prints it is left out: nothing is known to run by it.
    """
    entries: dict[str, list[str]] = {}
    body: list[str] = []
    for line in text.splitlines():
        if line.startswith("# entry "):
            body = entries.setdefault(line.removeprefix("# entry "), [])
        else:
            body.append(line)
    if entries.pop("status", []) == ["disabled"]:
        return
    for name, lines in entries.items():
        if emulator := _parse_entry(name, lines):
            yield emulator


def _parse_entry(name: str, lines: Sequence[str]) -> Emulator | None:
    """Return an entry (fs/binfmt_misc.c, entry_status); None of one by file name extension, or that is malformed."""
    fields = {key.rstrip(":"): value.strip() for key, _, value in (line.partition(" ") for line in lines)}
    magic, offset = _bytes(fields.get("magic", "")), fields.get("offset", "0")
    mask = _bytes(fields["mask"]) if "mask" in fields else b"\xff" * len(magic)
    if not (_NAME.fullmatch(name) and magic and len(mask) == len(magic) and _OFFSET.fullmatch(offset)):
        return None
    return Emulator(name, lines[0] == "enabled", fields.get("flags", ""), int(offset), magic, mask)


def _bytes(text: str) -> bytes:
    """Return bytes that are written in hexadecimal; none of another text."""
    return bytes.fromhex(text) if _HEX.fullmatch(text) else b""


def installer_arguments(installer: str, platforms: Sequence[Platform]) -> list[str]:
    """Return what the installer image takes: linuxkit's, the document's, registers everything and takes nothing."""
    if "linuxkit/" in installer:
        return []
    return ["--install", ",".join(sorted({platform.architecture for platform in platforms}))]


def _install(builder: BuilderSettings, missing: Sequence[Platform], state: HostState, host: DockerHost) -> str:
    """Replace the entries that run the missing platforms; return the installer's output, or why that failed.

    A failure is not raised: the installer of another run may have registered the same platforms meanwhile.
    """
    installer = builder.installer
    image = host.need_image(installer, "installer")
    # An entry that is there stands in the way: the kernel refuses a second one of its name. Removed by us, it is the
    # installer's work when one is there again.
    former = sorted({e.name for e in state.emulators for p in missing if e.runs(p)})
    try:
        if former:
            probe = host.need_image(builder.probe_image, "probe_image")
            host.say(f"removing the emulators {', '.join(former)}")
            host.run_once(probe, ["sh", "-c", _REMOVE, "sh", *former], privileged=True, name=builder.probe_image)
        host.say(f"registering emulators for {', '.join(map(str, missing))} with {installer}")
        return host.run_once(image, installer_arguments(installer, missing), privileged=True, name=installer)
    except DockerError as error:
        return str(error)

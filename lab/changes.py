"""Record of the changes that the lab makes outside its own folders, for `lab.down` to undo."""

from __future__ import annotations

import contextlib
import pwd
import shutil
import stat
import threading
from pathlib import Path

from lab.commands import run
from lab.errors import LabError
from lab.paths import STATE

FILE = STATE / "changes"
_SYSTEMD = Path("/etc/systemd/system")
_guard = threading.Lock()


class Changes:
    """A list on disk, one change a line, written before the change is made."""

    def mask(self, unit: str) -> None:
        """Keep systemd from starting a unit."""
        link = _SYSTEMD / unit
        if _SYSTEMD.is_dir() and not link.is_symlink() and not link.exists():
            self._record("mask", unit)
            link.symlink_to("/dev/null")

    def mount(self, kind: str, target: Path) -> None:
        """Mount a file system of the kernel."""
        self._record("mount", str(target))
        target.mkdir(parents=True, exist_ok=True)
        run(["mount", "-t", kind, kind, target])

    def bridge(self, name: str) -> None:
        """Record a network bridge before one of our daemons makes it."""
        if not Path("/sys/class/net", name).exists():
            self._record("bridge", name)

    def directory(self, path: Path) -> None:
        """Record a directory, and those above it, before one of our programs makes it; it is empty in the end."""
        for missing in [one for one in reversed((path, *path.parents)) if not one.exists()]:
            self._record("directory", str(missing))

    def make_bridge(self, name: str, network: str) -> None:
        """Make a network bridge with an address."""
        if not Path("/sys/class/net", name).exists():
            self._record("bridge", name)
            run(["ip", "link", "add", name, "type", "bridge"])
            run(["ip", "address", "add", network, "dev", name])
            run(["ip", "link", "set", name, "up"])

    def user(self, name: str, home: Path) -> pwd.struct_passwd:
        """Make a user with subordinate users and groups; return its entry."""
        try:
            return pwd.getpwnam(name)
        except KeyError:
            self._record("user", name)
            run(["useradd", "--home-dir", home, "--no-create-home", "--shell", "/bin/sh", name])
            return pwd.getpwnam(name)

    def open_device(self, path: Path) -> None:
        """Let every user open a device, as udev does."""
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode != 0o666:
            self._record("mode", f"{mode:o} {path}")
            path.chmod(0o666)

    def undo(self) -> None:
        """Undo all changes, the last one first."""
        try:
            lines = FILE.read_text().splitlines()
        except FileNotFoundError:
            return
        for line in reversed(lines):
            kind, _, name = line.partition(" ")
            if kind == "mask":
                _unmask(name)
            elif kind == "mount":
                _quietly(["umount", name])
            elif kind == "bridge" and Path("/sys/class/net", name).exists():
                _quietly(["ip", "link", "delete", name])
            elif kind == "directory":
                with contextlib.suppress(OSError):
                    Path(name).rmdir()
            elif kind == "user":
                _quietly(["userdel", name])
            elif kind == "mode":
                mode, _, path = name.partition(" ")
                Path(path).chmod(int(mode, 8))
        FILE.unlink()

    def _record(self, kind: str, name: str) -> None:
        line = f"{kind} {name}\n"
        with _guard:
            FILE.parent.mkdir(parents=True, exist_ok=True)
            if not FILE.exists() or line not in FILE.read_text():
                with FILE.open("a") as stream:
                    stream.write(line)


def _unmask(unit: str) -> None:
    link = _SYSTEMD / unit
    if link.is_symlink() and str(link.readlink()) == "/dev/null":
        link.unlink()
    # Its package enabled the service when the lab installed it; without the lab it would not start at boot.
    if shutil.which("systemctl"):
        _quietly(["systemctl", "disable", unit])


def _quietly(argv: list[str]) -> None:
    # It may be gone already, or was never made.
    with contextlib.suppress(LabError):
        run(argv)

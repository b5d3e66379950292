"""A terminal in the place of a person: a pty of some size, and what is on its screen, as pyte reads it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import pyte

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CTRL_C = b"\x03"
_PATIENCE = 20.0


@dataclass(frozen=True)
class Shown:
    """What a program left: the lines on its screen that are not empty.

    :ivar before: at the time when the key was pressed, *after* at the end.
    :ivar written: everything that came to the terminal.
    :ivar hidden: whether the cursor is, at the end.
    :ivar sane: whether the terminal's settings are those of before.
    :ivar seconds: how long it took.
    """

    status: int
    before: list[str]
    after: list[str]
    written: str
    hidden: bool
    sane: bool
    seconds: float


def show(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    columns: int,
    lines: int = 40,
    stdout: IO[bytes] | None = None,
    when: str = "",
    press: bytes = b"",
    patience: float = _PATIENCE,
) -> Shown:
    """Run a command on a terminal of that size.

    :param stdout: where its standard output goes instead.
    :param when: as soon as this is on the screen, the key *press* is pressed, or several.
    :param patience: after so many seconds it is ended.
    """
    screen = pyte.Screen(columns, lines)
    stream = pyte.ByteStream(screen)
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    settings = termios.tcgetattr(inside)
    process = subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=inside,
        stdout=stdout or inside,
        stderr=inside,
        start_new_session=True,
        # The keyboard interrupts those whose terminal it is.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    before: list[str] = []
    written = b""
    began = time.monotonic()
    try:
        while time.monotonic() < began + patience:
            if select.select([terminal], [], [], 0.1)[0]:
                chunk = os.read(terminal, 1 << 16)
                written += chunk
                stream.feed(chunk)
            elif process.poll() is not None:
                break
            # A picture is whole when nothing more comes for a moment.
            whole = not select.select([terminal], [], [], 0.03)[0]
            if press and not before and whole and when in "\n".join(screen.display):
                before = _text(screen)
                os.write(terminal, press)
        else:
            process.kill()
        sane = settings == termios.tcgetattr(inside)
        status, said = process.wait(), written.decode(errors="replace")
        return Shown(status, before, _text(screen), said, screen.cursor.hidden, sane, time.monotonic() - began)
    finally:
        os.close(inside)
        os.close(terminal)


def _text(screen: pyte.Screen) -> list[str]:
    return [line.rstrip() for line in screen.display if line.strip()]

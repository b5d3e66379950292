"""A terminal for tests: a pty of a given size, and its screen, which pyte keeps."""

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
# seconds; a scene takes one or two
_TIMEOUT = 20.0


@dataclass(frozen=True)
class Shown:
    """What a program showed on its terminal.

    :ivar before: lines of the screen that are not empty, when the key was pressed.
    :ivar after: those lines at the end.
    :ivar written: all that was written to the terminal.
    :ivar hidden: whether the cursor is hidden at the end.
    :ivar sane: whether the terminal has the settings of before again.
    :ivar seconds: run time of the program.
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
    timeout: float = _TIMEOUT,
) -> Shown:
    """Run a command on a terminal of the given size.

    :param stdout: takes standard output in place of the terminal.
    :param when: text on the screen at which *press* is typed.
    :param press: keys to type; empty for none.
    :param timeout: seconds after which the command is killed.
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
        # Ctrl-C interrupts only processes whose controlling terminal it is typed at.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    before: list[str] = []
    written = b""
    started = time.monotonic()
    try:
        while time.monotonic() < started + timeout:
            if select.select([terminal], [], [], 0.1)[0]:
                chunk = os.read(terminal, 1 << 16)
                written += chunk
                stream.feed(chunk)
            elif process.poll() is not None:
                break
            # A drawing is complete when nothing follows for a moment.
            is_complete = not select.select([terminal], [], [], 0.03)[0]
            if press and not before and is_complete and when in "\n".join(screen.display):
                before = _lines(screen)
                os.write(terminal, press)
        else:
            process.kill()
        sane = settings == termios.tcgetattr(inside)
        status, text = process.wait(), written.decode(errors="replace")
        return Shown(status, before, _lines(screen), text, screen.cursor.hidden, sane, time.monotonic() - started)
    finally:
        os.close(inside)
        os.close(terminal)


def _lines(screen: pyte.Screen) -> list[str]:
    """Return the lines of a screen that are not empty."""
    return [line.rstrip() for line in screen.display if line.strip()]

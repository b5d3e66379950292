"""Makes the pictures of the pages anew, from a real release: `python -m docs.pictures`, on a Docker host.

pictures/live.svg is what a terminal shows of it, while it builds and at its end; pictures/report.png is its report, as
Chromium shows it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pyte

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PICTURES = Path(__file__).parent / "pictures"
COLUMNS, LINES = 100, 24
INVOKE_YAML = "multiarch:\n  platforms: [linux/amd64, linux/arm64, linux/arm/v7, linux/s390x]\n"
# Enough work that emulation is felt, from nothing but busybox.
DOCKERFILE = """\
FROM busybox:stable AS build
RUN for part in lexer parser linker server; do \\
      awk 'BEGIN { for (i = 0; i < 400000; i++) sum += i }'; echo "compiled $part"; \\
    done
FROM busybox:stable
COPY --from=build /etc/passwd /app
RUN uname -m > /machine
CMD ["cat", "/machine"]
"""


@dataclass(frozen=True)
class Frame:
    """What a terminal shows at a time: its cells by lines, without empty lines at the end."""

    seconds: float
    lines: tuple[tuple[pyte.screens.Char, ...], ...]

    @property
    def text(self) -> str:
        """The characters alone."""
        return "\n".join("".join(cell.data for cell in line).rstrip() for line in self.lines)


def record(words: list[str], directory: Path) -> Iterator[Frame]:
    """Run a command on a terminal of its own; yield each screen that it leaves for a moment."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(directory)
        environ = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.execve(words[0], words, {name: text for name, text in environ.items() if name != "CI"})  # noqa: S606
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    begin = time.monotonic()
    while True:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # the command has ended (Linux: EIO)
                break
            if not data:
                break
            stream.feed(data)
            continue
        yield _frame(screen, time.monotonic() - begin)
    if os.waitpid(child, 0)[1]:
        raise SystemExit(f"{words} failed:\n{_frame(screen, 0).text}")
    yield _frame(screen, time.monotonic() - begin)


def _frame(screen: pyte.Screen, seconds: float) -> Frame:
    lines = [tuple(screen.buffer[row][column] for column in range(COLUMNS)) for row in range(LINES)]
    while lines and not "".join(cell.data for cell in lines[-1]).strip():
        lines.pop()
    return Frame(seconds, tuple(lines))


# Of a terminal: colours by their names in pyte, and sizes in pixels.
_COLOURS = {
    "default": "#d8dee9",
    "black": "#4c566a",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#eceff4",
}
_CELL, _LINE, _SIZE, _MARGIN, _TITLE = 8.4, 19, 14, 16, 30


def svg(panels: list[tuple[str, Frame]], alternative: str) -> str:
    """Return panels, each with a caption, one above the other, as a terminal shows them: dark wherever they stand."""
    width, drawn, top = 2 * _MARGIN + COLUMNS * _CELL, [], 0.0
    for caption, frame in panels:
        height = _TITLE + len(frame.lines) * _LINE + _MARGIN
        drawn.append(f'<rect y="{top:g}" width="{width:g}" height="{height:g}" rx="8" fill="#242933"/>')
        drawn.append(f'<text x="{_MARGIN}" y="{top + 20:g}" fill="#8b95a7">{escape(caption)}</text>')
        for row, line in enumerate(frame.lines):
            drawn += _spans(line, top + _TITLE + (row + 0.75) * _LINE)
        top += height + _MARGIN
    fonts = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
    size = f'viewBox="0 0 {width:g} {top - _MARGIN:g}" width="{width:g}" height="{top - _MARGIN:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{fonts}" font-size="{_SIZE}" role="img">'
    return "\n".join([head, f"<title>{escape(alternative)}</title>", *drawn, "</svg>", ""])


def _spans(line: tuple[pyte.screens.Char, ...], y: float) -> Iterable[str]:
    """Draw a line: cells of one look together, each run at its own column, so that no font moves it."""
    start = 0
    while start < len(line):
        end = start
        while end < len(line) and line[end]._replace(data="") == line[start]._replace(data=""):
            end += 1
        text = "".join(cell.data for cell in line[start:end])
        if text.strip():
            bold = ' font-weight="bold"' if line[start].bold else ""
            bare = text.rstrip()
            place = f'x="{_MARGIN + start * _CELL:g}" y="{y:g}" textLength="{len(bare) * _CELL:g}"'
            fill = f'fill="{_COLOURS.get(line[start].fg, "#" + line[start].fg)}"'
            yield f'<text {place} {fill}{bold} xml:space="preserve">{escape(bare)}</text>'
        start = end


def middle(frames: list[Frame]) -> Frame:
    """Return the frame that shows most: the one with the most different states of the platforms, the last of these."""
    return max(frames, key=lambda frame: (len(_states(frame)), frame.seconds))


def _states(frame: Frame) -> set[str]:
    """Return the states of the rows, each with its instruction and output, while something is being built."""
    rows = [line for line in frame.text.splitlines() if line.startswith("linux/")]
    return {line[25:90].strip() for line in rows} if any(" building " in line for line in rows) else set()


def screenshot(page: Path, picture: Path, width: int, height: int) -> None:
    """Write a picture of a page, as Chromium shows it."""
    words = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={width},{height}"]
    subprocess.run(["chromium", *words, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)


def main() -> None:
    """Release in a directory of its own, and write both pictures."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "hello"
        directory.mkdir()
        for name, text in (("Dockerfile", DOCKERFILE), ("invoke.yaml", INVOKE_YAML)):
            (directory / name).write_text(text)
        (directory / "tasks.py").write_text("from multiarch import ns\n")
        words = [str(Path(sys.executable).with_name("invoke")), "release", "--report", "report.html"]
        frames = list(record(words, directory))
        draw(frames)
        screenshot(directory / "report.html", PICTURES / "report.png", 1200, 1120)


def draw(frames: list[Frame]) -> None:
    """Write what the terminal showed."""
    told = f"while it builds, after {middle(frames).seconds:.0f} seconds"
    panels = [(f"$ invoke release — {told}", middle(frames)), ("at the end", frames[-1])]
    (PICTURES / "live.svg").write_text(svg(panels, "The rows of four platforms, and the table at the end"))


if __name__ == "__main__":
    main()

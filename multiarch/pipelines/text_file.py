"""Text of a CI's file, read and written below the directory of the project only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from multiarch.paths import replacing
from multiarch.pipelines.errors import PipelineError

# bytes; ruamel.yaml reads them within 3 s, whatever they hold
_LARGEST = 512 << 10


def read_text(directory: Path, name: str) -> str | None:
    """Return the text of a file with its own ends of lines; None where there is no file.

    :param name: its path below *directory*.
    :raises PipelineError: it cannot be read, is too large or is not UTF-8.
    """
    place = _place(directory, name)
    try:
        content = _content(place)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PipelineError(f"{name}: it cannot be read ({error.strerror}); make it a file that can be") from None
    if len(content) > _LARGEST:
        raise PipelineError(f"{name}: it has more than {_LARGEST:,} bytes; make it smaller, or remove the file")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PipelineError(f"{name}:{line}: this is not UTF-8; save it so, or remove the file") from None


def write_text(directory: Path, name: str, text: str) -> None:
    """Write a file whole or not at all; it keeps its permissions.

    :param name: its path below *directory*.
    :raises PipelineError: it cannot be written.
    """
    place = _place(directory, name)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else None
        with replacing(place, mode=mode) as file:
            file.write(text.encode())
    except OSError as error:
        raise PipelineError(f"{name}: it cannot be written ({error.strerror}); make room for it there") from None


def _place(directory: Path, name: str) -> Path:
    """Return where a file is, with all links followed.

    :raises PipelineError: that is out of the project.
    """
    place = Path(os.path.realpath(directory / name))
    if not place.is_relative_to(os.path.realpath(directory)):
        raise PipelineError(f"{name}: a symbolic link leads out of the project, to {place}; put the file in its place")
    return place


def _content(place: Path) -> bytes:
    """Return the first bytes of a file, one more than are allowed; wait for nothing."""
    if place.exists() and not place.is_file():
        raise OSError(0, "no regular file")
    # O_NONBLOCK: a pipe that takes its place now would hold us until somebody writes to it.
    descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_LARGEST + 1)

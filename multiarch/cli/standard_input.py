"""A Dockerfile from standard input: ``--file -``."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.errors import ConfigurationError
from multiarch.paths import temporary_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = "-"
_LARGEST = 16 << 20  # bytes; BuildKit's client sends no more in one message


@contextmanager
def dockerfile_read(flags: dict[str, Any], *, dry: bool) -> Iterator[dict[str, Any]]:
    """Yield the flags with a file in the place of ``-``, which holds what standard input had; remove it at the end.

    :raises ConfigurationError: it cannot be read, or *dry* is set, and the file would not outlive the commands.
    """
    if flags.get("dockerfile") != _NAME:
        yield flags
        return
    if dry:
        raise ConfigurationError("--file", "- is standard input, which --dry does not read; name a file")
    try:
        if sys.stdin is None:
            raise OSError("it is closed")
        text = sys.stdin.buffer.read(_LARGEST + 1)
        directory = temporary_directory()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError("--file", f"standard input cannot be read: {reason}") from None
    with directory as path:
        if not text or len(text) > _LARGEST:
            problem = f"standard input has more than {_LARGEST} bytes" if text else "standard input is empty"
            raise ConfigurationError("--file", f"{problem}; pipe a Dockerfile to it")
        (Path(path) / "Dockerfile").write_bytes(text)
        yield {**flags, "dockerfile": str(Path(path) / "Dockerfile")}

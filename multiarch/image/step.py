"""How a program of an image is started."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from multiarch.image.wrappers import Environment


class Caller(Enum):
    """What starts a program. It decides what becomes of a file that the kernel does not execute."""

    KERNEL = "kernel"  # nothing: exec format error
    WRAPPER = "wrapper"  # depends on its C library (execvp(3))
    SHELL = "shell"  # runs it as a script (XCU 2.9.1.6)


class Step(Struct, frozen=True):
    """How a program is started.

    :ivar by: what starts it, for notes; empty for the image itself.
    :ivar depth: how many programs have started each other before it.
    """

    environment: Environment
    caller: Caller = Caller.KERNEL
    by: str = ""
    is_certain: bool = True
    depth: int = 0

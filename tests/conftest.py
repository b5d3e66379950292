"""What holds for all tests."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def garbage() -> Iterator[None]:
    """As in a run, no garbage is looked for meanwhile (`multiarch.tasks`); CPython 3.11.7 was seen to crash over it."""
    gc.disable()
    yield
    gc.enable()

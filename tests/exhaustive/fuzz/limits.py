"""How much is tried of each format, and what it may cost."""

from __future__ import annotations

import os
import resource
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = max(2000, int(os.environ.get("MULTIARCH_EXAMPLES", "2000")))
_CASE_SECONDS = 20.0
_MEBIBYTES = 300
# The same examples each time: derandomized, their seed is that of the test's name.
fuzz = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    print_blob=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@contextmanager
def bounded() -> Iterator[None]:
    """Check that a case ends in time, and that the process has not grown beyond its limit."""
    began, before = time.process_time(), _resident()
    yield
    assert time.process_time() - began < _CASE_SECONDS
    assert _resident() - before < _MEBIBYTES


def _resident() -> int:
    """Return the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

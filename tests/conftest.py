"""What holds for all tests."""

from __future__ import annotations

import os
import re
import signal

import pytest

# What is started in the background may have it ignored, and hand that on; tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What a CI that these tests run in tells them of itself.
_OF_A_CI = re.compile(r"(CI|TRAVIS|GITHUB|GITLAB|CIRCLE|CIRCLECI|DOCKER_USERNAME|DOCKER_PASSWORD)(_.*)?|CI_.*")


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests are in no CI, wherever they run."""
    for name in list(os.environ):
        if _OF_A_CI.fullmatch(name):
            monkeypatch.delenv(name)

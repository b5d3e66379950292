"""`prune`: what buildctl is told, and what its output means."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from multiarch.config.load import load
from multiarch.errors import ConfigurationError, MultiarchError
from multiarch.run import Run
from multiarch.steps.prune import Freed, Prune
from tests.unit.steps.test_copy_buildctl import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD = '{"id": "x", "size": 1500000, "inUse": false}'


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[str]:
    """The address of something that listens."""
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield f"unix://{path}"


def prune(tmp_path: Path, address: str, script: str, step: Prune | None = None) -> Freed:
    """Run the step with a client that is a script."""
    client = tmp_path / "buildctl"
    client.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\n{script}\n')
    client.chmod(0o755)
    block = {"platforms": ["arm64"], "dest": str(tmp_path), "image": "someone/app"}
    (freed,) = (step or Prune()).run(Run(load(block, {"BUILDKIT_HOST": address}, {}), quiet()))
    return freed


def test_sizes_are_summed(tmp_path: Path, listening: str) -> None:
    """One line a record."""
    freed = prune(tmp_path, listening, f"echo '{RECORD}'\necho '{RECORD}'")
    assert (Freed(2, 3_000_000), "freed 3.0 MB, 2 records") == (freed, str(freed))
    assert f"--addr {listening} prune --format {{{{json .}}}}\n" == (tmp_path / "words").read_text()


def test_options_are_those_of_buildctl(tmp_path: Path, listening: str) -> None:
    """By the same names."""
    prune(tmp_path, listening, "", Prune(everything=True, keep_storage="500", keep_duration="48h"))
    assert " prune --all --keep-storage 500 --keep-duration 48h --format " in (tmp_path / "words").read_text()


@pytest.mark.parametrize(
    "line", ["x", "{}", "[]", '{"size": "1"}', '{"size": -1}', '{"size": true}', '{"size": NaN}', "[" * 100_000]
)
def test_output_that_is_none_is_one_line(tmp_path: Path, listening: str, line: str) -> None:
    """It is not taken for nothing freed."""
    (tmp_path / "line").write_text(f"{line}\n")
    with pytest.raises(MultiarchError, match=r"^prune: it is done, but what buildctl says of it cannot be read"):
        prune(tmp_path, listening, f"cat {tmp_path}/line")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'error: failed: no such option' >&2; exit 1", "prune: BuildKit could not: failed: no such option"),
        ("exit 3", "prune: BuildKit could not: exit status 3"),
        ("yes '' | head -c 100000 >&2; echo last >&2; exit 1", "prune: BuildKit could not: last"),
    ],
)
def test_failure_is_buildctls_last_line(tmp_path: Path, listening: str, script: str, expected: str) -> None:
    """With the exit status where it says nothing."""
    with pytest.raises(MultiarchError) as caught:
        prune(tmp_path, listening, script)
    assert expected == str(caught.value)


@pytest.mark.parametrize("amount", ["", "-1", "1GB", "\N{SUPERSCRIPT TWO}", "1 --all"])
def test_storage_is_a_number(tmp_path: Path, listening: str, amount: str) -> None:
    """Of MB, before anything is asked."""
    with pytest.raises(ConfigurationError, match=r"^--keep-storage: .* is no number of MB"):
        prune(tmp_path, listening, "", Prune(keep_storage=amount))

"""The program cosign, by stand-ins that print, hang and fail as the real one cannot be made to."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from multiarch.errors import StoppedError
from multiarch.publish.cosign import Cosign, Ended
from multiarch.publish.errors import CosignMissingError, CosignVersionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = "GitVersion:    v3.1.2"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a cosign on PATH that says its version, and runs a script for the rest; return its folder."""

    def put(script: str = "", version: str = GOOD) -> Path:
        program = tmp_path / "cosign"
        head = f"#!/bin/sh\nhere={tmp_path}\n[ $1 = version ] && echo '{version}' && exit 0\n"
        program.write_text(f"{head}{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return tmp_path

    return put


def test_missing_cosign_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CosignMissingError) as caught:
        Cosign({})
    remedy = "install cosign 3 (docs.sigstore.dev, System Configuration), or take sign out of the settings"
    assert f"cannot sign with cosign: it is not on PATH; {remedy}" == str(caught.value)


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        ("GitVersion:    v2.6.1", "it is 2.6.1, and 3 or newer is needed; install that"),
        ("GitVersion:    devel", "it does not say its version, and 3 or newer is needed; install that"),
        ("", "it does not say its version, and 3 or newer is needed; install that"),
    ],
)
def test_older_cosign_is_refused(stand_in: Callable[..., Path], version: str, problem: str) -> None:
    """So is one of which that is not known."""
    folder = stand_in(version=version)
    with pytest.raises(CosignVersionError) as caught:
        Cosign({})
    assert f"cannot sign with {folder}/cosign: {problem}" == str(caught.value)


def test_last_words_are_kept_whole_and_output_is_bounded(stand_in: Callable[..., Path]) -> None:
    """What is printed right before the end, and that after much else."""
    stand_in(
        "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo 'Error: last'; echo 'error during command execution: last'"
    )
    ended = Cosign({}).run(["sign"])
    assert (0, "last", True) == (ended.status, ended.words, len(ended.text) < 200_000)


def test_secrets_in_its_words_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should it ever print one."""
    monkeypatch.setenv("COSIGN_PASSWORD", "word of the key")
    text = "Error: cannot use word of the key at https://me:pass@example.org/x\nerror during command execution: again"
    assert "cannot use *** at https://example.org/x" == Ended(1, text).words
    assert "cosign ended with status 7" == Ended(7, "").words


def test_it_gets_no_logins_but_those_of_its_directory(
    stand_in: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this run has in the variable is for others."""
    folder = stand_in("env > $here/env")
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", "{}")
    Cosign({"DOCKER_CONFIG": "/somewhere"}).run(["sign"])
    lines = (folder / "env").read_text().splitlines()
    assert (True, []) == (
        "DOCKER_CONFIG=/somewhere" in lines,
        [line for line in lines if line.startswith("DOCKER_AUTH_CONFIG")],
    )


def test_stop_ends_it_though_it_ignores_the_signal(stand_in: Callable[..., Path]) -> None:
    """And nothing is started afterwards."""
    folder = stand_in("trap '' TERM; echo $$ > $here/pid; while :; do sleep 0.1; done")
    cosign = Cosign({})
    errors: list[BaseException] = []

    def run() -> None:
        try:
            cosign.run(["sign"])
        except StoppedError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        time.sleep(0.01)
    cosign.stop()
    thread.join()
    assert ([StoppedError], False) == (list(map(type, errors)), _is_there(int((folder / "pid").read_text())))
    with pytest.raises(StoppedError):
        cosign.run(["sign"])


def _is_there(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat"):
            return True
    except OSError:
        return False

"""Whether a server answers on a Unix socket."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from multiarch.buildkit.builder import answers

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = bytes.fromhex("000006 04 00 00000000 000500004000")


@pytest.mark.parametrize(
    ("greeting", "expected"),
    [
        (SETTINGS, True),
        (SETTINGS[:9], True),
        (SETTINGS[:8], False),
        (b"", False),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        (bytes.fromhex("000008 07 00 00000000") + bytes(8), False),
    ],
    ids=["settings", "their header", "part of it", "nothing", "HTTP/1", "goodbye"],
)
def test_the_first_frame_of_a_server_holds_its_settings(tmp_path: Path, greeting: bytes, expected: bool) -> None:
    """Whatever else it says, and then ends, is no answer."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()

        def greet() -> None:
            client = server.accept()[0]
            with client, suppress(BrokenPipeError):  # who has heard enough does not wait for the rest
                client.recv(64)
                for byte in greeting:
                    client.sendall(bytes([byte]))

        threading.Thread(target=greet, daemon=True).start()
        assert expected is answers(tmp_path / "s")


def test_server_that_hangs_listens_and_does_not_answer(tmp_path: Path) -> None:
    """The kernel takes connections for a process that is stopped."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        assert not answers(tmp_path / "s")


def test_without_a_server_nothing_answers(tmp_path: Path) -> None:
    """A missing file is no error."""
    assert not answers(tmp_path / "s")

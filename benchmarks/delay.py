"""A TCP proxy that puts a server some milliseconds away, for machines whose kernel has no netem.

Every chunk is passed on half a round trip after it came, in order: what comes meanwhile waits beside it, not behind it.
A kernel accepts connections at once, so connecting is paid for afterwards: what a client sends within one round trip of
being accepted counts as sent at the end of it, as if its SYN had travelled. Not modelled are bandwidth, windows, and
that connections opened one after the other would each wait for the last.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 1 << 18


@contextlib.contextmanager
def delayed(host: str, round_trip: float) -> Iterator[str]:
    """Run the proxy in a process of its own; yield its ``host:port``.

    :param host: ``host:port`` of the server.
    :param round_trip: in seconds; may be 0.
    """
    argv = [sys.executable, "-m", "benchmarks.delay", host, str(round_trip)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 (it is piped)
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _serve(host: str, round_trip: float) -> None:
    name, _, port = host.rpartition(":")
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        print("{}:{}".format(*server.getsockname()), flush=True)  # noqa: T201 (`delayed` reads it)
        while True:
            client = server.accept()[0]
            opened = time.monotonic() + round_trip
            behind = socket.create_connection((name, int(port)))
            threading.Thread(target=_join, args=(client, behind, opened, round_trip / 2), daemon=True).start()


def _join(client: socket.socket, behind: socket.socket, opened: float, lag: float) -> None:
    """Carry both ways until both have ended."""
    with client, behind:
        for end in (client, behind):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=_carry, args=(behind, client, 0.0, lag), daemon=True)
        back.start()
        _carry(client, behind, opened, lag)
        back.join()


def _carry(source: socket.socket, sink: socket.socket, opened: float, lag: float) -> None:
    """Carry one way, *lag* after it came; what came before *opened* counts as come then."""
    chunks: SimpleQueue[tuple[float, bytes]] = SimpleQueue()

    def receive() -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(_PIECE)
            except OSError:  # cut off: to the other end it is an end all the same
                data = b""
            chunks.put((max(time.monotonic(), opened) + lag, data))

    receiver = threading.Thread(target=receive, daemon=True)
    receiver.start()
    data = b"-"
    while data:
        due, data = chunks.get()
        time.sleep(max(due - time.monotonic(), 0.0))
        try:
            if data:
                sink.sendall(data)
            else:
                sink.shutdown(socket.SHUT_WR)
        except OSError:  # nobody takes it any more
            data = b""
            with contextlib.suppress(OSError):
                source.shutdown(socket.SHUT_RDWR)
    receiver.join()


if __name__ == "__main__":
    _serve(sys.argv[1], float(sys.argv[2]))

"""Another machine's network: a namespace with an address of its own, whose packets can be dropped without a word."""

from __future__ import annotations

import secrets
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Network:
    """A namespace.

    :ivar here: the address of this machine, as it is seen from there.
    :ivar there: the address there.
    """

    name: str
    here: str
    there: str

    @property
    def inside(self) -> tuple[str, ...]:
        """The words before a command that is to run there; `ip netns exec` would hide the cgroups from runc."""
        return ("nsenter", f"--net=/run/netns/{self.name}")

    def cut(self) -> None:
        """Drop every packet, in both directions."""
        for chain in ("INPUT", "OUTPUT"):
            _run(*self.inside, "iptables", "-A", chain, "-j", "DROP")


@contextmanager
def another_network() -> Iterator[Network]:
    """Make a namespace; remove it at the end."""
    token = secrets.token_hex(2)
    # Of the network for tests of devices (RFC 2544), which nobody else has.
    third = 18 + secrets.randbelow(2)
    block = secrets.randbelow(64) * 4
    here, there = f"198.{third}.77.{block + 1}", f"198.{third}.77.{block + 2}"
    network = Network(f"fleet-{token}", here, there)
    outer, inner = f"flt{token}a", f"flt{token}b"
    _run("ip", "netns", "add", network.name)
    try:
        _run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
        _run("ip", "link", "set", inner, "netns", network.name)
        _run("ip", "addr", "add", f"{here}/30", "dev", outer)
        _run("ip", "link", "set", outer, "up")
        _run(*network.inside, "ip", "addr", "add", f"{there}/30", "dev", inner)
        for device in ("lo", inner):
            _run(*network.inside, "ip", "link", "set", device, "up")
        yield network
    finally:
        subprocess.run(["ip", "link", "delete", outer], capture_output=True)
        _run("ip", "netns", "delete", network.name)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)

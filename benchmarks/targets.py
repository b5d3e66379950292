"""Several images released as one, beside bake: how long it takes, and what travels.

app and worker on a common base, cold: an empty BuildKit, new files, new repositories. Then 20 targets on one context,
of which the bytes that clients send to BuildKit are counted, once.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import socket
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.arena import BUILDKIT, Arena, Job, arena, create_builder
from benchmarks.peers import BUILDX, install
from benchmarks.profile import Profile, profile, profile_table
from benchmarks.race import Case, race, say
from benchmarks.table import Bar, Goal, Table, timed_table
from benchmarks.tools import BARE, OURS, bare, configure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmarks.peers import Commands
    from benchmarks.table import Taken

PEER = "buildx bake"
PLATFORMS = ("linux/amd64", "linux/arm64")
_BURN = "RUN i=0; while [ $i -lt 75000 ]; do i=$((i+1)); done"
CASES = {"app and worker, small": "", "app and worker, an emulated CPU-bound RUN in their base": _BURN}
GOALS = {(case, OURS): (Goal(1.0, of=PEER),) for case in CASES}
_MEGABYTES = 50  # of the context of many targets
_TARGETS = 20
TRAVEL = f"{_TARGETS} targets on one context of {_MEGABYTES} MB"
_PIECE = 1 << 16  # bytes that a proxy takes at once


def write_pair(folder: Path, work: str) -> None:
    """Write base, app and worker, as no BuildKit has seen them. *work* are more lines of base."""
    texts = {
        "base": f"FROM busybox:stable\nRUN date > /when; echo {secrets.token_hex(16)}\n{work}\n",
        "app": "FROM base\nRUN cat /when > /app\n",
        "worker": "FROM base\nRUN cat /when > /worker\n",
    }
    for name, text in texts.items():
        (folder / name).mkdir()
        (folder / name / "Dockerfile").write_text(text)
    # The same in one file, for a solve that knows no targets.
    stages = [text.replace("\n", f" AS {name}\n", 1) for name, text in texts.items()]
    (folder / "Dockerfile").write_text("".join(stages))


def write_many(folder: Path) -> None:
    """Write the context of many targets."""
    (folder / "data").write_bytes(secrets.token_bytes(_MEGABYTES * 1_000_000))
    (folder / "Dockerfile").write_text("FROM scratch\nARG N\nCOPY data /data\n")


def pair(is_ours: bool) -> dict[str, dict[str, Any]]:
    """Return the targets of the two images on one base."""
    named = {"contexts": {"base": "target:base"}}
    return {
        "base": {"context": "app/base", "platforms": PLATFORMS, **({"tags": []} if is_ours else {})},
        "app": {"context": "app/app", "platforms": PLATFORMS, **named},
        "worker": {"context": "app/worker", "platforms": PLATFORMS[:1], **named},
    }


def many(is_ours: bool) -> dict[str, dict[str, Any]]:
    """Return the targets on one context."""
    word = "build_args" if is_ours else "args"
    names = [f"t{number}" for number in range(_TARGETS)]
    return {name: {"context": "app", "platforms": PLATFORMS[:1], word: {"N": name}} for name in names}


def ours(arena: Arena, folder: str, targets: Callable[[bool], dict[str, dict[str, Any]]]) -> Commands:
    """``release`` of all targets but base. :param folder: that of the repositories."""
    written = targets(True)
    groups = {"default": [name for name in written if name != "base"]}
    block = {"image": f"{folder}/{{target}}", "buildkit_image": BUILDKIT, "dest": str(arena.folder)}
    return configure(arena, {**block, "targets": written, "groups": groups})


def bake(arena: Arena, folder: str, targets: Callable[[bool], dict[str, dict[str, Any]]]) -> Commands:
    """``buildx bake --push`` of the same."""
    written = targets(False)
    default = [name for name in written if name != "base"]
    for name, target in written.items():
        target["attest"] = [{"type": "provenance", "mode": "min"}]
        target |= {"tags": [f"{folder}/{name}:latest"]} if name in default else {}
    file = arena.folder / "docker-bake.json"
    file.write_text(json.dumps({"group": {"default": {"targets": default}}, "target": written}))
    words = ["bake", "--builder", arena.builder, "--push", "--progress=plain", "--file", str(file), "--allow=fs=*"]
    return [[str(install(BUILDX)), *words]]


def solves(arena: Arena, folder: str) -> Commands:
    """A bare solve for each of app and worker, at the same time; BuildKit does the base once."""
    jobs = {name: Job([f"{folder}/{name}"], platforms=platforms) for name, platforms in _PAIR.items()}
    words = [[*bare(arena, job)[0], "--opt", f"target={name}"] for name, job in jobs.items()]
    first, second = map(shlex.join, words)
    return [["sh", "-ec", f"{first} & {second}; wait $!"]]


_PAIR = {"app": PLATFORMS, "worker": PLATFORMS[:1]}
TOOLS: dict[str, Callable[[Arena, str], Commands]]
TOOLS = {OURS: partial(ours, targets=pair), PEER: partial(bake, targets=pair), BARE: solves}


def profiled(arena: Arena, work: str) -> Profile:
    """Let ours release app and worker from an empty BuildKit; return where its time went."""
    arena.prune()
    arena.new_app(partial(write_pair, work=work))
    (folder,) = arena.new_names()
    return profile(arena, ours(arena, folder, pair))


def release(arena: Arena, work: str, tool: Callable[[Arena, str], Commands]) -> Mapping[str, Taken]:
    """Let a tool release app and worker from an empty BuildKit; return what it took."""
    arena.prune()
    arena.new_app(partial(write_pair, work=work))
    (folder,) = arena.new_names()
    taken = arena.run(tool(arena, folder))
    for name, platforms in _PAIR.items():
        arena.check(Job([f"{folder}/{name}"], platforms=platforms))
    return {"": taken}


class Counter:
    """A proxy in front of BuildKit. :ivar sent: bytes that clients have sent."""

    def __init__(self, address: str) -> None:
        self.sent = 0
        self._to = ("127.0.0.1", int(address.rpartition(":")[2]))
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client = self._server.accept()[0]
            behind = socket.create_connection(self._to)
            for ends in ((client, behind, True), (behind, client, False)):
                threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, is_sent: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                if is_sent:
                    with self._lock:
                        self.sent += len(data)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def travelled(arena: Arena) -> Iterator[tuple[str, int, float]]:
    """Yield what each tool sends for many targets on one context, in bytes, and its seconds: cold, and once more."""
    for name, tool in ((OURS, ours), (PEER, bake)):
        counter = Counter(arena.address)
        counted = create_builder(replace(arena, address=counter.address), f"counted-{name[-4:]}", {counter.address: ()})
        arena.prune()
        arena.new_app(write_many)
        (folder,) = arena.new_names()
        for kind in ("cold", "warm"):
            counter.sent = 0
            seconds = counted.timed(tool(counted, folder, many), counted.environment)
            for target in ("t0", f"t{_TARGETS - 1}"):
                arena.check(Job([f"{folder}/{target}"], platforms=PLATFORMS[:1]))
            say(f"{TRAVEL}: {name}, {kind}: {counter.sent} bytes, {seconds:.2f}")
            yield f"{name}, {kind}", counter.sent, seconds


def measure(rounds: int) -> Sequence[Table]:
    """Return the table of the race, where the time of ours goes, and what travelled."""
    with arena() as made:
        cases = [
            Case(case, {n: partial(release, made, work, tool) for n, tool in TOOLS.items()})
            for case, work in CASES.items()
        ]
        times = race(cases, rounds)
        places = profile_table({case: partial(profiled, made, work) for case, work in CASES.items()})
        sent = [*travelled(made)]
    rows = [[name, f"{count / 1e6:.0f}", f"{seconds:.1f}"] for name, count, seconds in sent]
    bars = {TRAVEL: [Bar(name, count / 1e6, f"{count / 1e6:.0f} MB") for name, count, _ in sent]}
    travel = Table(TRAVEL, ["", "MB sent to BuildKit", "seconds"], rows, bars, ["One run of each."])
    return [timed_table("case", times, PEER, GOALS, BARE), places, travel]

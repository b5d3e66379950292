"""How long a release of several images takes, and what travels, beside bake: ``python -m benchmarks.targets``.

app and worker on a common base, cold: an empty BuildKit, new files, new repositories; both tools in turn on one
BuildKit, each round in another order; the first round is not counted. Then 20 targets on one context of 100 MB: bytes
that clients send to BuildKit are counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.peers import BUILDX, install
from benchmarks.release import _BURN, Arena, _output, _say, arena
from multiarch.registry.client import Registry
from multiarch.retry import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS, PEER = "multiarch", "buildx bake"
CASES = {"small": "", "three emulated CPU-bound RUNs in base": _BURN}
_PLATFORMS = ["linux/amd64", "linux/arm64"]
_MEGABYTES = 100
_TARGETS = 20
_PIECE = 1 << 16


def write_pair(arena: Arena, work: str) -> None:
    """Write base, app and worker, as no BuildKit has seen them. *work* are more lines of base."""
    folder = arena.folder / "app"
    shutil.rmtree(folder, ignore_errors=True)
    mark = secrets.token_hex(16)
    for name, text in {
        "base": f"FROM busybox:stable\nRUN date > /when; echo {mark}\n{work}\n",
        "app": "FROM base\nRUN cat /when > /app\n",
        "worker": "FROM base\nRUN cat /when > /worker\n",
    }.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "Dockerfile").write_text(text)


def pair(repository: str, ours: bool) -> dict[str, Any]:
    """Return the two images on one base, as one of the tools takes them."""
    base = {"context": "app/base", "platforms": _PLATFORMS}
    named = {"contexts": {"base": "target:base"}}
    app = {"context": "app/app", "platforms": _PLATFORMS, **named}
    worker = {"context": "app/worker", "platforms": _PLATFORMS[:1], **named}
    return _project(repository, {"base": base, "app": app, "worker": worker}, ["app", "worker"], ours)


def many(repository: str, ours: bool) -> dict[str, Any]:
    """Return 20 images of one context."""
    targets = {
        f"t{n}": {"context": "app", "platforms": _PLATFORMS[:1], ("build_args" if ours else "args"): {"N": str(n)}}
        for n in range(_TARGETS)
    }
    return _project(repository, targets, [*targets], ours)


def _project(repository: str, targets: dict[str, Any], default: list[str], ours: bool) -> dict[str, Any]:
    if ours:
        block = {"image": f"{repository}/{{target}}", "buildkit_image": "moby/buildkit:v0.32.2", "dest": "."}
        for name in targets.keys() - set(default):
            targets[name] |= {"tags": []}
        return {"multiarch": {**block, "targets": targets, "groups": {"default": default}}}
    for name, target in targets.items():
        target |= {"attest": [{"type": "provenance", "mode": "min"}]}
        target |= {"tags": [f"{repository}/{name}:latest"]} if name in default else {}
    return {"group": {"default": {"targets": default}}, "target": targets}


def run(arena: Arena, name: str, project: dict[str, Any], builder: str = "bench") -> float:
    """Run a tool in the project; return the seconds that it took."""
    file = arena.folder / ("invoke.yaml" if name == OURS else "docker-bake.json")
    file.write_text(json.dumps(project))
    bake = [str(install(BUILDX)), "bake", "--builder", builder, "--push", "--progress=plain", "--file", str(file)]
    words = [sys.executable, "-m", "invoke", "release"] if name == OURS else [*bake, "--allow=fs=*"]
    began = time.perf_counter()
    _output(*words, cwd=arena.folder, env=arena.environment)
    return time.perf_counter() - began


def race(arena: Arena, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Let both tools do all cases, in rounds; return the seconds by case and tool."""
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        for case, work in CASES.items():
            for name in (OURS, PEER) if number % 2 else (PEER, OURS):
                _output(arena.buildctl, "--addr", arena.address, "prune", "--all")
                write_pair(arena, work)
                repository = f"{arena.host}/bench-{secrets.token_hex(4)}"
                seconds = run(arena, name, pair(repository, name == OURS))
                _check(repository, arena, ("app", "worker"))
                if number:
                    times.setdefault((case, name), []).append(seconds)
                _say(f"{number} {case}: {name} {seconds:.2f}")
    return times


def _check(repository: str, arena: Arena, names: tuple[str, ...]) -> None:
    registry = Registry(arena.host, Policy(), _say)
    folder = repository.partition("/")[2]
    if not all(registry.manifest(f"{folder}/{name}", "latest") for name in names):
        raise SystemExit(f"{repository} was not published")


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


def travelled(arena: Arena) -> Iterator[str]:
    """Yield what each tool sends for 20 targets on one context: cold, and once more."""
    for name in (OURS, PEER):
        counter = Counter(arena.address)
        counted = replace(arena, address=counter.address)
        builder = f"counted-{secrets.token_hex(3)}"
        words = ("create", "--name", builder, "--driver", "remote", counter.address)
        _output(str(install(BUILDX)), *words, env=counted.environment)
        _output(arena.buildctl, "--addr", arena.address, "prune", "--all")
        shutil.rmtree(arena.folder / "app")
        (arena.folder / "app").mkdir()
        (arena.folder / "app" / "data").write_bytes(secrets.token_bytes(_MEGABYTES * 1_000_000))
        (arena.folder / "app" / "Dockerfile").write_text("FROM scratch\nARG N\nCOPY data /data\n")
        repository = f"{arena.host}/bench-{secrets.token_hex(4)}"
        for kind in ("cold", "warm"):
            counter.sent = 0
            seconds = run(counted, name, many(repository, name == OURS), builder)
            _check(repository, arena, ("t0", f"t{_TARGETS - 1}"))
            yield f"| {name}, {kind} | {counter.sent / 1e6:.0f} MB | {seconds:.1f} |"


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: %(default)s)")
    rounds = parser.parse_args().rounds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    loads = [os.getloadavg()[0]]
    with arena() as made:
        times = race(made, rounds)
        loads.append(os.getloadavg()[0])
        sent = [*travelled(made)]
    lines = [f"| case | contestant | median seconds | fastest, slowest | of {PEER} |", "|---|---|---:|---:|---:|"]
    for (case, name), runs in times.items():
        ratio = median(runs) / median(times[case, PEER])
        lines.append(f"| {case} | {name} | {median(runs):.2f} | {min(runs):.2f}, {max(runs):.2f} | {ratio:.2f} |")
    lines += ["", f"{rounds} rounds on {os.cpu_count()} processors; load {loads[0]:.1f} before, {loads[1]:.1f} after."]
    lines += ["", f"| {_TARGETS} targets on {_MEGABYTES} MB | sent to BuildKit | seconds |", "|---|---:|---:|", *sent]
    print("\n".join(lines), flush=True)  # noqa: T201 (this is the result)


if __name__ == "__main__":
    main()

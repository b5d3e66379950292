"""How time and memory grow: n, twice and four times as much of what others decide on the size of.

Each measurement is a process of its own, in which the package does what a release does with it; its input is made
before. The seconds are the processor's, of all threads; the memory is the most that the process has had.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.arena import registry
from benchmarks.peers import compile_package, plain_environment
from benchmarks.race import say
from benchmarks.table import Bar, Table, runs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from multiarch.registry.client import Registry

FACTORS = (1, 2, 4)
_ROUNDS = 3  # at most: processor seconds vary little
_PLATFORM = "linux/amd64"
_REPOSITORY = "bench/many"
_STARTED = "2026-01-02T03:04:05.000000001Z"
# What a program that draws a progress bar writes each time.
_REDRAWN = b"\r   42%|################                      | 42.0/100 MB  3.1 MB/s  eta 0:00:18"
_LINE = b"gcc -O2 -Wall -c -o build/module.o source/module.c\n"
_MIB = 1 << 20


def write_log(file: Path, pieces: Iterator[bytes]) -> None:
    """Write what buildctl says of a RUN whose output comes in these pieces."""
    vertex = {"digest": "sha256:1", "name": "[linux/amd64 2/2] RUN make", "started": _STARTED}
    with file.open("w") as out:
        out.write(json.dumps({"vertexes": [vertex]}) + "\n")
        for piece in pieces:
            data = base64.b64encode(piece).decode()
            out.write(f'{{"logs":[{{"vertex":"sha256:1","stream":1,"data":"{data}"}}]}}\n')
        out.write(json.dumps({"vertexes": [{**vertex, "completed": "2026-01-02T03:04:09.5Z"}]}) + "\n")


def redrawn(file: Path, count: int) -> None:
    """Write the log of a progress bar that is redrawn so many times."""
    write_log(file, (_REDRAWN for _ in range(count)))


def endless(file: Path, mebibytes: int) -> None:
    """Write the log of one line of so many MiB."""
    write_log(file, (b"." * (_MIB // 32) for _ in range(mebibytes * 32)))


def lines(file: Path, count: int) -> None:
    """Write a log of so many lines."""
    write_log(file, (_LINE * 100 for _ in range(count // 100)))


def follow(file: Path) -> None:
    """Follow the solve whose client says what is in a file, and write its report as a page."""
    import threading

    from multiarch.buildkit.solve import Solve
    from multiarch.config.project import load_project
    from multiarch.display import report
    from multiarch.display.progress import Progress
    from multiarch.display.summary import summarise

    project = load_project({"image": "127.0.0.1:5000/app", "platforms": [_PLATFORM]}, {}, {})
    with Path("/dev/null").open("w") as shown:
        solve = Solve([entry.leg for entry in project.matrix], Progress(shown))
        solve.run(["sh", "-c", 'cat "$0" >&2', str(file)], threading.Event())
        rows = summarise(project.matrix, [solve], {}, "x86_64")
        made = report.report_of(project, [solve], rows, "x86_64", task="release", started=0.0, finished=1.0)
        report.write(made, file.with_name("report.html"))


def layer(file: Path, count: int) -> None:
    """Write a layer of so many files."""
    with gzip.open(file, "wb", compresslevel=1) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
        for number in range(count):
            member = tarfile.TarInfo(f"usr/lib/node_modules/package-{number // 100}/dist/module-{number}.js")
            member.size = 1
            tar.addfile(member, io.BytesIO(b"."))


def search(file: Path) -> None:
    """Look for the program of an image in its layer, in which it is not."""
    from multiarch.image.layers import Layer
    from multiarch.image.programs import started_programs

    started_programs({"config": {"Entrypoint": ["/opt/app"]}}, [Layer(lambda: file.open("rb"))])


def entries(client: Registry, file: Path, count: int) -> None:
    """Push an index of so many images; write where it is."""
    from benchmarks.images import push_image
    from multiarch.image.manifest import OCI_INDEX, Manifest
    from multiarch.image.platform import Platform

    image = push_image(client.host, _REPOSITORY, Platform.parse(_PLATFORM))
    listed = []
    for number in range(count):
        body = json.dumps({**image.json, "annotations": {"number": str(number)}}).encode()
        one = Manifest(image.media_type, body)
        client.put_manifest(_REPOSITORY, one.digest, one)
        platform = {"os": "linux", "architecture": "amd64", "os.version": str(number)}
        listed.append({**one.descriptor.json, "platform": platform})
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()
    client.put_manifest(_REPOSITORY, f"of-{count}", Manifest(OCI_INDEX, index))
    file.write_text(f"{client.host}/{_REPOSITORY}:of-{count}")


def inspect(file: Path) -> None:
    """Show what an index lists, as ``manifest --inspect`` does: each image is read."""
    from multiarch.config.load import load
    from multiarch.publish import inspection
    from multiarch.registry.client import Registry
    from multiarch.retry import Policy

    image, _, tag = file.read_text().rpartition(":")
    host = image.partition("/")[0]
    client = Registry(host, Policy(), say)
    shown = inspection.inspect(load({"image": image, "tags": [tag]}, {}, {}), {host: client})
    assert len(shown) == int(tag.removeprefix("of-")) + 2  # noqa: S101 (a line of the tag, and the head of the table)


def chain(file: Path, count: int) -> None:
    """Write a project of so many targets, each built on the one before."""
    targets: dict[str, Any] = {f"t{number}": {"context": f"t{number}"} for number in range(count)}
    for number in range(1, count):
        targets[f"t{number}"]["contexts"] = {"base": f"target:t{number - 1}"}
    file.write_text(json.dumps({"image": "127.0.0.1:5000/{target}", "platforms": [_PLATFORM], "targets": targets}))


def plan(file: Path) -> None:
    """Read a project, and plan its release, as ``--dry`` does."""
    from multiarch.config.project import load_project
    from multiarch.steps.release import step

    step.commands(load_project(json.loads(file.read_text()), {}, {}))


@dataclass(frozen=True)
class Subject:
    """Something of which there may be much.

    :ivar count: n.
    :ivar write: makes so much of it, in a file.
    :ivar work: what is done with it; the name of a function of this module.
    """

    name: str
    count: int
    write: Callable[[Path, int], None]
    work: Callable[[Path], None]


def subjects(client: Registry) -> list[Subject]:
    """Return all of them. :param client: of the registry for indexes."""
    return [
        Subject("redraws of a line (`\\r`)", 50_000, redrawn, follow),
        Subject("MiB of one line", 16, endless, follow),
        Subject("lines of a log", 250_000, lines, follow),
        Subject("files in a layer", 75_000, layer, search),
        # Four times as much is the most that is read of one document.
        Subject("entries of an index", 125, partial(entries, client), inspect),
        Subject("targets in a chain, planned", 25, chain, plan),
    ]


def measure(rounds: int) -> Sequence[Table]:
    """Return the table of all subjects."""
    from multiarch.registry.client import Registry
    from multiarch.retry import Policy

    compile_package()
    rows, bars = [], {}
    with registry() as host, tempfile.TemporaryDirectory() as folder:
        for subject in subjects(Registry(host, Policy(), say)):
            seconds, memory = zip(*(_measured(subject, n, Path(folder), rounds) for n in FACTORS), strict=True)
            counts = " / ".join(f"{subject.count * factor:,}" for factor in FACTORS)
            growth = [f"{many / few:.2f}" for few, many in pairwise(seconds)]
            cells = [" / ".join(f"{one:.2f}" for one in seconds), " / ".join(growth)]
            rows.append([f"{counts} {subject.name}", *cells, " / ".join(f"{one / _MIB:.0f}" for one in memory)])
            bars[subject.name] = [
                Bar(f"{subject.count * factor:,}", one, f"{one:.2f} s")
                for factor, one in zip(FACTORS, seconds, strict=True)
            ]
    header = ["", "processor seconds", "times the one before", "MiB at most"]
    note = f"Medians of {runs_of(min(rounds, _ROUNDS))}; twice as much takes 2 times the time where it grows linearly."
    return [Table("n / 2n / 4n", header, rows, bars, [note])]


def _measured(subject: Subject, factor: int, folder: Path, rounds: int) -> tuple[float, int]:
    """Return the seconds that a process takes for so much, and the bytes that it has at most: both medians."""
    file = folder / "input"
    subject.write(file, subject.count * factor)
    argv = [sys.executable, "-m", "benchmarks.scaling", subject.work.__name__, str(file)]
    env = {**plain_environment(), "XDG_CACHE_HOME": str(folder), "XDG_STATE_HOME": str(folder)}
    runs = []
    for _ in range(min(rounds, _ROUNDS)):
        done = subprocess.run(argv, cwd=Path(__file__).parents[1], env=env, capture_output=True, text=True, check=True)
        runs.append(json.loads(done.stdout))
    file.unlink()
    seconds, memory = median(run["seconds"] for run in runs), median(run["bytes"] for run in runs)
    say(f"{subject.count * factor} {subject.name}: {seconds:.2f} s, {memory / _MIB:.0f} MiB")
    return seconds, int(memory)


def main() -> None:
    """Do one piece of work; print its processor seconds, and the most memory that this process has had."""
    work = {function.__name__: function for function in (follow, search, inspect, plan)}[sys.argv[1]]
    began = time.process_time()
    work(Path(sys.argv[2]))
    print(json.dumps({"seconds": time.process_time() - began, "bytes": _peak()}))  # noqa: T201 (`measure` reads it)


def _peak() -> int:
    """Return the most memory that this process has had, in bytes; getrusage(2) counts that before its exec too."""
    found = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()

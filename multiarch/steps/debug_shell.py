"""``build-arch --shell``: a shell in the state before a failed RUN.

BuildKit's client cannot open one. So the instructions before that RUN are built as an image of their own, from the
cache that the failed build left, loaded into the Docker host and run there; image and container are removed afterwards.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tarfile
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.buildkit import build, buildctl
from multiarch.buildkit.address import running_address
from multiarch.buildkit.builder import Builder
from multiarch.buildkit.inputs import check_inputs
from multiarch.display.console import has_person
from multiarch.errors import BuildFailedError, ConfigurationError, DockerNotFoundError, MultiarchError
from multiarch.formatting import one_line
from multiarch.paths import make_temporary_directory
from multiarch.steps import build_arch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.buildkit.build import PushedImage
    from multiarch.buildkit.solve import Solve
    from multiarch.config.project import Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.reference import ImageReference
    from multiarch.run import Run

# The shell of a RUN (Dockerfile reference, "SHELL").
_SHELL = ["/bin/sh", "-c"]
_RUN = re.compile(rb"\s*RUN\b", re.IGNORECASE)
_LONGEST = 200  # characters of a vertex's name in a message


def run(run: Run) -> tuple[PushedImage | Path | ImageReference, ...]:
    """Build one platform; where a RUN fails, open a shell in the state before it, and then let the build fail.

    :raises ConfigurationError: there is no terminal, or no docker command; before the build.
    :raises BuildFailedError: the build failed, whatever became of the shell.
    """
    _check(run)
    try:
        return build_arch.run(run)
    except BuildFailedError:
        if run.solves:
            run.resume()
            _try_to_enter(run, run.solves[-1])
        raise


commands = build_arch.commands


def lines_before(dockerfile: bytes, line: int) -> bytes | None:
    """Return the Dockerfile up to the RUN that begins in *line*, counted from 1; None where no RUN does.

    Where a base image's ONBUILD has failed, BuildKit names the line of the FROM.
    """
    lines = dockerfile.split(b"\n")
    is_run = 0 < line <= len(lines) and _RUN.match(lines[line - 1])
    return b"\n".join([*lines[: line - 1], b""]) if is_run else None


def _check(run: Run) -> None:
    if not (has_person(sys.stdin, os.environ) and has_person(sys.stderr, os.environ)):
        raise ConfigurationError("--shell", "it needs a terminal, at standard input and error, and no CI")
    if shutil.which("docker") is None:
        raise ConfigurationError("--shell", "it needs the docker command, which is not on PATH")
    run.host.info  # noqa: B018 (asked before the build, to know that there is one)


def _try_to_enter(run: Run, failure: Solve) -> None:
    """Open the shell, or say why there is none: the build has failed, and its error follows in any case."""
    try:
        leg = failure.legs[0]
        target = run.project.target(leg.target)
        entry = next(entry for entry in target.settings.matrix if entry.leg == leg)
        _enter(run, target, entry, failure)
    except Exception as error:  # noqa: BLE001 (a terminal that is gone, an archive that is none, a full disk)
        words = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        run.progress.say(f"--shell: the state before the failure cannot be entered: {words}")


def _enter(run: Run, target: Target, entry: MatrixEntry, failure: Solve) -> None:
    """Open the shell, or say why there is none."""
    say, vertex = run.progress.say, failure.failed
    failed = _short(vertex.name) if vertex else "what failed"
    failed += f" ({failure.where})" if failure.where else ""
    dockerfile = check_inputs(target.settings, entry)
    if dockerfile is None:
        say("--shell: the Dockerfile is in a remote context, so the state before the failure cannot be built")
        return
    name, _, line = failure.where.rpartition(":")
    before = lines_before(dockerfile.read_bytes(), int(line)) if name == dockerfile.name else None
    if vertex is None or before is None or not vertex.instruction.startswith("RUN "):
        say(f"--shell: {failed} is no RUN of the Dockerfile, so there is no state before it to enter")
        return
    try:
        with _image(run, target, failure, dockerfile, before) as image:
            if image is None:
                say(f"--shell: nothing is in the image before {failed}, so there is nothing to enter")
                return
            say(
                f"--shell: {failed} failed; this is the state before it, without what RUN --mount brings"
                " (cache, secret, ssh) and without build arguments; the build ends with the shell"
            )
            _run(run, entry, image)
    except MultiarchError as error:
        say(f"--shell: the state before {failed} cannot be entered: {error}")


@contextlib.contextmanager
def _image(run: Run, target: Target, failure: Solve, dockerfile: Path, before: bytes) -> Iterator[str | None]:
    """Build and load the image of a cut Dockerfile; yield its name, None where it has no layers; remove it."""
    host, settings, name = run.host, target.settings, f"multiarch-shell:{secrets.token_hex(8)}"
    entry = next(entry for entry in settings.matrix if entry.leg == failure.legs[0])
    with make_temporary_directory() as directory:
        cut, archive = Path(directory) / dockerfile.name, Path(directory) / "image.tar"
        cut.write_bytes(before)
        # A Dockerfile may have an ignore file of its own beside it.
        ignored = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
        if ignored.is_file():
            shutil.copy(ignored, directory)
        try:
            run.progress.begin({entry.leg: run.is_emulated(entry)})
            client = run.client(buildctl.find_buildctl(settings))
            builder = failure.builder or Builder(running_address(settings, host))
            needed = run.bases.needed(target, [entry])
            build.build_prefix(settings, entry, cut, archive, name, client, builder, needed)
        finally:
            run.progress.end()
        if _is_empty(archive):
            yield None
            return
        try:
            build_arch.load_archive(run, archive, name)
            archive.unlink()
            yield name
        finally:
            with contextlib.suppress(DockerNotFoundError):
                host.run(f"remove the image {name}", lambda: host.client.images.remove(name, force=True))


def _is_empty(archive: Path) -> bool:
    """Whether an image has no layers: it is FROM scratch, and nothing was put into it."""
    with tarfile.open(archive) as tar:
        (image,) = json.load(tar.extractfile("manifest.json") or io.BytesIO())
    return not image["Layers"]


def _run(run: Run, entry: MatrixEntry, image: str) -> None:
    """Run the shell of an image's RUNs on our terminal, and remove its container however it ends."""
    host, container = run.host, image.replace(":", "-")
    shell = host.run(f"look at {image}", lambda: _shell(host.client.images.get(image).attrs))
    words = ["docker", "run", "--rm", "-it", "--pull", "never", "--name", container]
    words += ["--platform", str(entry.platform), "--entrypoint", shell, image]
    trace = run.progress.trace
    ended = trace.command(words) if trace else None
    terminal = termios.tcgetattr(0)
    try:
        # Standard output is for results.
        status = subprocess.call(words, stdout=sys.stderr, env=host.endpoint.environ())
        if ended:
            ended(status)
    finally:
        # A signal ends Docker's command line with us, before it can restore the terminal itself.
        termios.tcsetattr(0, termios.TCSADRAIN, terminal)
        with contextlib.suppress(DockerNotFoundError):
            host.run(
                f"remove container {container}", lambda: host.client.api.remove_container(container, v=True, force=True)
            )


def _shell(image: dict[str, Any]) -> str:
    """Return the shell of an image's RUNs, by Docker's answer about it."""
    return str((image["Config"].get("Shell") or _SHELL)[0])


def _short(name: str) -> str:
    """Return the name of a vertex as one short line."""
    line = one_line(name)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"

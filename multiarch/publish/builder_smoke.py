"""The last gate for images of builders elsewhere: each runs where it was built, natively, before a tag moves.

BuildKit runs the program of the image that was pushed, by its digest, as a ``RUN`` without a network and from no cache.
It has the capabilities of every ``RUN``, and not the fewer ones of a container on the Docker host.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit.command import record
from multiarch.buildkit.solve import Solve
from multiarch.errors import BuildFailedError
from multiarch.fleet.planning import planned_builder
from multiarch.formatting import shell_line
from multiarch.paths import make_temporary_directory
from multiarch.publish.errors import SmokeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.buildkit.build import Client
    from multiarch.buildkit.builder import Builder
    from multiarch.buildkit.solve import Signal
    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.config.smoke import SmokeSettings
    from multiarch.publish.staged import StagedImage

_STATUS = re.compile(r"did not complete successfully: exit code: (\d{1,3})")
_SPECIAL = re.compile(r'([\\"$])')  # in a value of ENV within quotes


def check_runs(entry: MatrixEntry, image: StagedImage, given: SmokeSettings, client: Client, builder: Builder) -> None:
    """Run the smoke command of a platform in its image, on a builder elsewhere.

    :param given: how long it may run, and what it is given.
    :raises SmokeError: it did not begin, or not end in time, or ended with another status than 0.
    :raises BuildFailedError: the builder was lost, or cannot pull the image.
    """
    command = shlex.join(entry.smoke)
    refuse = partial(SmokeError, entry.platform, command)
    inner = image.config.get("config") or {}
    if inner.get("OnBuild"):
        raise refuse("its ONBUILD would be run by a builder too: try it elsewhere, and switch this off with smoke: []")
    if any("\n" in value for value in given.environment.values()):
        raise refuse("a value of smoke_env has line breaks, which no builder can be given")
    client.observer.say(f"{entry.leg}: running {command} on {builder.name}")
    entrypoint = inner.get("Entrypoint") or ()
    words = [*([entrypoint] if isinstance(entrypoint, str) else entrypoint), *entry.smoke]
    reference = f"{image.reference.name}@{image.manifest.digest}"
    with make_temporary_directory() as directory:
        (Path(directory) / "Dockerfile").write_text(_dockerfile(reference, words, given))
        arguments = [str(client.buildctl), *builder.flags(), *_build(entry, directory), "--progress", "rawjson"]
        solve = Solve((entry.leg,), client.observer, builder)
        with client.watch(builder) as lost:
            deadline = _Deadline(solve, given.seconds, lost)
            try:
                solve.run(arguments, client.policy.stopped, builder.environ(client.host), deadline)
            except BuildFailedError as error:
                raise _refusal(error, deadline, partial(refuse, log=_log(solve)), given) or error from None


def commands(settings: Settings, buildctl: Path) -> list[list[str]]:
    """Return the equivalent commands, with the staging tags in the place of digests, which are not known before.

    An image's ENTRYPOINT, which the command is an argument of, is not known before either.
    """
    lines = []
    for entry in settings.matrix:
        builder = planned_builder(entry)
        if builder is not None and entry.smoke:
            text = _dockerfile(str(entry.staging), entry.smoke, settings.publish.smoke)
            build = shell_line([str(buildctl), *builder.flags(), *_build(entry, "DIR")]).replace("=DIR", '="$d"')
            lines.append(
                ["sh", "-c", f'd=$(mktemp -d); {shell_line(["printf", "%s", text])} >"$d"/Dockerfile; {build}']
            )
    return lines


class _Deadline:
    """Set when a command has run for too long, or its builder is lost; what comes before it takes its time."""

    def __init__(self, solve: Solve, seconds: float, lost: Signal | None) -> None:
        self._solve, self._seconds, self._lost = solve, seconds, lost
        self._began: float | None = None  # by time.monotonic
        self.is_over = False

    def is_set(self) -> bool:
        if self._began is None and any(v.is_running and v.instruction.startswith("RUN ") for v in self._solve.vertices):
            self._began = time.monotonic()
        self.is_over = self._began is not None and time.monotonic() > self._began + self._seconds
        return self.is_over or (self._lost is not None and self._lost.is_set())


def _refusal(
    error: BuildFailedError, deadline: _Deadline, refuse: partial[SmokeError], given: SmokeSettings
) -> SmokeError | None:
    """Return what failed of the command; None where it is the builder's, or the way to the image."""
    if deadline.is_over:
        return refuse(f"no end after {given.seconds:g} s")
    if found := _STATUS.search(error.cause or ""):
        return refuse(f"exit status {found[1]}")
    return None if error.is_builders or error.transient else refuse(error.cause or "it does not begin")


def _log(solve: Solve) -> Sequence[str]:
    return [line for vertex in solve.vertices if vertex.instruction.startswith("RUN ") for line in vertex.output[-20:]]


def _dockerfile(reference: str, words: Sequence[str], given: SmokeSettings) -> str:
    lines = [f"FROM {reference}", *(f'ENV {name}="{_escaped(value)}"' for name, value in _sorted(given.environment))]
    lines += [f"USER {given.user}"] if given.user else []
    mounts = "".join(f" --mount={record('type=tmpfs', f'target={path}')}" for path in given.tmpfs)
    return "\n".join([*lines, f"RUN --network=none{mounts} {json.dumps(list(words))}", ""])


def _sorted(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(environment.items())


def _escaped(value: str) -> str:
    return _SPECIAL.sub(r"\\\1", value)


def _build(entry: MatrixEntry, directory: str) -> list[str]:
    options = ["--frontend", "dockerfile.v0", "--opt", f"platform={entry.platform}", "--no-cache"]
    return ["build", *options, "--local", f"context={directory}", "--local", f"dockerfile={directory}"]

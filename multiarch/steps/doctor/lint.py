"""BuildKit's own checks of a Dockerfile, as ``docker build --check`` has them (its subrequest ``frontend.lint``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from multiarch.buildkit.address import running_address
from multiarch.buildkit.buildctl import find_buildctl
from multiarch.buildkit.builder import Builder
from multiarch.buildkit.command import build_command
from multiarch.buildkit.faults import is_transient_fault
from multiarch.buildkit.inputs import dockerfile_path
from multiarch.concurrency import each
from multiarch.config.settings import CacheKind
from multiarch.errors import BuildctlMissingError, MultiarchError, NoBuilderError
from multiarch.fleet.planning import planned_builder
from multiarch.formatting import one_line
from multiarch.steps.doctor.client import ClientError, ask
from multiarch.steps.doctor.finding import Finding, failure, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.run import Run

NAME = "dockerfile"
# frontend/subrequests/lint/lint.go, Warning.PrintTo: the rule, its address, what is wrong, the place, an excerpt.
_WARNING = re.compile(r"^WARNING: (\S{1,100})(?: - (\S{1,300}))?\n(.{1,1000})(?:\n(\S{1,1000}:\d{1,9})\n-{3,})?", re.M)
_SOLVING = "failed to solve: "  # in front of what the server and its frontend say, and not the client
_MOST = 50  # warnings of one Dockerfile that are told
# What the errors of a frontend that has no such subrequest have in common.
_UNSUPPORTED = re.compile(r"unsupported|unknown request|not supported|unimplemented", re.IGNORECASE)
_LINT, _PARSE = "frontend.lint", "frontend.targets"


def examine(run: Run) -> Iterator[Finding]:
    """Yield the warnings about each Dockerfile of the matrix, those that are read alike once."""
    try:
        buildctl = str(find_buildctl(run.settings))
        local = Builder(running_address(run.settings, run.host)) if run.settings.local_platforms else None
    except BuildctlMissingError:
        yield unknown(NAME, "not checked: BuildKit's client is not here yet", "invoke start-buildkit copy-buildctl")
        return
    except NoBuilderError:
        yield unknown(NAME, "not checked: no BuildKit runs yet", "invoke start-buildkit")
        return
    jobs: dict[tuple[str, ...], tuple[str, dict[str, str] | None]] = {}
    for target in run.project:
        for entry in target.settings.matrix:
            # Whoever reads it: it is the same Dockerfile.
            builder = local or planned_builder(entry)
            if builder is None:
                continue
            command = _command(target.settings, entry, buildctl, builder)
            shown = f"{entry.target} {dockerfile_path(entry)}".strip()
            jobs.setdefault(tuple(command), (shown, builder.environ(run.host)))
    found = each(lambda command: list(_of_dockerfile(run, command, *jobs[command])), jobs)
    yield from dict.fromkeys(finding for findings in found for finding in findings)


def _command(settings: Settings, entry: MatrixEntry, buildctl: str, builder: Builder) -> list[str]:
    """Return the command that reads a Dockerfile, without what only a build needs, and what differs by platform."""
    from pathlib import Path

    plain = replace(settings.build, cache=CacheKind.NONE, attestations={}, secrets={}, ssh={}, no_cache=False)
    command = build_command(replace(settings, build=plain), [entry], Path(buildctl), builder, "")
    at = command.index(f"platform={entry.platform}")
    return [*command[: at - 1], *command[at + 1 :]]


def _of_dockerfile(run: Run, command: tuple[str, ...], shown: str, environ: dict[str, str] | None) -> Iterator[Finding]:
    """Yield what BuildKit finds in a Dockerfile: an error, else its warnings.

    :param command: the build, to which a request to the frontend is added. :param shown: the name of the Dockerfile.
    """

    def request(name: str) -> str:
        return ask(run, [*command, "--opt", f"requestid={name}", "--progress", "plain"], environ)

    try:
        # The other one hides what is wrong with a Dockerfile as a whole: buildctl prints the warnings alone.
        request(_PARSE)
    except ClientError as error:
        words = str(error)
        if words.startswith(_SOLVING) and not is_transient_fault(words) and not _UNSUPPORTED.search(words):
            yield failure(NAME, f"{shown}: {words.removeprefix(_SOLVING)}", "correct it there")
        else:
            yield unknown(NAME, f"{shown}: BuildKit does not read it: {words}", "see invoke build-arch --verbose")
        return
    except MultiarchError as error:
        yield unknown(NAME, f"{shown}: {one_line(str(error))}")
        return
    try:
        warnings = list(read_warnings(request(_LINT)))
    except ClientError as error:
        known = "its frontend has no checks" if _UNSUPPORTED.search(str(error)) else str(error)
        yield unknown(NAME, f"{shown}: {known}", "update BuildKit, or the image that # syntax= names")
        return
    except MultiarchError as error:
        yield unknown(NAME, f"{shown}: {one_line(str(error))}")
        return
    yield from warnings
    if not warnings:
        yield ok(NAME, f"{shown}: BuildKit finds nothing to say")


def read_warnings(text: str) -> Iterator[Finding]:
    """Yield the warnings in what ``buildctl`` prints for the subrequest."""
    for number, found in enumerate(_WARNING.finditer(text)):
        if number == _MOST:
            break
        rule, address, words, place = found.groups()
        where = f"{one_line(place)}: " if place else ""
        remedy = f"see {address}" if address else "correct it there"
        yield warning(NAME, f"{where}{one_line(words)} ({one_line(rule)})", remedy)

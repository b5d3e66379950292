"""Step 4, ``build-arch``: build and push the image of one platform (the document, "Building Images")."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from multiarch.buildkit import schedule
from multiarch.buildkit.address import dry_address, running_address
from multiarch.buildkit.bases import Base, BuiltImage
from multiarch.buildkit.buildctl import default_path, find_buildctl
from multiarch.buildkit.builder import Builder, builder_of
from multiarch.buildkit.command import build_command, export
from multiarch.config.settings import OutputKind
from multiarch.errors import ConfigurationError, EmptyMatrixError

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.buildkit.build import Client, PushedImage
    from multiarch.config.project import Project, Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.run import Run


def run(run: Run) -> tuple[PushedImage | Path, ...]:
    """Build one platform with what is there already: the server that start-buildkit left, the client that is found.

    Of several targets each is built, behind what it is built on.

    :returns: for each target that is asked for what was pushed, or the path that was written; nothing with the output
        ``none``.
    :raises MissingPathError: there is no such context or Dockerfile.
    :raises NoBuilderError: there is no server.
    :raises BuildctlMissingError: there is no client.
    :raises BuildFailedError: a solve failed for good; with the failing vertex and its last lines.
    """
    from multiarch.buildkit.build import check_paths

    project, settings = run.project, run.settings
    check_one_platform(project)
    for target in project:
        for entry in target.settings.matrix:
            check_paths(target.settings, entry)
    if settings.publish.push.wanted:
        run.start_embedded_registry()
    client = run.client(find_buildctl(settings))
    local = Builder(running_address(settings, run.host)) if settings.local_platforms else Builder("")
    for address in {entry.builder for entry in project.matrix if entry.builder}:
        Builder(address).check(run.host)
    if settings.local_platforms:
        local.check(run.host)
    firsts = dict.fromkeys(target.settings.publish.images[0] for target in project)
    try:
        run.progress.begin({entry.leg: schedule.is_emulated(entry, run.machine) for entry in project.matrix})
        built = run.together([partial(_build, run, client, local), *run.push_checks(tuple(firsts))])[0]
    finally:
        run.progress.end()
    if settings.build.output.kind is OutputKind.NONE:
        run.progress.say(f"built; nothing is pushed{settings.publish.push.reason}")
    return tuple(built)


def _build(run: Run, client: Client, local: Builder) -> list[PushedImage | Path]:
    """Build the targets, one after the other; return the results of those that are asked for."""
    from multiarch.buildkit.build import PushedImage, build_layout, build_platform

    results: list[PushedImage | Path] = []
    for target, entry in [(one, entry) for one in run.project for entry in one.settings.matrix]:
        settings, builder, needed = target.settings, builder_of(entry, local), run.bases.needed(target, [entry])
        if layout := run.bases.layout(target, [entry]):
            digest = build_layout(settings, [entry], layout, client, builder, needed)
            run.bases.built([entry], BuiltImage(digest, entry.staging, layout))
            continue
        result = build_platform(settings, entry, client, builder, needed)
        if isinstance(result, PushedImage):
            run.images[entry.leg] = result.digest, 0
            run.bases.built([entry], BuiltImage(result.digest, result.reference))
        if result and target.is_asked_for:
            results.append(result)
    return results


def commands(project: Project) -> list[list[str]]:
    """Return the document's command for this step."""
    check_one_platform(project)
    return [command_of(project, target, entry) for target in project for entry in target.settings.matrix]


def command_of(project: Project, target: Target, entry: MatrixEntry) -> list[str]:
    """Return the document's command for one platform, with the client and the address that steps 2 and 3 give.

    What it is built on is named by its staging tag, as its digest is not known before.
    """
    settings = target.settings
    builder = Builder(entry.builder or dry_address(settings))
    bases = [
        Base(context, name, entry.platform, BuiltImage("", base.settings.staging[platform]))
        for context, name in target.bases.items()
        for base in (project.target(name),)
        for platform in (target.base_platform(base, entry.platform),)
    ]
    output = export(settings, str(entry.staging))
    return build_command(settings, (entry,), default_path(settings), builder, output, bases=bases)


def check_one_platform(project: Project) -> None:
    """Check that a run is for one platform.

    :raises ConfigurationError: it is for several. :raises EmptyMatrixError: it is for none.
    """
    platforms = dict.fromkeys(entry.platform for target in project.asked_for for entry in target.settings.matrix)
    if not platforms:
        raise EmptyMatrixError
    if len(platforms) > 1:
        known = ", ".join(map(str, platforms))
        raise ConfigurationError("--platform", f"build-arch builds one platform; pass one of {known}")

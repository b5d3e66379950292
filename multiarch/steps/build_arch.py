"""Step 4, ``build-arch``: build and push the image of one platform (the document, "Building Images")."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from multiarch.buildkit.address import container_address, dry_address, running_server
from multiarch.buildkit.bases import Base, BuiltImage
from multiarch.buildkit.buildctl import default_path, find_buildctl
from multiarch.buildkit.builder import Builder
from multiarch.buildkit.command import build_command, export, export_one, record
from multiarch.config.settings import OutputKind
from multiarch.errors import ConfigurationError, EmptyMatrixError, NoBuilderError
from multiarch.fleet.planning import planned_builder
from multiarch.formatting import shell_line
from multiarch.paths import make_temporary_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.buildkit.build import Client, PushedImage
    from multiarch.config.project import Project, Target
    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.image.reference import ImageReference
    from multiarch.run import Run
    from multiarch.steps.resume import Resumption


def run(run: Run) -> tuple[PushedImage | Path | ImageReference, ...]:
    """Build one platform with what is there already: the server that start-buildkit left, the client that is found.

    Of several targets each is built, behind what it is built on.

    :returns: for each target that is asked for what was pushed or loaded, or the path that was written; nothing with
        the output ``none``.
    :raises MissingPathError: there is no such context or Dockerfile.
    :raises NoBuilderError: there is no server.
    :raises BuildctlMissingError: there is no client.
    :raises BuildFailedError: a solve failed for good; with the failing vertex and its last lines.
    """
    from multiarch.buildkit.inputs import check_inputs

    project, settings = run.project, run.settings
    check_one_platform(project)
    project.check_output()
    for target in project:
        for entry in target.settings.matrix:
            check_inputs(target.settings, entry)
    if settings.publish.push.wanted:
        run.start_embedded_registry()
    resumption = _resume(run) if settings.build.resume else None
    buildctl = find_buildctl(settings)
    run.ask_builders(buildctl)
    client, project, settings = run.client(buildctl), run.project, run.settings
    local = Builder(_local_address(run) if settings.local_platforms else "", run.machine)
    if local.address:
        local.check(run.host)
    firsts = dict.fromkeys(target.settings.publish.images[0] for target in project)
    try:
        legs = [entry for entry in project.matrix if entry.leg not in run.taken]
        run.progress.begin({entry.leg: run.is_emulated(entry) for entry in legs})
        built: list[PushedImage | Path | ImageReference]
        built = run.together([partial(_build, run, client, local, resumption), *run.push_checks(tuple(firsts))])[0]
    finally:
        run.progress.end()
    if settings.build.output.kind is OutputKind.NONE:
        run.progress.say(f"built; nothing is pushed{settings.publish.push.reason}")
    return tuple(built)


def _resume(run: Run) -> Resumption:
    """Take what need not be built again."""
    from multiarch.steps.resume import Resumption

    resumption = Resumption(run)
    resumption.look()
    resumption.take()
    return resumption


def _build(
    run: Run, client: Client, local: Builder, resumption: Resumption | None
) -> list[PushedImage | Path | ImageReference]:
    """Build the targets, one after the other; return the results of those that are asked for.

    :param resumption: writes the staging tags, where a later run may take what is under them.
    """
    from multiarch.buildkit.build import PushedImage, build_layout

    results: list[PushedImage | Path | ImageReference] = []
    for target, entry in [(one, entry) for one in run.project for entry in one.settings.matrix]:
        settings = target.settings
        if digest := run.taken.get(entry.leg):
            run.images[entry.leg] = digest, 0
            results += [PushedImage(entry.leg, entry.staging, digest)] if target.is_asked_for else []
            continue
        needed = run.bases.needed(target, [entry])
        if layout := run.bases.layout(target, [entry]):
            to_layout = partial(build_layout, settings, [entry], layout, client, bases=needed)
            digest = run.build_on([entry], local, to_layout)
            run.bases.built([entry], BuiltImage(digest, entry.staging, layout))
            continue
        if settings.build.output.kind is OutputKind.DOCKER:
            results += run.build_on([entry], local, partial(load, run, target, entry, client, bases=needed))
            continue
        pushes = partial(_build_platform, target, entry, client, resumption=resumption, bases=needed)
        result = run.build_on([entry], local, pushes)
        if isinstance(result, PushedImage):
            run.images[entry.leg] = result.digest, 0
            run.bases.built([entry], BuiltImage(run.handed_over(target, result.digest), result.reference))
            _hand_over(settings, result)
        if result and target.is_asked_for:
            results.append(result)
    return results


def _build_platform(
    target: Target,
    entry: MatrixEntry,
    client: Client,
    builder: Builder,
    resumption: Resumption | None,
    bases: Sequence[Base],
) -> PushedImage | Path | None:
    """Build one platform; where a later run may take it, push it by digest, and write its staging tag then."""
    from multiarch.buildkit.build import build_platform, build_together

    if resumption is None or not resumption.knows(entry):
        return build_platform(target.settings, entry, client, builder, bases)
    (image,) = build_together(target.settings, [entry], client, builder, bases)
    return replace(image, digest=resumption.stage(target, entry, image, bases))


def _hand_over(settings: Settings, image: PushedImage) -> None:
    """Write the digest for the job that publishes, where it is not under a staging tag."""
    if settings.publish.digests is not None:
        from multiarch.publish.digests import write_digests

        write_digests(settings.publish.digests, settings.publish.images[0], {image.leg.platform: image.digest})


def load(
    run: Run, target: Target, entry: MatrixEntry, client: Client, builder: Builder, bases: Sequence[Base]
) -> tuple[ImageReference, ...]:
    """Build one platform, and load its image into the Docker host under all tags; return them.

    :param bases: what it is built on.
    :raises BuildFailedError: the solve failed for good.
    :raises DockerError: the Docker host does not take it.
    """
    from multiarch.buildkit.build import build_archive

    settings, references = target.settings, target.settings.publish.references
    with make_temporary_directory() as directory:
        archive = Path(directory) / "image.tar"
        output = export(settings, _names(settings))
        build_archive(settings, (entry,), f"{output},{record(f'dest={archive}')}", client, builder, bases)
        load_archive(run, archive, str(references[0]))
    return references


def load_archive(run: Run, archive: Path, name: str) -> None:
    """Load an archive into the Docker host. :param name: of its image, for errors."""

    def load() -> None:
        with archive.open("rb") as file:
            run.host.client.images.load(file)

    run.host.run(f"load the image {name}", load)


def _names(settings: Settings) -> str:
    return ",".join(map(str, settings.publish.references))


def _local_address(run: Run) -> str:
    """Return the address of the local builder, and hold our server until the run ends."""
    if run.settings.builder.host:
        return run.settings.builder.host
    server = running_server(run.settings, run.host)
    if server is None:
        raise NoBuilderError
    run.hold(server)
    return container_address(server, run.host)


def commands(project: Project) -> list[list[str]]:
    """Return the document's command for this step."""
    check_one_platform(project)
    return [command_of(project, target, entry) for target in project for entry in target.settings.matrix]


def command_of(project: Project, target: Target, entry: MatrixEntry) -> list[str]:
    """Return the document's command for one platform, with the client and the address that steps 2 and 3 give."""
    settings = target.settings
    builder = planned_builder(entry) or Builder(dry_address(settings))
    is_loaded = settings.build.output.kind is OutputKind.DOCKER
    output = export(settings, _names(settings)) if is_loaded else export_one(settings, entry)
    bases = bases_of(project, target, [entry])
    command = build_command(settings, (entry,), default_path(settings), builder, output, bases=bases)
    return ["sh", "-c", f"{shell_line(command)} | docker load"] if is_loaded else command


def archive_command(
    project: Project, target: Target, entries: Sequence[MatrixEntry], number: int, count: int
) -> list[str]:
    """Return the command that builds platforms into an archive; of several, each has a number in its name."""
    settings = target.settings
    dest = f"{settings.build.output.dest}{f'.{number + 1}' if count > 1 else ''}"
    builder = planned_builder(entries[0]) or Builder(dry_address(settings))
    output = record("type=oci", f"dest={dest}", *settings.build.exporter)
    bases = bases_of(project, target, entries)
    return build_command(settings, entries, default_path(settings), builder, output, bases=bases)


def bases_of(project: Project, target: Target, entries: Sequence[MatrixEntry]) -> list[Base]:
    """Return what platforms are built on by its staging tags, as digests are not known before."""
    return [
        Base(context, name, entry.platform, BuiltImage("", base.settings.staging[platform]))
        for context, name in target.bases.items()
        for base in (project.target(name),)
        for entry in entries
        for platform in (target.base_platform(base, entry.platform),)
    ]


def check_one_platform(project: Project) -> None:
    """Check that a run is for one platform, or for those that a base of one platform joins.

    :raises ConfigurationError: it is for several. :raises EmptyMatrixError: it is for none.
    """
    platforms = dict.fromkeys(entry.platform for target in project.asked_for for entry in target.settings.matrix)
    if not platforms:
        raise EmptyMatrixError
    is_written = project.settings.build.output.kind not in (OutputKind.IMAGE, OutputKind.NONE)
    if len(platforms) > 1 and (is_written or not _is_one_component(project)):
        known = ", ".join(map(str, platforms))
        raise ConfigurationError("--platform", f"build-arch builds one platform; pass one of {known}")


def _is_one_component(project: Project) -> bool:
    from multiarch.config.components import components

    return len(components(project)) == 1

"""Step 4, ``build-arch``: build and push the image of one platform (the document, "Building Images")."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit import schedule
from multiarch.buildkit.address import container_address, dry_address, running_server
from multiarch.buildkit.buildctl import default_path, find_buildctl
from multiarch.buildkit.builder import Builder, builder_of
from multiarch.buildkit.command import build_command, export, export_one, record
from multiarch.config.settings import OutputKind
from multiarch.errors import ConfigurationError, NoBuilderError
from multiarch.formatting import shell_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.buildkit.build import Client, PushedImage
    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.image.reference import ImageReference
    from multiarch.run import Run


def run(run: Run) -> tuple[PushedImage | Path | ImageReference, ...]:
    """Build one platform with what is there already: the server that start-buildkit left, the client that is found.

    :returns: what was pushed or loaded, or the path that was written; nothing with the output ``none``.
    :raises MissingPathError: there is no such context or Dockerfile.
    :raises NoBuilderError: there is no server.
    :raises BuildctlMissingError: there is no client.
    :raises BuildFailedError: the solve failed for good; with the failing vertex and its last lines.
    """
    from multiarch.buildkit.build import PushedImage, build_platform
    from multiarch.buildkit.inputs import check_inputs

    settings = run.settings
    entry = only_entry(settings)
    check_inputs(settings, entry)
    if settings.publish.push.wanted:
        run.start_embedded_registry()
    client = run.client(find_buildctl(settings))
    builder = builder_of(entry, Builder(_local_address(run) if not entry.builder else ""))
    builder.check(run.host)

    def build() -> tuple[PushedImage | Path | ImageReference, ...]:
        if settings.build.output.kind is OutputKind.DOCKER:
            return load(run, entry, client, builder)
        one = build_platform(settings, entry, client, builder)
        return (one,) if one else ()

    try:
        run.progress.begin({entry.platform: schedule.is_emulated(entry, run.machine)})
        built: tuple[PushedImage | Path | ImageReference, ...]
        built = run.together([build, *run.push_checks(settings.publish.images[:1])])[0]
    finally:
        run.progress.end()
    if settings.build.output.kind is OutputKind.NONE:
        run.progress.say(f"built; nothing is pushed{settings.publish.push.reason}")
    for image in built:
        if isinstance(image, PushedImage):
            run.images[entry.platform] = image.digest, 0
            _hand_over(run, image)
    return built


def _hand_over(run: Run, image: PushedImage) -> None:
    """Write the digest for the job that publishes, where it is not under a staging tag."""
    if run.settings.publish.digests is not None:
        from multiarch.publish.digests import write_digests

        write_digests(run.settings.publish.digests, run.settings.publish.images[0], {image.platform: image.digest})


def load(run: Run, entry: MatrixEntry, client: Client, builder: Builder) -> tuple[ImageReference, ...]:
    """Build one platform, and load its image into the Docker host under all tags; return them.

    :raises BuildFailedError: the solve failed for good.
    :raises DockerError: the Docker host does not take it.
    """
    from multiarch.buildkit.build import build_archive

    settings, references = run.settings, run.settings.publish.references
    with tempfile.TemporaryDirectory(prefix="multiarch-", ignore_cleanup_errors=True) as directory:
        archive = Path(directory) / "image.tar"
        output = export(settings, _names(settings))
        build_archive(settings, (entry,), f"{output},{record(f'dest={archive}')}", client, builder)
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
    return container_address(server)


def commands(settings: Settings) -> list[list[str]]:
    """Return the document's command for this step."""
    return [command_of(settings, only_entry(settings))]


def command_of(settings: Settings, entry: MatrixEntry) -> list[str]:
    """Return the document's command for one platform, with the client and the address that steps 2 and 3 give."""
    builder = Builder(entry.builder or dry_address(settings))
    is_loaded = settings.build.output.kind is OutputKind.DOCKER
    output = export(settings, _names(settings)) if is_loaded else export_one(settings, entry)
    command = build_command(settings, (entry,), default_path(settings), builder, output)
    return ["sh", "-c", f"{shell_line(command)} | docker load"] if is_loaded else command


def archive_command(settings: Settings, entries: Sequence[MatrixEntry], number: int, count: int) -> list[str]:
    """Return the command that builds platforms into an archive; of several, each has a number in its name."""
    dest = f"{settings.build.output.dest}{f'.{number + 1}' if count > 1 else ''}"
    builder = Builder(entries[0].builder or dry_address(settings))
    output = record("type=oci", f"dest={dest}", *settings.build.exporter)
    return build_command(settings, entries, default_path(settings), builder, output)


def only_entry(settings: Settings) -> MatrixEntry:
    """Return the one platform of the matrix.

    :raises ConfigurationError: there are several. :raises EmptyMatrixError: there is none.
    """
    if len(settings.platforms) > 1:
        known = ", ".join(map(str, settings.platforms))
        raise ConfigurationError("--platform", f"build-arch builds one platform; pass one of {known}")
    return settings.matrix[0]

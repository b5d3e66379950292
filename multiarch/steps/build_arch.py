"""Step 4, ``build-arch``: build and push the image of one platform (the document, "Building Images")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.buildkit import schedule
from multiarch.buildkit.address import dry_address, running_address
from multiarch.buildkit.buildctl import default_path, find_buildctl
from multiarch.buildkit.builder import Builder, builder_of
from multiarch.buildkit.command import build_command, export
from multiarch.config.settings import OutputKind
from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.buildkit.build import PushedImage
    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.run import Run


def run(run: Run) -> tuple[PushedImage | Path, ...]:
    """Build one platform with what is there already: the server that start-buildkit left, the client that is found.

    :returns: what was pushed, or the path that was written; nothing with the output ``none``.
    :raises MissingPathError: there is no such context or Dockerfile.
    :raises NoBuilderError: there is no server.
    :raises BuildctlMissingError: there is no client.
    :raises BuildFailedError: the solve failed for good; with the failing vertex and its last lines.
    """
    from multiarch.buildkit.build import PushedImage, build_platform, check_paths

    settings = run.settings
    entry = only_entry(settings)
    check_paths(settings, entry)
    if settings.publish.push.wanted:
        run.start_embedded_registry()
    client = run.client(find_buildctl(settings))
    builder = builder_of(entry, Builder("")) if entry.builder else Builder(running_address(settings, run.host))
    builder.check(run.host)

    def build() -> PushedImage | Path | None:
        return build_platform(settings, entry, client, builder)

    try:
        run.progress.begin({entry.platform: schedule.is_emulated(entry, run.machine)})
        built: PushedImage | Path | None = run.together([build, *run.push_checks(settings.publish.images[:1])])[0]
    finally:
        run.progress.end()
    if settings.build.output.kind is OutputKind.NONE:
        run.progress.say(f"built; nothing is pushed{settings.publish.push.reason}")
    if isinstance(built, PushedImage):
        run.images[entry.platform] = built.digest, 0
    return (built,) if built else ()


def commands(settings: Settings) -> list[list[str]]:
    """Return the document's command for this step."""
    return [command_of(settings, only_entry(settings))]


def command_of(settings: Settings, entry: MatrixEntry) -> list[str]:
    """Return the document's command for one platform, with the client and the address that steps 2 and 3 give."""
    builder = Builder(entry.builder or dry_address(settings))
    return build_command(settings, (entry,), default_path(settings), builder, export(settings, str(entry.staging)))


def only_entry(settings: Settings) -> MatrixEntry:
    """Return the one platform of the matrix.

    :raises ConfigurationError: there are several. :raises EmptyMatrixError: there is none.
    """
    if len(settings.platforms) > 1:
        known = ", ".join(map(str, settings.platforms))
        raise ConfigurationError("--platform", f"build-arch builds one platform; pass one of {known}")
    return settings.matrix[0]

"""Base images: whether each is in its registry for each platform that is built on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.buildkit.inputs import dockerfile_path, has_local_dockerfile
from multiarch.concurrency import each
from multiarch.formatting import one_line
from multiarch.image.platform import Platform
from multiarch.steps.doctor.finding import Finding, failure, ok, unknown, warning
from multiarch.steps.doctor.instructions import UnreadableError, read_dockerfile
from multiarch.steps.doctor.remote_images import Place, RemoteImages, Whereabouts
from multiarch.steps.doctor.stages import BaseImage, Build, base_images

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from multiarch.config.project import Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.image.reference import ImageReference
    from multiarch.run import Run

NAME = "base-images"
_LARGEST = 1 << 20  # bytes of a Dockerfile that is read


def examine(run: Run) -> Iterator[Finding]:
    """Yield for each base image where it is missing, or its digest; and each Dockerfile that cannot be read here."""
    wanted: dict[ImageReference, dict[Platform, str]] = {}
    for target in run.project:
        for entry in target.settings.matrix:
            try:
                for image in _images_of(run, target, entry):
                    where = f"{dockerfile_path(entry)}:{image.line}"
                    wanted.setdefault(image.reference, {}).setdefault(image.platform, where)
            except UnreadableError as error:
                yield unknown(NAME, f"{entry.leg}: {dockerfile_path(entry)}: {one_line(str(error))}")
    images = RemoteImages(run)
    for reference, place in zip(wanted, each(images.find, wanted), strict=True):
        yield from of_image(reference, wanted[reference], place)


def of_image(reference: ImageReference, wanted: dict[Platform, str], place: Place) -> Iterator[Finding]:
    """Yield the findings about one image. :param wanted: by platform, where it is named."""
    where = next(iter(wanted.values()))
    if place.state is Whereabouts.UNKNOWN:
        yield unknown(NAME, f"{where}: {reference} is not known to be there: {place.problem}")
    elif place.state is Whereabouts.MISSING:
        yield failure(NAME, f"{where}: no registry has {reference}", "correct its name, or docker login to see it")
    else:
        lacking = [p for p in wanted if place.platforms is not None and not _serves(place.platforms, p)]
        for platform in lacking:
            others = ", ".join(map(str, place.platforms or ()))
            text = f"{wanted[platform]}: {reference} is not there for {platform}, only for {others or 'none'}"
            remedy = "name another in FROM, or drop the platform"
            yield failure(NAME, text, remedy) if place.is_index else warning(NAME, text, remedy)
        if not lacking:
            listed = ", ".join(map(str, wanted))
            name = reference if reference.digest else reference.with_digest(place.digest)
            yield ok(NAME, f"{name} for {listed}")


def needed_images(run: Run) -> list[tuple[ImageReference, Platform]]:
    """Return each base image with each of its platforms, as far as they can be known."""
    found: dict[tuple[ImageReference, Platform], None] = {}
    for target in run.project:
        for entry in target.settings.matrix:
            try:
                found |= dict.fromkeys((image.reference, image.platform) for image in _images_of(run, target, entry))
            except UnreadableError:
                continue
    return list(found)


def _images_of(run: Run, target: Target, entry: MatrixEntry) -> tuple[BaseImage, ...]:
    """Return the images that a platform is built on. :raises UnreadableError: they cannot be known."""
    if target.settings.build.source:
        raise UnreadableError("it is read by another frontend")
    if not has_local_dockerfile(entry):
        raise UnreadableError("it is in a remote context")
    text = _text(dockerfile_path(entry))
    contexts = {name: "" if context.is_local else context.place for name, context in entry.contexts.items()}
    contexts |= dict.fromkeys(target.bases, "")
    native = entry.platform if not entry.is_local else _own(run.machine, entry.platform)
    build = Build(entry.platform, native, entry.stage, entry.build_args, contexts)
    return base_images(read_dockerfile(text), build)


def _own(machine: str, otherwise: Platform) -> Platform:
    try:
        return Platform.parse(machine)
    except ValueError:
        return otherwise


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise UnreadableError(f"it has more than {_LARGEST} bytes")
        return content.decode()
    except (OSError, ValueError) as error:
        raise UnreadableError(getattr(error, "strerror", None) or "it is not UTF-8") from None


def _serves(platforms: tuple[Platform, ...], wanted: Platform) -> bool:
    """Whether one of an image's platforms is taken for another, as containerd does (platforms.Only).

    An earlier variant is; for amd64 also 386, and for arm64 also arm.
    """
    others = {"amd64": "386", "arm64": "arm"}
    for one in platforms:
        if one.os != wanted.os:
            continue
        if one.architecture == wanted.architecture and (one.variant or "v") <= (wanted.variant or "v"):
            return True
        if one.architecture == others.get(wanted.architecture):
            return True
    return False

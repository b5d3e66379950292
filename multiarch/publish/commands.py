"""The document's commands for step 5, as ``--dry`` prints them ("Pushing manifest")."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiarch.config.settings import Settings


def commands(settings: Settings) -> list[list[str]]:
    """Return the commands that try the images, compose their index and publish it.

    ``docker manifest create`` refuses images with attestations; buildx takes them, and copies across registries.
    """
    source = settings.publish.images[0]
    staged = list(settings.staging.values())
    names = list(map(str, settings.publish.references))
    lines = _smoke_commands(settings) if settings.tries_images else []
    if settings.build.attestations or settings.publish.annotations or len(settings.publish.images) > 1:
        words = [word for name in names for word in ("--tag", name)]
        for key, value in sorted(settings.publish.annotations.items()):
            words += ["--annotation", f"index:{key}={value}"]
        return [*lines, ["docker", "buildx", "imagetools", "create", *words, *map(str, staged)]]
    insecure = settings.publish.insecure_flag(source)
    for name in names:
        lines.append(["docker", "manifest", "create", *insecure, name, *map(str, staged)])
        for platform, reference in zip(settings.platforms, staged, strict=True):
            words = ["--os", platform.os, "--arch", platform.architecture]
            words += ["--variant", platform.variant] if platform.variant else []
            lines.append(["docker", "manifest", "annotate", *words, name, str(reference)])
        lines.append(["docker", "manifest", "push", "--purge", *insecure, name])
    return lines


def _smoke_commands(settings: Settings) -> list[list[str]]:
    from multiarch.publish import smoke

    return smoke.commands(settings)

"""The document's commands for step 5, as ``--dry`` prints them ("Pushing manifest")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.formatting import shell_line

if TYPE_CHECKING:
    from multiarch.config.settings import Settings


def commands(settings: Settings) -> list[list[str]]:
    """Return the commands that try the images, compose their index and publish it.

    ``docker manifest create`` refuses images with attestations; buildx takes them, and copies across registries.
    """
    return [*_published(settings), *_signed(settings)]


def _published(settings: Settings) -> list[list[str]]:
    """Return the commands that publish the tags of one target."""
    source = settings.publish.images[0]
    staged = list(settings.staging.values())
    added = list(map(str, settings.publish.add))
    names = list(map(str, settings.publish.references))
    lines = _smoke_commands(settings) if any(entry.smoke for entry in settings.matrix) else []
    if settings.publish.digests:
        words = ["docker", "buildx", "imagetools", "create", *(word for name in names for word in ("--tag", name))]
        for key, value in sorted(settings.publish.annotations.items()):
            words += ["--annotation", f"index:{key}={value}"]
        files = shell_line([settings.publish.digests])
        return [*lines, ["sh", "-c", f"{shell_line([*words, *added])} $(cat {files}/*.txt)"]]
    if settings.build.attestations or settings.publish.annotations or added or len(settings.publish.images) > 1:
        words = [word for name in names for word in ("--tag", name)]
        for key, value in sorted(settings.publish.annotations.items()):
            words += ["--annotation", f"index:{key}={value}"]
        return [*lines, ["docker", "buildx", "imagetools", "create", *words, *map(str, staged), *added]]
    insecure = settings.publish.insecure_flag(source)
    for name in names:
        lines.append(["docker", "manifest", "create", *insecure, name, *map(str, staged)])
        for platform, reference in zip(settings.platforms, staged, strict=True):
            words = ["--os", platform.os, "--arch", platform.architecture]
            words += ["--variant", platform.variant] if platform.variant else []
            lines.append(["docker", "manifest", "annotate", *words, name, str(reference)])
        lines.append(["docker", "manifest", "push", "--purge", *insecure, name])
    return lines


def _signed(settings: Settings) -> list[list[str]]:
    """Return the commands that sign what a tag points to, and each image of it."""
    if settings.publish.sign is None:
        return []
    from multiarch.publish.signing import insecure_flags, sign_words

    words = ["cosign", *sign_words(settings.publish.sign), "--recursive"]
    lines = []
    for name in settings.publish.references:
        insecure = bool(settings.publish.insecure_flag(name))
        flags = insecure_flags(is_plain=name.is_loopback, is_unverified=insecure)
        lines.append([*words, *flags, str(name)])
    return lines


def _smoke_commands(settings: Settings) -> list[list[str]]:
    from multiarch.buildkit.buildctl import default_path
    from multiarch.publish import builder_smoke, smoke

    return smoke.commands(settings) + builder_smoke.commands(settings, default_path(settings))

"""Images of the steps of all workflows, put together: each once, and with a name of its own."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from multiarch.adoption.findings import Doubt, Finding, FoundImage


def joined(images: list[FoundImage]) -> list[FoundImage]:
    """Return the images, each once: of those that are built alike, what differs is in doubt."""
    groups: dict[tuple[Any, ...], list[FoundImage]] = {}
    for image in images:
        key = (image.is_built, *(image.value(setting) for setting in ("context", "dockerfile", "target")))
        groups.setdefault(key, []).append(image)
    return [_agreed(group) for group in groups.values()]


def _agreed(images: list[FoundImage]) -> FoundImage:
    """Return the first image with the settings that all agree on; what they disagree on is in doubt."""
    findings: dict[str, Finding] = {}
    doubts = dict.fromkeys(doubt for image in images for doubt in image.doubts)
    for setting in dict.fromkeys(name for image in images for name in image.findings):
        first, *others = [image.findings[setting] for image in images if setting in image.findings]
        other = next((one.place for one in others if one.value != first.value), None)
        if other is None:
            findings[setting] = first
        else:
            doubts[Doubt(setting, f"{other} says otherwise", first.place)] = None
    return replace(images[0], findings=findings, doubts=tuple(doubts))


def named(images: list[FoundImage]) -> list[FoundImage]:
    """Return images with names of their own: the last word of the repository, else that of the job."""
    names = []
    for image in images:
        reference = image.value("image")
        first = reference[0] if isinstance(reference, list) else reference or ""
        names.append(str(first).rpartition("/")[2] or image.name)
    names = [name if names.count(name) == 1 else image.name for name, image in zip(names, images, strict=True)]
    return [replace(image, name=name) for name, image in zip(names, images, strict=True)]

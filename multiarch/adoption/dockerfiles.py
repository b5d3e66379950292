"""Names of Dockerfiles: ``Dockerfile.SUFFIX`` is for a platform where the suffix is one; most suffixes are not."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from multiarch.adoption.findings import Draft, Evidence
from multiarch.image.platform import Platform

if TYPE_CHECKING:
    from pathlib import Path

_USUAL = "Dockerfile"
# The names that Docker's official images have for ARM (github.com/docker-library/official-images, "Architectures").
_OFFICIAL = re.compile(r"arm32(v[5-7])|arm64(v8)")
_MOST = 1_000  # files that are looked at


def read(directory: Path) -> Evidence:
    """Return what the names of Dockerfiles in a directory say."""
    names = sorted(path.name for path in directory.glob(f"{_USUAL}*") if path.is_file())[:_MOST]
    if not names:
        return Evidence()
    platforms = {name: platform for name in names if (platform := _platform(name))}
    draft = Draft("", names[0])
    counts = Counter(platforms.values())
    entries = []
    for name in names:
        draft.file = name
        platform = platforms.get(name)
        if name == _USUAL:
            if platforms:
                draft.doubt("platforms", "it is not told for which platforms this is", 0)
        elif platform is None:
            draft.doubt("dockerfile", "its suffix is no platform", 0)
        elif counts[platform] > 1:
            draft.doubt("platforms", f"it is not the only one for {platform}", 0)
        else:
            entries.append({"platform": str(platform), "dockerfile": name})
    if entries:
        draft.file = str(entries[0]["dockerfile"])
        draft.put("platforms", entries, 0)
    return Evidence(images=(draft.image(),)) if _USUAL in names or entries else Evidence(doubts=tuple(draft.doubts))


def _platform(name: str) -> Platform | None:
    """Return the platform that a Dockerfile's suffix names; None where it names none."""
    suffix = name.removeprefix(f"{_USUAL}.").lower()
    if suffix == name.lower():
        return None
    official = _OFFICIAL.fullmatch(suffix)
    if official:
        suffix = f"arm/{official[1]}" if official[1] else "arm64"
    try:
        return Platform.parse(re.sub(r"[-_](?!64)", "/", suffix))
    except ValueError:
        return None

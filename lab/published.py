"""Parts that are images in the mirror."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from lab.images import Image, publish
from lab.mirror import Mirror, tagged
from lab.packages import PORTS
from lab.parts import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from lab.layers import Layer

# The job that has to end before images are uploaded.
MIRROR_JOB = "mirror"

_RECORD = "published.json"
_FILES = ("images.py", "layers.py")


def one_for_each(
    ports: Iterable[str], layers: Callable[[str, Path], tuple[Layer, ...]], config: Mapping[str, object]
) -> Callable[[Path], list[Image]]:
    """Return what makes an image for each of Debian's ports, whose layers are written into a folder."""
    return lambda folder: [Image(PORTS[port], layers(port, folder), config) for port in ports]


def image_part(
    repository: str,
    tags: tuple[str, ...],
    *,
    images: Callable[[Path], Sequence[Image]],
    version: Callable[[], str],
    recipe: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
    needs: tuple[Part, ...] = (),
) -> Part:
    """Return the part that makes a repository's images, one a platform, and publishes them under its tags.

    `images` gets an empty folder to work in; `version` is called when the parts that it needs are there.
    """

    def make(folder: Path) -> str:
        work = folder / "work"
        work.mkdir()
        digest = publish(Mirror(), repository, tags, images(work))
        # The mirror has the images now; what it should have is kept.
        shutil.rmtree(work)
        (folder / _RECORD).write_text(json.dumps(dict.fromkeys(tags, digest)))
        return version()

    def intact(folder: Path) -> bool:
        record: dict[str, str] = json.loads((folder / _RECORD).read_text())
        return all(tagged(repository, tag) == digest for tag, digest in record.items())

    return Part(
        name=repository,
        make=make,
        recipe=(*tags, *recipe),
        files=(*_FILES, *files),
        needs=needs,
        after=(MIRROR_JOB,),
        intact=intact,
    )

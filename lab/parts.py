"""Parts of the lab: made once, kept, and made again only when their recipe changes."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.jobs import Job
from lab.paths import PARTS, SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _intact(_: Path) -> bool:
    return True


@dataclass(frozen=True)
class Part:
    """One result of the lab, in a folder of its own.

    `make` fills an empty folder and returns the version of what it made. `recipe` and `files` (below lab/) are
    everything that the result depends on, besides the parts it needs.
    """

    name: str
    make: Callable[[Path], str]
    recipe: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    needs: tuple[Part, ...] = ()
    # Jobs, other than parts, that must be done before.
    after: tuple[str, ...] = ()
    # Whether what the part put elsewhere is still there.
    intact: Callable[[Path], bool] = _intact

    @property
    def folder(self) -> Path:
        """The folder that holds the finished part."""
        return PARTS / self.name.replace("/", "_")

    def stamp(self) -> str:
        """Return the digest of the recipe; a part that was made with the same one need not be made again."""
        digest = hashlib.sha256()
        for text in (self.name, *self.recipe, *(part.stamp() for part in self.needs)):
            digest.update(text.encode() + b"\0")
        for name in self.files:
            digest.update(name.encode() + b"\0" + (SOURCE / name).read_bytes() + b"\0")
        return digest.hexdigest()

    def version(self) -> str | None:
        """Return the version of the part as it was last made, None if it never was."""
        return _read(self.folder / ".version")

    def fresh(self) -> bool:
        """Whether the part is there, intact, and of the present recipe."""
        return _read(self.folder / ".stamp") == self.stamp() and self.intact(self.folder)

    def build(self) -> str:
        """Make the part beside its place, and move it there when it is whole."""
        new = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        version = self.make(new)
        (new / ".version").write_text(version)
        (new / ".stamp").write_text(self.stamp())
        shutil.rmtree(self.folder, ignore_errors=True)
        new.rename(self.folder)
        return version

    def job(self) -> Job:
        """Return the job that makes the part where it is not fresh."""
        needs = (*self.after, *(part.name for part in self.needs))
        return Job(self.name, due=lambda: not self.fresh(), work=self.build, needs=needs)


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None

"""Programs that an image starts, read out of its layers without pulling the image.

The layers of an image lie over each other (OCI image-spec, layer.md): a file is the topmost one of its name that no
whiteout above it hides. Layers are read from the top, and only until the program is found.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import shlex
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from multiarch.image.elf import Elf
from multiarch.image.layers import UNREADABLE, File, Layer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHELL = "/bin/sh"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Links that are followed, as many as by Linux (MAXSYMLINKS).
_MOST_LINKS = 40
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True)
class Program:
    """A program that an image starts.

    :ivar elf: None when no binary program was found; *note* says why then.
    """

    path: str
    elf: Elf | None = None
    note: str = ""


def started_programs(config: Mapping[str, Any], layers: Sequence[Layer]) -> tuple[Program, ...]:
    """Return the program that an image starts with: of its entrypoint, else of its command, else its shell.

    Behind it are the programs of its other words (``tini -- /app/server``) which were read on the way to the first.

    :param config: the image's config (OCI image-spec, config.md).
    :param layers: the lowest first; this function closes them.
    """
    words, path, directory = _words(config.get("config"))
    searches = [_Search(word, path, directory) for word in words]
    try:
        _search(searches, [*reversed(layers)])
    except UNREADABLE as error:
        searches[0].end(Program(words[0], note=f"a layer of it cannot be read ({error})"))
    finally:
        for layer in layers:
            layer.close()
    first, *others = (search.result() for search in searches)
    return (first, *(program for program in others if program.elf))


def _words(config: object) -> tuple[list[str], list[str], str]:
    """Return the words that may name programs (the first does), PATH, and the working directory."""
    run = config if isinstance(config, dict) else {}

    def listed(key: str) -> list[str]:
        return [str(word) for word in run[key]] if isinstance(run.get(key), list) else []

    entrypoint, command = listed("Entrypoint"), listed("Cmd")
    words = [*entrypoint, *command] or [_SHELL]
    later = words[1:]
    # The script of `/bin/sh -c "exec /app/server"`, wherever the shell stands.
    option = next((n for n, word in enumerate(words[1:-1], 1) if re.fullmatch(r"-\w*c", word)), None)
    if option is not None:
        with contextlib.suppress(ValueError):
            later += shlex.split(words[option + 1])
    named = dict.fromkeys([words[0], *(command[:1] if entrypoint else []), *(w for w in later if w.startswith("/"))])
    variables = dict(item.partition("=")[::2] for item in listed("Env"))
    directory = run.get("WorkingDir")
    return list(named), (variables.get("PATH") or _PATH).split(":"), directory if isinstance(directory, str) else "/"


def _search(searches: Sequence[_Search], layers: Sequence[Layer]) -> None:
    """Read layers, the topmost first, until the first search is over."""
    for depth, layer in enumerate(layers, 1):
        name: str | None = ""
        while name is not None:
            for search in searches:
                if not search.is_over and (not name or name in search.missed):
                    search.look(layers[:depth])
            if searches[0].is_over:
                return
            name = layer.advance()


class _Search:
    """The search for one program: through PATH, links, and the interpreters of scripts."""

    def __init__(self, word: str, path: Sequence[str], directory: str) -> None:
        self.word = word
        self.is_over = False
        self.missed: set[str] = set()
        self._program = Program(word, note=f"{word} is not in its layers")
        if "/" in word:
            self._places = [posixpath.join("/", directory, word)]
        else:
            self._places = [posixpath.join("/", place, word) for place in path if place]
        self._scripts = 0

    def result(self) -> Program:
        return self._program

    def look(self, layers: Sequence[Layer]) -> None:
        """Search the files of the layers that were read so far, the topmost layer first."""
        self.missed = set()
        # Where several directories of PATH have the word, the file in each shows the image's architecture.
        for place in self._places:
            path, file = self._follow(place, layers)
            if file is None or not file.head:
                continue
            if file.head.startswith(b"#!"):
                # The program of a script is its interpreter (execve(2)).
                interpreter = file.head[2:].split(b"\n")[0].decode(errors="replace").split()
                self._scripts += 1
                if not interpreter or self._scripts > _MOST_LINKS:
                    self.end(Program(path, note=f"{path} is a script without an interpreter"))
                else:
                    self._program = Program(path, note=f"{interpreter[0]}, which runs {path}, is not in its layers")
                    self._places = [posixpath.join("/", interpreter[0])]
                    self.look(layers)
            else:
                elf = Elf.parse(file.head)
                self.end(Program(path, elf) if elf else Program(path, note=f"{path} is no ELF program"))
            return

    def end(self, program: Program) -> None:
        """End the search with a program."""
        self._program, self.is_over = program, True

    def _follow(self, path: str, layers: Sequence[Layer]) -> tuple[str, File | None]:
        """Return the file at *path* behind all links, and its own path."""
        for _ in range(_MOST_LINKS):
            name = posixpath.normpath(path).lstrip("/")
            parts = name.split("/")
            for count in range(1, len(parts) + 1):
                prefix = "/".join(parts[:count])
                file = self._topmost(prefix, layers)
                if file and file.link:
                    path = posixpath.join("/", posixpath.dirname(prefix), file.link, *parts[count:])
                    break
            else:
                return f"/{name}", file
        return path, None

    def _topmost(self, name: str, layers: Sequence[Layer]) -> File | None:
        for layer in layers:
            if name in layer.files:
                return layer.files[name]
            if not layer.files.keys().isdisjoint(_whiteouts(name)):
                break
        self.missed.add(name)
        return None


@lru_cache(maxsize=1024)
def _whiteouts(name: str) -> tuple[str, ...]:
    """Return the names that hide a file of the layers below: its own whiteout, and those of its directories."""
    parts = name.split("/")
    hiding = []
    for count, part in enumerate(parts):
        directory = "/".join(parts[:count])
        hiding += [posixpath.join(directory, _WHITEOUT + part), posixpath.join(directory, _OPAQUE)]
    return tuple(hiding)

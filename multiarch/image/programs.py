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
from typing import TYPE_CHECKING, Any

from multiarch.image.elf import Elf
from multiarch.image.streams import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.image.layers import File, Layer

_SHELL = "/bin/sh"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Links that are followed, as many as by Linux (MAXSYMLINKS).
_MOST_LINKS = 40
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
# Bytes of a path (PATH_MAX of Linux), and characters of one in a note or an error.
_LONGEST_PATH, _LONGEST_SHOWN = 4095, 200
# Words of a command that may name programs, directories of PATH, and characters of a script that is parted into words.
_MOST_WORDS, _MOST_DIRECTORIES, _LONGEST_SCRIPT = 16, 64, 1 << 16
# Entries of an image's layers above its program, or of all of them; large images have a few 100,000. They take 7 s.
_MOST_ENTRIES = 1_000_000
# Bytes of memory for their names: of 200,000 links and programs, and of all other entries.
_MOST_MEMORY = 64 << 20
# Lookups of names in layers. They take 3 s; an image of 100 layers needs up to 500,000.
_MOST_LOOKUPS = 3_000_000


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

    Behind it are the programs of its other words (``tini -- /app/server``) which were read on the way to the first, and
    notes of what was not looked for.

    :param config: the image's config (OCI image-spec, config.md).
    :param layers: the lowest first; this function closes them.
    """
    words, path, directory, left_out = _words(config.get("config"))
    files = _Files([*reversed(layers)])
    searches = [_Search(word, path, directory, files) for word in words]
    try:
        _search(searches, files)
    except UnreadableError as error:
        searches[0].end(words[0], note=f"a layer of it cannot be read ({error})")
    except _BoundError as error:
        searches[0].end(words[0], note=str(error))
    finally:
        for layer in layers:
            layer.close()
    first, *others = (search.result() for search in searches)
    return (first, *(program for program in others if program.elf), *(Program("", note=note) for note in left_out))


def _words(config: object) -> tuple[list[str], list[str], str, list[str]]:
    """Return the words of the command (the first names a program, others may), PATH, directory, what is left out."""
    run = config if isinstance(config, dict) else {}

    def listed(key: str) -> list[str]:
        # Docker takes a text for a list of one.
        value = [run[key]] if isinstance(run.get(key), str) else run.get(key)
        return [str(word) for word in value] if isinstance(value, list) else []

    entrypoint, command = listed("Entrypoint"), listed("Cmd")
    words = [*entrypoint, *command] or [_SHELL]
    later = words[1:]
    # The script of `/bin/sh -c "exec /app/server"`, wherever the shell stands.
    option = next((n for n, word in enumerate(words[1:-1], 1) if re.fullmatch(r"-\w*c", word)), None)
    left_out: list[str] = []
    if option is not None and len(words[option + 1]) > _LONGEST_SCRIPT:
        left_out.append(f"the script of its command has more than {_LONGEST_SCRIPT:,} characters")
    elif option is not None:
        with contextlib.suppress(ValueError):
            later += shlex.split(words[option + 1])
    named = dict.fromkeys([words[0], *(command[:1] if entrypoint else []), *(w for w in later if w.startswith("/"))])
    variables = dict(item.partition("=")[::2] for item in listed("Env"))
    path = (variables.get("PATH") or _PATH).split(":", _MOST_DIRECTORIES)
    if len(path) > _MOST_DIRECTORIES:
        left_out.append(f"its PATH has more than {_MOST_DIRECTORIES} directories")
    if len(named) > _MOST_WORDS:
        left_out.append(f"its command names more than {_MOST_WORDS} programs")
    directory = run.get("WorkingDir")
    where = directory if isinstance(directory, str) else "/"
    return [*named][:_MOST_WORDS], path[:_MOST_DIRECTORIES], where, left_out


def _search(searches: Sequence[_Search], files: _Files) -> None:
    """Read layers, the topmost first, until the first search is over."""
    while files.open_next():
        for search in searches:
            search.look()
        while not searches[0].is_over and files.advance([search.missed for search in searches]):
            for search in searches:
                if files.has_any(search.missed):
                    search.look()
        if searches[0].is_over:
            return


class _BoundError(Exception):
    """The search is not continued, because it would take too much."""


class _Files:
    """The files of an image, as far as its layers were read.

    :param layers: the topmost first.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers
        self._read: Sequence[Layer] = ()
        self._lookups = 0

    def open_next(self) -> bool:
        """Go on with the next layer. Whether there is one."""
        depth = len(self._read)
        self._read = self._layers[: depth + 1]
        return len(self._read) > depth

    def advance(self, wanted: Sequence[set[str]]) -> bool:
        """Read on in this layer, until a *wanted* name or for a while. Whether it has not ended.

        :raises UnreadableError: as `Layer.advance` does. :raises _BoundError: this was too much.
        """
        more = self._read[-1].advance(set().union(*wanted))
        if sum(layer.count for layer in self._read) > _MOST_ENTRIES:
            raise _BoundError(f"its layers have more than {_MOST_ENTRIES:,} entries, not read on")
        if sum(layer.memory for layer in self._read) > _MOST_MEMORY:
            raise _BoundError("its layers have more links and programs than are kept, not read on")
        return more

    def has_any(self, names: set[str]) -> bool:
        """Whether one of the names was read in this layer."""
        return any(self._find(self._read[-1], name) for name in names)

    @property
    def depth(self) -> int:
        """How many layers were read, the last one perhaps in part."""
        return len(self._read)

    def topmost(self, name: str, depth: int) -> tuple[File | None, int]:
        """Return a file, and how many layers may have what is below it, where it is a directory.

        :param depth: how many of the layers, from the top, may have it.
        """
        directory, _, base = name.rpartition("/")
        whiteouts = (posixpath.join(directory, _WHITEOUT + base), posixpath.join(directory, _OPAQUE))
        file: File | None = None
        for number, layer in enumerate(self._read[:depth], 1):
            file = file or self._find(layer, name)
            if any(self._find(layer, whiteout) for whiteout in whiteouts):
                return file, number
        return file, depth

    def _find(self, layer: Layer, name: str) -> File | None:
        self._lookups += 1
        if self._lookups > _MOST_LOOKUPS:
            raise _BoundError("its files take too long to search, not searched on")
        return layer.find(name)


class _Search:
    """The search for one program: through PATH, links, and the interpreters of scripts."""

    def __init__(self, word: str, path: Sequence[str], directory: str, files: _Files) -> None:
        self.is_over = False
        self.missed: set[str] = set()
        self._files = files
        self._program = Program(_shown(word), note=f"{_shown(word)} is not in its layers")
        if "/" in word:
            self._places = [posixpath.join("/", directory, word)]
        else:
            self._places = [posixpath.join("/", place, word) for place in path if place]
        self._scripts = 0

    def result(self) -> Program:
        return self._program

    def look(self) -> None:
        """Search the files that were read so far, unless the search is over."""
        while not self.is_over and self._look():
            pass

    def end(self, path: str, *, elf: Elf | None = None, note: str = "") -> None:
        """End the search with a program."""
        self._program, self.is_over = Program(_shown(path), elf, "" if elf else note), True
        self.missed = set()

    def _look(self) -> bool:
        """Search for the program. Whether it is a script, and its interpreter is to be searched for."""
        self.missed = set()
        # Where several directories of PATH have the word, the file in each shows the image's architecture.
        for place in self._places:
            path, file = self._follow(place)
            if file is None or not (file.head or file.note):
                continue
            if file.head.startswith(b"#!"):
                return self._go_on(path, file.head)
            elf = Elf.parse(file.head)
            self.end(path, elf=elf, note=f"{_shown(path)} {file.note or 'is no ELF program'}")
            break
        return False

    def _go_on(self, path: str, head: bytes) -> bool:
        """Search for the interpreter of a script, which is its program (execve(2)). Whether there is one."""
        interpreter = head[2:].split(b"\n")[0].decode(errors="replace").split()
        self._scripts += 1
        if not interpreter or self._scripts > _MOST_LINKS:
            self.end(path, note=f"{_shown(path)} is a script without an interpreter")
            return False
        shown = _shown(path)
        self._program = Program(shown, note=f"{_shown(interpreter[0])}, which runs {shown}, is not in its layers")
        self._places = [posixpath.join("/", interpreter[0])]
        return True

    def _follow(self, path: str) -> tuple[str, File | None]:
        """Return the file at *path* behind all links, and its own path."""
        for _ in range(_MOST_LINKS):
            if len(path) > _LONGEST_PATH:
                break
            name = posixpath.normpath(path).lstrip("/")
            parts = name.split("/")
            depth = self._files.depth
            for count in range(1, len(parts) + 1):
                prefix = "/".join(parts[:count])
                file, depth = self._files.topmost(prefix, depth)
                if file is None and depth == self._files.depth:
                    self.missed.add(prefix)
                if file and file.link:
                    path = posixpath.join("/", posixpath.dirname(prefix), file.link, *parts[count:])
                    break
            else:
                return f"/{name}", file
        return path, None


def _shown(text: str) -> str:
    """Return a path for a note or an error: not too long, and without bytes that are no text."""
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"

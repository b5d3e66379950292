"""Programs that an image starts, read out of its layers without pulling the image.

Followed is what the kernel (execve(2)), shells and known wrappers do: from the words of the image's config, through
PATH, links, interpreters and scripts, to ELF programs and their dynamic loaders.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from multiarch.image.files import ElsewhereLayer, Files
from multiarch.image.starter import Starter
from multiarch.image.step import Step
from multiarch.image.wrappers import Environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multiarch.image.layers import Layer
    from multiarch.image.program import Program

_SHELL = "/bin/sh"
# The one that Docker and containerd set where an image has none.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Words of a command that may name scripts.
_MOST_WORDS = 16


def started_programs(config: Mapping[str, Any], layers: Sequence[Layer | ElsewhereLayer]) -> tuple[Program, ...]:
    """Return what an image starts: its entrypoint with its command, else its shell, and what these start in turn.

    The first is the one that it starts with. There is one at least; of what was not followed there are notes.

    :param config: the image's config (OCI image-spec, config.md).
    :param layers: the lowest first; this function closes them.
    """
    words, environment = _command(config.get("config"))
    directory = environment.directory or "/"
    places = [posixpath.normpath(posixpath.join("/", directory, word)) for word in words[:_MOST_WORDS]]
    files = Files(layers, frozenset(place.lstrip("/") for place in places))
    starter = Starter(files)
    try:
        starter.follow(words, Step(environment))
    finally:
        for layer in layers:
            if not isinstance(layer, ElsewhereLayer):
                layer.close()
    return tuple(starter.programs)


def _command(config: object) -> tuple[tuple[str, ...], Environment]:
    """Return the words that an image starts with, and what it starts them in."""
    run = config if isinstance(config, dict) else {}

    def listed(key: str) -> list[str]:
        # Docker takes a text for a list of one.
        value = [run[key]] if isinstance(run.get(key), str) else run.get(key)
        return [str(word) for word in value] if isinstance(value, list) else []

    words = tuple(listed("Entrypoint") + listed("Cmd"))
    variables: dict[str, str | None] = dict(item.partition("=")[::2] for item in listed("Env"))
    variables["PATH"] = variables.get("PATH") or _PATH
    directory = run.get("WorkingDir")
    directory = posixpath.join("/", directory) if isinstance(directory, str) else "/"
    return words if words and words[0] else (_SHELL,), Environment(directory, variables)

"""Invoke's own files (``invoke.yaml``): what is wrong with one in one line, where Invoke ends in a traceback.

Invoke reads them before any code of ours has its turn, except for what `check_project_file` looks at.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiarch.formatting import one_line

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_SUFFIXES = ("yaml", "yml", "json")
_LARGEST = 256 << 10  # bytes; the parser of YAML, all in Python, takes some seconds for them
_MOST_VALUES = 100_000  # values with each alias in its place; Invoke copies them all several times
_LONGEST = 300  # characters of another program's words
# Methods of Invoke's Config that read or join files.
_READS = {"_load_file", "merge", "load_shell_env", "clone"}


def check_project_file() -> None:
    """Check that the project's file will not fill the memory when Invoke reads it. :raises SystemExit: it would."""
    path = _project_file()
    if path is None:
        return
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError:  # Invoke meets that too, and `show_error` tells of it
        return
    if len(text) > _LARGEST:
        sys.exit(f"{path}: it has more than {_LARGEST} bytes; nobody needs so many settings: correct the file")
    if b"&" in text and b"*" in text and path.suffix != ".json" and not _fits(text):
        sys.exit(f"{path}: its aliases stand for more than {_MOST_VALUES} values, or hold themselves; correct the file")


def show_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show the error of a file of Invoke's in one line; fits ``sys.excepthook``, and passes on all others."""
    line = "interrupted" if issubclass(kind, KeyboardInterrupt) else _line(error, trace)
    if line is None and sys.stdout is not None and _is_printing(error, trace):
        from multiarch.display.outlet import drain

        drain(sys.stdout)
        line = f"standard output: {getattr(error, 'strerror', None) or 'it does not take some letter of this'}"
    if line is None or sys.stderr is None:
        sys.__excepthook__(kind, error, trace)
    else:
        sys.stderr.write(f"{one_line(line)}\n")


def _is_printing(error: BaseException, trace: TracebackType | None) -> bool:
    """Whether an error is of Invoke's own printing, such as that of ``--list``."""
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    is_of_stream = isinstance(error, OSError | UnicodeEncodeError)
    return is_of_stream and frames[-1].f_globals.get("__name__") in ("invoke.program", "invoke.util")


def _project_file() -> Path | None:
    """Return the file beside the tasks.py that Invoke finds, or in the working directory; None where there is none."""
    try:
        here = Path.cwd()
    except OSError:
        return None
    places = [here, *here.parents]
    place = next((place for place in places if (place / "tasks.py").is_file() or (place / "tasks").is_dir()), here)
    paths = [place / f"invoke.{suffix}" for suffix in _SUFFIXES]
    return next((path for path in paths if path.exists()), None)


def _fits(text: bytes) -> bool:
    """Whether a text in YAML stands for no more values than may be; what cannot be read fits, and Invoke says why."""
    # Invoke's own parser, which it brings along, as it is imported anyway.
    yaml: Any = importlib.import_module("invoke.util").yaml
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return _values(root, {}) <= _MOST_VALUES
    except (yaml.YAMLError, ValueError, RecursionError):
        return True


def _values(node: Any, known: dict[int, float]) -> float:
    """Return how many values a node of YAML stands for; infinitely many where it holds itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")
        inner = node.value if isinstance(getattr(node, "value", None), list) else []
        parts = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]


def _line(error: BaseException, trace: TracebackType | None) -> str | None:
    """Return the line for an error that a file caused; None where it was something else."""
    if isinstance(error, FileNotFoundError) and not _has_working_directory():
        return "the working directory does not exist any more; change to another one"
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        problem = getattr(error, "problem", None) or "it cannot be read"
        return f"{mark.name}: line {mark.line + 1}: this is not YAML: {problem}; correct the file"
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    first = next((number for number, frame in enumerate(frames) if _is_reading(frame)), None)
    if first is None or any(_is_foreign(frame) for frame in frames[first:]):
        return None
    paths = _paths(frames[first:])
    if any(path.endswith(".py") for path in paths):  # a program, whose author needs the traceback
        return None
    return f"{' or '.join(paths) or 'invoke.yaml'}: {_problem(error)}; correct the file"


def _has_working_directory() -> bool:
    try:
        return Path.cwd().is_dir()
    except OSError:
        return False


def _is_reading(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") == "invoke.config" and frame.f_code.co_name in _READS


def _is_foreign(frame: FrameType) -> bool:
    """Whether a frame is of neither Invoke nor what it reads files with."""
    module = str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] not in ("invoke", "yaml", "json", "codecs", "copy", "encodings", "posixpath")


def _paths(frames: list[FrameType]) -> list[str]:
    """Return the files that Invoke was reading, or else those that it had read."""
    for frame in frames:
        if frame.f_code.co_name == "_load_file" and "filepath" in frame.f_locals:
            return [str(frame.f_locals["filepath"])]
    config = frames[0].f_locals.get("self")
    paths = [getattr(config, f"_{name}_path", None) for name in ("runtime", "project", "user", "system")]
    # Of files that do not exist, Invoke notes the last name that it tried.
    return [str(path) for path in paths if path and Path(path).exists()]


def _problem(error: BaseException) -> str:
    """Return what is wrong in words; of an error of Invoke's no more than names, because it quotes settings."""
    name = type(error).__name__
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, OSError):
        return f"it cannot be read: {error.strerror or name}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if name == "AmbiguousMergeError":
        return "a mapping stands where one value belongs, or the other way round"
    if name == "AmbiguousEnvVar":
        return f"two names in it are one variable to Invoke ({str(error)[:_LONGEST].rpartition(' ')[2]})"
    if isinstance(error, TypeError):
        return "a name in it is no text: quote it"
    if isinstance(error, AttributeError):
        return "it is no mapping of settings"
    return f"it cannot be read: {str(error)[:_LONGEST] or name}"

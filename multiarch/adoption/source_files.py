"""Files of other tools, read within limits; one that cannot be read is a doubt, and says nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiarch.adoption.findings import Doubt, Evidence, Place
from multiarch.pipelines.errors import PipelineError
from multiarch.pipelines.text_file import read_text
from multiarch.pipelines.yaml_merge import load_file

if TYPE_CHECKING:
    from pathlib import Path

_MARK = "\ufeff"


class UnreadableError(Exception):
    """A file that cannot be read. :ivar evidence: what says so."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(reason)
        place = None if reason.startswith(f"{file}:") else Place(file)
        self.evidence = Evidence(doubts=(Doubt("", f"{reason} (nothing is taken from it)", place),))


def source_text(directory: Path, file: str) -> str | None:
    """Return the text of a file with plain ends of lines; None where there is none. :raises UnreadableError:"""
    try:
        text = read_text(directory, file)
    except PipelineError as error:
        raise UnreadableError(file, str(error)) from None
    return None if text is None else text.removeprefix(_MARK).replace("\r\n", "\n")


def source_yaml(text: str, file: str) -> Any:
    """Return the mapping that a text in YAML is, with the lines of its keys. :raises UnreadableError: it is none."""
    try:
        data = load_file(text, file)
    except PipelineError as error:
        raise UnreadableError(file, str(error)) from None
    return {} if data is None else data


def line_of(node: Any, key: Any, otherwise: int) -> int:
    """Return the line of a key, or of an item of a list.

    :param otherwise: the line where the node does not hold it itself, as when it comes from an anchor.
    """
    known = getattr(getattr(node, "lc", None), "data", None) or {}
    return int(known[key][0]) + 1 if key in known else otherwise


def mapping(node: Any, key: Any) -> Any:
    """Return the mapping at a key; an empty one where there is none."""
    value = node.get(key) if isinstance(node, dict) else None
    return value if isinstance(value, dict) else {}


def items(node: Any) -> list[Any]:
    """Return the items of a list; a text is a list of one."""
    return list(node) if isinstance(node, list) else [node] if isinstance(node, str) else []

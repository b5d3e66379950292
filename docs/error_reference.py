"""Writes reference/errors.md: the errors that users meet, from the classes and tables of the code that makes them."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import multiarch
from docs.error_examples import ROOMS, examples
from multiarch.buildkit.fault_table import FAULTS, Kind
from multiarch.errors import MultiarchError
from multiarch.publish.errors import GateError

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
FILE = HERE / "reference" / "errors.md"
PACKAGE = Path(multiarch.__file__).parent
_KINDS = {
    Kind.FINAL: "Ends the build: it would be the same again",
    Kind.RIGHT: "Ends the build, unless this user gets the right",
    Kind.PASSES: "Is run again, for as long as `retry_seconds` lasts",
}
_INTRODUCTION = """\
<!-- Written by ./invokew reference from the code. -->
# Errors

The errors that the tasks end with, in the words that the code makes, with names in the place of yours. The last line on
standard error is one of these; the exit status is 1. What to do about those met most often, in the order of the steps:
[when a step fails](../when-a-step-fails.md).
"""


def classes() -> list[type[MultiarchError]]:
    """Return the classes of errors that are raised: those without subclasses, and those that are raised themselves."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "multiarch."):
        importlib.import_module(module.name)
    found, waiting = [], [MultiarchError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found.append(kind)
    return sorted(set(found) - {MultiarchError, GateError}, key=lambda kind: (kind.__module__, kind.__name__))


def text() -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *_of_classes(), *_of_settings(), *_of_faults()]) + "\n"


def _of_classes() -> list[str]:
    shown, parts = examples(), []
    for title, names in ROOMS.items():
        parts.append(f"## {title}\n")
        for kind in (kind for kind in classes() if kind.__module__ in names):
            if kind.__name__ not in shown:
                continue
            error = shown[kind.__name__]
            meaning = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
            again = " It is tried again, as it may pass by itself." if error.transient else ""
            # Quoted, and not in a block, so that a long line breaks.
            quoted = "  \n".join(f"> {_cell(line)}" for line in str(error).splitlines())
            parts.append(f"{meaning}{again}\n\n{quoted}\n")
    return parts


def _of_settings() -> list[str]:
    """Return the table of what may be wrong with a setting, as it stands in the code."""
    rows = sorted({row for path in sorted(PACKAGE.rglob("*.py")) for row in _raised(path)})
    cells = [f"| {where} | {problem} |" for where, problem in rows]
    head = (
        "## Settings, flags and variables\n\n`WHERE: PROBLEM`, where `…` stands for what you wrote, or what was found. "
    )
    head += "The status is 1, and nothing was done.\n\n| where | what is wrong, and what to do |\n|---|---|"
    return [head, *cells, ""]


def _raised(path: Path) -> list[tuple[str, str]]:
    """Return the words of each `ConfigurationError` of a module that is made of known words."""
    rows = []
    tree = ast.parse(path.read_text())
    constants = _assigned(tree.body)
    for scope in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        known = constants | _assigned(ast.walk(scope))
        for call in (node for node in ast.walk(scope) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id == "ConfigurationError":
                where, problem = (_words(one, known) for one in call.args)
                rows.append((_cell(where if where.strip("…. ") else "the setting"), _cell(problem)))
    return [row for row in rows if len(row[1].replace("…", "").strip(" ;:`")) > 8]


def _assigned(nodes: Iterable[ast.AST]) -> dict[str, ast.expr]:
    """Return what names stand for, as far as that is written."""
    return {
        target.id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _words(node: ast.expr, known: dict[str, ast.expr], depth: int = 3) -> str:
    """Return a text as it is written, with … for what is known only when it is raised."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(part, known, depth) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _words(node.value, known, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _words(node.left, known, depth) + _words(node.right, known, depth)
    if isinstance(node, ast.Name) and node.id in known and depth:
        return _words(known[node.id], known, depth - 1)
    return "…"


def _cell(words: str) -> str:
    """Return words for a cell of a table, as they are."""
    bare = re.sub("…{2,}", "…", " ".join(words.split())).replace("|", "\\|")
    return f"`{bare}`" if "`" not in bare else f"`` {bare} ``"


def _of_faults() -> list[str]:
    """Return the table of the words of others by which it is decided whether a solve is run again."""
    head = (
        "## Faults of a build\n\nWhat BuildKit, gRPC, Go and registries say of a solve that failed decides whether it "
    )
    head += (
        "is run again; the first that matches counts. These are regular expressions, without regard to case. What none "
    )
    head += "of them matches ends the build.\n"
    parts = [head]
    for kind, title in _KINDS.items():
        words = "\n".join(words for words, one in FAULTS if one is kind)
        parts.append(f"**{title}:**\n\n```text\n{words}\n```\n")
    return parts


if __name__ == "__main__":
    FILE.write_text(text())
    sys.stdout.write(f"{FILE.relative_to(HERE)}\n")

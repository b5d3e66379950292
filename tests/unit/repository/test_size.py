"""No module is too long to be read at once, and no function to be seen at once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = sorted(path for folder in ("multiarch", "lab") for path in (ROOT / folder).rglob("*.py"))
MOST_LINES_OF_A_MODULE = 300
MOST_LINES_OF_A_FUNCTION = 40


def longest_functions(source: str) -> dict[str, int]:
    """Return the lines of each function that has more than it may, by its name."""
    functions = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    lines = {f"{f.name}:{f.lineno}": (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions}
    return {name: count for name, count in lines.items() if count > MOST_LINES_OF_A_FUNCTION}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_and_its_functions_are_short(path: Path) -> None:
    """A module has at most 300 lines, a function at most 40, its docstring and signature included."""
    source = path.read_text()
    assert (True, {}) == (source.count("\n") <= MOST_LINES_OF_A_MODULE, longest_functions(source))


def test_a_long_function_is_noticed() -> None:
    """The measure above counts from the first line of the definition to the last of the body."""
    body = "    x = 1\n" * MOST_LINES_OF_A_FUNCTION
    assert {"long:1": MOST_LINES_OF_A_FUNCTION + 1} == longest_functions(f"def long():\n{body}")
    assert {} == longest_functions(f"def short():\n{body[10:]}")

"""Asserts of the package: ``python -O`` leaves them out, so nothing may depend on one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "multiarch"


def other_asserts(source: str) -> list[str]:
    """Return the asserts that are not ``assert <variable or attribute> is not None``, which only tells mypy a type."""
    asserts = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert)]
    return [ast.unparse(node) for node in asserts if not _narrows(node.test)]


def _narrows(test: ast.expr) -> bool:
    is_not_none = (
        isinstance(test, ast.Compare)
        and isinstance(test.ops[0], ast.IsNot)
        and [ast.unparse(right) for right in test.comparators] == ["None"]
    )
    return is_not_none and all(
        isinstance(node, ast.Name | ast.Attribute | ast.Load | ast.Compare | ast.IsNot | ast.Constant)
        for node in ast.walk(test)
    )


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_assert_has_no_effect(path: Path) -> None:
    """One that called something, or that a flow depends on, would write another pipeline under PYTHONOPTIMIZE=1."""
    assert [] == other_asserts(path.read_text())


def test_other_asserts_are_noticed() -> None:
    """The measure above tells them apart."""
    source = "assert a.b is not None\nassert f() is not None\nassert settings.platforms\nassert x == 1\nassert g(x)"
    expected = ["f() is not None", "settings.platforms", "x == 1", "g(x)"]
    assert [f"assert {test}" for test in expected] == other_asserts(source)

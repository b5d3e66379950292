"""docs/architecture.md against the package: the picture of the rooms, and the records that it names."""

from __future__ import annotations

import ast
import re

from importlinter import api

from tests.unit.project import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGE = ROOT / "multiarch"


def _contract() -> list[str]:
    """Return the layers of the contract over the whole package."""
    contracts = api.read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    (layers,) = (contract["layers"] for contract in contracts if contract.get("containers") == ["multiarch"])
    return [str(layer) for layer in layers]


def _picture() -> list[str]:
    """Return the lines of the picture that are rooms."""
    (picture,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [line for line in picture.splitlines() if line.strip() != "↓"]


def _rooms() -> list[str]:
    """Return the rooms in the order of the contract."""
    return [room for layer in _contract() for room in layer.split(" | ")]


def _classes(room: str) -> set[str]:
    """Return the names of the classes that a room defines."""
    directory = PACKAGE / room
    modules = directory.rglob("*.py") if directory.is_dir() else [directory.with_suffix(".py")]
    nodes = (node for module in modules for node in ast.walk(ast.parse(module.read_text())))
    return {node.name for node in nodes if isinstance(node, ast.ClassDef)}


def test_the_picture_is_the_contract() -> None:
    """A reader of the picture knows what may import what: the same lines in the same order."""
    assert ["cli", "steps", "run"] == _contract()[:3]
    assert _contract() == _picture()


def test_every_room_is_described_in_the_order_of_the_picture() -> None:
    """With the records that it really defines; CONTRIBUTING lists the same rooms."""
    rooms = _rooms()
    rows = re.findall(r"^\| `(\w+)` \| .+? \|(.*)\|$", PAGE, re.MULTILINE)
    assert rooms == [room for room, _ in rows]
    records = {room: set(re.findall(r"`(\w+)`", names)) for room, names in rows}
    assert {} == {room: missing for room, names in records.items() if (missing := names - _classes(room))}
    listed = re.findall(r"^\| (`[^|]+`) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    named = [re.sub(r"/$|\.py$", "", name) for cell in listed for name in re.findall(r"`([^`]+)`", cell)]
    assert sorted(rooms) == sorted(name for name in named if name in rooms)


def test_the_text_names_classes_that_there_are() -> None:
    """A reader finds each by its name."""
    names = set(re.findall(r"`([A-Z]\w+)`", PAGE.partition("## How data passes")[2]))
    assert (True, set()) == (len(names) > 5, names - set().union(*map(_classes, _rooms())))

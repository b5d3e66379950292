"""How the rooms of the package lie: imports run one way, down, and none is too large to be read at once."""

from __future__ import annotations

import ast
from pathlib import Path

import multiarch

HOUSE = Path(multiarch.__file__).parent
ROOMS = {path.stem: path for path in HOUSE.glob("*.py")}
STEPS = {"binfmt", "buildkit", "buildctl", "build", "manifest"}


def imported(room: str) -> set[str]:
    """Return the rooms that one imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(ROOMS[room].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "multiarch":
            found |= {alias.name for alias in node.names} & set(ROOMS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("multiarch."):
            found.add(str(node.module).split(".")[1])
    return found


def test_imports_run_down() -> None:
    """There is an order of all rooms in which each imports only from those below it; the errors are at the bottom."""
    left = {room: imported(room) for room in ROOMS}
    floors: list[list[str]] = []
    while ready := [room for room, below in left.items() if not below & set(left) - {room}]:
        floors.append(sorted(ready))
        for room in ready:
            del left[room]
    assert {} == left, "these import each other"
    assert "errors" in floors[0]
    assert ["__init__"] == floors[-1]


def test_a_step_imports_no_other_step() -> None:
    """`release` composes them."""
    assert {} == {step: others for step in STEPS if (others := imported(step) & STEPS)}
    assert imported("release") >= STEPS


def test_only_the_face_knows_of_invoke() -> None:
    """Steps take values and return values; parameters and exits are the tasks' and the boundary's alone."""
    assert {"tasks", "boundary"} == {room for room, path in ROOMS.items() if "\nfrom invoke." in path.read_text()}


def test_every_room_can_be_read_at_once() -> None:
    """No module has more than 300 lines."""
    assert {} == {room: lines for room, path in ROOMS.items() if (lines := len(path.read_text().splitlines())) > 300}

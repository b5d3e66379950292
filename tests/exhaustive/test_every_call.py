"""Errors of any kind at every call of a registry's client: all tags are new, or all as before."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from multiarch.publish.errors import TagsNotMovedError
from multiarch.registry.client import Registry
from tests.exhaustive.test_publication import named_as_left
from tests.exhaustive.world import BROKEN, World, released_before
from tests.unit.registry_server import refusal

CALLS = (
    *("manifest", "has_manifest", "put_manifest", "read_back", "remove_tag"),
    *("blob", "open_blob", "copy_blob", "unstoppable", "expecting"),
)
ERRORS = [
    BrokenPipeError(32, "Broken pipe"),
    ValueError("²"),
    KeyError("x"),
    MemoryError(),
    RecursionError("deep"),
    OSError(28, "No space left on device"),
    UnicodeEncodeError("ascii", "│", 0, 1, "no letter"),
    SystemExit(3),
]


class Calls:
    """Counts the calls of clients; the one of number *point* raises an error. *where* names it, None before."""

    def __init__(self, point: int, error: BaseException) -> None:
        self.where: str | None = None
        self._left, self._error, self._lock = point, error, threading.Lock()

    def client(self) -> type[Registry]:
        """Return the class of the clients."""
        return type("Failing", (Registry,), {name: self._failing(name) for name in CALLS})

    def _failing(self, name: str) -> Any:
        def call(registry: Registry, *args: Any, **options: Any) -> Any:
            with self._lock:
                self._left -= 1
                is_due = self._left == -1
            if is_due:
                self.where = name
                raise type(self._error)(*self._error.args)
            return getattr(Registry, name)(registry, *args, **options)

        return call


@pytest.mark.parametrize(
    ("error", "stderr", "refuses"),
    [
        *((error, "read", refuses) for error in ERRORS for refuses in (False, True)),
        *((error, kind, True) for error in ERRORS[:2] for kind in BROKEN),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_error_at_every_call(
    world: World, error: BaseException, stderr: str, refuses: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the tags move, while they do, and while they are put back, as one is refused: what is left is named."""
    world.platforms, world.stderr = ("amd64",), stderr
    outcomes: dict[str, int] = {}
    for point in range(1000):
        world.forget()
        world.stage("new")
        released_before(world, ("latest", "1.4"))
        if refuses:
            world.second.table["PUT /v2/app/manifests/1.4.2"] = [refusal(403, "DENIED", "no")]
        before = world.tags
        calls = Calls(point, error)
        world.client = calls.client()
        raised: BaseException | None = None
        try:
            world.publish()
        except (Exception, SystemExit) as caught:  # noqa: BLE001 (judged below)
            raised = caught
        changed = {tag for tag, content in world.tags.items() if content != before[tag]}
        named = named_as_left(raised) if isinstance(raised, TagsNotMovedError) else set()
        expected = set(before) if raised is None else named
        assert expected == changed, f"{calls.where}, call {point}: {raised!r}"
        if isinstance(raised, TagsNotMovedError):
            assert 1 == len(str(raised).splitlines())
        kind = "new" if raised is None else "left" if named else "as before"
        outcomes[kind] = outcomes.get(kind, 0) + 1
        if calls.where is None:
            break
    with capsys.disabled():
        print(f"\n{type(error).__name__}, stderr {stderr}: {point} calls, {outcomes}", end=" ")
    assert point > 20
    assert refuses == ("new" not in outcomes)
    assert outcomes["as before"] > 10

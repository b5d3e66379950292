"""The record of releases: whole lines, bounded, and nothing of it taken for true that is not as it should be."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.project import Project
from multiarch.display import history
from multiarch.display.history import Release
from multiarch.display.reported import ReportedTrend
from tests.unit.staging import settings_for

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = f"sha256:{'1' * 64}"
TAG = "docker.io/someone/app:latest"


def _release(when: float = 1.0, **more: Any) -> Release:
    fields = {"seconds": 9.5, "tags": (TAG,), "digest": DIGEST, "commit": "c0ffee1", "platforms": {"linux/amd64": 4.5}}
    return Release(when, **{**fields, **more})


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own; it returns the path of the record."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/multiarch/releases.jsonl"


def test_record_is_of_this_user_alone(state: Path) -> None:
    """What was appended is read, in its order; without a record there is nothing."""
    assert [] == history.read()
    history.append([_release(1), _release(2, target="web", commit="")])
    history.append([_release(3)])
    assert [_release(1), _release(2, target="web", commit=""), _release(3)] == history.read()
    assert 0o600 == state.stat().st_mode & 0o777
    assert {
        "when": 3.0,
        "seconds": 9.5,
        "tags": [TAG],
        "digest": DIGEST,
        "commit": "c0ffee1",
        "platforms": {"linux/amd64": 4.5},
        "target": "",
    } == json.loads(state.read_bytes().splitlines()[-1])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[" * 10_000,
        '{"when": 1}',
        json.dumps({**json.loads(json.dumps({"when": 1})), "seconds": 1, "tags": [], "digest": "x", "commit": ""}),
    ],
)
def test_line_that_is_none_is_passed_over(state: Path, line: str) -> None:
    """Such as one that another program wrote, or a disk that was full cut in two."""
    history.append([_release(1)])
    with state.open("a") as file:
        file.write(f"{line}\n")
    history.append([_release(2)])
    assert [_release(1), _release(2)] == history.read()


def test_line_that_a_full_disk_has_cut_costs_no_other(state: Path) -> None:
    """The next one does not go on in it."""
    history.append([_release(1), _release(2)])
    os.truncate(state, state.stat().st_size - 9)
    history.append([_release(3)])
    assert [_release(1), _release(3)] == history.read()


def test_user_without_a_home_has_no_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of what was released is written all the same, and `log` shows what the tags are."""

    def fail() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr("pathlib.Path.home", fail)
    assert [] == history.read()


@pytest.mark.parametrize(
    "more",
    [
        {"digest": "sha256:1"},
        {"commit": "$(reboot)"},
        {"tags": ("not a tag",)},
        {"tags": ("app:latest",)},  # as it is never written
        {"platforms": {"\x1b[2J": 1.0}},
        {"platforms": {"linux/amd64": -1.0}},
        {"seconds": 1e300},
        {"target": "a\nb"},
    ],
)
def test_release_with_a_value_that_is_none_is_passed_over(more: dict[str, Any]) -> None:
    """Whatever is shown of it would be as wrong."""
    history.append([_release(1), _release(2, **more)])
    assert [_release(1)] == history.read()


def test_record_stays_small(state: Path) -> None:
    """The older half goes; what stays are whole lines, and the last one is there."""
    history.append([_release(0)])
    size = state.stat().st_size
    count = (1 << 20) // size + 2
    with state.open("ab") as file:
        file.write(state.read_bytes() * count)
    history.append([_release(7)])
    assert (1 << 19) - size < state.stat().st_size <= 1 << 19
    releases = history.read()
    assert _release(7) == releases[-1]
    assert {_release(0).when} == {release.when for release in releases[:-1]}
    assert state.read_bytes().count(b"\n") == len(releases)


def test_record_that_is_no_file_is_left_alone(state: Path, tmp_path: Path) -> None:
    """A link may lead to what is somebody else's, and a pipe would wait for ever."""
    state.parent.mkdir(parents=True)
    other = tmp_path / "other"
    other.write_text("precious")
    state.symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        history.append([_release()])
    assert ([], "precious") == (history.read(), other.read_text())
    state.unlink()
    os.mkfifo(state)
    assert [] == history.read()
    with pytest.raises(OSError):
        history.append([_release()])


def test_trend_is_of_the_last_20_releases_of_the_same_tags() -> None:
    """Without those in which the platform was not built; one time alone is no trend."""
    project = Project.of(settings_for("linux/amd64", "linux/arm64", image=["docker.io/someone/app"]))
    assert () == history.trends_of(project)
    history.append([_release(1), _release(2, tags=("docker.io/someone/other:latest",)), _release(3, target="web")])
    assert () == history.trends_of(project)
    history.append([_release(4, platforms={"linux/amd64": 6.0, "linux/arm64": 0.0})])
    assert (ReportedTrend("linux/amd64", (4.5, 6.0)),) == history.trends_of(project)
    history.append(_release(n, platforms={"linux/arm64": float(n)}) for n in range(5, 30))
    (_, arm64) = history.trends_of(project)
    assert ReportedTrend("linux/arm64", tuple(float(n) for n in range(10, 30))) == arm64

"""``log``: what the tags point to, and the record that each release adds to."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.steps.log import TagNow, _lines
from tests.unit.cli.test_tasks import FLAGS
from tests.unit.display.test_history import DIGEST, _release
from tests.unit.project import ROOT
from tests.unit.rawjson import vertex
from tests.unit.steps.test_release import release as release

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.steps.test_release import Release

PAGE = (ROOT / "docs" / "log.md").read_text()
_SCRIPT = "say said; push"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, project: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own; it returns the path of the record."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/multiarch/releases.jsonl"


def _released(release: Release, *words: str) -> str:
    """Make a release, and return the digest of its index."""
    (release.project.path / "said").write_text(f"{vertex('a', 'RUN true', seconds=2)}\n")
    result = release.run(_SCRIPT, *words)
    assert 0 == result.status, result.err
    return result.out[0].partition("@")[2]


def test_releases_are_listed_with_their_times(release: Release) -> None:
    """The newest first, below what each tag points to; the commands of docs/log.md show them."""
    first = _released(release)
    second = _released(release, "--annotation", "org.example.number=2")
    commands = [shlex.split(line)[1:] for line in re.findall(r"^    (invoke .+)$", PAGE, re.MULTILINE)]
    assert [["log"], ["log", "--json"]] == commands
    plain, data = (release.project.run(*words) for words in commands)
    assert [(0, []), (0, [])] == [(plain.status, plain.err), (data.status, data.err)]
    host = release.server.host
    assert f"{host}/app:latest@{second}: linux/amd64, linux/arm64" == plain.out[0]
    when = r"  \d{4}-\d\d-\d\d \d\d:\d\d UTC "
    for line, digest, end in zip(plain.out[1:3], (second, first), (r" \(now\)", ""), strict=True):
        times = r"linux/amd64 2\.0s, linux/arm64 2\.0s"
        assert re.fullmatch(rf"{when}{digest} no commit in \d+\.\ds: {times}{end}", line), line
    assert [f"{host}/app:1@{second}: linux/amd64, linux/arm64", 6] == [plain.out[3], len(plain.out)]
    parsed: dict[str, Any] = json.loads(data.out[0])
    assert [1, [f"{host}/app:latest", f"{host}/app:1"]] == [
        parsed["version"],
        [tag["reference"] for tag in parsed["tags"]],
    ]
    assert [second, first] == [one["digest"] for one in parsed["tags"][0]["releases"]]
    assert {"linux/amd64": 2.0, "linux/arm64": 2.0} == parsed["tags"][1]["releases"][1]["platforms"]


def test_report_shows_how_the_times_have_grown(release: Release) -> None:
    """From the second release on, this one included; where no state can be kept there is nothing, and no word of it."""
    _released(release, "--report", "first.json")
    _released(release, "--annotation", "org.example.number=2", "--report", "second.json")
    first, second = (json.loads((release.project.path / f"{n}.json").read_text()) for n in ("first", "second"))
    assert [] == first["trends"]
    expected = [{"platform": f"linux/{name}", "seconds": [2.0, 2.0]} for name in ("amd64", "arm64")]
    assert expected == second["trends"]


def test_release_does_not_depend_on_its_record(release: Release, state: Path) -> None:
    """It may be a directory; what there is is shown all the same."""
    state.mkdir(parents=True)
    digest = _released(release)
    shown = release.project.run("log")
    assert (0, f"{release.server.host}/app:latest@{digest}: linux/amd64, linux/arm64; not released from here") == (
        shown.status,
        shown.out[0],
    )


def test_lines_of_the_page_can_be_met() -> None:
    """Word for word, but for the digests and times."""
    now = TagNow("ghcr.io/someone/app:latest", DIGEST, "1a2b3c4d5e6f7a8b", ("linux/amd64", "linux/arm64"))
    times = {"linux/amd64": 41.2, "linux/arm64": 170.0}
    newest = _release(1795943520.0, seconds=185.0, commit="1a2b3c4d5e6f7a8b", platforms=times)
    shown = [line.replace("…", DIGEST[7:]) for line in PAGE.splitlines() if line.startswith("ghcr")]
    assert shown == _lines(now, [newest])[:1]
    line = next(line for line in PAGE.splitlines() if line.endswith("(now)"))
    when = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")
    assert when.sub("", line.strip().replace("…", DIGEST[7:])) == when.sub("", _lines(now, [newest])[1].strip())
    assert set() == set(re.findall(r"`--([a-z]+)`", PAGE)) - set(FLAGS["log"].split())


def test_tag_that_is_not_there_is_told(release: Release) -> None:
    """Before the first release; ``--dry`` shows commands, and asks nobody."""
    host = release.server.host
    assert [f"{host}/app:latest: nothing is there", f"{host}/app:1: nothing is there"] == release.project.run("log").out
    asked = len(release.server.requests)
    assert f"docker buildx imagetools inspect {host}/app:latest" == release.project.run("--dry", "log").out[0]
    assert asked == len(release.server.requests)


def test_release_whose_annotation_is_no_commit_is_listed(release: Release) -> None:
    """Users may annotate what they like."""
    digest = _released(release, "--annotation", "org.opencontainers.image.revision=v1.2")
    shown = release.project.run("log")
    assert f"{release.server.host}/app:latest@{digest}: linux/amd64, linux/arm64" == shown.out[0]
    assert f" {digest} no commit in " in shown.out[1]


def test_what_a_registry_says_is_shown_in_its_form() -> None:
    """Whoever may push may write anything; it ends no line, and is no platform that is not there."""
    names = ("linux/amd64", "linux/\x1b[2J", "linux/a, linux/b", f"unknown/{DIGEST}", "a/b/c/d")
    now = TagNow("ghcr.io/someone/app:latest", DIGEST, "١٢", names)
    listed = f"linux/amd64, ?, ?, unknown/{DIGEST}, ?"
    assert [f"ghcr.io/someone/app:latest@{DIGEST}: {listed}; not released from here"] == _lines(now, [])


def test_release_that_is_not_shown_any_more_was_released_from_here() -> None:
    """As after a rollback; 20 are shown."""
    now = TagNow("ghcr.io/someone/app:latest", DIGEST, "", ("linux/amd64",))
    newer = [_release(float(n), digest=f"sha256:{n:064x}") for n in range(30, 10, -1)]
    lines = _lines(now, [*newer, _release(1.0)])
    assert (f"ghcr.io/someone/app:latest@{DIGEST}: linux/amd64", 21) == (lines[0], len(lines))

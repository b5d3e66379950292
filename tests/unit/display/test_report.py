"""The report of a run, as data and as a page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.load import load
from multiarch.config.project import Project
from multiarch.display import report
from multiarch.display.history import MOST
from multiarch.display.summary import summarise
from multiarch.errors import ConfigurationError
from tests.unit.display.test_summary import solve
from tests.unit.legs import leg
from tests.unit.rawjson import log, vertex
from tests.unit.steps.test_release import release as release

if TYPE_CHECKING:
    from multiarch.buildkit.solve import Solve
    from tests.unit.steps.test_release import Release

HOSTILE = "</script><img src=x onerror=alert(1)><!-- <script>"
AMD64, ARM64 = leg("amd64"), leg("arm64")
SECONDS = 1767323045.0  # since the epoch; when vertices of rawjson begin, 2026-01-02T03:04:05Z


def data_of(*solves: Solve, error: str = "", **configured: Any) -> dict[str, Any]:
    """Return the report of a run that took 20 seconds on an amd64 machine."""
    project = Project.of(load({"image": "a/b", "platforms": ["amd64", "arm64"], **configured}, {}, {}))
    rows = summarise(project.matrix, solves, {AMD64: ("sha256:1", 7)}, "x86_64")
    made = report.report_of(
        project, solves, rows, "x86_64", task="release", started=SECONDS, finished=SECONDS + 20, error=error
    )
    data: dict[str, Any] = json.loads(json.dumps(made.as_data()))
    return data


def embedded(page: str) -> dict[str, Any]:
    """Return the data of a page, as a browser finds it."""
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match
    data: dict[str, Any] = json.loads(match[1])
    return data


def test_report_holds_every_attempt() -> None:
    """Programs read these fields, under the version of the format."""
    failed = solve((ARM64,), vertex("a", "[1/2] RUN make", seconds=2, error="exit code: 2"), log("a", "one\ntwo"))
    again = solve((ARM64,), vertex("a", "[1/2] RUN make", seconds=5), vertex("b", "[2/2] COPY a b"))
    data = data_of(failed, again)
    fields = {key: data[key] for key in ("version", "task", "images", "tags", "succeeded", "outcome")}
    assert {
        "version": 1,
        "task": "release",
        "images": ["docker.io/a/b"],
        "tags": ["latest"],
        "succeeded": True,
        "outcome": "published",
    } == fields
    assert 20.0 == data["finished"] - data["started"]
    assert [("linux/amd64", "sha256:1", 7, False), ("linux/arm64", "", 0, True)] == [
        (row["platform"], row["digest"], row["size"], row["emulated"]) for row in data["platforms"]
    ]
    assert [(["linux/arm64"], 0), (["linux/arm64"], 1)] == [(s["platforms"], s["retries"]) for s in data["solves"]]
    (reported,) = data["solves"][0]["steps"]
    assert [2.0] == [round(reported["completed"] - reported["started"], 3)]
    assert {
        "platform": "linux/arm64",
        "target": "linux/arm64",
        "name": "[1/2] RUN make",
        "instruction": "RUN make",
        "number": 1,
        "total": 2,
        "cached": False,
        "emulated": True,
        "error": "exit code: 2",
        "log": ["one", "two"],
    } == {key: value for key, value in reported.items() if key not in ("started", "completed")}
    assert None is data["solves"][1]["steps"][1]["completed"]


def test_fields_of_the_format_stay_as_they_are() -> None:
    """Programs read them by name, and may show them in their order."""
    data = data_of(solve((ARM64,), vertex("a", "[1/1] RUN make", seconds=2)))
    report_fields = "version task images tags started finished succeeded outcome platforms advice solves targets trends"
    assert report_fields.split() == list(data)
    platform_fields = "platform digest size seconds steps cached emulated unchecked foreign target builder lost taken"
    assert platform_fields.split() == list(data["platforms"][0])
    assert ["platform", "name", "instruction", "seconds", "share", "texts", "target"] == list(data["advice"][0])
    assert ["platforms", "retries", "steps", "target", "built_on", "builder"] == list(data["solves"][0])


def test_outcome_of_a_failure_is_its_text() -> None:
    """A run may fail before anything is built, and is reported all the same."""
    data = data_of(error="linux/arm64: build failed")
    assert (False, "linux/arm64: build failed", [], []) == (
        data["succeeded"],
        data["outcome"],
        data["advice"],
        data["solves"],
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("[linux/arm64 2/3] RUN make", True),
        ("[linux/amd64->arm64 build 2/3] RUN make", False),
        ("[linux/amd64 2/3] RUN make", False),
        ("[linux/arm64 3/3] COPY a b", False),
        ("exporting to image", False),
        ("RUN on an unknown platform", False),
    ],
)
def test_vertex_is_emulated_by_the_platform_that_it_runs_on(name: str, expected: bool) -> None:
    """A cross-compiling stage is for another platform and runs on the builder's own; only a RUN runs programs."""
    data = data_of(solve((AMD64, ARM64), vertex("a", name, seconds=1)))
    assert [expected] == [step["emulated"] for step in data["solves"][0]["steps"]]


def test_native_builder_emulates_nothing() -> None:
    """So there is nothing to advise."""
    entry = {"platform": "arm64", "builder": "ssh://arm"}
    data = data_of(solve((ARM64,), vertex("a", "[1/1] RUN make", seconds=9)), platforms=["amd64", entry])
    assert ([False], []) == ([step["emulated"] for step in data["solves"][0]["steps"]], data["advice"])


def test_advice_is_on_the_three_slowest_emulated_vertices() -> None:
    """Not on cached, native, cross-compiled or unfinished ones; of several attempts, on the slowest."""
    first = solve((AMD64, ARM64), vertex("a", "[linux/arm64 1/9] RUN apt-get update", seconds=8, error="EOF"))
    again = solve(
        (AMD64, ARM64),
        vertex("a", "[linux/arm64 1/9] RUN apt-get update", seconds=3),
        vertex("b", "[linux/arm64 2/9] RUN go build ./...", seconds=10),
        vertex("c", "[linux/arm64 3/9] RUN one", seconds=2),
        vertex("d", "[linux/arm64 4/9] RUN two", seconds=4),
        vertex("e", "[linux/arm64 5/9] RUN cached", seconds=19, cached=True),
        vertex("f", "[linux/amd64 5/9] RUN native", seconds=19),
        vertex("g", "[linux/amd64->arm64 build 5/9] RUN cross", seconds=19),
        vertex("h", "[linux/arm64 6/9] RUN unfinished"),
    )
    advice = data_of(first, again)["advice"]
    assert [("RUN go build ./...", 10.0, 0.5), ("RUN apt-get update", 8.0, 0.4), ("RUN two", 4.0, 0.2)] == [
        (one["instruction"], round(one["seconds"], 3), round(one["share"], 3)) for one in advice
    ]
    assert [True, False, False] == ["--platform=$BUILDPLATFORM" in one["texts"][0] for one in advice]
    assert [True] * 3 == ["linux/arm64" in one["texts"][-1] and "builder: ssh://" in one["texts"][-1] for one in advice]


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("RUN cd x && make -j4", 2),
        ("RUN --mount=type=cache,target=/root pip install .", 2),
        ("RUN ./configure --prefix=/usr", 2),
        ("RUN npm ci", 2),
        ("RUN apk add make-doc cargo.txt", 1),
        ("RUN mkdir -p /www", 1),
    ],
)
def test_commands_that_compile_get_a_second_text(instruction: str, expected: int) -> None:
    """They are known by whole words: ``make-doc`` is a package, not ``make``."""
    (advice,) = data_of(solve((ARM64,), vertex("a", f"[1/1] {instruction}", seconds=1)))["advice"]
    assert expected == len(advice["texts"])


def test_page_loads_nothing() -> None:
    """It is an artifact of a CI, opened without a network; and its texts are set as texts."""
    page = report.page(data_of(solve((ARM64,), vertex("a", "[1/1] RUN make", seconds=1))))
    for word in ("http://", "https://", "<link", "<script src", "@import", "url(", "<img", "innerHTML", "{{"):
        assert word not in page
    assert "default-src 'none'" in page


def test_last_releases_of_all_trends_stand_below_each_other() -> None:
    """However many each has: bars are counted from the end, in a picture that has room for all that are kept."""
    page = report.page(data_of(solve((ARM64,), vertex("a", "[1/1] RUN make", seconds=1))))
    (picture,) = re.findall(r'draw\("svg", \{ (.+?), "aria', page)
    (place,) = re.findall(r'draw\("rect", \{ (x: .+?), y', page)
    assert ['width: 160, height: 28, viewBox: "-160 0 160 28"', "x: 8 * (n - count)", 20] == [picture, place, MOST]


def test_page_shows_hostile_texts_as_data() -> None:
    """A log, a name and an error are written by others, and must not end the element that holds them."""
    attempt = solve((ARM64,), vertex("a", f"[1/1] RUN {HOSTILE}", seconds=1, error=HOSTILE), log("a", HOSTILE))
    data = data_of(attempt, error=HOSTILE)
    page = report.page(data)
    assert [] == [word for word in ("<img", "<!--", "alert(1)></script>") if word in page]
    assert 2 == page.count("</script>")
    assert data == embedded(page)


def test_page_shows_clean_texts_and_data_holds_all() -> None:
    """A browser turns words round as a terminal does; programs read what BuildKit wrote."""
    hostile = "a\x1b[2J\u202eb\x07"
    data = data_of(solve((ARM64,), vertex("a", f"[1/1] RUN {hostile}", seconds=1), log("a", f"{hostile}\nc")))
    (shown,), (step,) = (d["solves"][0]["steps"] for d in (embedded(report.page(data)), data))
    assert ("RUN a \ufffdb ", ["a \ufffdb ", "c"]) == (shown["instruction"], shown["log"])
    assert (f"RUN {hostile}", [hostile, "c"]) == (step["instruction"], step["log"])


def test_large_output_is_cut_in_the_middle() -> None:
    """A page of gigabytes opens nowhere; what failed stands at the end."""
    lines = "".join(f"{number}\n" for number in range(20_000))
    long = "x" * 50_000
    data = data_of(solve((ARM64,), vertex("a", "[1/1] RUN make"), log("a", lines), vertex("b", long), log("b", long)))
    many, one = (step["log"] for step in data["solves"][0]["steps"])
    assert (5001, "0", "… (15000 more lines)", "19999") == (len(many), many[0], many[2500], many[-1])
    assert [f"{'x' * 4000}… (46000 more characters)"] == one
    assert f"{'x' * 20_000}… (30000 more characters)" == data["solves"][0]["steps"][1]["name"]


def test_large_outputs_share_the_room_of_a_report() -> None:
    """Many vertices may write much each."""
    texts = [(vertex(str(n), f"[1/1] RUN {n}"), log(str(n), f"{'y' * 3000}\n" * 1000)) for n in range(40)]
    data = data_of(solve((ARM64,), *(line for lines in texts for line in lines)))
    sizes = [sum(map(len, step["log"])) for step in data["solves"][0]["steps"]]
    assert (40, True, True) == (len(sizes), sum(sizes) <= 32_100_000, min(sizes) > 700_000)


@pytest.mark.parametrize("name", ["report.txt", "report", "html", "report.HTML"])
def test_other_suffixes_are_refused(name: str) -> None:
    """The suffix alone says whether a page or data is wanted."""
    with pytest.raises(ConfigurationError, match=r"^--report: '.*' ends with none of \.html, \.json$"):
        report.check_name(name)


def test_path_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    """A directory is no file and a file no directory; missing directories are made."""
    (tmp_path / "file").touch()
    (tmp_path / "dir.json").mkdir()
    for path in (tmp_path / "file" / "r.html", tmp_path / "dir.json"):
        with pytest.raises(ConfigurationError, match=f"^--report: cannot write to {path}: "):
            report.check_writable(path)
    report.check_writable(tmp_path / "new" / "r.html")
    assert [] == list((tmp_path / "new").iterdir())


def test_report_that_cannot_be_written_ends_the_run_before_a_build(release: Release) -> None:
    """Otherwise an hour of building could be lost. --dry checks the name too, which touches nothing."""
    error = "--report: 'r.txt' ends with none of .html, .json"
    result = release.run("touch built; push", "--report", "r.txt")
    assert (1, error, False) == (result.status, result.err[-1], Path("built").exists())
    dry = release.project.run("--dry", "release", "--report", "r.txt")
    assert (1, [error]) == (dry.status, dry.err)


def test_dry_run_writes_no_report(release: Release) -> None:
    """It only prints commands, and makes no directory either."""
    result = release.project.run("--dry", "release", "--report", "new/r.html")
    assert (0, False) == (result.status, Path("new").exists())


def test_report_of_a_release_agrees_with_its_table(release: Release) -> None:
    """Both have the digests that were pushed."""
    Path("said").write_text(f"{vertex('a', '[1/1] RUN true', seconds=1)}\n{log('a', 'built')}\n")
    result = release.run("say said; push", "--report", "out/r.json")
    data = json.loads(Path("out/r.json").read_text())
    assert (0, "report: out/r.json", ["out/r.json"]) == (
        result.status,
        result.err[-1],
        list(map(str, Path("out").iterdir())),
    )
    assert ("published", list(release.digests.values())) == (data["outcome"], [r["digest"] for r in data["platforms"]])
    assert [["built"], ["built"]] == [step["log"] for solve in data["solves"] for step in solve["steps"]]
    table = [line.split() for line in result.err[result.err.index("report: out/r.json") - 5 :][:3]]
    expected = [["PLATFORM", "DIGEST"], *([f"linux/{name}", digest] for name, digest in release.digests.items())]
    assert expected == [row[:2] for row in table]
    assert ["1.0s", "0", "of", "1"] == table[1][4:8], table


def test_failed_release_is_reported(release: Release) -> None:
    """The failed vertex is there with its log; exit status and last lines are those of a run without report."""
    error = 'process "/bin/sh -c make" did not complete successfully: exit code: 2'
    Path("said").write_text(f"{log('a', 'no rule')}\n{vertex('a', '[1/1] RUN make', seconds=1, error=error)}\n")
    result = release.run("say said; exit 1", "--report", "r.html")
    data = embedded(Path("r.html").read_text())
    assert (1, "  | no rule", {}) == (result.status, result.err[-1], release.published)
    assert (False, True) == (data["succeeded"], "build failed in [1/1] RUN make" in data["outcome"])
    assert (error, ["no rule"]) in [(s["error"], s["log"]) for solve in data["solves"] for s in solve["steps"]]


def test_report_that_fails_at_the_end_leaves_the_release_published(release: Release) -> None:
    """A line says why there is no report."""
    result = release.run("push; mkdir -p r.html", "--report", "r.html")
    assert (0, 2, "--report: cannot write to r.html: Is a directory") == (
        result.status,
        len(release.published),
        result.err[-1],
    )
    assert [] == list(release.project.path.glob(".r.html*"))


def test_build_of_one_platform_is_reported(release: Release) -> None:
    """Under its staging tag, as no other moves."""
    release.run("push")
    result = release.project.run("build-arch", "--platform", "arm64", "--report", "r.json")
    data = json.loads(Path("r.json").read_text())
    assert (0, "build-arch", ["latest-arm64"], "built") == (result.status, data["task"], data["tags"], data["outcome"])
    assert [release.digests["arm64"]] == [row["digest"] for row in data["platforms"]]


def test_interrupted_release_is_reported(release: Release) -> None:
    """People interrupt what takes too long, and want to see what did."""
    result = release.run('[ $platform = arm64 ] && kill -INT "$PPID"; exec sleep 20', "--report", "r.json")
    assert (130, "interrupted") == (result.status, json.loads(Path("r.json").read_text())["outcome"])

"""Lines, of texts that others wrote."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from multiarch.display.console import progress_for
from tests.unit.legs import leg
from tests.unit.rawjson import log, vertex
from tests.unit.steps.test_release import release as release

if TYPE_CHECKING:
    from tests.unit.steps.test_release import Release

AMD64, ARM64 = leg("amd64"), leg("arm64")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ["::error::a", "##vso[b]"]),
        ({"GITHUB_ACTIONS": "true"}, [": :error::a", "# #vso[b]"]),
        ({"TF_BUILD": "True"}, [": :error::a", "# #vso[b]"]),
        ({"TEAMCITY_VERSION": "1"}, [": :error::a", "# #vso[b]"]),
        ({"CI": "true"}, [": :error::a", "# #vso[b]"]),
    ],
)
def test_commands_are_words_in_every_ci(environ: dict[str, str], expected: list[str]) -> None:
    """CIs call each other's programs, and look alike; where there is none, nothing is changed."""
    stream = io.StringIO()
    progress = progress_for(stream, environ, quiet=False)
    progress.say("::error::a")
    progress.say("##vso[b]")
    assert expected == stream.getvalue().splitlines()


def test_line_break_in_a_value_begins_no_line() -> None:
    """Lines after the first are indented, or behind the column of their platform."""
    stream = io.StringIO()
    progress = progress_for(stream, {}, quiet=False)
    progress.say("pulling a\npublished b\r\nc")
    progress.begin({AMD64: False})
    progress.say("pulling a\npublished b", [AMD64])
    progress.end()
    assert ["pulling a", "  published b", "  c", "linux/amd64 │ pulling a", "linux/amd64 │ published b"] == (
        stream.getvalue().splitlines()
    )


def test_output_and_errors_of_a_build_are_clean(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a CI, a build can neither mask nor annotate, nor write over what is there; nor can its error."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    hostile = "::add-mask::a\n\x1b[2J##[group]\u202eb"
    lines = [
        vertex("a", f"[1/1] RUN {hostile}", seconds=1, error=hostile),
        log("a", f"{hostile}\n\x1b]52;c;ZQ==\x07::error::c\n"),
    ]
    (release.project.path / "said").write_text("".join(f"{line}\n" for line in lines))
    result = release.run("say said; exit 1")
    assert 1 == result.status
    text = "\n".join(result.err)
    assert "add-mask" in text
    assert [] == [line for line in result.err if line.strip().startswith("::add-mask") or "##[" in line]
    assert [] == [letter for letter in text if letter in "\x1b\x07\r\u202e"]

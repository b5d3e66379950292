"""What is printed on standard output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from multiarch.cli.entry import print_results
from multiarch.errors import OutputError

if TYPE_CHECKING:
    from tests.unit.project import Project


@pytest.mark.parametrize("result", ["a\n::error::b", Path("a\rb"), "a\x1b[2Jb", "a\u202eb", "a\udc80"])
def test_a_result_is_one_plain_line(capsys: pytest.CaptureFixture[str], result: object) -> None:
    """A program that reads the results takes each line for one; a changed result would be a wrong one."""
    with pytest.raises(OutputError, match=r"^standard output: a result is no plain line of text: a.*b?; the step"):
        print_results([result])
    assert "" == capsys.readouterr().out


def test_results_give_no_commands_to_a_ci(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """CIs read standard output too."""
    for variable in ("CI", "GITHUB_ACTIONS"):
        monkeypatch.delenv(variable, raising=False)
    print_results(["::error::a"])
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    print_results(["::error::a", "docker run ##[error]"])
    assert "::error::a\n: :error::a\ndocker run # #[error]\n" == capsys.readouterr().out


def test_dry_prints_a_command_a_line(project: Project) -> None:
    """A label with a line break would begin a line, which a CI takes for a command."""
    project.write(invoke_yaml='multiarch:\n  image: a/b\n  platforms: [arm64]\n  build_args: {A: "b\\n::error::c"}\n')
    result = project.run("--dry", "build-arch")
    assert (0, []) == (result.status, result.err)
    assert [] == [line for line in result.out if line.startswith("::")]
    assert [r"$'build-arg:A=b\n::error::c'"] == [word for word in result.out[-1].split() if word.startswith("$")]

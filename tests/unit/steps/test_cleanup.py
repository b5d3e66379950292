"""``cleanup``: its flags, before anything is asked of a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.project import Project


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--build", ""], "--build: it is empty; name the build whose staging tags are meant"),
        (["--older-than", ""], "--older-than: '' is no age; write a number with m, h, d or w, such as 12h or 7d"),
        (["--older-than", "-1d"], "--older-than: '-1d' is no age; write a number with m, h, d or w, such as 12h or 7d"),
        (["--older-than", "٣d"], "--older-than: '٣d' is no age; write a number with m, h, d or w, such as 12h or 7d"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flag_that_says_nothing_is_one_line(project: Project, words: list[str], line: str) -> None:
    """As of a variable that is not set: no age and no build is meant then, and none is taken for meant."""
    project.write(invoke_yaml="multiarch: {image: 127.0.0.1:9/a, platforms: [linux/arm64]}\n")
    for more in ([], ["--delete"], ["--json"]):
        result = project.run("cleanup", *words, *more)
        assert (1, [], [line]) == (result.status, result.out, result.err)

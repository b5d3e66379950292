"""What a build pushed: its digest, or an error, with a small program in the place of buildctl."""

from __future__ import annotations

import json
import tempfile

import pytest

from multiarch.errors import BuildFailedError, ConfigurationError
from tests.unit.buildkit.test_build import DIGEST, PUSHED, Project, project

__all__ = ["project"]  # the fixture


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        (None, "its metadata cannot be read (No such file or directory)"),
        ("", "its metadata is not what buildctl writes"),
        ("{", "its metadata is not what buildctl writes"),
        ("[]", "its metadata is not what buildctl writes"),
        ("{}", "its metadata names no digest (containerimage.digest)"),
        ('{"containerimage.digest": null}', "its metadata names no digest (containerimage.digest)"),
        ('{"containerimage.digest": ""}', "its metadata names no digest (containerimage.digest)"),
        ('{"containerimage.digest": 5}', "its metadata is not what buildctl writes"),
        ('{"containerimage.digest": "latest"}', "its metadata names a digest that is none (containerimage.digest)"),
        (
            json.dumps({"containerimage.digest": f"{DIGEST}\n::error::"}),
            "its metadata names a digest that is none (containerimage.digest)",
        ),
        (
            json.dumps({"containerimage.digest": DIGEST.upper()}),
            "its metadata names a digest that is none (containerimage.digest)",
        ),
        ('{"x": ' + "[" * 50_000, "its metadata is not what buildctl writes"),
        (" " * 1_100_000 + "{}", "its metadata has more than 1048576 bytes"),
    ],
)
def test_a_push_without_a_digest_is_a_failed_build(project: Project, metadata: str | None, problem: str) -> None:
    """What lies under the staging tag may be of an earlier run: it must not be published as this one's."""
    if metadata is not None:
        (project.path / "given").write_text(metadata)
    with pytest.raises(BuildFailedError) as caught:
        project.build("true" if metadata is None else 'cp given "$metadata"')
    expected = f"linux/arm64: build failed: it ended well, but {problem}, so that it is not known what was pushed"
    assert f"{expected}; run it again" == str(caught.value)
    assert not caught.value.transient


def test_the_digest_of_an_attempt_that_failed_is_not_taken(project: Project) -> None:
    """It wrote its metadata, failed at the end, and the next attempt wrote none."""
    refused = "error: failed to solve: dial tcp 127.0.0.1:1: connect: connection refused"
    first = f"if [ $(wc -l < calls) -lt 2 ]; then {PUSHED}; echo '{refused}' >&2; exit 1; fi"
    with pytest.raises(BuildFailedError, match="it is not known what was pushed"):
        project.build(first)


def test_a_temporary_directory_that_cannot_be_made_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that names the variable."""
    monkeypatch.setattr(tempfile, "tempdir", str(project.path / "nowhere"))
    with pytest.raises(ConfigurationError, match=r"^TMPDIR: no temporary directory can be made: No such file"):
        project.build(PUSHED)

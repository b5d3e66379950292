"""Files of CIs that cannot be read or written: links, other kinds, sizes and encodings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from multiarch.pipelines.errors import PipelineError
from multiarch.pipelines.update import check_pipeline, pipeline_file, write_pipeline
from tests.unit.pipelines.files import project_of

if TYPE_CHECKING:
    from pathlib import Path

NAME = ".travis.yml"


def write(directory: Path, ci: str = "travis") -> Path:
    """Write the file of a CI."""
    return write_pipeline(project_of(), ci, directory, program="invoke")


def error(directory: Path, ci: str = "travis") -> str:
    """Return the error of writing, which that of the check is too."""
    with pytest.raises(PipelineError) as caught:
        write(directory, ci)
    with pytest.raises(PipelineError) as of_check:
        check_pipeline(project_of(), ci, directory, program="invoke")
    assert str(caught.value) == str(of_check.value)
    return str(caught.value)


def test_a_link_within_the_project_stays(tmp_path: Path) -> None:
    """What it points to is written."""
    (tmp_path / "ci").mkdir()
    (tmp_path / NAME).symlink_to("ci/travis.yml")
    write(tmp_path)
    assert (tmp_path / NAME).is_symlink()
    assert (tmp_path / "ci/travis.yml").read_text() == (tmp_path / NAME).read_text()
    assert NAME == check_pipeline(project_of(), "travis", tmp_path, program="invoke").name


@pytest.mark.parametrize(("ci", "link"), [("travis", NAME), ("github", ".github"), ("circleci", ".circleci")])
def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path, ci: str, link: str) -> None:
    """A repository's link would have this tool write over what is anybody else's."""
    project, outside = tmp_path / "project", tmp_path / "outside"
    project.mkdir()
    if ci == "travis":
        outside.write_text("precious: true\n")
    else:
        outside.mkdir()
    (project / link).symlink_to(outside)
    assert "a symbolic link leads out of the project, to " in error(project, ci)
    assert "precious: true\n" == outside.read_text() if ci == "travis" else not list(outside.iterdir())


def test_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    """And is not replaced."""
    (tmp_path / NAME).symlink_to(NAME)
    assert f"{NAME}: it cannot be read (Too many levels of symbolic links); make it a file that can be" == error(
        tmp_path
    )


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    """A directory; and a pipe, which nobody would ever write to."""
    expected = f"{NAME}: it cannot be read (no regular file); make it a file that can be"
    (tmp_path / NAME).mkdir()
    assert expected == error(tmp_path)
    (tmp_path / NAME).rmdir()
    os.mkfifo(tmp_path / NAME)
    assert expected == error(tmp_path)


def test_a_file_in_place_of_the_directory_is_an_error(tmp_path: Path) -> None:
    """It stays."""
    (tmp_path / ".github").write_text("x")
    expected = ".github/workflows/multiarch.yml: it cannot be read (Not a directory); make it a file that can be"
    assert expected == error(tmp_path, "github")
    assert "x" == (tmp_path / ".github").read_text()


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """Of 100 MB, only so much is read as is allowed."""
    with (tmp_path / NAME).open("wb") as file:
        file.truncate(100 << 20)
    assert f"{NAME}: it has more than 524,288 bytes; make it smaller, or remove the file" == error(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_other_encodings_are_errors(tmp_path: Path, encoding: str) -> None:
    """None is guessed."""
    (tmp_path / NAME).write_bytes("name: ä\n".encode(encoding))
    assert f"{NAME}:1: this is not UTF-8; save it so, or remove the file" == error(tmp_path)


def test_a_byte_order_mark_stays_at_the_beginning(tmp_path: Path) -> None:
    """Above the heading, which is found again behind it."""
    (tmp_path / NAME).write_bytes(b"\xef\xbb\xbf# mine\n")
    first = write(tmp_path).read_bytes()
    assert (b"\xef\xbb\xbf# Written by", 1) == (first[:15], first.count(b"\xef\xbb\xbf"))
    assert first == write(tmp_path).read_bytes()


def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    """It takes the place of the former one whole."""
    (tmp_path / NAME).write_text("language: c\n")
    (tmp_path / NAME).chmod(0o640)
    write(tmp_path)
    assert (0o640, [NAME]) == ((tmp_path / NAME).stat().st_mode & 0o777, [path.name for path in tmp_path.iterdir()])


def test_a_place_that_takes_no_file_is_one_line(tmp_path: Path) -> None:
    """A directory that is not there, where even root cannot make one."""
    with pytest.raises(PipelineError) as caught:
        write_pipeline(project_of(), "travis", type(tmp_path)("/proc/self/task"), program="invoke")
    assert str(caught.value).startswith(f"{NAME}: it cannot be written (")
    assert 1 == len(str(caught.value).splitlines())


def test_an_unreadable_file_is_shown_as_it_would_be_by_no_step(tmp_path: Path) -> None:
    """A dry run has the same error."""
    (tmp_path / NAME).mkdir()
    with pytest.raises(PipelineError, match="no regular file"):
        pipeline_file(project_of(), "travis", tmp_path, program="invoke")

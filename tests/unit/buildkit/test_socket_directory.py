"""The directory of the server's socket: only one that is this user's alone is shared, and none in use is changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from multiarch.buildkit.socket_directory import make_private
from multiarch.errors import ConfigurationError

REMEDY = "; name a directory of your own that does not exist yet: --address unix:///DIR/buildkitd.sock"


def mode(path: Path) -> int:
    """Return the permissions of a directory."""
    return stat.S_IMODE(path.stat().st_mode)


def refusal(directory: Path) -> str:
    """Return the refusal of a directory, without the remedy that all of them end in."""
    with pytest.raises(ConfigurationError) as caught:
        make_private(directory, "--address")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("--address: ")
    assert line.endswith(REMEDY)
    return line.removeprefix("--address: ").removesuffix(REMEDY)


def test_missing_directory_is_made_private(tmp_path: Path) -> None:
    """Those above it are made with it."""
    make_private(tmp_path / "a" / "b", "--address")
    assert 0o700 == mode(tmp_path / "a" / "b")


@pytest.mark.parametrize("permissions", [0o700, 0o755, 0o500])
def test_empty_directory_of_ours_becomes_private(tmp_path: Path, permissions: int) -> None:
    """Nobody relies on its mode, as nothing is in it."""
    directory = tmp_path / "empty"
    directory.mkdir()
    directory.chmod(permissions)
    make_private(directory, "--address")
    assert 0o700 == mode(directory)


def test_private_directory_with_files_is_taken_as_it_is(tmp_path: Path) -> None:
    """That of the server that runs holds its socket."""
    directory = tmp_path / "ours"
    directory.mkdir(mode=0o700)
    (directory / "buildkitd.sock").touch()
    make_private(directory, "--address")
    assert (0o700, ["buildkitd.sock"]) == (mode(directory), os.listdir(directory))


def test_directory_in_use_keeps_its_mode(tmp_path: Path) -> None:
    """Another program may read what is in it."""
    directory = tmp_path / "shared"
    directory.mkdir(mode=0o755)
    (directory / "file").touch()
    assert f"{directory} is in use: it is not empty, and its mode is 0755, not 0700" == refusal(directory)
    assert 0o755 == mode(directory)


@pytest.mark.parametrize("permissions", [0o777, 0o1777, 0o770, 0o702])
def test_directory_that_others_write_to_is_refused(tmp_path: Path, permissions: int) -> None:
    """Even an empty one: they may hold it open, and it is theirs as well."""
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(permissions)
    assert f"others can write to {directory} (mode {permissions:04o})" == refusal(directory)
    assert permissions == mode(directory)


def test_directory_that_others_can_replace_is_refused(tmp_path: Path) -> None:
    """Where others can rename it, they can put one of their own in its place."""
    above = tmp_path / "open"
    (above / "ours").mkdir(parents=True, mode=0o700)
    above.chmod(0o777)
    assert f"others can replace {above / 'ours'}: they can write to {above}" == refusal(above / "ours")
    above.chmod(0o1777)
    make_private(above / "ours", "--address")


def test_link_is_not_followed(tmp_path: Path) -> None:
    """Whoever made it chose what it leads to."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.mkdir(mode=0o755)
    link.symlink_to(target)
    assert f"{link} is a symbolic link, or no directory that this user can read" == refusal(link)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    assert "dangling is a symbolic link, or no directory" in refusal(tmp_path / "dangling")
    assert 0o755 == mode(target)


def test_file_in_its_place_is_refused(tmp_path: Path) -> None:
    """Or above it."""
    (tmp_path / "file").touch()
    assert "file is a symbolic link, or no directory that this user can read" in refusal(tmp_path / "file")
    assert f"cannot make {tmp_path / 'file' / 'below'}: Not a directory" == refusal(tmp_path / "file" / "below")


@pytest.mark.parametrize("directory", ["/", "/tmp", "/run", "/proc", "/usr"])
def test_directory_of_the_system_is_refused_and_keeps_its_mode(directory: str) -> None:
    """As root too."""
    before = mode(Path(directory))
    assert refusal(Path(directory))
    assert before == mode(Path(directory))


def test_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    """Its owner can change it at any time."""
    directory = Path("/usr")
    if os.geteuid() == 0:
        directory = tmp_path / "theirs"
        directory.mkdir(mode=0o700)
        os.chown(directory, 65534, 65534)
    assert f"{directory} belongs to another user" == refusal(directory)


@pytest.mark.parametrize("name", ["x" * 300, "nul\0byte", "below/" * 800])
def test_name_that_no_directory_has_is_refused(tmp_path: Path, name: str) -> None:
    """One line, whatever the system says."""
    assert refusal(tmp_path / name).startswith("cannot make ")

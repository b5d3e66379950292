"""What surrounds a process, as bad as it may be: one line on standard error, and no traceback."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.steps.test_release import release as release

if TYPE_CHECKING:
    from tests.unit.project import Project
    from tests.unit.steps.test_release import Release

MAIN = "from multiarch.cli.tasks import main; main()"
YAML = "multiarch: {image: someone/app, platforms: [linux/arm64], retry_seconds: 0}\n"
# A user without an entry in the list of users; only root may become one, and reads Python's own files still.
NOBODY = "import os, pwd\nif os.geteuid() == 0: os.setresuid(12345, 0, 0)\n"
NOBODY += "else: pwd.getpwuid = {}.__getitem__\n"


def run(project: Project, words: list[str], program: str = "", **environ: str | None) -> tuple[int, str, list[str]]:
    """Run invoke, or a Python *program* in its place; variables that are None are not set. Return how it ended."""
    changed: dict[str, str | None] = {**project.env(), **environ}
    done = subprocess.run(
        project.command(*words, program=program),
        cwd=project.path,
        env={name: value for name, value in changed.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr.splitlines()


def line(ended: tuple[int, str, list[str]]) -> str:
    """Return the one line that a process ended with."""
    status, out, err = ended
    assert (1, "", 1) == (status, out, len(err)), ended
    assert "Traceback" not in err[0]
    return err[0]


@pytest.mark.parametrize("program", ["", MAIN], ids=["invoke", "multiarch"])
def test_output_of_ascii(project: Project, program: str) -> None:
    """Letters beyond it are told by their numbers."""
    project.write(invoke_yaml="multiarch: {image: someone/app, tags: ['gr\\xFCn\\u2028']}\n".replace("'", '"'))
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert r"multiarch.tags[0]: invalid tag 'gr\xfcn\u2028'" in line(run(project, ["manifest"], program, **plain))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("manifest", "GET 127.0.0.1:1/app/manifests/latest-arm64: no answer from the registry: Connection refused"),
        ("copy-buildctl", "HOME: it is not set, and this user has no home directory: set it, or XDG_CACHE_HOME"),
        ("start-buildkit", "no Docker host at unix:///nowhere/docker.sock (no such socket)"),
        ("setup-binfmt", "no Docker host at unix:///nowhere/docker.sock (no such socket)"),
    ],
)
def test_user_without_an_entry_and_a_home(project: Project, step: str, expected: str) -> None:
    """As in a container that is run with --user."""
    project.write(invoke_yaml="multiarch: {image: '127.0.0.1:1/app', platforms: [s390x, arm64], retry_seconds: 0}\n")
    homeless = {"HOME": None, "XDG_CACHE_HOME": None, "XDG_STATE_HOME": None}
    words = [step, "--platform", "arm64"] if step == "manifest" else [step]
    assert expected in line(run(project, words, NOBODY + MAIN, **homeless))


@pytest.mark.parametrize("place", ["/dev/null", "/proc/nowhere", "/dev/full/x"])
@pytest.mark.parametrize("step", ["copy-buildctl", "start-buildkit", "build-arch", "release"])
def test_places_that_cannot_be_written_to(project: Project, place: str, step: str) -> None:
    """Files in the place of directories, and directories in which nothing can be made."""
    project.write(invoke_yaml=YAML)
    places = {"HOME": place, "XDG_CACHE_HOME": place, "XDG_STATE_HOME": place, "XDG_CONFIG_HOME": place}
    words = [step, "--platform", "arm64"] if step == "build-arch" else [step]
    status, out, told = run(project, words, MAIN, **places)
    # Without a Docker host the client is sought at the registry, which is told.
    notes = [one for one in told[:-1] if step == "copy-buildctl" and "buildctl" in one]
    assert line((status, out, told[len(notes) :]))


@pytest.mark.parametrize("place", ["/dev/null", "/proc/nowhere"])
def test_a_release_needs_no_cache(release: Release, place: str) -> None:
    """Where nothing can be kept, images are read again the next time."""
    release.install("push")
    status, out, _ = run(release.project, ["release"], XDG_CACHE_HOME=place, XDG_STATE_HOME=place)
    assert (0, 2, 2) == (status, len(out.splitlines()), len(release.published))


@pytest.mark.parametrize("words", [["--report", "d.json"], ["--dockerfile", "d.json"]])
def test_directory_in_the_place_of_a_file(release: Release, words: list[str]) -> None:
    """It is named."""
    (release.project.path / "d.json").mkdir()
    release.install("push")
    assert "d.json" in line(run(release.project, ["release", *words]))


@pytest.mark.parametrize("words", [["--list"], ["--dry", "release"], ["--help"]])
def test_full_disk_under_standard_output(project: Project, words: list[str]) -> None:
    """Also under what Invoke itself prints."""
    project.write(invoke_yaml=YAML)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            project.command(*words, program=MAIN),
            cwd=project.path,
            env=project.env(PYTHONUNBUFFERED="1"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (1, 1) == (done.returncode, len(done.stderr.splitlines())), done.stderr
    assert "No space left on device" in done.stderr


def test_more_than_a_thousand_descriptors(release: Release) -> None:
    """Those that a caller left open; what waits for several of them has no such limit."""
    release.install("push")
    program = "import os, resource, runpy, sys\n"
    program += "resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
    program += "held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1500)]\n"
    status, out, err = run(release.project, ["release"], program + MAIN)
    assert (0, 2) == (status, len(out.splitlines())), err


@pytest.mark.parametrize("setting", ["context", "tags", "labels"])
def test_nul_in_a_setting(project: Project, setting: str) -> None:
    """No argument of a program can hold one."""
    value = '{a: "a\\0b"}' if setting == "labels" else '"a\\0b"'
    project.write(invoke_yaml=f"multiarch: {{platforms: [arm64], {setting}: {value}}}\n")
    assert "multiarch: a text in it has a NUL, which no command can be given; remove it" == line(
        run(project, ["release"], MAIN)
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfea\0", "it is not UTF-8"),
        (b"a: [", "this is not YAML"),
        (b"a: " + b"[" * 3000, "it is nested too deeply"),
        (b"- a\n", "it is no mapping of settings"),
        (None, "it cannot be read: Is a directory"),
    ],
    ids=["bytes", "malformed", "deep", "list", "directory"],
)
def test_file_of_the_user_that_invoke_cannot_use(project: Project, content: bytes | None, problem: str) -> None:
    """Under the console script, which is there before Invoke reads it."""
    file = project.path / "home" / ".invoke.yaml"
    file.parent.mkdir()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    ended = line(run(project, ["release"], MAIN, HOME=str(file.parent)))
    assert (True, True) == (ended.startswith(str(file)), problem in ended)

"""What came out of a step, for programs and CIs: docs/outcome.md."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from multiarch.buildkit.build import PushedImage
from multiarch.display import ci_files
from multiarch.display.outcome import Outcome, fields_of
from multiarch.image.manifest import OCI_INDEX
from multiarch.image.platform import Leg, Platform
from multiarch.image.reference import ImageReference
from tests.unit.project import ROOT
from tests.unit.registry_server import RegistryServer, Reply, Request, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.project import Project

PAGE = (ROOT / "docs" / "outcome.md").read_text()
GOOD = "sha256:" + "a" * 64


def write(project: Project, server: RegistryServer, **more: object) -> None:
    """Write a project of three platforms whose images wait in the registry."""
    platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
    block = {"image": f"{server.host}/app", "platforms": platforms, "retry_seconds": 1, **more}
    project.write(invoke_yaml=json.dumps({"multiarch": block}))


def table(head: str) -> list[str]:
    """Return the names in the first column of a table of the page."""
    rows = PAGE.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])]


def test_manifest_tells_tags_and_platforms(
    project: Project, server: RegistryServer, staged: dict[str, dict[str, Any]]
) -> None:
    """One line, whose fields are those of the page; the platforms with the digests and sizes of their images."""
    write(project, server)
    done = project.invoke("manifest", "--json")
    (line,) = done.out
    told = json.loads(line)
    tag = f"{server.host}/app:latest"
    assert (0, 1, "manifest", True, "") == (done.status, *map(told.get, ("version", "step", "succeeded", "error")))
    assert [tag] == [result["reference"].partition("@")[0] for result in told["results"]]
    assert told["results"][0]["reference"] == f"{tag}@{told['results'][0]['digest']}"
    assert [one["digest"] for one in staged.values()] == [row["digest"] for row in told["platforms"]]
    assert [True] * 3 == [row["size"] > 0 for row in told["platforms"]]
    assert [False] * 3 == [row["emulated"] for row in told["platforms"]]  # it has built none of them
    assert (table("field"), table("field of a platform")) == ([*told], [*told["platforms"][0]])


def test_a_step_that_fails_tells_it_too(project: Project, server: RegistryServer) -> None:
    """With the words of its error, and the status that it has without --json."""
    write(project, server)
    done = project.invoke("manifest", "--json")
    told = json.loads(done.out[0])
    assert (1, 1, False, []) == (done.status, len(done.out), told["succeeded"], told["results"])
    assert told["error"] == done.err[-1]


@pytest.mark.parametrize("where", ["> /dev/full", ">&-", "| true"])
def test_a_failure_that_cannot_be_printed_is_told_as_itself(
    project: Project, server: RegistryServer, where: str
) -> None:
    """On standard error, as without --json: nobody is told that a step is done which is not."""
    write(project, server)
    command = f"{shlex.join(project.command('manifest', '--json'))} {where}; exit ${{PIPESTATUS[0]}}"
    bash = ["/bin/bash", "-c", command]
    done = subprocess.run(bash, cwd=project.path, env=project.env(PATH="/usr/bin:/bin"), capture_output=True, text=True)
    assert (1, project.invoke("manifest").err) == (done.returncode, done.stderr.splitlines())


@pytest.mark.parametrize(
    ("error", "status"), [(OSError(errno.ENOSPC, "No space left on device", "/x"), 1), (TypeError("[31mx"), 70)]
)
def test_a_failure_that_is_nobodys_is_told_too(
    project: Project, server: RegistryServer, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    """Such as a disk that is full, or a fault of ours: in the words of the last line."""
    write(project, server)

    def fail(_run: object) -> NoReturn:
        raise error

    monkeypatch.setattr("multiarch.steps.manifest.run", fail)
    done = project.run("manifest", "--json")
    told = json.loads(done.out[0])
    assert (status, 1, False, done.err[-1]) == (done.status, len(done.out), told["succeeded"], told["error"])


def test_a_run_that_is_interrupted_prints_nothing(project: Project, server: RegistryServer) -> None:
    """But its last line; it ends with the status of the signal."""
    write(project, server)
    asked, answered = threading.Event(), threading.Event()

    def hold(request: Request) -> Reply:
        asked.set()
        answered.wait(20)
        return server.from_contents(request)

    server.table["GET /v2/app/manifests/latest-amd64"] = [hold]
    command = project.command("manifest", "--json")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=project.path, env=project.env(), stdout=pipe, stderr=pipe, text=True) as process:
        assert asked.wait(20)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        answered.set()
    assert (128 + signal.SIGTERM, "", "interrupted") == (process.returncode, out, err.splitlines()[-1])


def test_settings_that_are_refused_print_nothing_but_the_error(project: Project) -> None:
    """There is no step yet."""
    project.write(invoke_yaml="multiarch: {platforms: [linux/none/none/none]}\n")
    done = project.invoke("manifest", "--json")
    assert (1, [], 1) == (done.status, done.out, len(done.err))


def test_a_dry_run_prints_commands(project: Project, server: RegistryServer) -> None:
    """As without --json."""
    write(project, server)
    assert project.invoke("--dry", "manifest").out == project.invoke("--dry", "manifest", "--json").out


@pytest.mark.parametrize("is_json", [False, True])
def test_github_gets_outputs_and_a_summary(
    project: Project, server: RegistryServer, staged: dict[str, dict[str, Any]], tmp_path: Path, is_json: bool
) -> None:
    """Behind what other steps of the job wrote; what is printed is the same."""
    write(project, server)
    output, summary = tmp_path / "output", tmp_path / "summary"
    output.write_text("before=1\n")
    flags = ["--json"] if is_json else []
    files = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
    done = project.invoke("manifest", *flags, **files)
    printed = json.loads(done.out[0])["results"][0]["reference"] if is_json else done.out[0]
    digest = printed.partition("@")[2]
    lines = ["before=1", f"references={json.dumps([printed])}", f"reference={printed}", f"digest={digest}"]
    assert lines == output.read_text().splitlines()
    told = summary.read_text()
    assert ("### manifest", 5) == (told.splitlines()[0], told.count("\n|"))
    assert digest.partition(":")[2] in told
    # Of how its images were built it knows nothing.
    assert [["", "", ""]] * 3 == [[cell.strip() for cell in line.split("|")[3:6]] for line in told.split("\n|")[3:]]


def test_gitlab_gets_variables(
    project: Project, server: RegistryServer, staged: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """In a file of this run alone."""
    file = tmp_path / "released.env"
    file.write_text("RELEASED_DIGEST=old\n")
    write(project, server, tags=["latest", "1"])
    out = project.invoke("manifest", INVOKE_MULTIARCH_DOTENV=str(file)).out
    digest = out[0].partition("@")[2]
    assert [
        f"RELEASED_DIGEST={digest}",
        f"RELEASED_REFERENCE={out[0]}",
        f"RELEASED_REFERENCES={out[0]},{out[1]}",
    ] == file.read_text().splitlines()


@pytest.mark.parametrize("is_pull_request", [False, True])
def test_variables_of_an_earlier_run_are_not_those_of_one_that_releases_nothing(
    project: Project, server: RegistryServer, tmp_path: Path, is_pull_request: bool
) -> None:
    """A machine may be used again with its files: whether a step fails, or nothing is to be published."""
    file = tmp_path / "released.env"
    file.write_text("RELEASED_DIGEST=old\n")
    more = {"TRAVIS": "true", "TRAVIS_PULL_REQUEST": "7"} if is_pull_request else {}
    write(project, server)
    done = project.invoke("manifest", INVOKE_MULTIARCH_DOTENV=str(file), **more)
    assert (0 if is_pull_request else 1, [], "") == (done.status, done.out, file.read_text())


def test_files_that_cannot_be_written_change_nothing(
    project: Project, server: RegistryServer, staged: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """The tag has moved; each is told on a line of its own."""
    write(project, server, dotenv=str(tmp_path))
    files = {"GITHUB_OUTPUT": "/nowhere/output", "GITHUB_STEP_SUMMARY": str(tmp_path)}
    done = project.invoke("manifest", **files)
    assert (0, 1) == (done.status, len(done.out))
    assert [
        "GITHUB_OUTPUT: cannot write to /nowhere/output: No such file or directory",
        f"GITHUB_STEP_SUMMARY: cannot write to {tmp_path}: Is a directory",
        f"dotenv: cannot write to {tmp_path}: Is a directory",
    ] == [line for line in done.err if "cannot write" in line]


def test_pipes_hold_nothing(
    project: Project, server: RegistryServer, staged: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """One that nobody reads from is told; one whose reader takes nothing gets as much as it holds."""
    write(project, server, dotenv=f"{tmp_path}/unread")
    for name in ("unread", "full"):
        os.mkfifo(tmp_path / name)
    reader = os.open(tmp_path / "full", os.O_RDONLY | os.O_NONBLOCK)
    filler = os.open(tmp_path / "full", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while os.write(filler, b"x" * 4096):
            pass
    files = {"GITHUB_OUTPUT": f"{tmp_path}/full", "GITHUB_STEP_SUMMARY": f"{tmp_path}/unread"}
    done = project.invoke("manifest", **files)
    os.close(reader)
    os.close(filler)
    assert (0, 1) == (done.status, len(done.out))
    told = [line.partition(": cannot write to ") for line in done.err if "cannot write" in line]
    assert ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "dotenv"] == [name for name, _, _ in told]
    assert [f"{tmp_path}/{name}" for name in ("full", "unread", "unread")] == [
        problem.partition(": ")[0] for _, _, problem in told
    ]


def test_a_failure_is_told_in_the_summary_as_text(project: Project, server: RegistryServer, tmp_path: Path) -> None:
    """Where a registry's words are markup, they are shown and not obeyed."""
    write(project, server)
    server.table["GET /v2/app/manifests/latest-amd64"] = [refusal(400, "X", "<img src=x> ::error::\n# head")]
    summary = tmp_path / "summary"
    assert 1 == project.invoke("manifest", GITHUB_STEP_SUMMARY=str(summary)).status
    lines = summary.read_text().splitlines()
    assert ["### manifest", "", "failed:", ""] == lines[:4]
    assert [True] == list({line.startswith("    ") or not line for line in lines[4:]})


def test_what_is_inspected_is_data(
    project: Project, server: RegistryServer, staged: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """A tag, and what it lists; no output of a job, which has what was published."""
    write(project, server, dotenv=str(tmp_path / "dotenv"))
    digest = json.loads(project.invoke("manifest", "--json").out[0])["results"][0]["digest"]
    (tmp_path / "dotenv").unlink()
    gone = staged["arm"]["digest"]
    del server.contents[f"/v2/app/manifests/{gone}"]
    files = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    told = json.loads(project.invoke("manifest", "--inspect", "--json", **files).out[0])
    tag = f"{server.host}/app:latest"
    first = {"tag": tag, "digest": digest, "media_type": OCI_INDEX, "signed": None}
    here = [("linux/amd64", staged["amd64"]["digest"], 40, 0), ("linux/arm64", staged["arm64"]["digest"], 40, 0)]
    rows = [
        {"tag": tag, "platform": platform, "digest": found, "size": size, "layers": layers}
        | {"attestations": [], "signed": None}
        for platform, found, size, layers in [*here, ("linux/arm/v7", gone, None, None)]
    ]
    assert [first, *rows] == told["results"]
    assert {*first, *rows[0]} <= set(table("fields of a result"))
    assert [] == [name for name in ("dotenv", "output", "summary") if (tmp_path / name).exists()]


def test_results_are_named() -> None:
    """Each kind as the page has it."""
    reference = ImageReference.parse("someone/app:latest")
    pushed = PushedImage(Leg(Platform.parse("arm64"), "app"), reference, GOOD)
    name = "docker.io/someone/app:latest"
    assert {"reference": f"{name}@{GOOD}", "digest": GOOD, "platform": "linux/arm64", "target": "app"} == fields_of(
        "build-arch", pushed
    )
    assert {"reference": name} == fields_of("release", reference)
    assert ({"path": str(ROOT)}, {"address": "unix:///x"}, {"text": "x"}) == (
        fields_of("copy-buildctl", ROOT),
        fields_of("start-buildkit", "unix:///x"),
        fields_of("manifest", "x"),
    )


def test_several_digests_have_no_single_one(tmp_path: Path) -> None:
    """Which of them a job wants is its own choice; what no CI's file can hold is left out."""
    results = tuple({"reference": f"r/{n}:1@{GOOD}", "digest": f"sha256:{n}"} for n in range(3))
    output, dotenv = tmp_path / "output", tmp_path / "dotenv"
    said: list[str] = []
    ci_files.write(Outcome("release", 0, 1, "", results), {"GITHUB_OUTPUT": str(output)}, str(dotenv), said.append)
    references = [result["reference"] for result in results]
    assert ([f"references={json.dumps(references)}"], []) == (output.read_text().splitlines(), said)
    assert [f"RELEASED_REFERENCES={','.join(references)}"] == dotenv.read_text().splitlines()
    many = tuple({"reference": f"r/{n}:1@{GOOD}", "digest": GOOD} for n in range(100))
    ci_files.write(Outcome("release", 0, 1, "", many), {}, str(dotenv), said.append)
    assert [f"RELEASED_DIGEST={GOOD}", f"RELEASED_REFERENCE={many[0]['reference']}"] == dotenv.read_text().splitlines()

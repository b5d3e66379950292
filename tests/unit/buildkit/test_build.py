"""Building one platform: the command line, and what comes of it, with a small program in the place of buildctl."""

from __future__ import annotations

import io
import json
import shlex
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.buildkit.build import Client, PushedImage, build_platform, build_prefix
from multiarch.buildkit.builder import Builder
from multiarch.buildkit.command import build_command, export
from multiarch.buildkit.inputs import check_inputs
from multiarch.config.load import load
from multiarch.display.progress import Progress
from multiarch.docker_host import DockerHost
from multiarch.errors import BuildFailedError, ConfigurationError, MissingPathError, MultiarchError
from multiarch.image.reference import ImageReference
from multiarch.retry import Policy
from tests.unit.legs import leg
from tests.unit.rawjson import vertex

if TYPE_CHECKING:
    from multiarch.buildkit.solve import Solve
    from multiarch.config.settings import Settings

DIGEST = "sha256:" + "ab" * 32
BUILDER = Builder("unix:///run/x.sock")


def read(**block: Any) -> Settings:
    """Return settings for one platform."""
    return load({"image": "someone/app", "platforms": ["arm64"], "attestations": [], **block}, {}, {})


def line(settings: Settings) -> str:
    """Return the command line for the first platform."""
    return shlex.join(words(settings))


def words(settings: Settings) -> list[str]:
    """Return the command for the first platform."""
    entry = settings.matrix[0]
    output = export(settings, str(entry.staging))
    return build_command(settings, (entry,), Path("/bin/buildctl"), BUILDER, output)


# The command line.

KEPT = "/c/multiarch/buildkit/docker.io/someone/app"
REF = "ref=docker.io/someone/app:buildcache-arm64"
LAST = "type=registry,ref=docker.io/someone/app:latest-arm64"
MAX = "mode=max,ignore-error=true"
TOKENS = "--registry-auth-tlscontext host=registry-1.docker.io,insecure=true "
IMAGE = "type=image,name=docker.io/someone/app:latest-arm64,push=true"


def expected(
    *opts: str,
    frontend: str = "dockerfile.v0",
    context: str = ".",
    directory: str = ".",
    more: str = "",
    output: str = IMAGE,
) -> str:
    """Return the usual command line, with what is given in its place."""
    options = " ".join(f"--opt {opt}" for opt in opts or ("platform=linux/arm64", "filename=Dockerfile"))
    return (
        f"/bin/buildctl --addr {BUILDER.address} build --frontend {frontend} {options}"
        f" --local context={context} --local dockerfile={directory} {more}--output {output}"
    )


@pytest.mark.parametrize(
    ("block", "command"),
    [
        ({}, expected()),
        (
            {"platforms": ["armhf"]},
            expected("platform=linux/arm/v7", "filename=Dockerfile", output=IMAGE.replace("-arm64", "-arm-v7")),
        ),
        ({"context": "web"}, expected(context="web", directory="web")),
        (
            {"dockerfile": "docker/D.arm", "context": "web"},
            expected("platform=linux/arm64", "filename=D.arm", context="web", directory="docker"),
        ),
        (
            {"frontend": "gateway.v0", "source": "docker/dockerfile:1"},
            expected(
                "platform=linux/arm64", "filename=Dockerfile", "source=docker/dockerfile:1", frontend="gateway.v0"
            ),
        ),
        ({"tags": ["1", "2"]}, expected(output=IMAGE.replace("latest", "1"))),
        ({"output": "oci,dest=out/x.tar"}, expected(output="type=oci,dest=out/x.tar")),
        ({"output": "local,dest=a,b"}, expected(output="'type=local,\"dest=a,b\"'")),
        # It is pushed once; the other repositories get copies when the index is published.
        ({"image": ["someone/app", "ghcr.io/a/b"]}, expected()),
        (
            {"insecure_registries": ["docker.io"]},
            expected(more=TOKENS, output=f"{IMAGE},registry.insecure=true"),
        ),
        (
            {"attestations": ["provenance", "sbom"]},
            expected("platform=linux/arm64", "filename=Dockerfile", "attest:provenance=mode=max", "attest:sbom="),
        ),
        (
            {"pull": True, "labels": {"org.x": "y"}},
            expected("platform=linux/arm64", "filename=Dockerfile", "label:org.x=y", "image-resolve-mode=pull"),
        ),
        ({"no_cache": True}, expected(more="--no-cache ")),
        (
            {"entitlements": ["security.insecure", "network.host"]},
            expected(more="--allow security.insecure --allow network.host "),
        ),
        (
            {"secrets": {"token": "env:TOKEN", "a,b": "file:x/y"}, "ssh": ["default", "git=key"]},
            expected(more="--secret id=token,env=TOKEN --secret '\"id=a,b\",src=x/y' --ssh default --ssh git=key "),
        ),
        (
            {"cache": "registry"},
            expected(more=f"--export-cache type=registry,{REF},{MAX} --import-cache type=registry,{REF} "),
        ),
        (
            {"cache": "registry", "insecure_registries": ["docker.io"]},
            expected(
                more=f"{TOKENS}--export-cache type=registry,{REF},{MAX},registry.insecure=true"
                f" --import-cache type=registry,{REF},registry.insecure=true ",
                output=f"{IMAGE},registry.insecure=true",
            ),
        ),
        (
            {"cache": "registry", "cache_image": "r.lan/cache", "insecure_registries": ["r.lan"]},
            expected(
                more="--registry-auth-tlscontext host=r.lan,insecure=true"
                f" --export-cache type=registry,ref=r.lan/cache:buildcache-arm64,{MAX},registry.insecure=true"
                " --import-cache type=registry,ref=r.lan/cache:buildcache-arm64,registry.insecure=true "
            ),
        ),
        (
            {"cache": "local", "platforms": ["arm/v7"]},
            expected(
                "platform=linux/arm/v7",
                "filename=Dockerfile",
                more=f"--export-cache type=local,dest={KEPT}/arm-v7,{MAX},reset=true"
                f" --import-cache type=local,src={KEPT}/arm-v7 ",
                output=IMAGE.replace("-arm64", "-arm-v7"),
            ),
        ),
        ({"output": "none"}, expected().partition(" --output")[0]),
        (
            {"output": "none", "cache": "registry"},
            expected(more=f"--import-cache type=registry,{REF} ").partition(" --output")[0],
        ),
        ({"output": "none", "cache": "inline"}, expected(more=f"--import-cache {LAST} ").partition(" --output")[0]),
        (
            {"cache": "inline", "build": "7"},
            expected(
                more="--export-cache type=inline --import-cache type=registry,ref=docker.io/someone/app:latest ",
                output=IMAGE.replace("-arm64", "-7-arm64"),
            ),
        ),
        (
            {"cache": "inline"},
            expected(
                more="--export-cache type=inline --import-cache type=registry,ref=docker.io/someone/app:latest-arm64 "
            ),
        ),
    ],
)
def test_the_command_line(block: dict[str, Any], command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The document's command in today's words; what buildctl reads as a record of CSV is quoted as one."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert command == line(read(**block))


def test_target_and_build_arguments() -> None:
    """Each is an option; whatever characters an argument holds, it stays one word."""
    settings = read(platforms=[{"platform": "arm64", "target": "t", "build_args": {"A": "1,2", "B": 'x y="z"'}}])
    command = words(settings)
    options = [value for flag, value in pairwise(command) if flag == "--opt"]
    assert [
        "platform=linux/arm64",
        "filename=Dockerfile",
        "target=t",
        "build-arg:A=1,2",
        'build-arg:B=x y="z"',
    ] == options


# Context and Dockerfile.


def test_paths_that_are_there(tmp_path: Path) -> None:
    """The Dockerfile lies in the context, or where the settings say."""
    (tmp_path / "Dockerfile").touch()
    (tmp_path / "D.arm").touch()
    plain = read(context=str(tmp_path))
    named = read(context=str(tmp_path), dockerfile=str(tmp_path / "D.arm"))
    assert tmp_path / "Dockerfile" == check_inputs(plain, plain.matrix[0])
    assert tmp_path / "D.arm" == check_inputs(named, named.matrix[0])


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"context": "nowhere"}, "build context not found: nowhere; name the right one with --context or multiarch."),
        ({"context": "a-file"}, "build context not found: a-file; name the right one with --context or multiarch."),
        ({"dockerfile": "D"}, "Dockerfile for linux/arm64 not found: D; name the right one with --dockerfile or multi"),
        (
            {"context": "empty"},
            "Dockerfile for linux/arm64 not found: empty/Dockerfile; name the right one with --doc",
        ),
        ({"dockerfile": "empty"}, "Dockerfile for linux/arm64 not found: empty; name the right one with --dockerfile"),
    ],
)
def test_a_missing_path_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: dict[str, str], expected: str
) -> None:
    """One line: what is missing, where it was looked for, and how to name another."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a-file").touch()
    settings = read(**block)
    with pytest.raises(MissingPathError) as caught:
        check_inputs(settings, settings.matrix[0])
    assert expected == str(caught.value)[: len(expected)]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"secrets": {"token": "env:NO_SUCH"}}, "multiarch.secrets.token: the variable NO_SUCH is not set"),
        ({"secrets": {"token": "file:nowhere"}}, "multiarch.secrets.token: there is no file nowhere"),
        ({"secrets": {"token": "file:."}}, "multiarch.secrets.token: there is no file ."),
        (
            {"ssh": ["default"]},
            "multiarch.ssh: SSH_AUTH_SOCK is not set: start an agent (eval $(ssh-agent)), or name a key: default=PATH",
        ),
        ({"ssh": ["git=nowhere"]}, "multiarch.ssh: there is no socket or key nowhere"),
    ],
)
def test_a_secret_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: dict[str, Any], expected: str
) -> None:
    """One line before anything is built: BuildKit would give an empty one to the build."""
    (tmp_path / "Dockerfile").touch()
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    settings = read(context=str(tmp_path), **block)
    with pytest.raises(ConfigurationError) as caught:
        check_inputs(settings, settings.matrix[0])
    assert expected == str(caught.value)


def test_an_agent_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SSH_AUTH_SOCK names must be there; what is there passes, as do secrets."""
    (tmp_path / "Dockerfile").touch()
    block = {"ssh": ["default"], "secrets": {"a": "env:SSH_AUTH_SOCK", "b": f"file:{tmp_path}/Dockerfile"}}
    settings = read(context=str(tmp_path), **block)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "Dockerfile"))
    check_inputs(settings, settings.matrix[0])
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    with pytest.raises(ConfigurationError, match=r"^multiarch\.ssh: there is no socket or key /.*/gone$"):
        check_inputs(settings, settings.matrix[0])


# Building.


class Project:
    """A directory with a Dockerfile, and a buildctl that does as a script says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "Dockerfile").touch()
        self.shown = io.StringIO()
        self.solves: list[Solve] = []

    def build(self, script: str, *, may_push: bool = False, **block: Any) -> PushedImage | Path | None:
        """Build with a buildctl of this *script*, which finds the metadata file in $metadata."""
        buildctl = self.path / "buildctl"
        find = 'while [ $# -gt 1 ]; do [ "$1" = --metadata-file ] && metadata=$2; shift; done'
        buildctl.write_text(f'#!/bin/sh\ncd {self.path}\necho "$@" >> calls\n{find}\n{script}\n')
        buildctl.chmod(0o755)
        settings = read(context=str(self.path), **block)
        policy = Policy(seconds=5.0, attempts=4, first=0.001, longest=0.01)
        host = DockerHost(Policy(), print)
        client = Client(buildctl, policy, Progress(self.shown), self.solves, host, may_push=lambda: may_push)
        return build_platform(settings, settings.matrix[0], client, BUILDER)

    @property
    def calls(self) -> list[str]:
        """The arguments of each call."""
        return (self.path / "calls").read_text().splitlines()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project that can be built."""
    return Project(tmp_path)


PUSHED = f"echo '{json.dumps({'containerimage.digest': DIGEST})}' > \"$metadata\""


def test_what_was_pushed_is_returned(project: Project) -> None:
    """The reference in the first repository, with its digest."""
    pushed = project.build(PUSHED, image=["someone/app", "ghcr.io/a/b"])
    assert PushedImage(leg("arm64"), ImageReference.parse("someone/app:latest-arm64"), DIGEST) == pushed
    assert f"docker.io/someone/app:latest-arm64@{DIGEST}" == str(pushed)
    assert "--progress rawjson" in project.calls[0]


def test_a_fault_that_passes_is_outlasted(project: Project) -> None:
    """The same solve is run again, and the retry is shown with its cause."""
    refused = "error: failed to solve: failed to push x: dial tcp 127.0.0.1:1: connect: connection refused"
    project.build(f"if [ $(wc -l < calls) -lt 3 ]; then echo '{refused}' >&2; exit 1; fi\n{PUSHED}")
    assert (3, 1) == (len(project.calls), len({call.partition("--metadata-file")[0] for call in project.calls}))
    assert [
        "linux/arm64 │ build: "
        f"attempt {number} failed, next in 0.0 s: failed to push x: dial tcp 127.0.0.1:1: connect: connection"
        " refused; is the registry, or the builder, running and its name right?"
        for number in (1, 2)
    ] == project.shown.getvalue().splitlines()


@pytest.mark.parametrize(
    ("may_push", "refusals", "attempts"), [(True, 1, 2), (True, 9, 2), (False, 9, 1)], ids=["once", "always", "unknown"]
)
def test_push_that_is_refused_after_it_was_allowed_is_tried_once_more(
    project: Project, may_push: bool, refusals: int, attempts: int
) -> None:
    """Our own check proves the right; a registry that then says 403 once is mistaken, and twice is believed."""
    refused = (
        "error: failed to solve: failed to push x: unexpected status from PUT request to https://r/v2/: 403 Forbidden"
    )
    script = f"if [ $(wc -l < calls) -le {refusals} ]; then echo '{refused}' >&2; exit 1; fi\n{PUSHED}"
    if refusals == 1:
        project.build(script, may_push=may_push)
    else:
        advice = "403 Forbidden; log in with: docker login HOST, as a user who may do that"
        with pytest.raises(BuildFailedError, match=advice):
            project.build(script, may_push=may_push)
    assert attempts == len(project.calls)


def test_a_fault_that_stays_is_tried_once(project: Project) -> None:
    """A RUN that fails fails again."""
    failed = vertex("a", "RUN false", seconds=1, error='process "false" did not complete successfully: exit code: 1')
    with pytest.raises(BuildFailedError, match=r"^linux/arm64: build failed in RUN false: process"):
        project.build(f"echo '{failed}' >&2; exit 1")
    assert 1 == len(project.calls)


@pytest.mark.parametrize(("output", "path"), [("oci,dest={}/out/x.tar", "out/x.tar"), ("local,dest={}/files", "files")])
def test_other_outputs_return_their_path(project: Project, output: str, path: str) -> None:
    """The directory above it is made; nothing is pushed."""
    assert project.path / path == project.build("touch out/x.tar || true", output=output.format(project.path))
    assert (project.path / path).parent.is_dir()
    assert "push=true" not in project.calls[0]


def test_without_an_output_there_is_no_result(project: Project) -> None:
    """It is built, and that is all."""
    assert project.build("true", output="none") is None
    assert "--output" not in project.calls[0]


def test_an_output_that_cannot_be_written_is_told(project: Project) -> None:
    """A file in the place of a directory is an error for the user."""
    with pytest.raises(MultiarchError, match="Dockerfile"):
        project.build("true", output=f"oci,dest={project.path}/Dockerfile/x.tar")


def test_nothing_is_started_without_a_context(project: Project) -> None:
    """The context and the Dockerfile are checked first."""
    (project.path / "Dockerfile").unlink()
    with pytest.raises(MissingPathError):
        project.build(PUSHED)
    assert not (project.path / "calls").exists()


def test_the_beginning_of_a_dockerfile_is_built_from_the_cache(project: Project) -> None:
    """With all that the whole gets but its target, into an archive; of the caches none is left out, none is written."""
    (project.path / "token").touch()
    more: dict[str, Any] = {"cache": "registry", "no_cache": True, "attestations": ["provenance"], "target": "last"}
    more |= {"secrets": {"t": f"file:{project.path}/token"}, "build_args": {"A": "b"}, "pull": True}
    project.build(PUSHED, **more)
    (project.path / "cut").mkdir()
    (project.path / "cut" / "Dockerfile").touch()
    settings = read(context=str(project.path), **more)
    client = Client(
        project.path / "buildctl", Policy(attempts=1), Progress(project.shown), [], DockerHost(Policy(), print)
    )
    dockerfile, archive = project.path / "cut" / "Dockerfile", project.path / "x.tar"
    build_prefix(settings, settings.matrix[0], dockerfile, archive, "a:b", client, BUILDER, ())
    whole, beginning = (call.partition(" --metadata-file")[0] for call in project.calls)
    left_out = ["--opt target=last ", "--opt attest:provenance=mode=max ", "--no-cache "]
    left_out += [f"--export-cache type=registry,{REF},{MAX} "]
    assert [True] * 4 == [words in whole for words in left_out], whole
    for words in left_out:
        whole = whole.replace(words, "")
    whole = whole.replace(f"dockerfile={project.path} ", f"dockerfile={project.path}/cut ")
    assert whole.replace(IMAGE, f"type=docker,name=a:b,dest={project.path}/x.tar") == beginning

"""Single steps, each run alone."""

from __future__ import annotations

import json
import os
import socket
import stat
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.conftest import MACHINES, PLAIN, Project, runs_as
from tests.integration.docker_host import docker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def usual_server(project: Project) -> Iterator[None]:
    """Afterwards the server is the usual one again."""
    yield
    project.ok("start-buildkit", "--recreate")


def test_the_index_equals_docker_manifest(project: Project) -> None:
    """`manifest` publishes what docker manifest create, annotate and push publish for the same images."""
    project.ok("release", **PLAIN)
    name = f"{project.image}:by-docker"
    staged = {p: f"{project.image}:latest-{tag}" for p, tag in zip(MACHINES, ("amd64", "arm64", "arm-v7"), strict=True)}
    docker("manifest", "create", "--insecure", name, *staged.values())
    for platform, reference in staged.items():
        _, architecture, *variant = platform.split("/")
        words = ["--arch", architecture, *(["--variant", variant[0]] if variant else [])]
        docker("manifest", "annotate", *words, name, reference)
    docker("manifest", "push", "--insecure", "--purge", name)

    docker_entries = _entries(name)
    project.ok("manifest")
    entries = _entries(f"{project.image}:latest")

    # Docker lists them in the order of its file names, `manifest` in that of the matrix.
    assert sorted(docker_entries) == sorted(entries)
    assert list(MACHINES) == [f"linux/{a}" + (f"/{v}" if v else "") for _, _, a, v in entries]


def test_manifest_refuses_an_incomplete_matrix(project: Project) -> None:
    """A platform without an image: its name and its staging tag in one line, and no tag."""
    project.ok("build-arch", "--platform", "linux/amd64")

    result = project.run("manifest")

    assert (1, []) == (result.status, result.out)
    assert f"linux/arm64 ({project.image}:latest-arm64), linux/arm/v7 ({project.image}:latest-arm-v7)" in result.err
    assert 1 == len(result.err.splitlines())


def test_manifest_refuses_the_wrong_platform(project: Project) -> None:
    """An image whose config is for another platform than its staging tag is not published."""
    project.ok("build-arch", "--platform", "linux/amd64")
    docker("pull", "--quiet", f"{project.image}:latest-amd64")
    docker("tag", f"{project.image}:latest-amd64", f"{project.image}:latest-arm64")
    docker("push", "--quiet", f"{project.image}:latest-arm64")

    result = project.run("manifest", "--platform", "linux/arm64")

    assert (1, []) == (result.status, result.out)
    assert "should be for linux/arm64, but its config says linux/amd64" in result.err


@pytest.mark.usefixtures("usual_server")
def test_the_documents_flow_over_tcp_works(project: Project) -> None:
    """start-buildkit on a loopback port, then build-arch with BUILDKIT_HOST."""
    port = _free_port()
    address = f"tcp://127.0.0.1:{port}"

    assert [address] == project.ok("start-buildkit", "--address", address)
    (pushed,) = project.ok("build-arch", "--platform", "linux/arm/v7", BUILDKIT_HOST=address)

    assert f"{project.image}:latest-arm-v7" == pushed.partition("@")[0]
    assert "armv7l" == runs_as("linux/arm/v7", pushed)
    # A run that asks for no address uses that server too.
    assert [True] == [line.startswith("unix://") for line in project.ok("start-buildkit")]


@pytest.mark.usefixtures("usual_server")
def test_the_server_is_reached_through_docker(project: Project) -> None:
    """By docker-container://, where no socket can be shared."""
    (address,) = project.ok("start-buildkit", "--address", "docker-container://buildkit")
    (pushed,) = project.ok("build-arch", "--platform", "linux/amd64", BUILDKIT_HOST=address)

    assert "docker-container://buildkit" == address
    assert "x86_64" == runs_as("linux/amd64", pushed)


def test_the_socket_is_private(project: Project) -> None:
    """Only this user can enter the directory of the socket: an open BuildKit is root for all who reach it."""
    (address,) = project.ok("start-buildkit")
    directory = os.path.dirname(address.removeprefix("unix://"))

    assert 0o700 == stat.S_IMODE(os.stat(directory).st_mode)
    assert os.getuid() == os.stat(directory).st_uid


def test_a_given_builder_is_respected(project: Project) -> None:
    """With BUILDKIT_HOST set nothing is started, and an address that does not answer is one line."""
    (address,) = project.ok("start-buildkit")
    before = docker("inspect", "--format", "{{.State.StartedAt}}", "buildkit")

    assert [address] == project.ok("start-buildkit", "--recreate", BUILDKIT_HOST=address)
    assert before == docker("inspect", "--format", "{{.State.StartedAt}}", "buildkit")
    for step in (["start-buildkit"], ["build-arch", "--platform", "linux/amd64"], ["release"]):
        dead = project.run(*step, BUILDKIT_HOST=f"tcp://127.0.0.1:{_free_port()}")
        assert (1, []) == (dead.status, dead.out)
        assert "no BuildKit answers at tcp://127.0.0.1:" in dead.err.splitlines()[-1]


@pytest.mark.usefixtures("usual_server")
def test_a_foreign_container_is_left_alone(project: Project) -> None:
    """A container of that name that is not ours is neither used nor removed."""
    docker("rm", "-f", "buildkit")
    docker("run", "-d", "--name", "buildkit", "busybox:stable", "sleep", "600")
    try:
        result = project.run("start-buildkit", "--recreate")
        assert (1, []) == (result.status, result.out)
        assert "a container named 'buildkit' exists that was not started by this tool" in result.err
        assert "true" == docker("inspect", "--format", "{{.State.Running}}", "buildkit")
    finally:
        docker("rm", "-f", "buildkit")


@pytest.mark.usefixtures("usual_server")
def test_a_taken_port_leaves_no_container(project: Project) -> None:
    """A port that somebody else listens on: one line, and nothing is left running."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        result = project.run("start-buildkit", "--address", address)

    assert (1, []) == (result.status, result.out)
    assert f"{address} is already in use on the Docker host" in result.err.splitlines()[-1]
    assert "" == docker("ps", "-aq", "--filter", "name=^buildkit$")


@pytest.mark.usefixtures("usual_server")
def test_a_server_that_cannot_start_shows_its_log(project: Project) -> None:
    """An image that is no BuildKit: its last log lines, and nothing is left running."""
    result = project.run("start-buildkit", INVOKE_MULTIARCH_BUILDKIT_IMAGE="busybox:stable")

    assert (1, []) == (result.status, result.out)
    assert "Traceback" not in result.err
    assert "buildkit" in result.err.splitlines()[-1]
    assert "" == docker("ps", "-aq", "--filter", "name=^buildkit$")


@pytest.mark.usefixtures("usual_server")
def test_a_larger_matrix_is_served_by_the_server_that_runs(project: Project) -> None:
    """BuildKit finds the platforms of emulators by itself, whatever it was started with."""
    project.ok("start-buildkit", "--recreate", "--platform", "linux/amd64")
    before = docker("inspect", "--format", "{{.Id}}", "buildkit")
    project.write(
        invoke_yaml="multiarch:\n  platforms: [linux/amd64, linux/s390x]\n",
        Dockerfile=f"FROM busybox:stable\nENV OF={project.path.name}\nRUN uname -m > /machine\n",
    )
    (published,) = project.ok("release")

    assert before == docker("inspect", "--format", "{{.Id}}", "buildkit")
    words = ("run", "--rm", "--pull", "always", "--quiet", "--platform", "linux/s390x", published)
    assert "s390x" == docker(*words, "cat", "/machine")


@pytest.mark.usefixtures("changing_emulators")
@pytest.mark.parametrize(
    ("installer", "arguments"),
    [("tonistiigi/binfmt:latest", ("--uninstall", "qemu-aarch64")), ("linuxkit/binfmt:v0.6", ())],
)
def test_emulators_are_registered_and_proved(project: Project, installer: str, arguments: tuple[str, ...]) -> None:
    """By either installer, which replaces the other ones of the matrix too; then there is nothing to do."""
    docker("run", "--rm", "--privileged", "tonistiigi/binfmt:latest", "--uninstall", "qemu-aarch64")

    installed = project.run("setup-binfmt", "--installer", installer)
    again = project.run("setup-binfmt")

    expected = ["linux/amd64 native", "linux/arm64 qemu-aarch64", "linux/arm/v7 qemu-arm"]
    assert (0, expected) == (installed.status, installed.out)
    assert f"registering emulators for linux/arm64, linux/arm/v7 with {installer}" in installed.err
    assert (0, expected, "") == (again.status, again.out, again.err)
    assert "aarch64" == docker("run", "--rm", "--platform", "linux/arm64", "busybox:stable", "uname", "-m")


@pytest.mark.usefixtures("changing_emulators")
def test_an_installer_that_installs_nothing_is_an_error(project: Project) -> None:
    """The kernel decides, not what the installer says."""
    docker("run", "--rm", "--privileged", "tonistiigi/binfmt:latest", "--uninstall", "qemu-aarch64")
    try:
        result = project.run("setup-binfmt", "--installer", "moby/buildkit:v0.32.2")
        assert (1, []) == (result.status, result.out)
        expected = "no emulator registered for linux/arm64, linux/arm/v7 after moby/buildkit"
        assert expected in result.err.splitlines()[-1]
    finally:
        project.ok("setup-binfmt")


def test_the_client_is_copied_once(project: Project) -> None:
    """Whole, executable, where it was asked for; and not again while it is the same."""
    dest = project.path / "bin"
    (path,) = project.ok("copy-buildctl", "--dest", str(dest))
    written = os.stat(path).st_mtime_ns
    again = project.run("copy-buildctl", "--dest", str(dest))

    assert str(dest / "buildctl") == path
    assert (0, [path], "") == (again.status, again.out, again.err)
    assert written == os.stat(path).st_mtime_ns
    assert ["buildctl"] == os.listdir(dest)
    (dest / "buildctl").write_bytes(b"half a file")
    assert [path] == project.ok("copy-buildctl", "--dest", str(dest))
    assert written != os.stat(path).st_mtime_ns


def test_a_client_that_cannot_run_here_is_one_line(project: Project) -> None:
    """It lacks the permission, or is no program of this machine, and there is no other one."""
    dest = project.path / "bin"
    dest.mkdir()
    (dest / "buildctl").write_text("no program")
    environ = {"INVOKE_MULTIARCH_DEST": str(dest), "XDG_CACHE_HOME": str(project.path / "cache")}
    plain = project.run("build-arch", "--platform", "linux/amd64", **environ)
    (dest / "buildctl").chmod(0o755)
    foreign = project.run("build-arch", "--platform", "linux/amd64", **environ)

    for result in (plain, foreign):
        assert (1, []) == (result.status, result.out)
        assert f"buildctl at {dest / 'buildctl'} cannot run here" in result.err.splitlines()[-1]


def test_other_outputs_push_nothing(project: Project) -> None:
    """oci writes a tar with the image, local a directory with its files; both print the path."""
    assert ["out/image.tar"] == project.ok(
        "build-arch", "--platform", "linux/arm64", "--output", "oci,dest=out/image.tar"
    )
    assert ["files"] == project.ok("build-arch", "--platform", "linux/arm64", "--output", "local,dest=files")

    with tarfile.open(project.path / "out/image.tar") as tar:
        assert "index.json" in tar.getnames()
    assert "<h1>Hello from aarch64</h1>\n" == (project.path / "files/www/index.html").read_text()
    assert "MANIFEST_UNKNOWN" in _raw(f"{project.image}:latest-arm64") or "NAME_UNKNOWN" in _raw(f"{project.image}:x")


def test_a_full_disk_is_one_line(project: Project) -> None:
    """Without room for the output the build fails at once and says so."""
    result = project.run("build-arch", "--platform", "linux/amd64", "--output", "oci,dest=/dev/full")

    assert (1, []) == (result.status, result.out)
    assert "no space left on device" in result.err.splitlines()[-1]
    assert "attempt" not in result.err


def test_each_platform_has_its_own_target_and_arguments(project: Project) -> None:
    """Per platform: Dockerfile, target stage and build arguments; the general ones hold where it has none."""
    project.write(
        Dockerfile_two="FROM busybox:stable AS one\nARG WORD=none\nARG MORE=none\n"
        "RUN echo one $WORD $MORE > /word\nFROM one AS two\nRUN echo two $WORD >> /word\n",
        invoke_yaml="""
multiarch:
  dockerfile: Dockerfile.two
  build_args: {WORD: general, MORE: general}
  platforms:
    - {platform: linux/amd64, target: one, build_args: {WORD: own}}
    - linux/arm64
""",
    )
    project.ok("release")

    image = f"{project.image}:latest"
    assert "one own general" == docker("run", "--rm", "--platform", "linux/amd64", image, "cat", "/word")
    assert ["one general general", "two general"] == docker(
        "run", "--rm", "--pull", "always", "--quiet", "--platform", "linux/arm64", image, "cat", "/word"
    ).splitlines()


def test_a_frontend_from_an_image_builds_the_same(project: Project) -> None:
    """gateway.v0 with a source, and a `# syntax=` line, build as the built-in frontend does."""
    words = ["build-arch", "--platform", "linux/arm64"]
    (built_in,) = project.ok(*words)
    (gateway,) = project.ok(*words, "--frontend", "gateway.v0", "--source", "docker/dockerfile:1")
    project.write(Dockerfile="# syntax=docker/dockerfile:1\n" + (project.path / "Dockerfile").read_text())
    (syntax,) = project.ok(*words)

    assert ["aarch64"] * 3 == [runs_as("linux/arm64", pushed) for pushed in (built_in, gateway, syntax)]


def test_a_platform_with_a_builder_needs_no_emulator(project: Project) -> None:
    """A platform with a builder is built there, and asks the Docker host for no emulator."""
    (address,) = project.ok("start-buildkit")
    project.write(
        invoke_yaml=f"multiarch:\n  platforms:\n    - linux/amd64\n    - {{platform: riscv64, builder: '{address}'}}\n",
        Dockerfile="FROM scratch\nCOPY tasks.py /\n",
    )
    assert ["linux/amd64 native"] == project.ok("setup-binfmt")
    published = project.ok("release", **PLAIN)

    assert [("linux", "amd64"), ("linux", "riscv64")] == [
        (m["platform"]["os"], m["platform"]["architecture"])
        for m in json.loads(_raw(published[0].partition("@")[0]))["manifests"]
    ]


def test_the_servers_registries_are_the_daemons(project: Project) -> None:
    """The mirrors of `docker info` are in the server's buildkitd.toml."""
    project.ok("start-buildkit")
    mirrors = json.loads(docker("info", "--format", "{{json .RegistryConfig.Mirrors}}")) or []
    toml = docker("exec", "buildkit", "sh", "-c", "cat /etc/buildkit/buildkitd.toml 2>/dev/null || true")

    assert [True] * len(mirrors) == [m.partition("://")[2].rstrip("/") in toml for m in mirrors]


def test_each_step_tells_programs_what_came_out(project: Project) -> None:
    """As fields of one line: what it prints otherwise, and of each image where and how fast it was built."""
    steps = ["setup-binfmt", "start-buildkit", "copy-buildctl", "build-arch", "release", "prune"]
    flags = {"build-arch": ("--platform", "linux/amd64")}
    told = [json.loads("".join(project.ok(step, *flags.get(step, ()), "--json"))) for step in steps]
    assert steps == [one["step"] for one in told]
    assert [
        ["platform", "emulator"],
        ["address"],
        ["path"],
        ["reference", "digest", "platform", "target"],
        ["reference", "digest"],
        ["records", "bytes"],
    ] == [[*one["results"][0]] for one in told]
    built, released = told[3]["platforms"], told[4]["platforms"]
    assert [["linux/amd64"], [*MACHINES]] == [[row["platform"] for row in rows] for rows in (built, released)]
    assert [True] * len(MACHINES) == [row["size"] > 0 and row["seconds"] > 0 for row in released]
    assert released[0]["digest"] in _raw(told[4]["results"][0]["reference"].partition("@")[0])


def _entries(reference: str) -> list[tuple[str, int, str, str]]:
    """Return digest, size, architecture and variant of each entry of a published index."""
    index: dict[str, Any] = json.loads(_raw(reference))
    return [
        (m["digest"], m["size"], m["platform"]["architecture"], m["platform"].get("variant", ""))
        for m in index["manifests"]
    ]


def _raw(reference: str) -> str:
    """Return what a loopback registry has under a tag, or the error that it answers."""
    import urllib.error
    import urllib.request

    name, _, tag = reference.rpartition(":")
    host, _, repository = name.partition("/")
    types = ("oci.image.index.v1", "docker.distribution.manifest.list.v2", "oci.image.manifest.v1")
    accept = ", ".join(f"application/vnd.{name}+json" for name in types)
    request = urllib.request.Request(f"http://{host}/v2/{repository}/manifests/{tag}", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

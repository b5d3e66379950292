"""The certificates of fleet-certs, on real builders; and a release that needs neither Docker nor a buildctl."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.fleet.parts import Builder, free_port, published

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fleet.parts import Project


@pytest.fixture
def certified(project: Project, tmp_path: Path) -> Iterator[Callable[[str], Builder]]:
    """Make the certificate of a machine, and start a builder with it."""
    with ExitStack() as stack:

        def start(name: str) -> Builder:
            project.write("FROM scratch\n", "")
            words = ("--for", f"{name}.example,127.0.0.1", "--dest", str(tmp_path / "fleet"))
            made = project.run("fleet-certs", *words)
            assert 0 == made.status, made.err
            certificates = tmp_path / "fleet" / "servers" / f"{name}.example"
            builder = Builder(tmp_path / name, f"tcp://127.0.0.1:{free_port()}", certificates).start()
            stack.callback(builder.end)
            return builder

        yield start


def test_machine_that_is_added_later_needs_no_new_ca(
    project: Project, certified: Callable[[str], Builder], tmp_path: Path
) -> None:
    """The first builder runs on with what it has, and both take our certificate."""
    builders = {name: certified(name).address for name in ("arm-1", "arm-2")}
    entries = [f"    {name}: {{address: '{at}', tls: {tmp_path}/fleet}}\n" for name, at in builders.items()]
    project.write(
        "FROM busybox:stable\nRUN uname -m\n",
        "  platforms: [linux/amd64, linux/386]\n  builders:\n" + "".join(entries),
    )
    shown = project.run("fleet")
    assert (0, ["arm-1", "arm-2"]) == (shown.status, [line.split()[0] for line in shown.out[1:]]), shown.err
    assert ["89 days", "89 days"] == [" ".join(line.split()[-2:]) for line in shown.out[1:]]
    done = project.run("release")
    assert (0, [f"{project.image}:latest@{published(project)}"]) == (done.status, done.out), done.err


def test_key_of_a_builder_opens_no_other(project: Project, certified: Callable[[str], Builder], tmp_path: Path) -> None:
    """Whoever takes one machine is not root on the others."""
    address = certified("arm-1").address
    stolen = tmp_path / "fleet" / "servers" / "arm-1.example"
    builder = f"{{address: '{address}', tls: {stolen}, platforms: [linux/amd64]}}"
    setting = f"  platforms: [linux/amd64]\n  builders:\n    arm-1: {builder}\n"
    project.write("FROM busybox:stable\n", setting)
    done = project.run("release")
    assert (1, []) == (done.status, done.out)
    assert "refuses our certificate" in done.err.splitlines()[-1]


def test_release_needs_no_docker_and_no_client(project: Project, local: Callable[..., Builder], tmp_path: Path) -> None:
    """BuildKit's client comes out of the layers of its image."""
    here = local("here")
    project.write(
        "FROM busybox:stable\nRUN uname -m\n",
        f"  platforms: [linux/amd64]\n  builders:\n    here: {{address: '{here.address}'}}\n",
    )
    text = (project.path / "invoke.yaml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("  dest:")]
    lines.append("  buildkit_image: 127.0.0.1:5055/moby/buildkit:v0.32.2")
    (project.path / "invoke.yaml").write_text("\n".join(lines) + "\n")
    done = project.run("release", XDG_CACHE_HOME=str(tmp_path / "cache"), PATH="/usr/bin:/bin")
    assert (0, [f"{project.image}:latest@{published(project)}"]) == (done.status, done.out), done.err
    assert "no Docker host answers: taking buildctl for linux/amd64 out of the layers of 127.0.0.1:5055/" in done.err
    assert (tmp_path / "cache/multiarch/buildctl/v0.32.2/buildctl").is_file()

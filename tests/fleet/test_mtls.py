"""Builders over mTLS: a release to published tags, what crosses the network, and each fault of a certificate."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.fleet.certificates import Authority
from tests.fleet.parts import Forwarder, commands_of, published, wait_until
from tests.logins import directories_with

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fleet.parts import Builder, Project, Result

    Start = Callable[..., Builder]

DOCKERFILE = "FROM busybox:stable\nCOPY Dockerfile /\nRUN --mount=type=secret,id=token test -s /run/secrets/token\n"
ALIKE = "  reproducible: true\n  platforms: [linux/amd64, linux/386]\n  secrets: {token: 'env:TOKEN'}\n"
SECRET = "a-secret-that-nobody-reads"
PEM = ("ca", "cert", "key")


def builders(address: str, tls: str) -> str:
    """Return the setting of one builder."""
    return f"  builders:\n    arm-1: {{address: '{address}', tls: {tls}}}\n"


def test_release_over_mtls_has_the_digests_of_a_local_one(
    project: Project, local: Start, secured: Start, client: Path
) -> None:
    """The same images, whatever lies between."""
    here, there = local("here"), secured("there")
    digests = []
    for setting in (builders(there.address, str(client)), f"  builders:\n    here: {{address: '{here.address}'}}\n"):
        project.write(DOCKERFILE, ALIKE + setting)
        os.utime(project.path / "Dockerfile", (1_700_000_000, 1_700_000_000))
        result = project.run("release", TOKEN=SECRET, SOURCE_DATE_EPOCH="1700000000")
        assert 0 == result.status, result.err
        digests.append(published(project))
    assert digests[0] == digests[1] != ""


def test_no_secret_crosses_the_network_in_the_clear(project: Project, secured: Start, client: Path) -> None:
    """Recorded between buildctl and the builder; the name of the secret would be in the clear without TLS too."""
    there = secured("there")
    port = int(there.address.rpartition(":")[2])
    forwarder = Forwarder(("127.0.0.1", port))
    project.write(DOCKERFILE, ALIKE + builders(f"tcp://{forwarder.address}", str(client)))
    result = project.run("release", TOKEN=SECRET, SOURCE_DATE_EPOCH="1700000000")
    forwarder.end()
    assert 0 == result.status, result.err
    assert (True, False, False) == (
        len(forwarder.text) > 10_000,
        SECRET.encode() in forwarder.text,
        b"busybox" in forwarder.text,
    )


def test_recording_sees_what_is_in_the_clear(project: Project, local: Start, tmp_path: Path) -> None:
    """What the test above rests on: without TLS, which is refused but to this machine, the secret is there."""
    from tests.fleet.parts import Builder, free_port

    plain = Builder(tmp_path / "plain", f"tcp://127.0.0.1:{free_port()}").start()
    forwarder = Forwarder(("127.0.0.1", int(plain.address.rpartition(":")[2])))
    project.write(DOCKERFILE, ALIKE + f"  builders:\n    plain: {{address: 'tcp://{forwarder.address}'}}\n")
    result = project.run("release", TOKEN=SECRET, SOURCE_DATE_EPOCH="1700000000")
    forwarder.end()
    plain.end()
    assert (0, True) == (result.status, SECRET.encode() in forwarder.text), result.err


def test_certificates_out_of_variables_are_gone_with_the_run(project: Project, secured: Start, client: Path) -> None:
    """In a directory of this user alone, also where a signal ends the run."""
    there = secured("there")
    variables = {f"FLEET_{name.upper()}": (client / f"{name}.pem").read_text() for name in PEM}
    settings = "  platforms: [linux/amd64]\n" + builders(there.address, "env:FLEET")
    project.write("FROM busybox:stable\nRUN sleep 6 && true\n", settings)
    run = project.begin("release", **variables)
    wait_until(lambda: bool(commands_of("sleep 6 &&")), "the RUN")
    key = variables["FLEET_KEY"]
    (directory,) = directories_with(key)
    assert (0o700, {"ca.pem": 0o600, "cert.pem": 0o600, "key.pem": 0o600}) == (
        directory.stat().st_mode & 0o777,
        {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()},
    )
    run.send_signal(signal.SIGTERM)
    assert 143 == project.end(run).status
    assert [] == directories_with(key)
    project.write("FROM busybox:stable\n", settings)
    result = project.end(project.begin("release", **variables))
    assert (0, []) == (result.status, directories_with(key)), result.err
    missing = project.end(project.begin("release", **{**variables, "FLEET_KEY": ""}))
    problem = "FLEET_KEY is not set: it is to hold what fleet-certs wrote into key.pem"
    assert (1, [f"multiarch.builders.arm-1.tls: {problem}"]) == (missing.status, missing.err.splitlines())


@pytest.fixture
def faults(tmp_path: Path, authority: Authority) -> dict[str, Path]:
    """Certificates that are wrong, each in its way."""
    other = Authority("another CA")
    return {
        "expired": authority.make(tmp_path / "expired", days=-2),
        "of another CA": other.make(tmp_path / "refused", ca=authority.certificate),
        "for another CA": other.make(tmp_path / "other"),
        "good": authority.make(tmp_path / "good"),
    }


def only_line(result: Result, beginning: str) -> str:
    """Check that a run printed nothing but one line, which begins so; return the line."""
    (line,) = result.err.splitlines()
    assert (1, [], beginning) == (result.status, result.out, line[: len(beginning)])
    return line


REFUSED = "refuses our certificate: it is of another CA or expired; renew it with fleet-certs, and restart buildkitd, "
REFUSED += "which does not reload its own"


@pytest.mark.parametrize(
    ("hosts", "days", "ours", "expected"),
    [
        (("127.0.0.1",), 9, "expired", f" {REFUSED}"),
        (("127.0.0.1",), 9, "of another CA", f" {REFUSED}"),
        (("127.0.0.1",), 9, "for another CA", ": its certificate is of another CA than "),
        (("127.0.0.1",), 9, "", " speaks TLS, and is spoken to without: add tls: DIR (fleet-certs makes one)"),
        (("127.0.0.1",), -2, "good", ": its certificate has expired; renew it with fleet-certs, and restart"),
        (("box.example",), 9, "good", ": its certificate is for other names, not 127.0.0.1; make one with fleet-certs"),
        (("10.0.0.9",), 9, "good", ": its certificate is for 10.0.0.9, not 127.0.0.1; make one with fleet-certs"),
    ],
)
def test_fault_of_a_certificate_is_told_at_once(
    project: Project,
    secured: Start,
    faults: dict[str, Path],
    hosts: tuple[str, ...],
    days: int,
    ours: str,
    expected: str,
) -> None:
    """One line with builder, cause and remedy; nothing is retried, and nothing is built."""
    there = secured("there", hosts, days)
    setting = f"  builders:\n    arm-1: {{address: '{there.address}', platforms: [linux/amd64]"
    project.write(
        "FROM scratch\n", f"  platforms: [linux/amd64]\n{setting}{f', tls: {faults[ours]}' if ours else ''}}}\n"
    )
    result = project.run("release", seconds=25)
    only_line(result, f"builder arm-1 ({there.address}){expected}")


@pytest.mark.parametrize(("ours", "expected"), [("expired", f" {REFUSED}"), ("", " does not answer: ")])
def test_builder_that_says_no_platforms_is_named_where_there_is_no_docker_host(
    project: Project, secured: Start, faults: dict[str, Path], ours: str, expected: str
) -> None:
    """What it would have is not known; that nothing else could build it either is not what is to be mended."""
    there = secured("there")
    if not ours:
        there.kill()
    project.write(
        "FROM scratch\n", "  platforms: [linux/amd64]\n" + builders(there.address, str(faults[ours or "good"]))
    )
    result = project.run("release", seconds=25)
    line = only_line(result, f"builder arm-1 ({there.address}){expected}")
    assert line.endswith(REFUSED if ours else "; is it running, and its address right?")


def test_name_in_the_certificate_may_be_given(project: Project, secured: Start, client: Path) -> None:
    """As --tlsservername."""
    there = secured("there", ("box.example",))
    tls = f"{{directory: {client}, name: box.example}}"
    project.write("FROM busybox:stable\n", "  platforms: [linux/amd64]\n" + builders(there.address, tls))
    result = project.run("release")
    assert 0 == result.status, result.err


def test_plain_server_that_is_to_speak_tls(project: Project, client: Path, tmp_path: Path) -> None:
    """The other way round: what has no TLS is not taken for what has it."""
    from tests.fleet.parts import Builder, free_port

    plain = Builder(tmp_path / "plain", f"tcp://127.0.0.1:{free_port()}").start()
    setting = f"  builders:\n    arm-1: {{address: '{plain.address}', platforms: [linux/amd64], tls: {client}}}\n"
    project.write("FROM scratch\n", "  platforms: [linux/amd64]\n" + setting)
    result = project.run("release", seconds=25)
    plain.end()
    problem = "speaks no TLS: start its buildkitd with certificates (fleet-certs makes them)"
    assert [f"builder arm-1 ({plain.address}) {problem}"] == result.err.splitlines()

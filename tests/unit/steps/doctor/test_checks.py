"""What single checks make of what they are told, by others and by this machine."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from email.utils import formatdate
from pathlib import Path

import pytest

from multiarch.config.load import load
from multiarch.config.project import Project
from multiarch.display.progress import Progress
from multiarch.docker_info import HostInfo
from multiarch.image.manifest import OCI_INDEX
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from multiarch.run import Run
from multiarch.steps.doctor import base_images, clock, disk, docker, proxies, rate_limit
from multiarch.steps.doctor.builders import offers
from multiarch.steps.doctor.client import Version, parse_version, read_version
from multiarch.steps.doctor.emulators import of_platform
from multiarch.steps.doctor.finding import State
from multiarch.steps.doctor.lint import read_warnings
from multiarch.steps.doctor.programs import Outcome
from multiarch.steps.doctor.remote_images import Place, RemoteImages, Whereabouts
from multiarch.steps.doctor.trials import Trial
from multiarch.steps.setup_binfmt import Emulator
from tests.unit.registry_server import RegistryServer, Reply, refusal

ARM64, AMD64, RISCV = map(Platform.parse, ("linux/arm64", "linux/amd64", "linux/riscv64"))
HEAD = "HEAD /v2/ratelimitpreview/test/manifests/latest"


def registry_of(server: RegistryServer) -> Registry:
    """Return a client that does not retry."""
    return Registry(server.host, Policy(seconds=0), print)


@pytest.mark.parametrize(
    ("reply", "state", "words"),
    [
        (Reply(headers={"ratelimit-remaining": "76;w=21600"}), State.OK, "76 pulls are left at {host} within 6 h"),
        (Reply(headers={"RateLimit-Remaining": "19"}), State.WARNING, "19 pulls are left at {host}, and"),
        (Reply(headers={"ratelimit-remaining": "3;w=21600"}), State.FAILURE, "base images need 4"),
        (Reply(), State.OK, "{host} tells of no limit"),
        (Reply(headers={"ratelimit-remaining": "many"}), State.UNKNOWN, "does not say how many pulls are left"),
        (refusal(429, "TOOMANYREQUESTS"), State.FAILURE, "{host} allows no more pulls for now"),
        (refusal(401, "UNAUTHORIZED"), State.UNKNOWN, "the registry answered 401"),
    ],
)
def test_the_rate_limit_is_what_the_head_says(server: RegistryServer, reply: Reply, state: State, words: str) -> None:
    """Docker Hub's headers, told by a HEAD that does not count; what is odd is not known."""
    server.table[HEAD] = [reply]
    found = rate_limit.of_registry(registry_of(server), 4)
    assert (state, {HEAD}) == (found.state, set(server.asked))
    assert words.format(host=server.host) in found.message


@pytest.mark.parametrize(
    ("version", "state"),
    [("20.10.24+dfsg1", State.OK), ("28.2.2", State.OK), ("19.03.15", State.WARNING), ("", State.UNKNOWN)],
)
def test_docker_is_not_older_than_what_is_tested(version: str, state: State) -> None:
    """Podman has versions of its own."""
    assert state is docker.of_info(HostInfo("x86_64", version=version)).state
    assert State.OK is docker.of_info(HostInfo("x86_64", version="4.3.1", is_podman=True)).state


@pytest.mark.parametrize(
    ("ahead", "state"),
    [(0, State.OK), (-50, State.OK), (90, State.WARNING), (-90, State.WARNING), (400, State.FAILURE)],
)
def test_clocks_are_compared(ahead: float, state: State) -> None:
    """In the form of HTTP, and in that of Docker with its nanoseconds and its zone."""
    there = time.time() + ahead
    docker_says = datetime.fromtimestamp(there, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f789Z")
    assert (state, state) == (
        clock.of_registry("a.b", formatdate(there, usegmt=True)).state,
        clock.of_host(docker_says).state,
    )


@pytest.mark.parametrize("text", ["", "yesterday", "Mon, 99 Nov 99999999999 00:00:00 GMT", "2026-99-01T00:00:00Z"])
def test_no_time_is_unknown(text: str) -> None:
    """Whatever stands in its place."""
    assert (State.UNKNOWN, State.UNKNOWN) == (clock.of_registry("a.b", text).state, clock.of_host(text).state)


def test_a_directory_that_cannot_be_seen_says_nothing(tmp_path: Path) -> None:
    """Neither one that is not there, nor one on no disk."""
    assert [None, None] == [disk.of_directory(tmp_path / "nowhere"), disk.of_directory(Path("/proc/self"))]


def test_builds_do_not_get_the_proxies_of_this_machine() -> None:
    """Unless Docker's configuration has them too."""
    here = {"HTTPS_PROXY": "http://proxy:3128"}
    (found,) = proxies.of_configuration(here, {}, [])
    assert "HTTPS_PROXY is set here, and neither BuildKit nor the builds get it" == found.message
    assert [] == list(proxies.of_configuration(here, here, []))
    (withheld,) = proxies.of_configuration(here, here, ["HTTP_PROXY"])
    assert "HTTP_PROXY of Docker's config.json holds a user, so builds do not get it" == withheld.message


ENTRY = Emulator("qemu-aarch64", True, "POCF", 0, b"\x7fELF", b"\xff" * 4)


@pytest.mark.parametrize(
    ("flags", "trial", "knows_age", "state"),
    [
        ("POCF", Trial(Outcome.RUNS), True, State.OK),
        ("POCF", Trial(Outcome.OLD), True, State.WARNING),
        ("POCF", Trial(Outcome.OLD), False, State.OK),
        ("POCF", Trial(Outcome.FAILS, "x"), True, State.FAILURE),
        ("POC", Trial(Outcome.FAILS, "x"), True, State.WARNING),
    ],
)
def test_an_emulator_is_what_its_trial_says(flags: str, trial: Trial, knows_age: bool, state: State) -> None:
    """A kernel without the system call tells nothing of an emulator's age."""
    entry = Emulator(ENTRY.name, True, flags, 0, ENTRY.magic, ENTRY.mask)
    assert state is of_platform(ARM64, entry, trial, knows_age=knows_age).state


def test_a_version_is_read_where_there_is_one() -> None:
    """As `buildctl debug info` prints it, with or without a v."""
    assert Version(0, 32, 2) == read_version("BuildKit: github.com/moby/buildkit v0.32.2 27a0\n")
    assert [None, None, None] == [read_version(""), read_version("BuildKit: x unknown y"), parse_version("unknown")]
    assert (True, False) == (Version(0, 9, 1).is_before(0, 13), Version(0, 13, 0).is_before(0, 13))


@pytest.mark.parametrize(
    ("offered", "wanted", "expected"),
    [
        (["linux/amd64", "linux/arm64"], "linux/arm64", True),
        (["linux/amd64"], "linux/arm64", False),
        (["linux/amd64", "linux/amd64/v2"], "linux/386", True),
        (["linux/arm64"], "linux/arm/v7", None),
        (["linux/arm64", "linux/arm/v7"], "linux/arm/v6", True),
        (["linux/arm/v6"], "linux/arm/v7", False),
        (["linux/amd64"], "windows/amd64", False),
    ],
)
def test_a_builder_offers_what_it_lists(offered: list[str], wanted: str, expected: bool | None) -> None:
    """BuildKit leaves arm out of a list that has arm64: then nobody knows."""
    assert expected is offers([Platform.parse(text) for text in offered], Platform.parse(wanted))


def test_warnings_of_buildkit_are_lines() -> None:
    """With file, line, rule and address; those without a place too. What is no warning is none."""
    text = (
        "\nWARNING: A - https://x/a/\nIt's \x1b[1mbad\nDockerfile:12\n------\n   1 | WARNING: no\n------\n"
        "\nWARNING: B\nAll of it\n"
    )
    assert [
        ("Dockerfile:12: It's bad (A)", "see https://x/a/"),
        ("All of it (B)", "correct it there"),
    ] == [(found.message, found.remedy) for found in read_warnings(text)]
    assert 50 == len(list(read_warnings("WARNING: A\nb\n" * 90)))


@pytest.mark.parametrize(
    ("platforms", "is_index", "wanted", "state"),
    [
        (["linux/arm64"], True, "linux/arm64", State.OK),
        (["linux/arm/v6"], True, "linux/arm/v7", State.OK),
        (["linux/arm/v7"], True, "linux/arm/v6", State.FAILURE),
        (["linux/386"], True, "linux/amd64", State.OK),
        (["linux/amd64/v3"], True, "linux/amd64", State.FAILURE),
        (["windows/amd64"], True, "linux/amd64", State.FAILURE),
        (["linux/amd64"], False, "linux/arm64", State.WARNING),
        ([], True, "linux/arm64", State.FAILURE),
    ],
)
def test_a_base_image_serves_a_platform(platforms: list[str], is_index: bool, wanted: str, state: State) -> None:
    """As containerd chooses: an earlier variant does; an image that is no index is taken for any."""
    place = Place(Whereabouts.THERE, "sha256:" + "0" * 64, tuple(map(Platform.parse, platforms)), is_index)
    reference = ImageReference.parse("a.b/c:1")
    (found,) = base_images.of_image(reference, {Platform.parse(wanted): "Dockerfile:1"}, place)
    assert state is found.state


def test_an_image_is_looked_for_at_its_registry(server: RegistryServer) -> None:
    """An index tells its platforms, an image its own by its config; what is malformed is not known."""
    config = server.hold_blob("c", b'{"os": "linux", "architecture": "arm64"}')
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 40}
    image = server.hold_manifest("c", "1", {"schemaVersion": 2, "config": described, "layers": []})
    entries = [{**image, "platform": {"os": "linux", "architecture": "riscv64"}}]
    server.hold_manifest("c", "latest", {"schemaVersion": 2, "manifests": entries}, OCI_INDEX)
    server.hold_manifest("c", "bad", {"schemaVersion": 2, "manifests": "x", "mediaType": OCI_INDEX}, OCI_INDEX)
    settings = load({"platforms": ["linux/amd64"], "retry_seconds": 0}, {"BUILDKIT_HOST": "tcp://127.0.0.1:1"}, {})
    images = RemoteImages(Run(Project.of(settings), Progress()))
    found = [images.find_image(f"{server.host}/c{end}") for end in (":1", "", ":bad", ":none", ":1:2")]
    states = [Whereabouts.THERE] * 2 + [Whereabouts.UNKNOWN, Whereabouts.MISSING, Whereabouts.UNKNOWN]
    assert (states, (ARM64,), (RISCV,)) == ([place.state for place in found], found[0].platforms, found[1].platforms)
    assert (image["digest"], [False, True]) == (found[0].digest, [place.is_index for place in found[:2]])

"""Docker's answers about itself and its containers: what is read, and whatever else comes."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from multiarch.buildkit.schedule import default_jobs
from multiarch.buildkit.server import wanted
from multiarch.config.load import load
from multiarch.docker_info import read_container, read_info
from tests.exhaustive.fuzz.limits import bounded, fuzz

SETTINGS = load({"platforms": ["arm64"], "image": "a/b"}, {}, {})
NUMBERS = some.integers() | some.floats() | some.booleans() | some.just(10**400)
SCALARS = some.none() | some.text(max_size=40) | NUMBERS | some.just("x" * 100_000)
VALUES = some.recursive(
    SCALARS,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
HOSTS = some.sampled_from(["docker.io", "127.0.0.1:5001", "[::1]:5", 'odd "name"', "\x1b]52;", "a\nb", "😀"])
URLS = some.sampled_from(["http://127.0.0.1:5055/", "https://m/a/b/", "://", "", "\n"])
INDEX = some.fixed_dictionaries(
    {}, optional={"Mirrors": some.lists(URLS, max_size=3) | VALUES, "Secure": some.booleans() | VALUES}
)
NETWORKS = some.sampled_from(["127.0.0.0/8", "::1/128", "10.0.0.1/8", "999.1.1.1/8", "::/129", "x" * 5000])
REGISTRIES = some.fixed_dictionaries(
    {},
    optional={
        "IndexConfigs": some.dictionaries(HOSTS, INDEX | VALUES, max_size=3) | VALUES,
        "InsecureRegistryCIDRs": some.lists(NETWORKS | VALUES, max_size=3) | VALUES,
    },
)
INFO = some.fixed_dictionaries(
    {"Architecture": some.sampled_from(["x86_64", "aarch64", "vax", ""]) | VALUES},
    optional={
        "OperatingSystem": VALUES,
        "NCPU": NUMBERS | VALUES,
        "MemTotal": NUMBERS | VALUES,
        "RegistryConfig": REGISTRIES | VALUES,
        "SecurityOptions": some.lists(some.text(max_size=20), max_size=3) | VALUES,
    },
)
LABELS = some.dictionaries(
    some.sampled_from(["multiarch.platforms", "multiarch.tcp", "multiarch.network", "multiarch.configuration", "x"]),
    some.sampled_from(["linux/arm64,linux/s390x", "bridge", "host", "127.0.0.1:1", ",,/", "linux/arm/v²"]) | VALUES,
)
CONTAINER = some.fixed_dictionaries(
    {
        "Id": some.just("c1") | VALUES,
        "State": some.fixed_dictionaries({"Status": some.just("running") | VALUES}, optional={"ExitCode": VALUES}),
        "Config": some.fixed_dictionaries({"Labels": LABELS | VALUES}) | VALUES,
    },
    optional={"Name": VALUES, "RestartCount": VALUES, "Mounts": some.lists(VALUES, max_size=3) | VALUES},
)


@fuzz
@given(INFO | VALUES)
def test_info_is_read_or_refused(answer: Any) -> None:
    """A refusal is a ValueError, which becomes an error of ours; what is read is all that a server is made of."""
    with bounded():
        try:
            info = read_info(answer)
        except ValueError as error:
            assert 1 == len(str(error).splitlines())
            return
        assert default_jobs(info) >= 4
        server = wanted(SETTINGS, info, local=True)
        assert all(isinstance(word, str) for word in server.command())
        if sys.version_info >= (3, 11):
            import tomllib

            tomllib.loads(server.toml())


@fuzz
@given(CONTAINER | VALUES)
def test_container_is_read_or_refused(answer: Any) -> None:
    """And what its labels say of a server is compared, and taken over, without an error."""
    server = wanted(
        load({"platforms": ["arm64"], "image": "a/b"}, {}, {}), read_info({"Architecture": "x86_64"}), local=True
    )
    with bounded():
        try:
            container = read_container(answer)
        except ValueError as error:
            assert 1 == len(str(error).splitlines())
            return
        labels = container["Config"]["Labels"]
        server.serves(labels, "sha256:1")
        assert server.replacing(labels).command()

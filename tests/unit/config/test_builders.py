"""Builders elsewhere: what the settings say of them, and what is said of settings that are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from multiarch.config.builders import TLS, Pods
from multiarch.config.load import load
from multiarch.config.project import load_project
from multiarch.errors import ConfigurationError

ARM = {"address": "ssh://build@arm-2"}
FAR = "tcp://arm-1.example:1234"
CLEAR = "secrets and credentials would cross the network in the clear"
REMEDY = "add tls: DIR (fleet-certs makes one), use ssh://, or write tls: none"
ELSEWHERE = "name it in multiarch.builders with tls: DIR (fleet-certs makes one) or tls: none, or use ssh://"
NAMES = "letters, digits, '.', '_' and '-', at most 63"


def read(builders: dict[str, Any], *platforms: Any, **more: Any) -> Any:
    """Return the settings of these builders, for arm64 where no platforms are given."""
    return load({"image": "a/b", "builders": builders, "platforms": list(platforms) or ["arm64"], **more}, {}, {})


def test_builders_are_read_in_the_order_of_preference(monkeypatch: pytest.MonkeyPatch) -> None:
    """With platforms in any spelling, a home directory as a shell finds it, and four slots where none are given."""
    monkeypatch.setenv("HOME", "/home/me")
    settings = read(
        {
            "arm-1": {"address": FAR, "platforms": ["aarch64", "armhf"], "tls": "~/fleet"},
            "arm-2": {**ARM, "platforms": "linux/arm64, linux/arm/v7", "jobs": 2},
            "z": {"pods": {"selector": "app=buildkit-s390x", "namespace": "builders", "context": "prod"}},
            "plain": {"address": FAR, "tls": "none"},
            "ci": {"address": FAR, "tls": {"directory": "env:FLEET", "name": "arm.example"}},
        }
    )
    one, two, pool, plain, ci = settings.builder.remote
    assert (FAR, ["linux/arm64", "linux/arm/v7"], TLS(directory="/home/me/fleet"), 4) == (
        one.address,
        list(map(str, one.platforms)),
        one.tls,
        one.jobs,
    )
    assert (["linux/arm64", "linux/arm/v7"], 2, None) == (list(map(str, two.platforms)), two.jobs, two.tls)
    assert (Pods("app=buildkit-s390x", "builders", "prod"), "", ()) == (pool.pods, pool.address, pool.platforms)
    assert (None, TLS(variables="FLEET", name="arm.example")) == (plain.tls, ci.tls)
    assert ["arm-1", "arm-2", "z", "plain", "ci"] == [builder.name for builder in settings.matrix[0].builders]


def test_platform_names_its_builders() -> None:
    """By name, by address, or several; without a word of its own it has those that may have it."""
    settings = read(
        {"one": {**ARM, "platforms": ["arm64"]}, "two": {**ARM, "platforms": ["s390x"]}, "three": ARM},
        "arm64",
        "s390x",
        {"platform": "riscv64", "builder": "three"},
        {"platform": "ppc64le", "builder": ["three", "unix:///x"]},
        "amd64",
    )
    expected = [["one", "three"], ["two", "three"], ["three"], ["three", "unix:///x"], ["three"]]
    assert expected == [[builder.name for builder in entry.builders] for entry in settings.matrix]
    # What may be nobody's is prepared here, until its builder has said what it has.
    assert [False, False, False, False, True] == [entry.is_local for entry in settings.matrix]


def test_builders_hold_for_all_targets() -> None:
    """They are the project's; a platform of a target may name some of them."""
    project = load_project(
        {
            "image": "a/b",
            "builders": {"one": {**ARM, "platforms": ["arm64"]}, "two": ARM},
            "platforms": ["arm64"],
            "targets": {"x": {}, "y": {"tags": ["y"], "platforms": [{"platform": "arm64", "builder": "two"}]}},
        },
        {},
        {},
    )
    assert [["one", "two"], ["two"]] == [[builder.name for builder in entry.builders] for entry in project.matrix]


@pytest.mark.parametrize(
    ("builders", "expected"),
    [
        ({"arm-1": {"address": FAR}}, f"arm-1: {FAR} without tls: {CLEAR}; {REMEDY}"),
        ({"a/b": ARM}, f"multiarch.builders: 'a/b' is no name of a builder: {NAMES}"),
        ({"a": "ssh://x"}, "a: expected a mapping, got 'ssh://x'"),
        ({"a": {}}, "a: needs an address or pods, and not both"),
        ({"a": {**ARM, "pods": {"selector": "a=b"}}}, "a: needs an address or pods, and not both"),
        ({"a": {**ARM, "weight": 3}}, "a.weight: unknown setting; known: address, pods, platforms, tls, jobs"),
        ({"a": {**ARM, "job": 3}}, "a.job: unknown setting; did you mean jobs?"),
        ({"a": {**ARM, "jobs": 0}}, "a.jobs: expected a number of slots, 1 or more, got 0"),
        ({"a": {**ARM, "jobs": "two"}}, "a.jobs: expected int, got 'two'"),
        ({"a": {**ARM, "platforms": ["amr64"]}}, "a.platforms[0]: unknown platform 'amr64'; did you mean linux/arm64?"),
        ({"a": {**ARM, "tls": "x"}}, "a.tls: goes with tcp:// alone; other addresses are as safe as what they use"),
        (
            {"a": {"address": "tcp://box", "tls": "x"}},
            "a.address: 'tcp://box' needs a host and a port: tcp://HOST:1234",
        ),
        (
            {"a": {"address": FAR, "tls": "env:1"}},
            "a.tls: 'env:1' is no env:NAME, for the variables NAME_CA, NAME_CERT and NAME_KEY",
        ),
        ({"a": {"address": FAR, "tls": {"name": "x"}}}, "a.tls: needs directory"),
        (
            {"a": {"address": FAR, "tls": {"directory": "x", "name": "a b"}}},
            "a.tls.name: 'a b' is no name of a host, such as arm-1.example",
        ),
        ({"a": {"pods": {"namespace": "x"}}}, "a.pods: needs selector"),
        (
            {"a": {"pods": {"selector": "-l x"}}},
            "a.pods.selector: '-l x' is not a label selector, such as app=buildkit",
        ),
        (
            {"a": {"pods": {"selector": "a=b", "context": "--kubeconfig"}}},
            "a.pods.context: '--kubeconfig' is not a context of a kubeconfig (kubectl config get-contexts)",
        ),
    ],
)
def test_wrong_builder_is_told_with_its_key(builders: dict[str, Any], expected: str) -> None:
    """In one line: what is wrong, where, and what is allowed."""
    with pytest.raises(ConfigurationError) as caught:
        read(builders)
    assert (expected if expected.startswith("multiarch.") else f"multiarch.builders.{expected}") == str(caught.value)


@pytest.mark.parametrize(
    ("builder", "expected"),
    [
        (FAR, f"builder {FAR} without tls: {CLEAR}; {ELSEWHERE}"),
        ("two", "there is no builder 'two' in multiarch.builders; known: one, other"),
        (["one", "one"], "builder 'one' is given twice"),
        ("other", "builder other is for linux/s390x (multiarch.builders.other.platforms)"),
    ],
)
def test_wrong_builder_of_a_platform_is_told(builder: Any, expected: str) -> None:
    """With its place in the matrix."""
    with pytest.raises(ConfigurationError) as caught:
        read({"one": ARM, "other": {**ARM, "platforms": ["s390x"]}}, {"platform": "arm64", "builder": builder})
    assert f"multiarch.platforms[0]: {expected}" == str(caught.value)


def test_plain_text_in_the_environment_is_refused_too() -> None:
    """BUILDKIT_HOST says nothing of certificates; on this machine nothing crosses a network."""
    with pytest.raises(ConfigurationError) as caught:
        load({"image": "a/b"}, {"BUILDKIT_HOST": FAR}, {})
    assert f"BUILDKIT_HOST: builder {FAR} without tls: {CLEAR}; {ELSEWHERE}" == str(caught.value)
    for address in ("tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1", "ssh://box", "unix:///x"):
        assert address == load({"image": "a/b"}, {"BUILDKIT_HOST": address}, {}).builder.host


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("unix:///x", True),
        ("tcp://127.0.0.1:1", True),
        ("tcp://10.0.0.1:1", False),
        ("ssh://me@localhost", True),
        ("ssh://me@arm-2:22/x", False),
        ("kube-pod://x", False),
        ("docker-container://x", True),
        ("nerdctl-container://x", True),
    ],
)
def test_what_is_on_this_machine(address: str, expected: bool) -> None:
    """So that an image on the loopback interface can be pushed from there."""
    (builder,) = read({"a": {"address": address, **({"tls": "none"} if "10." in address else {})}}).builder.remote
    assert expected == builder.is_here

"""Kubernetes objects of builders, as they are printed; a real API server takes them in tests/fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from multiarch.config.load import load
from multiarch.docker_info import DaemonRegistry, HostInfo
from multiarch.errors import ConfigurationError, EmptyMatrixError, NoDockerError
from multiarch.fleet.deployment import manifest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.project import Project


def no_docker() -> HostInfo:
    """Answer as where there is no Docker host."""
    raise NoDockerError("unix:///nowhere/docker.sock", "no such socket")


def printed(
    settings: dict[str, Any], lines: list[str] | None = None, info: Any = no_docker
) -> dict[tuple[str, str], Any]:
    """Return the objects by kind and name."""
    text = manifest(
        load({"platforms": ["linux/amd64"], **settings}, {}, {}), info, ([] if lines is None else lines).append
    )
    return {(one["kind"], one["metadata"]["name"]): one for one in YAML(typ="safe").load_all(text)}


def pods(selector: str = "app=bk", **more: Any) -> dict[str, Any]:
    """Return settings of one pool of pods."""
    entry = {"pods": {"selector": selector, "namespace": "ci"}, "platforms": ["linux/s390x"], **more}
    return {"builders": {"z": entry}}


def test_each_architecture_has_a_stateful_set() -> None:
    """An arm64 builds 32-bit ARM, an amd64 386; and who has no builders yet is told of their settings."""
    lines: list[str] = []
    objects = printed({"platforms": ["linux/arm/v7", "linux/arm64", "linux/386", "linux/amd64", "s390x"]}, lines)
    assert ["buildkit-amd64", "buildkit-arm64", "buildkit-s390x"] == sorted(
        name for kind, name in objects if kind == "StatefulSet"
    )
    spec = objects["StatefulSet", "buildkit-arm64"]["spec"]["template"]["spec"]
    assert {"kubernetes.io/arch": "arm64"} == spec["nodeSelector"]
    assert (3600, False) == (spec["terminationGracePeriodSeconds"], spec["automountServiceAccountToken"])
    assert ["buildctl", "debug", "workers"] == spec["containers"][0]["readinessProbe"]["exec"]["command"]
    assert (
        "its entry of multiarch.builders is s390x: {pods: {selector: app=buildkit-s390x, namespace: builders}}" in lines
    )


def test_rights_are_those_that_buildctl_needs() -> None:
    """No object may be changed with them, and no other namespace seen."""
    objects = printed(pods())
    assert [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
    ] == objects["Role", "multiarch-builders"]["rules"]
    account = {"kind": "ServiceAccount", "name": "multiarch", "namespace": "ci"}
    assert [account] == objects["RoleBinding", "multiarch-builders"]["subjects"]
    assert [] == [kind for kind, _ in objects if kind.startswith("Cluster")]


def test_pods_have_the_labels_by_which_they_are_found() -> None:
    """And one of their architecture: StatefulSets that share labels would take each other's pods."""
    entry = pods("app=bk, tier==ci", platforms=["amd64", "arm64", "arm/v7"])
    objects = printed(entry)
    assert {("StatefulSet", "z-amd64"), ("StatefulSet", "z-arm64")} == {
        one for one in objects if one[0] == "StatefulSet"
    }
    expected = {"app": "bk", "tier": "ci", "architecture": "arm64"}
    spec = objects["StatefulSet", "z-arm64"]["spec"]
    assert (expected, expected) == (spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"])
    assert expected == objects["Service", "z-arm64"]["spec"]["selector"]


@pytest.mark.parametrize(("namespace", "made"), [("ci", True), ("default", False), ("kube-system", False)])
def test_namespace_of_all_is_not_changed(namespace: str, made: bool) -> None:
    """Its pods of others would be allowed more than before."""
    objects = printed(
        {"builders": {"z": {"pods": {"selector": "a=b", "namespace": namespace}, "platforms": ["s390x"]}}}
    )
    assert made == (("Namespace", namespace) in objects)
    assert {namespace} == {one["metadata"]["namespace"] for one in objects.values() if one["kind"] != "Namespace"}


def test_mirrors_are_those_of_docker_and_of_the_file(tmp_path: Path) -> None:
    """But for those on this machine's loopback, which pods have not: they would be asked first, and in vain."""
    (tmp_path / "toml").write_text('[registry."docker.io"]\nmirrors = ["10.1.1.1:5000"]\n')
    known = DaemonRegistry("docker.io", mirrors=("http://127.0.0.1:5055/", "http://mirror.example:80/"))
    lines: list[str] = []
    settings = {**pods(), "buildkitd_config": str(tmp_path / "toml")}
    objects = printed(settings, lines, lambda: HostInfo("x86_64", registries=(known,)))
    assert (
        '[registry."docker.io"]\nmirrors = [\n    "10.1.1.1:5000",\n    "mirror.example:80",\n]\n\n'
        '[registry."mirror.example:80"]\nhttp = true\n'
    ) == objects["ConfigMap", "buildkit"]["data"]["buildkitd.toml"]
    expected = "left out: mirror 127.0.0.1:5055 of docker.io is on this machine's loopback, which pods cannot reach"
    assert [expected] == lines


def test_other_configuration_is_another_pod(tmp_path: Path) -> None:
    """BuildKit does not read it again."""
    digests = set()
    for text in ("", "[worker.oci]\nmax-parallelism = 2\n"):
        (tmp_path / "toml").write_text(text)
        objects = printed({**pods(), "buildkitd_config": str(tmp_path / "toml")})
        digests.add(str(objects["StatefulSet", "z"]["spec"]["template"]["metadata"]["annotations"]))
    assert 2 == len(digests)


def test_certificates_are_beside_the_configuration_and_keys_are_refused(tmp_path: Path) -> None:
    """A ConfigMap is read by many, and the output goes into logs."""
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "toml").write_text('[registry."r.example"]\nca = ["ca.pem"]\n')
    settings = {**pods(), "buildkitd_config": str(tmp_path / "toml")}
    objects = printed(settings)
    (item,) = objects["StatefulSet", "z"]["spec"]["template"]["spec"]["volumes"][1]["configMap"]["items"][1:]
    assert f"/etc/buildkit/{item['path']}" in objects["ConfigMap", "buildkit"]["data"]["buildkitd.toml"]
    assert "-----BEGIN CERTIFICATE-----\n" == objects["ConfigMap", "buildkit"]["data"][item["key"]]
    (tmp_path / "ca.pem").write_text("-----BEGIN PRIVATE KEY-----\nhidden")
    with pytest.raises(
        ConfigurationError, match=r"^multiarch\.buildkitd_config: a registry has a client's key"
    ) as caught:
        printed(settings)
    assert "hidden" not in str(caught.value)


def test_container_has_what_the_settings_give_the_server() -> None:
    """But for a variable with a user in it: what is printed is no place for a password."""
    lines: list[str] = []
    settings = {**pods(), "entitlements": ["network.host"], "buildkitd_env": {"A": "1", "B": "http://me:pw@proxy"}}
    container = printed(settings, lines)["StatefulSet", "z"]["spec"]["template"]["spec"]["containers"][0]
    assert ("--allow-insecure-entitlement=network.host", [{"name": "A", "value": "1"}]) == (
        container["args"][-1],
        container["env"],
    )
    assert ["left out: B of buildkitd_env may hold a password, which is a Secret's to keep"] == lines


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (pods("app in (a, b)"), r"^multiarch\.builders\.z\.pods\.selector: 'app in \(a' is no label=value, "),
        (pods("!app"), r"^multiarch\.builders\.z\.pods\.selector: '!app' is no label=value, "),
        (pods(platforms=[]), r"^multiarch\.builders\.z: needs platforms, "),
        (pods(pods={"selector": "a=b"}), r"^multiarch\.builders\.z\.pods: needs a namespace, "),
        ({"builders": {**pods()["builders"], "Z": pods()["builders"]["z"]}}, r"^multiarch\.builders: two have names "),
    ],
)  # fmt: skip
def test_settings_that_say_too_little_are_one_line(settings: dict[str, Any], expected: str) -> None:
    """No object is printed that Kubernetes would refuse, or take for another."""
    with pytest.raises(ConfigurationError, match=expected):
        printed(settings)


def test_project_without_platforms_has_no_builders() -> None:
    """As of every step that works on platforms."""
    with pytest.raises(EmptyMatrixError):
        manifest(load({}, {}, {}), no_docker, print)


def test_task_prints_yaml_alone(project: Project) -> None:
    """So that it can be handed to kubectl."""
    project.write(invoke_yaml="multiarch: {platforms: [linux/s390x]}\n")
    done = project.invoke("fleet-pods")
    kinds = [one["kind"] for one in YAML(typ="safe").load_all("\n".join(done.out))]
    expected = ["Namespace", "ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Service", "StatefulSet"]
    assert (0, expected) == (done.status, kinds)

"""Settings: what is said of those that are wrong, always in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.load import load
from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

TAG_RULE = "(1 to 128 letters, digits, '_', '.', '-', not starting with '.' or '-')"
NAME_RULE = "(lower-case letters, digits, '.', '_', '-', '/')"
PRIVATE = "a directory of its own, without '..' and ':', and at most 107 bytes: unix:///DIR/buildkitd.sock"
ADDRESSES = "tcp://127.0.0.1:PORT, docker-container://buildkit, unix:///DIR/buildkitd.sock"
SCHEMES = "tcp://, unix://, docker-container://, ssh://, podman-container://, kube-pod://, npipe://, "
SCHEMES += "nerdctl-container://"
OF_AN_ENTRY = (
    "platform, context, contexts, dockerfile, target, build_args, builder, annotations, smoke, foreign, runner"
)


def complaint(
    configured: object = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> str:
    """Return what is said of settings that are wrong: always one line."""
    with pytest.raises(ConfigurationError) as caught:
        load(configured, environ or {}, flags or {})
    assert 1 == len(str(caught.value).splitlines())
    return str(caught.value)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"platforms": ["linux/amr64"]}, "platforms[0]: unknown platform 'linux/amr64'; did you mean linux/arm64?"),
        ({"platforms": ["amd64", "arm/v9"]}, "platforms[1]: unknown variant 'v9' of linux/arm (known: v5, v6, v7, v8)"),
        (
            {"platforms": ["linux/arm", {"platform": "linux/arm/v7"}]},
            "platforms[1]: 'linux/arm' and 'linux/arm/v7' are the same platform, linux/arm/v7",
        ),
        (
            {"image": ["a/b", "some/a pp"]},
            f"image[1]: invalid repository in image reference 'some/a pp' {NAME_RULE}",
        ),
        ({"image": "a/b:1"}, "image[0]: 'a/b:1' must not have a tag or digest: tags go into multiarch.tags"),
        ({"image": "a/b,docker.io/a/b"}, "image: 'docker.io/a/b' is given twice"),
        (
            {"tags": ["a", "-b"]},
            f"tags[1]: invalid tag '-b' {TAG_RULE}",
        ),
        ({"tags": ["a", "a"]}, "tags: 'a' is given twice"),
        ({"tags": []}, "tags: needs at least one tag"),
        ({"frontend": "docker"}, "frontend: 'docker' is none of dockerfile.v0, gateway.v0"),
        (
            {"frontend": "gateway.v0"},
            "frontend: gateway.v0 needs the image of a frontend: --source docker/dockerfile:1",
        ),
        ({"source": "docker/dockerfile:1"}, "source: only goes with --frontend gateway.v0"),
        ({"output": "tar"}, "output: 'tar' is none of image, none, docker, oci,dest=FILE, local,dest=DIR"),
        (
            {"output": "oci,file=x"},
            "output: 'oci,file=x' is none of image, none, docker, oci,dest=FILE, local,dest=DIR",
        ),
        ({"output": "oci"}, "output: oci needs a place to write to: oci,dest=PATH"),
        ({"output": "local,"}, "output: 'local,' is none of image, none, docker, oci,dest=FILE, local,dest=DIR"),
        ({"output": "image,dest=x"}, "output: image is pushed to a registry and takes no dest"),
        (
            {"address": "tcp://0.0.0.0:1234"},
            "address: 'tcp://0.0.0.0:1234' would give root to whoever reaches it; use tcp://127.0.0.1:1234",
        ),
        (
            {"address": "tcp://build.example.com:9"},
            "address: 'tcp://build.example.com:9' would give root to whoever reaches it; use tcp://127.0.0.1:9",
        ),
        ({"address": "tcp://127.0.0.1"}, "address: 'tcp://127.0.0.1' needs a host and a port: tcp://127.0.0.1:1234"),
        (
            {"address": "tcp://127.0.0.1:70000"},
            "address: 'tcp://127.0.0.1:70000' needs a host and a port: tcp://127.0.0.1:1234",
        ),
        (
            {"address": "tcp://127.0.0.1:\N{SUPERSCRIPT TWO}"},
            "address: 'tcp://127.0.0.1:\N{SUPERSCRIPT TWO}' needs a host and a port: tcp://127.0.0.1:1234",
        ),
        *(
            ({"address": address}, f"address: {address!r} needs {PRIVATE}")
            for address in (
                "unix:///buildkitd.sock",
                "unix:////buildkitd.sock",
                "unix:///home/me/../../buildkitd.sock",
                "unix:///home/me:/etc/buildkitd.sock",
                "unix:///home/me\n/buildkitd.sock",
                f"unix:///{'x' * 107}/buildkitd.sock",
            )
        ),
        (
            {"address": "unix://run/buildkitd.sock"},
            f"address: 'unix://run/buildkitd.sock' is none of {ADDRESSES}",
        ),
        (
            {"address": "docker-container://other"},
            f"address: 'docker-container://other' is none of {ADDRESSES}",
        ),
        (
            {"platforms": [{"platform": "arm64", "builder": "arm-box"}]},
            f"platforms[0]: builder 'arm-box' does not start with one of {SCHEMES}",
        ),
        ({"retry_seconds": -1}, "retry_seconds: expected seconds, 0 or more, got -1.0"),
        ({"smoke_seconds": 0}, "smoke_seconds: expected seconds, more than 0, got 0.0"),
        ({"cache": "s3"}, "cache: 's3' is none of none, registry, local, inline, gha"),
        ({"smoke_tmpfs": ["run"]}, "smoke_tmpfs[0]: 'run' is no absolute path of a directory below the root"),
        ({"smoke_tmpfs": ["/a", "/b:/c"]}, "smoke_tmpfs[1]: '/b:/c' is no absolute path of a directory below the root"),
        ({"smoke_capabilities": ["-x"]}, "smoke_capabilities[0]: '-X' is no capability, such as NET_BIND_SERVICE"),
        ({"smoke_user": "a b"}, "smoke_user: 'a b' is no user, such as 1000 or 1000:1000"),
        (
            {"smoke_env": {"A=": "b"}},
            "smoke_env: the name 'A=' of a variable holds =, which ends a name; choose another",
        ),
        (
            {"foreign": ["opt"], "platforms": ["arm64"]},
            "foreign: 'opt' is no absolute path of a program or a directory below the root",
        ),
        ({"cache_image": "r.lan/c"}, "cache_image: only goes with cache: registry, not with none"),
        (
            {"cache": "registry", "cache_image": "r.lan/c:x"},
            "cache_image: 'r.lan/c:x' must not have a tag or digest: each platform's has its own tag",
        ),
        ({"secrets": {"a": "env:A", "token": "hunter2"}}, "secrets.token: expected env:NAME or file:PATH"),
        ({"secrets": {"token": "env:"}}, "secrets.token: expected env:NAME or file:PATH"),
        ({"ssh": ["default", "~/.ssh/id"]}, "ssh[1]: '~/.ssh/id' is neither default nor ID=PATH, of a socket or a key"),
        ({"ssh": ["git="]}, "ssh[0]: 'git=' is neither default nor ID=PATH, of a socket or a key"),
        ({"ssh": ["git=a,b"]}, "ssh[0]: 'git=a,b' is neither default nor ID=PATH, of a socket or a key"),
        ({"ssh": ["default", "default=x"]}, "ssh[1]: 'default' is given twice"),
        (
            {"tags": ["a", "{x}"]},
            "tags[1]: '{x}': unknown {x} (known: branch, tag, sha, semver, version, major, minor)",
        ),
        ({"version_tag": "v1"}, "version_tag: 'v1' must hold {version} once, such as app-v{version}"),
        ({"branches": ["main", "rel/*"]}, "branches[1]: 'rel/*' is no plain name of a branch, such as main"),
        (
            {"platforms": [{"platform": "arm64", "runner": {"jenkins": "x"}}]},
            "platforms[0]: runner of 'jenkins': known are travis, github, gitlab, circleci",
        ),
        ({"arch_tag": "{tag"}, "arch_tag: '{tag': expected '}' before end of string"),
        ({"arch_tag": "{arch}"}, "arch_tag: '{arch}': unknown {arch} (known: tag, platform, architecture, build)"),
        (
            {"arch_tag": "{tag}-{build}"},
            "arch_tag: '{tag}-{build}' uses {build}, and multiarch.build (INVOKE_MULTIARCH_BUILD) is not set",
        ),
        (
            {"arch_tag": "{tag}-{architecture}", "platforms": ["arm/v6", "arm/v7"]},
            "arch_tag: '{tag}-{architecture}' gives linux/arm/v7 the tag of linux/arm/v6: latest-arm",
        ),
        (
            {"arch_tag": "{tag}", "platforms": ["arm64"]},
            "arch_tag: '{tag}' gives linux/arm64 the tag of the published tag: latest",
        ),
        (
            {"arch_tag": "{tag}/{platform}", "platforms": ["arm64"]},
            f"arch_tag: invalid tag 'latest/arm64' {TAG_RULE}",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_key_and_what_is_allowed(block: dict[str, Any], expected: str) -> None:
    """One line: the key of invoke.yaml, the value, and what it may be."""
    assert f"multiarch.{expected}" == complaint(block)


@pytest.mark.parametrize(
    ("block", "where"),
    [
        ({"build_args": {1: "x"}}, "multiarch.build_args"),
        ({"labels": {True: "x"}}, "multiarch.labels"),
        ({1: "x"}, "multiarch"),
        ({"platforms": [{1: "x"}]}, "multiarch.platforms[0]"),
    ],
)
def test_a_name_that_is_no_text_is_told(block: dict[Any, Any], where: str) -> None:
    """YAML reads 1 and ON as something else than text."""
    message = complaint(block)
    assert f"{where}: expected text as a name: quote it" == message


@pytest.mark.parametrize("template", ["{tag:d}-{platform}", "{tag!x}-{platform}"])
def test_a_template_that_cannot_be_filled_is_told(template: str) -> None:
    """Whatever str.format would refuse is refused as a setting."""
    message = complaint({"arch_tag": template, "platforms": ["arm64"]})
    assert [True, True] == [message.startswith("multiarch.arch_tag: "), repr(template) in message]


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_patience_is_a_finite_number(seconds: float) -> None:
    """YAML's .nan and .inf, which would never end, are refused."""
    assert complaint({"retry_seconds": seconds}).startswith("multiarch.retry_seconds: ")


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"tags": 1.0}, "tags: expected a list, got 1.0 (quote it: '1.0')"),
        ({"tags": ["a", 2]}, "tags[1]: expected text, got 2 (quote it: '2')"),
        ({"tags": None}, "tags: expected a list, got None"),
        ({"image": {"name": "a"}}, "image: expected a list, got {'name': 'a'}"),
        ({"platforms": {"platform": "arm64"}}, "platforms: expected a list, got {'platform': 'arm64'}"),
        ({"platforms": [["arm64"]]}, "platforms[0]: expected a mapping, got ['arm64']"),
        ({"platforms": [{"platform": 386}]}, "platforms[0].platform: expected text, got 386 (quote it: '386')"),
        ({"platforms": [{"platform": "arm64", "target": ["x"]}]}, "platforms[0].target: expected text, got ['x']"),
        ({"context": ["."]}, "context: expected text, got ['.']"),
        ({"build": 77}, "build: expected text, got 77 (quote it: '77')"),
        ({"recreate": "yes"}, "recreate: expected true or false, got 'yes'"),
        ({"recreate": 1}, "recreate: expected true or false, got 1"),
        ({"retry_seconds": "60"}, "retry_seconds: expected a number, got '60'"),
        ({"build_args": ["A=1"]}, "build_args: expected a mapping, got ['A=1']"),
        ({"build_args": "A=1"}, "build_args: expected a mapping, got 'A=1'"),
        ({"labels": {"a": 1}}, "labels.a: expected text, got 1 (quote it: '1')"),
        ({"smoke": "uname -m"}, "smoke: expected a list, got 'uname -m'"),
        ({"smoke": ["sleep", 1]}, "smoke[1]: expected text, got 1 (quote it: '1')"),
        ({"platforms": [{"platform": "arm64", "smoke": "x"}]}, "platforms[0].smoke: expected a list, got 'x'"),
        ({"smoke_seconds": "9"}, "smoke_seconds: expected a number, got '9'"),
        ({"no_cache": "yes"}, "no_cache: expected true or false, got 'yes'"),
        ({"pull": 1}, "pull: expected true or false, got 1"),
        ({"ssh": {"default": ""}}, "ssh: expected a list, got {'default': ''}"),
        # Who misunderstands where a secret goes must not find it in a log.
        ({"secrets": {"pin": 4711}}, "secrets.pin: expected text"),
        ({"secrets": {"token": {"value": "hunter2"}}}, "secrets.token: expected text"),
        ({"secrets": ["token=hunter2"]}, "secrets: expected a mapping"),
    ],
)
def test_a_wrong_type_is_told_with_what_is_expected(block: dict[str, Any], expected: str) -> None:
    """The path of the value, the type it should have, the value; where quotes make it right, that too."""
    assert f"multiarch.{expected}" == complaint(block)


@pytest.mark.parametrize(
    ("block", "where"),
    [
        ({"build_args": {"GO": "1.22", "PYTHON": 3.1}}, "multiarch.build_args"),
        (
            {"platforms": [{"platform": "arm64", "build_args": {"GO": "1.22", "PYTHON": 3.1}}]},
            "multiarch.platforms[0].build_args",
        ),
    ],
)
def test_a_build_argument_that_is_no_text_is_named(block: dict[str, Any], where: str) -> None:
    """Of several arguments the wrong one is named, with the quotes that it lacks."""
    assert f"{where}.PYTHON: expected text, got 3.1 (quote it: '3.1')" == complaint(block)


def test_an_entry_without_its_platform_is_told() -> None:
    """An entry of the matrix needs its platform."""
    message = complaint({"platforms": ["amd64", {"dockerfile": "D"}]})
    assert [True] * 3 == [part in message for part in ("multiarch.platforms[1]: ", "platform", "{'dockerfile': 'D'}")]


@pytest.mark.parametrize("configured", ["text", ["list"], 7, True])
def test_a_block_that_is_no_mapping_is_told(configured: object) -> None:
    """`multiarch:` must hold settings."""
    assert f"multiarch: expected a mapping of settings, got {configured!r}" == complaint(configured)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"platfroms": []}, "multiarch.platfroms: unknown setting; did you mean platforms?"),
        ({"tag": "x"}, "multiarch.tag: unknown setting; did you mean tags?"),
        (
            {"platforms": [{"platform": "arm64", "dockerfil": "x"}]},
            "multiarch.platforms[0].dockerfil: unknown setting; did you mean dockerfile?",
        ),
        (
            {"platforms": [{"platform": "arm64", "zzz": "x"}]},
            f"multiarch.platforms[0].zzz: unknown setting; known: {OF_AN_ENTRY}",
        ),
        # A name that is a setting elsewhere is unknown here.
        (
            {"image": "c", "platforms": ["amd64", {"platform": "arm64", "image": "x"}]},
            f"multiarch.platforms[1].image: unknown setting; known: {OF_AN_ENTRY}",
        ),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest(block: dict[str, Any], expected: str) -> None:
    """Where it stands, and the nearest known name, else all of them."""
    assert expected == complaint(block)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"INVOKE_MULTIARCH_TAGS": "a,-b"}, "INVOKE_MULTIARCH_TAGS: invalid tag '-b' ("),
        ({"INVOKE_MULTIARCH_TAGS": ","}, "INVOKE_MULTIARCH_TAGS: needs at least one tag"),
        ({"INVOKE_MULTIARCH_PLATFORMS": "linux/amr64"}, "INVOKE_MULTIARCH_PLATFORMS: unknown platform 'linux/amr64'; "),
        ({"INVOKE_MULTIARCH_RECREATE": "maybe"}, "INVOKE_MULTIARCH_RECREATE: expected true or false, got 'maybe'"),
        ({"INVOKE_MULTIARCH_RETRY_SECONDS": "ten"}, "INVOKE_MULTIARCH_RETRY_SECONDS: expected a number, got 'ten'"),
        (
            {"INVOKE_MULTIARCH_RETRY_SECONDS": "-1"},
            "INVOKE_MULTIARCH_RETRY_SECONDS: expected seconds, 0 or more, got -1.0",
        ),
        ({"INVOKE_MULTIARCH_BUILD_ARGS": "A=1"}, "INVOKE_MULTIARCH_BUILD_ARGS: expected a mapping, got 'A=1'"),
        ({"INVOKE_MULTIARCH_SECRETS": "token=hunter2"}, "INVOKE_MULTIARCH_SECRETS: expected a mapping"),
        ({"INVOKE_MULTIARCH_SSH": "default,x"}, "INVOKE_MULTIARCH_SSH: 'x' is neither default nor ID=PATH"),
        (
            {"INVOKE_MULTIARCH_CACHE": "s3"},
            "INVOKE_MULTIARCH_CACHE: 's3' is none of none, registry, local, inline, gha",
        ),
        ({"INVOKE_MULTIARCH_TAG": "x"}, "INVOKE_MULTIARCH_TAG: unknown setting; did you mean tags?"),
        ({"INVOKE_MULTIARCH_OUTPUT": "tar"}, "INVOKE_MULTIARCH_OUTPUT: 'tar' is none of "),
        ({"BUILDKIT_HOST": "127.0.0.1:1234"}, "BUILDKIT_HOST: builder '127.0.0.1:1234' does not start with one of "),
    ],
)
def test_a_wrong_variable_is_named(environ: dict[str, str], expected: str) -> None:
    """The line names the variable, also where the file sets the same setting."""
    said = complaint({"tags": ["fine"], "platforms": ["arm64"]}, environ)
    assert (True, False) == (said.startswith(expected), "hunter2" in said)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"tags": ["-b"]}, "--tag: invalid tag '-b' ("),
        ({"image": ["a b"]}, "--image: invalid repository in image reference 'a b' ("),
        ({"platforms": ["linux/amr64"]}, "--platform: unknown platform 'linux/amr64'; did you mean linux/arm64?"),
        ({"platforms": ["s390x"]}, "--platform: linux/s390x is not in the matrix (linux/amd64, linux/arm64)"),
        ({"platforms": ["arm64", "aarch64"]}, "--platform: linux/arm64 is given twice"),
        ({"address": "0.0.0.0:1"}, "--address: '0.0.0.0:1' is none of "),
        ({"output": "tar"}, "--output: 'tar' is none of "),
        ({"frontend": "x"}, "--frontend: 'x' is none of dockerfile.v0, gateway.v0"),
        ({"source": "x"}, "--source: only goes with --frontend gateway.v0"),
    ],
)
def test_a_wrong_flag_is_named(flags: dict[str, Any], expected: str) -> None:
    """The line names the flag, also where a variable sets the same setting."""
    assert complaint({"platforms": ["amd64", "arm64"]}, {"INVOKE_MULTIARCH_TAGS": "x"}, flags).startswith(expected)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"labels": {"a=b": "c"}}, "labels: the name 'a=b' of a label holds =, which ends a name; choose another"),
        ({"labels": {"": "c"}}, "labels: the name '' of a label is empty; choose another"),
        (
            {"annotations": {"a\nb": "c"}},
            (
                r"annotations: the name 'a\nb' of an annotation holds a line break or another control character;"
                " choose another"
            ),
        ),
        (
            {"build_args": {"A=B": "c"}},
            "build_args: the name 'A=B' of a build argument holds =, which ends a name; choose another",
        ),
        (
            {"platforms": [{"platform": "arm64", "build_args": {"A=": "c"}}]},
            "platforms[0]: the name 'A=' of a build argument holds =, which ends a name; choose another",
        ),
    ],
)
def test_a_name_that_would_end_elsewhere_is_refused(block: dict[str, Any], expected: str) -> None:
    """``{"a=b": "c"}`` and ``{"a": "b=c"}`` would be the same label."""
    assert f"multiarch.{expected}" == complaint(block)


@pytest.mark.parametrize("block", [{"dest": "nul\0"}, {"labels": {"a": "\0"}}, {"tags": ["\0"]}, {"platforms": ["\0"]}])
def test_a_nul_is_refused(block: dict[str, Any]) -> None:
    """No word of a command and no name of a file can hold one."""
    assert "multiarch: a text in it has a NUL, which no command can be given; remove it" == complaint(block)

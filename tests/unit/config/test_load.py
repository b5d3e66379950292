"""Settings: which layer wins, and what everything means."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.load import load
from multiarch.config.push import Push
from multiarch.config.server_settings import EmbeddedRegistry
from multiarch.config.settings import CacheKind, Output, OutputKind, Secret, SecretKind
from multiarch.errors import EmptyMatrixError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.settings import Settings

HERE = Path("/somewhere/Some_Server 2")


def read(
    configured: object = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Load settings in the directory HERE."""
    return load(configured, environ or {}, flags or {}, directory=HERE)


TRAVIS = {"TRAVIS": "true", "TRAVIS_BUILD_NUMBER": "7", "TRAVIS_COMMIT": "c0", "TRAVIS_BRANCH": "main"}


# In a CI.


def test_a_build_has_staging_tags_of_its_own() -> None:
    """The number of the build is in them, unless arch_tag is set; a number that is set wins over the CI's."""
    environs: list[dict[str, str]] = [{}, TRAVIS, TRAVIS | {"INVOKE_MULTIARCH_BUILD": "8"}]
    staged = []
    for environ in environs:
        settings = read({"platforms": ["arm64"]}, environ)
        staged.append(settings.matrix[0].staging.tag)
    assert ["latest-arm64", "latest-7-arm64", "latest-8-arm64"] == staged
    (entry,) = read({"arch_tag": "{tag}-{platform}", "platforms": ["arm64"]}, TRAVIS).matrix
    assert "latest-arm64" == entry.staging.tag


def test_a_build_tells_its_commit() -> None:
    """In labels and annotations; what is set there wins."""
    key = "org.opencontainers.image.revision"
    settings = read({"labels": {"a": "b"}, "annotations": {key: "mine"}}, TRAVIS)
    assert ({key: "c0", "a": "b"}, {key: "mine"}) == (settings.build.labels, settings.publish.annotations)
    assert ({}, {}) == (read().build.labels, read().publish.annotations)


def test_a_pull_request_is_not_pushed() -> None:
    """Unless it is asked for; and no tag has to apply to it."""
    request = TRAVIS | {"TRAVIS_PULL_REQUEST": "3"}
    settings = read({"tags": ["{semver}"]}, request)
    assert Push(wanted=False, withheld="of a pull request", untagged=settings.publish.push.untagged) == (
        settings.publish.push
    )
    assert OutputKind.NONE == settings.build.output.kind
    assert OutputKind.IMAGE == read({}, request, {"output": "image"}).build.output.kind


def test_no_tag_applies() -> None:
    """In a CI there is nothing to push then; elsewhere what pushes says so, and nothing else does."""
    why = "none of {semver}, {tag} applies to what is checked out (main, no tag)"
    block = {"tags": ["{semver}", "{tag}"]}
    in_ci = read(block, TRAVIS)
    error = f"multiarch.tags: {why}; add one that does"
    assert (OutputKind.NONE, Push(wanted=False, withheld=why, untagged=error)) == (
        in_ci.build.output.kind,
        in_ci.publish.push,
    )
    asked = read(block, TRAVIS, {"output": "image"})
    assert Push(wanted=True, withheld=why, untagged=error) == asked.publish.push
    here = read(block)
    assert (True, "") == (here.publish.push.wanted, here.publish.push.withheld)
    assert here.publish.push.untagged.startswith("multiarch.tags: none of")


def test_tags_that_apply() -> None:
    """Templates are filled in from what the CI tells; those that do not apply are left out."""
    tags = ["{branch}", "{semver}", "{sha}", "latest if any"]
    assert ("main", "c0", "latest") == read({"tags": tags}, TRAVIS).publish.tags
    released = TRAVIS | {"TRAVIS_TAG": "v1.4.2"}
    assert ("1.4.2", "c0", "latest") == read({"tags": tags}, released).publish.tags


def test_a_machine_for_all_cis_or_for_each() -> None:
    """``runner`` names the native machine of a platform."""
    names = {"github": "ubuntu-24.04-arm", "travis": "arm64-graviton2"}
    platforms = [{"platform": "arm64", "runner": names}, {"platform": "riscv64", "runner": "ours"}, "amd64"]
    assert [names, dict.fromkeys(("travis", "github", "gitlab", "circleci"), "ours"), {}] == [
        target.runners for target in read({"platforms": platforms}).matrix
    ]


# Defaults.


def test_defaults() -> None:
    """With nothing said: the embedded registry under the directory's name, the tag latest, no platform."""
    settings = read()
    assert ["127.0.0.1:5001/some-server-2"] == [str(image) for image in settings.publish.images]
    assert EmbeddedRegistry("multiarch-registry", 5001, "registry:2") == settings.publish.embedded
    assert (("latest",), ()) == (settings.publish.tags, settings.matrix)
    assert ("dockerfile.v0", None) == (settings.build.frontend, settings.build.source)
    assert Output(OutputKind.IMAGE) == settings.build.output
    assert (None, None, False) == (settings.builder.host, settings.builder.address, settings.builder.recreate)
    assert 180.0 == settings.retry_seconds
    assert (CacheKind.NONE, {}, {}, {}) == (
        settings.build.cache,
        settings.build.secrets,
        settings.build.ssh,
        settings.build.labels,
    )
    assert (False, False, 60.0) == (settings.build.no_cache, settings.build.pull, settings.publish.smoke.seconds)


@pytest.mark.parametrize(
    ("directory", "name"), [("my.App", "my-app"), ("__x__", "x"), ("ÄÖ", "app"), ("a--b", "a-b"), ("2", "2")]
)
def test_a_directory_gives_a_valid_repository(directory: str, name: str) -> None:
    """Whatever the directory is called, its name makes a repository."""
    settings = load({}, {}, {}, directory=Path("/x") / directory)
    assert f"127.0.0.1:5001/{name}" == str(settings.publish.images[0])


def test_the_working_directory_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a directory given, the working directory's name is the repository's."""
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    assert "127.0.0.1:5001/shop" == str(load({}, {}, {}).publish.images[0])


def test_an_empty_block_is_no_block() -> None:
    """`multiarch:` with nothing below it is None, and means the defaults."""
    assert read({}) == read(None)


# Layers.

SETTING = [
    ("tags", ["y"], "e", ["f"], "latest", ("publish.tags", ("y",), ("e",), ("f",))),
    ("frontend", *["dockerfile.v0"] * 4, ("build.frontend", *["dockerfile.v0"] * 3)),
    ("installer", "y", "e", "f", "tonistiigi/binfmt", ("builder.installer", "y", "e", "f")),
    ("dest", "y", "e", "f", None, ("builder.dest", "y", "e", "f")),
    ("retry_seconds", 1, "2", 3.0, 180.0, ("retry_seconds", 1.0, 2.0, 3.0)),
    ("recreate", False, "true", True, False, ("builder.recreate", False, True, True)),
    ("no_cache", False, "true", True, False, ("build.no_cache", False, True, True)),
    ("pull", False, "true", True, False, ("build.pull", False, True, True)),
    (
        "cache",
        "local",
        "inline",
        "registry",
        "none",
        ("build.cache", CacheKind.LOCAL, CacheKind.INLINE, CacheKind.REGISTRY),
    ),
    ("smoke_seconds", 1, "2.5", 3.0, 60.0, ("publish.smoke.seconds", 1.0, 2.5, 3.0)),
]


@pytest.mark.parametrize(("name", "yaml", "variable", "flag", "default", "expected"), SETTING)
def test_flags_beat_variables_beat_the_file_beats_defaults(
    name: str, yaml: Any, variable: str, flag: Any, default: Any, expected: tuple[str, Any, Any, Any]
) -> None:
    """Each layer replaces the setting of the weaker ones."""
    path, by_file, by_variable, by_flag = expected
    value = attrgetter(path)
    environ = {f"INVOKE_MULTIARCH_{name.upper()}": variable}
    assert by_file == value(read({name: yaml}))
    assert by_variable == value(read({name: yaml}, environ))
    assert by_flag == value(read({name: yaml}, environ, {name: flag}))
    assert by_flag == value(read({}, {}, {name: flag}))


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_a_flag_that_was_not_given_changes_nothing(nothing: Any) -> None:
    """None and empty lists stand for flags that were not given."""
    flags = {"tags": nothing, "image": nothing, "platforms": nothing, "context": nothing}
    configured = {"tags": ["y"], "image": "a/b", "platforms": ["arm64"], "context": "c"}
    assert read(configured) == read(configured, {}, flags)


def test_a_list_is_replaced_not_joined() -> None:
    """A stronger layer's list takes the place of the weaker one."""
    configured = {"image": ["a/b", "c/d"], "tags": ["1", "2"], "platforms": ["amd64", "arm64"]}
    environ = {"INVOKE_MULTIARCH_TAGS": "3, 4", "INVOKE_MULTIARCH_PLATFORMS": "s390x,riscv64"}
    settings = read(configured, environ, {"image": ["e/f"]})
    assert ["docker.io/e/f"] == [str(image) for image in settings.publish.images]
    assert ("3", "4") == settings.publish.tags
    assert ["linux/s390x", "linux/riscv64"] == [str(platform) for platform in settings.platforms]


def test_lists_may_be_comma_strings() -> None:
    """What is a list may be written as text with commas, in the file too."""
    as_text = {"image": "a/b, c/d", "tags": "1,2", "platforms": "amd64, arm64"}
    as_lists = {"image": ["a/b", "c/d"], "tags": ["1", "2"], "platforms": ["amd64", "arm64"]}
    assert read(as_lists) == read(as_text)


@pytest.mark.parametrize(
    ("text", "expected"), [("false", False), ("0", False), ("true", True), ("1", True), ("False", False)]
)
def test_a_variable_is_read_as_the_type_of_its_setting(text: str, expected: bool) -> None:
    """`false` in a variable is false, which Invoke alone would call true."""
    assert expected == read({}, {"INVOKE_MULTIARCH_RECREATE": text}).builder.recreate


@pytest.mark.parametrize("text", ["null", "none", "true", "1"])
def test_a_variable_of_text_is_taken_as_it_is(text: str) -> None:
    """A stage may have any name, also one that YAML would read as something else."""
    environ = {"INVOKE_MULTIARCH_TARGET": text, "INVOKE_MULTIARCH_PLATFORMS": "arm64"}
    assert text == read({}, environ).matrix[0].stage


def test_variables_of_other_programs_are_ignored() -> None:
    """INVOKE_ variables that are not ours, and ours without a prefix, mean nothing."""
    assert read() == read({}, {"INVOKE_TASKS_X": "1", "MULTIARCH_TAGS": "x", "PATH": "y", "TAGS": "z"})


def test_buildkit_host_is_a_setting_of_its_own() -> None:
    """BUILDKIT_HOST is taken over; an empty one is none."""
    assert "tcp://127.0.0.1:1" == read({}, {"BUILDKIT_HOST": "tcp://127.0.0.1:1"}).builder.host
    assert read({}, {"BUILDKIT_HOST": ""}).builder.host is None


# The matrix.


def test_a_platform_overrides_what_holds_for_all() -> None:
    """Dockerfile and target are replaced by a platform's own, build arguments are joined; a builder is its own."""
    settings = read(
        {
            "dockerfile": "D",
            "target": "t",
            "build_args": {"A": "1", "B": "1"},
            "platforms": [
                "amd64",
                {
                    "platform": "armhf",
                    "dockerfile": "D.armhf",
                    "target": "u",
                    "build_args": {"B": "2", "C": "2"},
                    "builder": "ssh://arm-box",
                },
            ],
        }
    )
    plain, own = settings.matrix
    assert ("linux/amd64", "D", "t", {"A": "1", "B": "1"}, []) == (
        str(plain.platform),
        plain.dockerfile,
        plain.stage,
        plain.build_args,
        [builder.address for builder in plain.builders],
    )
    assert ("linux/arm/v7", "D.armhf", "u", {"A": "1", "B": "2", "C": "2"}, ["ssh://arm-box"]) == (
        str(own.platform),
        own.dockerfile,
        own.stage,
        own.build_args,
        [builder.address for builder in own.builders],
    )
    assert ["linux/amd64"] == [str(platform) for platform in settings.local_platforms]


def test_a_platform_is_tried_with_its_own_words() -> None:
    """Its own command replaces the one for all, an empty one switches it off; a flag's platform has the one for all."""
    platforms = ["amd64", {"platform": "arm64", "smoke": ["true"]}, {"platform": "armhf", "smoke": []}]
    settings = read({"smoke": ["uname", "-m"], "platforms": platforms})
    assert [("uname", "-m"), ("true",), ()] == [target.smoke for target in settings.matrix]
    assert ("uname", "-m") == read({"smoke": ["uname", "-m"]}, {}, {"platforms": ["s390x"]}).matrix[0].smoke


def test_what_the_docker_host_runs() -> None:
    """What it builds; what another builder has built is tried there."""
    away = {"builder": "ssh://box"}
    settings = read(
        {"platforms": ["amd64", {"platform": "arm64", **away}, {"platform": "armhf", **away, "smoke": ["true"]}]}
    )
    assert ["linux/amd64"] == [str(platform) for platform in settings.local_platforms]
    assert (False, True) == (settings.tries_images, read({"smoke": ["true"], "platforms": ["amd64"]}).tries_images)


def test_where_secrets_and_keys_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """As BuildKit's client is told; a home directory is found as a shell would."""
    monkeypatch.setenv("HOME", "/home/me")
    settings = read(
        {
            "secrets": {"token": "env:TOKEN", "npmrc": "file:~/.npmrc", "odd": "file:a:b"},
            "ssh": ["default", "git=~/.ssh/id"],
        }
    )
    assert {
        "token": Secret(SecretKind.VARIABLE, "TOKEN"),
        "npmrc": Secret(SecretKind.FILE, "/home/me/.npmrc"),
        "odd": Secret(SecretKind.FILE, "a:b"),
    } == settings.build.secrets
    assert {"default": "", "git": "/home/me/.ssh/id"} == settings.build.ssh
    assert {"default": "", "a": "b"} == read({"ssh": "default, a=b"}).build.ssh


def test_platform_narrows_the_matrix() -> None:
    """--platform keeps a platform's own entry, in the order of the flags."""
    configured = {"platforms": ["amd64", {"platform": "arm64", "target": "t"}, "armhf"]}
    settings = read(configured, {}, {"platforms": ["armhf", "aarch64"]})
    assert [("linux/arm/v7", None), ("linux/arm64", "t")] == [(str(t.platform), t.stage) for t in settings.matrix]


def test_platform_is_the_matrix_when_there_is_none() -> None:
    """Without a configured matrix any platform may be asked for, and takes what holds for all."""
    settings = read({"target": "t", "build_args": {"A": "1"}}, {}, {"platforms": ["s390x"]})
    assert [("linux/s390x", "t", {"A": "1"})] == [(str(t.platform), t.stage, t.build_args) for t in settings.matrix]


@pytest.mark.parametrize("property_", ["platforms", "local_platforms"])
def test_an_empty_matrix_is_told_when_it_is_needed(property_: str) -> None:
    """Settings without a platform are fine until a step works on them."""
    settings = read({"platforms": []})
    with pytest.raises(EmptyMatrixError, match=r"multiarch\.platforms \(invoke\.yaml\) or pass --platform linux/arm64"):
        getattr(settings, property_)


@pytest.mark.parametrize(
    ("block", "platform", "expected"),
    [
        ({}, "arm64", "latest-arm64"),
        ({}, "armhf", "latest-arm-v7"),
        ({"tags": ["2", "latest"]}, "amd64", "2-amd64"),
        ({"arch_tag": "{tag}-{architecture}"}, "armhf", "latest-arm"),
        ({"arch_tag": "{tag}-{platform}-{build}", "build": "77"}, "arm64", "latest-arm64-77"),
    ],
)
def test_where_an_image_waits(block: dict[str, Any], platform: str, expected: str) -> None:
    """The staging tag follows the template; the first tag counts."""
    settings = read({"image": "a/b", "platforms": [platform], **block})
    assert f"docker.io/a/b:{expected}" == str(settings.matrix[0].staging)


def test_gateway_and_outputs_are_accepted() -> None:
    """What the design allows is read: a gateway with its source, and each kind of output."""
    gateway = read({"frontend": "gateway.v0", "source": "docker/dockerfile:1"})
    assert ("gateway.v0", "docker/dockerfile:1") == (gateway.build.frontend, gateway.build.source)
    for text, expected in {
        "image": Output(OutputKind.IMAGE),
        "oci,dest=out/x.tar": Output(OutputKind.OCI, "out/x.tar"),
        "local,dest=a,b": Output(OutputKind.LOCAL, "a,b"),
    }.items():
        assert expected == read({"output": text}).build.output


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:1234",
        "tcp://localhost:1",
        "tcp://[::1]:65535",
        "docker-container://buildkit",
        "unix:///a/buildkitd.sock",
    ],
)
def test_private_addresses_are_accepted(address: str) -> None:
    """Loopback, the container, and a socket by an absolute path."""
    assert address == read({"address": address}).builder.address

"""Targets: what is built, under which names and tags, and the errors of what cannot be."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.project import load_project
from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from multiarch.config.project import Project

PAIR: dict[str, Any] = {
    "image": "docker.io/someone/{target}",
    "tags": ["latest"],
    "platforms": ["linux/amd64", "linux/arm64"],
    "targets": {
        "app": {"context": "app", "contexts": {"base": "target:base"}},
        "worker": {"context": "worker", "contexts": {"base": "target:base"}, "platforms": ["linux/amd64"]},
        "base": {"context": "base", "tags": []},
    },
    "groups": {"default": ["app", "worker"]},
}
VERSIONS: list[dict[str, Any]] = [
    {"version": "1.27", "aliases": ["1.27.0", "1", ""]},
    {"version": "1.26", "aliases": ["1.26.7"]},
]
FLAVOURS: list[dict[str, Any]] = [
    {"flavour": "bookworm", "aliases": [""]},
    {"flavour": "alpine3.24", "aliases": ["alpine"]},
]
GRID: dict[str, Any] = {
    "image": "docker.io/someone/golang",
    "platforms": ["amd64", "arm64", "arm/v7", "386", "ppc64le", "s390x"],
    "targets": {
        "golang": {
            "context": "{version}/{flavour}",
            "tags": ["{version}-{flavour}"],
            "matrix": {"version": VERSIONS, "flavour": FLAVOURS},
        }
    },
}


def read(block: dict[str, Any], **flags: Any) -> Project:
    """Load a project in a directory of no name that matters."""
    return load_project(block, {}, flags, directory=Path("/somewhere/project"))


def test_a_base_comes_before_what_is_built_on_it() -> None:
    """Whatever the order in which they are written; it is built, and has no tag."""
    project = read(PAIR)
    assert ["base", "app", "worker"] == [target.name for target in project]
    assert [False, True, True] == [target.is_asked_for for target in project]
    assert [(), ("latest",), ("latest",)] == [target.settings.publish.tags for target in project]
    assert ["docker.io/someone/base", "docker.io/someone/app", "docker.io/someone/worker"] == [
        str(target.settings.publish.images[0]) for target in project
    ]
    assert {"base": "base"} == project.target("app").bases


def test_each_target_stages_and_caches_under_its_own_name() -> None:
    """Also in one repository."""
    block = PAIR | {"image": "docker.io/someone/all"}
    block["targets"] = {name: {**written, "tags": [name]} for name, written in PAIR["targets"].items()}
    staged = [str(entry.staging) for target in read(block, targets=["*"]) for entry in target.settings.matrix]
    assert len(staged) == len(set(staged)) == 5


@pytest.mark.parametrize(
    ("names", "platforms", "expected"),
    [
        (None, None, {"base": 2, "app": 2, "worker": 1}),
        (["worker"], None, {"base": 1, "worker": 1}),
        (["app"], ["linux/arm64"], {"base": 1, "app": 1}),
        (["*"], ["linux/arm64"], {"base": 1, "app": 1}),
        (["base"], None, {"base": 2}),
        (["[ab]*"], None, {"base": 2, "app": 2}),
    ],
)
def test_what_is_asked_for_and_what_it_is_built_on_is_built(
    names: list[str] | None, platforms: list[str] | None, expected: dict[str, int]
) -> None:
    """No target and no platform more."""
    project = read(PAIR, targets=names, platforms=platforms)
    assert expected == {target.name: len(target.settings.matrix) for target in project}


def test_a_base_of_one_platform_serves_all() -> None:
    """It is built where another platform is asked for, too."""
    block = PAIR | {"targets": {**PAIR["targets"], "base": {"tags": [], "platforms": ["amd64"]}}}
    project = read(block, targets=["app"], platforms=["arm64"])
    base, app = project
    assert ["linux/amd64"] == [str(platform) for platform in base.settings.platforms]
    assert base.settings.platforms[0] == app.base_platform(base, app.settings.platforms[0])


def test_a_matrix_gives_a_target_for_each_combination() -> None:
    """With a tag for each name of each value; the empty name goes with its separator."""
    project = read(GRID)
    assert {
        "golang-1.27-bookworm": "1.27-bookworm 1.27 1.27.0-bookworm 1.27.0 1-bookworm 1 bookworm latest",
        "golang-1.27-alpine3.24": (
            "1.27-alpine3.24 1.27-alpine 1.27.0-alpine3.24 1.27.0-alpine 1-alpine3.24 1-alpine alpine3.24 alpine"
        ),
        "golang-1.26-bookworm": "1.26-bookworm 1.26 1.26.7-bookworm 1.26.7",
        "golang-1.26-alpine3.24": "1.26-alpine3.24 1.26-alpine 1.26.7-alpine3.24 1.26.7-alpine",
    } == {target.name: " ".join(target.settings.publish.tags) for target in project}
    assert "1.26/alpine3.24" == project.target("golang-1.26-alpine3.24").settings.matrix[0].context.place


@pytest.mark.parametrize("order", list(permutations(["version", "flavour"])))
@pytest.mark.parametrize("excluded", [0, 1])
def test_the_tags_do_not_depend_on_the_order_of_the_axes(order: tuple[str, ...], excluded: int) -> None:
    """And what is excluded takes its own tags with it, and no others."""
    axes = {"version": VERSIONS, "flavour": FLAVOURS}
    exclude = [{"version": "1.26", "flavour": "alpine3.24"}][:excluded]
    golang = GRID["targets"]["golang"] | {"matrix": {name: axes[name] for name in order}, "exclude": exclude}
    project = read(GRID | {"targets": {"golang": golang}})
    assert 4 - excluded == len(project.targets)
    assert 24 - 4 * excluded == len({str(tag) for target in project for tag in target.settings.publish.references})


def test_platforms_of_axes_are_intersected() -> None:
    """In whichever of them they stand; other settings of a value replace."""
    versions = [{"version": "1", "platforms": ["amd64", "arm64"]}, {"version": "2", "smoke": ["two"]}]
    flavours = [{"flavour": "a", "platforms": ["arm64", "s390x"]}]
    golang = GRID["targets"]["golang"] | {"matrix": {"version": versions, "flavour": flavours}}
    project = read(GRID | {"targets": {"golang": golang}})
    assert [["linux/arm64"], ["linux/arm64", "linux/s390x"]] == [
        [str(platform) for platform in target.settings.platforms] for target in project
    ]
    assert [(), ("two",)] == [target.settings.matrix[0].smoke for target in project]


def test_flags_and_variables_hold_for_all_targets() -> None:
    """They are stronger than what a target says."""
    block = PAIR | {"targets": {**PAIR["targets"], "app": {**PAIR["targets"]["app"], "cache": "inline"}}}
    project = load_project(block, {"INVOKE_MULTIARCH_CACHE": "registry"}, {}, directory=Path("/somewhere"))
    assert {"registry"} == {target.settings.build.cache.value for target in project}


def test_braces_that_name_no_axis_stay_in_arguments() -> None:
    """A program of the image may want them."""
    golang = GRID["targets"]["golang"] | {"build_args": {"A": "{version} {other} {}"}, "labels": {"b": "{{x}}"}}
    settings = read(GRID | {"targets": {"golang": golang}}).targets[0].settings
    assert "1.27 {other} {}" == settings.matrix[0].build_args["A"]
    assert "{{x}}" == settings.build.labels["b"]


def pair(**changes: Any) -> dict[str, Any]:
    """Return the pair with changes of its targets."""
    return PAIR | {
        "targets": {name: {**PAIR["targets"].get(name, {}), **changes.get(name, {})} for name in PAIR["targets"]}
    }


def grid(**changes: Any) -> dict[str, Any]:
    """Return the grid with changes of its one target."""
    return GRID | {"targets": {"golang": {**GRID["targets"]["golang"], **changes}}}


@pytest.mark.parametrize(
    ("expected", "block"),
    [
        (
            "multiarch.targets.app.contexts.base: there is no target bas; did you mean base?",
            pair(app={"contexts": {"base": "target:bas"}}),
        ),
        (
            "multiarch.targets.a.contexts.x: a is built on b, and b on a",
            {
                "platforms": ["amd64"],
                "targets": {"a": {"contexts": {"x": "target:b"}}, "b": {"contexts": {"x": "target:a"}}},
            },
        ),
        (
            (
                "multiarch.targets.app: linux/riscv64 is not a platform of base (linux/amd64, linux/arm64),"
                " which it is built on"
            ),
            pair(app={"platforms": ["riscv64"]}),
        ),
        (
            (
                "multiarch.targets.golang: docker.io/someone/golang:1.27 is a tag of golang-1.27-bookworm and of"
                " golang-1.27-trixie"
            ),
            grid(matrix={"version": VERSIONS, "flavour": [FLAVOURS[0], {"flavour": "trixie", "aliases": [""]}]}),
        ),
        (
            "multiarch.image: app and worker both go to docker.io/someone/app:latest; use {target}, or other tags",
            pair() | {"image": "docker.io/someone/app"},
        ),
        (
            "multiarch.targets.golang.matrix.version[0]: expected text, got 1.2 (quote it: YAML reads 1.20 as 1.2)",
            grid(matrix={"version": [{"version": 1.20}]}),
        ),
        (
            "multiarch.targets.golang.matrix.tag: the name is taken by git's {tag}; call the axis otherwise",
            grid(matrix={"tag": [{"tag": "1"}]}),
        ),
        (
            "multiarch.targets.golang: golang-1.26-alpine3.24 has no platform in common; put it into exclude",
            grid(
                matrix={
                    "version": [VERSIONS[0], {**VERSIONS[1], "platforms": ["amd64"]}],
                    "flavour": [FLAVOURS[0], {**FLAVOURS[1], "platforms": ["arm64"]}],
                }
            ),
        ),
        (
            "multiarch.targets.golang.exclude[0]: flavour 'alpin' is none of bookworm, alpine3.24",
            grid(exclude=[{"flavour": "alpin"}]),
        ),
        (
            "multiarch.targets.golang.context: {flavor} is no axis; did you mean flavour?",
            grid(context="{version}/{flavor}"),
        ),
        ("multiarch.targets.app.jobs: is the project's; write multiarch.jobs", pair(app={"jobs": 2})),
        (
            "multiarch.targets.base: has no tags, and nothing is built on it",
            pair(app={"contexts": {}}, worker={"contexts": {}}),
        ),
        ("multiarch.groups.app: is a target's name too", PAIR | {"groups": {"app": ["worker"]}}),
        ("multiarch.targets.app.contxt: unknown setting; did you mean context?", pair(app={"contxt": "x"})),
        ("multiarch.targets.app.tags: expected a list, got {}", pair(app={"tags": {}})),
        ("multiarch.targets.app: expected a mapping of settings, got 'x'", PAIR | {"targets": {"app": "x"}}),
        ("multiarch.groups.default: expected a list of targets, got 'app'", PAIR | {"groups": {"default": "app"}}),
        ("multiarch.groups.default: there is no target ap; did you mean app?", PAIR | {"groups": {"default": ["ap"]}}),
        (
            "multiarch.targets.golang.matrix.flavour[0].smok: is no setting of a target; did you mean smoke?",
            grid(matrix={"version": VERSIONS, "flavour": [{"flavour": "a", "smok": ["x"]}]}),
        ),
        (
            "multiarch.targets.golang.matrix.flavour[0].dockerfile: is set by the axis version too",
            grid(
                matrix={
                    "version": [{"version": "1", "dockerfile": "a"}],
                    "flavour": [{"flavour": "a", "dockerfile": "b"}],
                }
            ),
        ),
        (
            (
                "multiarch.targets.x-b: the cache of x-b linux/amd64, h.io/x:buildcache-x-b-amd64, is a published tag"
                " too; call the target otherwise"
            ),
            {
                "image": "h.io/x",
                "cache": "registry",
                "platforms": ["amd64"],
                "targets": {"x": {"tags": ["buildcache-x-b-amd64"]}, "x-b": {"tags": ["1"]}},
            },
        ),
        (
            "multiarch.targets.golang: 'golang-1/2-a' cannot be a target's name: a value of its matrix does not fit",
            grid(matrix={"version": ["1/2"], "flavour": ["a"]}),
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(expected: str, block: dict[str, Any]) -> None:
    """With the key, and what is allowed."""
    with pytest.raises(ConfigurationError) as error:
        read(block)
    assert expected == str(error.value)


@pytest.mark.parametrize(
    ("expected", "flags"),
    [
        ("--target: there is no target workr; did you mean worker?", {"targets": ["workr"]}),
        ("--tag: with several targets say which: --target app", {"tags": ["x"]}),
        ("--context: with several targets say which: --target app", {"context": "x"}),
        (
            "--platform: linux/s390x is in no target's matrix (linux/amd64, linux/arm64)",
            {"targets": ["app"], "platforms": ["s390x"]},
        ),
    ],
)
def test_flags_that_do_not_fit_are_told(expected: str, flags: dict[str, Any]) -> None:
    """In one line."""
    with pytest.raises(ConfigurationError) as error:
        read(PAIR, **flags)
    assert expected == str(error.value)


@pytest.mark.parametrize(
    ("expected", "app"),
    [
        (
            "multiarch.targets.app.matrix.v[0].platforms: expected a list, got 3 (quote it: '3')",
            {"matrix": {"v": [{"v": "a", "platforms": 3}]}},
        ),
        (
            "multiarch.targets.app.matrix.v[0].platforms[0]: expected a mapping, got 3 (quote it: '3')",
            {"matrix": {"v": [{"v": "a", "platforms": [3]}]}},
        ),
        (
            "multiarch.targets.app.matrix.v[0].tags: expected a list, got 3 (quote it: '3')",
            {"matrix": {"v": [{"v": "a", "tags": 3}]}},
        ),
        ("multiarch.targets.app.matrix.v: expected a list, got 'a'", {"matrix": {"w": ["a"], "v": "a"}}),
        ("multiarch.targets.app.tags: expected a list, got None", {"tags": None}),
        ("multiarch.targets.app.platforms: expected a list, got None", {"platforms": None}),
    ],
)
def test_a_wrong_type_is_told_where_it_is(expected: str, app: dict[str, Any]) -> None:
    """Also in the values of an axis, before they are joined with anything."""
    with pytest.raises(ConfigurationError) as error:
        read({"platforms": ["linux/amd64"], "targets": {"app": app}})
    assert expected == str(error.value)


def test_what_multiplies_has_an_end() -> None:
    """A matrix, the aliases of a tag, and targets on each other are refused before they are all there."""
    digits = list("0123456789")
    axes = {f"axis{number}": digits for number in range(12)}
    aliases = {f"axis{number}": [{f"axis{number}": "", "aliases": digits}] for number in range(12)}
    tag = "".join(f"{{{axis}}}" for axis in aliases)
    chain = {f"t{number}": {"contexts": {"base": f"target:t{number + 1}"}} for number in range(900)}
    for expected, targets in {
        "multiarch.targets.app: its matrix has more than 100000 combinations": {"app": {"matrix": axes}},
        "multiarch.targets.app: there are more than 1000 targets": {"app": {"matrix": dict(list(axes.items())[:4])}},
        f"multiarch.targets.app.tags: '{tag}' becomes more than 1000 tags": {"app": {"matrix": aliases, "tags": [tag]}},
        "multiarch.targets.t101: more than 100 targets are built on each other": {**chain, "t900": {}},
    }.items():
        with pytest.raises(ConfigurationError) as error:
            read({"platforms": ["linux/amd64"], "targets": targets})
        assert str(error.value).startswith(expected)

"""What targets cannot be: one line each, status 1, and nothing is done before.

The sixteenth, a context that the Dockerfile does not name, is known to BuildKit alone; it is tested with that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.project import Project

PAIR = """\
multiarch:
  image: docker.io/someone/{target}
  tags: ["1.0", latest]
  platforms: [linux/amd64, linux/arm64]
  targets:
    base: {context: base, tags: []}
    app: {context: app, contexts: {base: "target:base"}}
    worker: {context: worker, contexts: {base: "target:base"}, platforms: [linux/amd64]}
  groups: {default: [app, worker]}
"""
GRID = """\
multiarch:
  image: docker.io/someone/golang
  platforms: [linux/amd64, linux/arm64]
  targets:
    golang:
      context: "{version}/{flavour}"
      tags: ["{version}-{flavour}"]
      exclude: []
      matrix:
        version:
          - {version: "1.27", aliases: ["1.27.0", "1", ""]}
          - {version: "1.26", aliases: ["1.26.7"]}
        flavour:
          - {flavour: bookworm, aliases: [""]}
          - {flavour: alpine3.24, aliases: [alpine]}
"""
CIRCLE = """\
multiarch:
  platforms: [linux/amd64]
  targets:
    a: {contexts: {x: "target:b"}}
    b: {contexts: {x: "target:a"}}
"""
# The error, the file, and what of the file is written otherwise.
ERRORS = [
    (
        "multiarch.targets.app.contexts.base: there is no target bas; did you mean base?",
        PAIR,
        ('app: {context: app, contexts: {base: "target:base"}', 'app: {context: app, contexts: {base: "target:bas"}'),
    ),
    ("multiarch.targets.a.contexts.x: a is built on b, and b on a", CIRCLE, ("", "")),
    (
        (
            "multiarch.targets.app: linux/riscv64 is not a platform of base (linux/amd64, linux/arm64),"
            " which it is built on"
        ),
        PAIR,
        ("app: {context: app,", "app: {context: app, platforms: [linux/amd64, linux/riscv64],"),
    ),
    (
        (
            "multiarch.targets.golang: docker.io/someone/golang:1.27 is a tag of golang-1.27-bookworm and of"
            " golang-1.27-trixie"
        ),
        GRID,
        ("{flavour: alpine3.24, aliases: [alpine]}", '{flavour: trixie, aliases: [""]}'),
    ),
    (
        "multiarch.image: app and worker both go to docker.io/someone/app:latest; use {target}, or other tags",
        PAIR.replace('["1.0", latest]', "[latest]"),
        ("docker.io/someone/{target}", "docker.io/someone/app"),
    ),
    (
        "multiarch.targets.golang.matrix.version[0]: expected text, got 1.2 (quote it: YAML reads 1.20 as 1.2)",
        GRID,
        ('version: "1.27"', "version: 1.20"),
    ),
    (
        "multiarch.targets.golang.matrix.tag: the name is taken by git's {tag}; call the axis otherwise",
        GRID,
        ("      matrix:\n", '      matrix:\n        tag: ["1"]\n'),
    ),
    (
        "multiarch.targets.golang: golang-1.26-alpine3.24 has no platform in common; put it into exclude",
        GRID.replace('["1.26.7"]', '["1.26.7"], platforms: [linux/amd64]'),
        ("aliases: [alpine]", "aliases: [alpine], platforms: [linux/arm64]"),
    ),
    (
        "multiarch.targets.golang.exclude[0]: flavour 'alpin' is none of bookworm, alpine3.24",
        GRID,
        ("exclude: []", "exclude: [{flavour: alpin}]"),
    ),
    (
        "multiarch.targets.golang.context: {flavor} is no axis; did you mean flavour?",
        GRID,
        ('context: "{version}/{flavour}"', 'context: "{version}/{flavor}"'),
    ),
    (
        "multiarch.targets.app.jobs: is the project's; write multiarch.jobs",
        PAIR,
        ("app: {context: app,", "app: {context: app, jobs: 2,"),
    ),
    (
        "multiarch.targets.base: has no tags, and nothing is built on it",
        PAIR,
        (', contexts: {base: "target:base"}', ""),
    ),
    (
        "multiarch.groups.app: is a target's name too",
        PAIR,
        ("groups: {default: [app, worker]}", "groups: {default: [app, worker], app: [worker]}"),
    ),
]


@pytest.mark.parametrize(("expected", "file", "change"), ERRORS, ids=[error[0] for error in ERRORS])
def test_mistake_in_targets_is_told_in_one_line(
    project: Project, expected: str, file: str, change: tuple[str, str]
) -> None:
    """By every step alike, and first: the machine has no Docker, and none says so."""
    project.write(invoke_yaml=file.replace(*change))
    for words in (["release"], ["manifest"], ["build-arch", "--platform", "linux/amd64"], ["--dry", "release"]):
        result = project.run(*words)
        assert (1, [], [expected]) == (result.status, result.out, result.err), words


@pytest.mark.parametrize(
    ("expected", "flags"),
    [
        ("--target: there is no target wrker; did you mean worker?", ["--target", "wrker"]),
        ("--tag: with several targets say which: --target app", ["--tag", "2.0"]),
    ],
)
def test_flag_that_fits_no_target_is_told_in_one_line(project: Project, expected: str, flags: list[str]) -> None:
    """As mistakes in the file are."""
    project.write(invoke_yaml=PAIR)
    for words in (["release", *flags], ["manifest", *flags], ["--dry", "release", *flags]):
        result = project.run(*words)
        assert (1, [], [expected]) == (result.status, result.out, result.err), words

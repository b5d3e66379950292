"""Settings of the tests of pipelines, and the files that are written from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from check_jsonschema import main  # type: ignore[import-untyped]
from click.testing import CliRunner
from ruamel.yaml import YAML

from multiarch.config.project import load_project
from multiarch.pipelines.update import check_pipeline, pipeline_file, write_pipeline

if TYPE_CHECKING:
    from multiarch.config.project import Project

PATHS = {
    "travis": ".travis.yml",
    "github": ".github/workflows/multiarch.yml",
    "gitlab": ".gitlab-ci.yml",
    "circleci": ".circleci/config.yml",
}
_SCHEMAS = {
    "travis": "vendor.travis",
    "github": "vendor.github-workflows",
    "gitlab": "vendor.gitlab-ci",
    "circleci": "vendor.circle-ci",
}
RUNNER = {"github": "ubuntu-24.04-arm", "travis": "arm64-graviton2", "gitlab": "saas-arm64", "circleci": "arm.medium"}
# Jobs that differ in everything that they may differ in.
VARIED: dict[str, Any] = {
    "image": ["docker.io/a/b", "ghcr.io/a/b", "registry.gitlab.com/a/b"],
    "smoke": ["true"],
    "branches": ["trunk", "release/1"],
    "platforms": [
        "amd64",
        {"platform": "arm64", "runner": RUNNER},
        "riscv64",
        {"platform": "s390x", "builder": "ssh://mainframe"},
    ],
}
PLAIN: dict[str, Any] = {"image": ["a/b"], "platforms": ["amd64", "arm64"]}
NATIVE: dict[str, Any] = {"image": ["a/b"], "platforms": ["amd64"], "branches": [], "cache": "inline"}
# As docs/several-images.md has them: three targets on one base, and a grid of versions and flavours.
PAIR: dict[str, Any] = {
    "image": ["a/{target}"],
    "platforms": ["amd64", {"platform": "arm64", "runner": RUNNER}, "riscv64"],
    "targets": {
        "base": {"context": "base", "tags": []},
        "app": {"contexts": {"base": "target:base"}, "smoke": ["app"]},
        "worker": {"contexts": {"base": "target:base"}, "platforms": ["amd64"]},
        "tool": {"platforms": ["arm64", {"platform": "s390x", "builder": "ssh://mainframe"}]},
        "draft": {},
    },
    "groups": {"default": ["app", "worker", "tool"]},
}
GRID: dict[str, Any] = {
    "image": ["a/go"],
    "platforms": ["amd64", "arm64"],
    "targets": {
        "go": {
            "tags": ["{version}-{flavour}"],
            "matrix": {
                "version": [{"version": "1.27", "aliases": [""]}, {"version": "1.26", "platforms": ["amd64"]}],
                "flavour": ["bookworm", "alpine"],
            },
        }
    },
}
# What is built once serves all platforms.
ASSETS: dict[str, Any] = {
    "image": ["a/{target}"],
    "platforms": ["amd64", "arm64", "riscv64"],
    "targets": {
        "assets": {"tags": [], "platforms": ["amd64"]},
        "site": {"contexts": {"assets": "target:assets"}, "platforms": ["arm64", "riscv64"]},
        "tool": {"platforms": ["arm64"]},
    },
}
FAR: dict[str, Any] = {"platforms": [{"platform": "s390x", "builder": "ssh://mainframe"}]}


@dataclass(frozen=True)
class File:
    """Contents of a file: its text, and what that is as YAML."""

    text: str
    data: Any


def project_of(**block: Any) -> Project:
    """Return the project of a block; of PLAIN without one."""
    return load_project({"install": "pip install tools", **(block or PLAIN)}, {}, {}, directory=Path("/somewhere"))


def text(ci: str, directory: Path, **block: Any) -> str:
    """Return the text of a CI's file."""
    return pipeline_file(project_of(**block), ci, directory, program="invoke").wanted


def parsed(ci: str, directory: Path, **block: Any) -> Any:
    """Return a CI's file as data."""
    return YAML(typ="safe").load(text(ci, directory, **block))


def merged(directory: Path, ci: str, existing: str, **block: Any) -> File:
    """Write a pipeline into an existing file, check that it is up to date then, and return it."""
    path = directory / PATHS[ci]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(existing, newline="")
    write_pipeline(project_of(**block), ci, directory, program="invoke")
    with path.open(newline="") as file:
        text = file.read()
    check_pipeline(project_of(**block), ci, directory, program="invoke")
    return File(text, YAML(typ="safe").load(text))


def schema_errors(ci: str, path: Path) -> str:
    """Return what check-jsonschema says of a file against the schema of its CI; nothing where it is valid."""
    # In this process: its start takes twenty times as long as a check.
    result = CliRunner().invoke(main, ["--builtin-schema", _SCHEMAS[ci], str(path)])
    return (result.output or repr(result.exception)) if result.exit_code else ""

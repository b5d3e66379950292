"""The setting `cache`, where it is GitHub's service, inside of GitHub and elsewhere."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from multiarch.buildkit.builder import Builder
from multiarch.buildkit.command import build_command
from multiarch.config.load import load
from multiarch.config.settings import CacheKind
from multiarch.errors import MultiarchError
from tests.unit.pipelines.files import parsed, text
from tests.unit.test_ci import GITHUB, TRAVIS

if TYPE_CHECKING:
    from multiarch.config.settings import Settings

TOKEN = {"ACTIONS_RUNTIME_TOKEN": "s3cret"}


def read(environ: dict[str, str], cache: str = "gha") -> Settings:
    """Return settings for one platform."""
    block = {"image": "a/b", "cache": cache, "platforms": ["arm/v7"], "attestations": []}
    return load(block, environ, {}, directory=Path("/nowhere"))


def words(settings: Settings) -> str:
    """Return the flags of the cache."""
    command = shlex.join(build_command(settings, settings.matrix, Path("buildctl"), Builder("x"), ""))
    return command.partition("--local dockerfile=. ")[2]


def test_githubs_cache_has_a_scope_for_each_platform() -> None:
    """So that none overwrites another's; a pull request has one too, as GitHub keeps it apart. The token is no word."""
    scope = "type=gha,scope=a/b-arm-v7"
    for environ in (GITHUB, GITHUB | {"GITHUB_EVENT_NAME": "pull_request"}):
        settings = read({**environ, **TOKEN})
        settings.build.check()
        assert f"--export-cache {scope},mode=max --import-cache {scope}" == words(settings)


def test_job_that_may_not_use_it_is_told_before_the_build() -> None:
    """Commands of a workflow have no token, unless a step before has exported it."""
    with pytest.raises(MultiarchError) as caught:
        read(GITHUB).build.check()
    assert (
        "multiarch.cache: gha needs ACTIONS_RUNTIME_TOKEN, which GitHub gives to actions alone: export it in a step"
        " before, as the file of 'pipeline --ci github' does"
    ) == str(caught.value)


@pytest.mark.parametrize("environ", [{}, TRAVIS, TOKEN])
def test_elsewhere_there_is_no_such_cache(environ: dict[str, str]) -> None:
    """The same settings hold on the machine of a person, with a word."""
    settings = read(environ)
    settings.build.check()
    assert (CacheKind.NONE, CacheKind.GITHUB, "") == (settings.build.cache, settings.ci.cache, words(settings))
    assert (
        "multiarch.cache: gha is there in jobs of GitHub Actions alone; nothing is cached elsewhere",
    ) == settings.notes


def test_workflow_lets_the_builds_use_it(tmp_path: Path) -> None:
    """By a step that exports what GitHub gives to actions alone; other CIs use the registry in its place."""
    workflow = parsed("github", tmp_path, cache="gha", platforms=["arm64"])
    for name, expected in {"build": 1, "pull-request": 1, "manifest": 0}.items():
        steps = workflow["jobs"][name]["steps"]
        scripts = [step["with"]["script"] for step in steps if step.get("uses", "").startswith("actions/github-script")]
        assert (name, expected) == (name, len([script for script in scripts if "ACTIONS_RUNTIME_TOKEN" in script]))
    settings = {"cache": "gha", "platforms": ["arm64"]}
    found = {ci: "INVOKE_MULTIARCH_CACHE: registry" in text(ci, tmp_path, **settings) for ci in ("github", "gitlab")}
    assert {"github": False, "gitlab": True} == found

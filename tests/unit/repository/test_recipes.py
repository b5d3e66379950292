"""docs/recipes/: what a reader copies is what the loader takes, and what the tasks write from it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from docs import settings_schema
from multiarch.config.project import Project as Settings
from multiarch.config.project import load_project
from tests.pages import blocks, commands, files, unrun
from tests.unit.pipelines.files import PATHS
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from typing import Any

    from tests.unit.project import Project

RECIPES = ROOT / "docs" / "recipes"
# Commands of each recipe: how many the tests run, and how many are marked as such that they cannot.
COMMANDS = {
    "air-gapped.md": (3, 9),
    "github.md": (2, 0),
    "gitlab.md": (1, 0),
    "monorepo.md": (4, 0),
    "native-arm64.md": (2, 3),
    "private-registry.md": (2, 3),
    "signing.md": (3, 3),
    "travis.md": (2, 1),
    "versions-and-flavours.md": (3, 0),
}
WHOLE = "multiarch:\n"  # how a file of settings begins


def plain(text: str) -> Any:
    """Return a text of YAML as plain data."""
    return YAML(typ="safe").load(text)


def written(page: Path, directory: Path) -> dict[str, Path]:
    """Write what a recipe shows, and a Dockerfile wherever its settings want one; return the settings' places."""
    shown = {name: text for name, text in files(page).items() if not re.search(r" |^tags$|^\.", name)}
    for name, text in shown.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    places = {name: (directory / name).parent for name, text in shown.items() if text.startswith(WHOLE)}
    for place in places.values():
        (place / "tasks.py").write_text("from multiarch import ns\n")
        for entry in loaded(place).matrix:
            context = place / entry.context.place
            context.mkdir(parents=True, exist_ok=True)
            (context / Path(entry.dockerfile or "Dockerfile").name).write_text(dockerfile(entry.contexts))
    return places


def dockerfile(contexts: object) -> str:
    """Return a Dockerfile that is built on the first of its contexts."""
    return f"FROM {next(iter(contexts), 'busybox') if isinstance(contexts, dict) else 'busybox'}\n"


def loaded(place: Path) -> Settings:
    """Return the settings of a directory, as a run reads them."""
    return load_project(plain((place / "invoke.yaml").read_text())["multiarch"], {}, {}, directory=place)


@pytest.mark.parametrize("name", COMMANDS)
def test_settings_of_a_recipe_are_released(project: Project, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each invoke.yaml of it is valid by the schema, is loaded, and gives the commands of a release."""
    places = written(RECIPES / name, project.path)
    assert "invoke.yaml" in places
    for place in places.values():
        tagged(place, monkeypatch)
        document = plain((place / "invoke.yaml").read_text())
        assert [] == [one.message for one in Draft202012Validator(settings_schema.schema()).iter_errors(document)]
        monkeypatch.chdir(place)
        done = project.run("--dry", "release")
        assert (0, True) == (done.status, any(" build --frontend " in line for line in done.out)), done.err


def tagged(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit what is there, and call it v1.4.2, to which each recipe's tags apply."""
    monkeypatch.setenv("PATH", os.defpath)
    me = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    for words in (("init", "-q"), ("add", "."), (*me, "commit", "-qm", "All"), ("tag", "v1.4.2")):
        subprocess.run(["git", *words], cwd=place, check=True)


def ready_for(project: Project, page: Path) -> None:
    """Write a recipe's files; where it begins with those of another tool, these alone."""
    before = {name.removesuffix(" (before)"): text for name, text in files(page).items() if name.endswith(" (before)")}
    written(page, project.path)
    if before:
        for name in ("invoke.yaml", "tasks.py"):
            (project.path / name).unlink()
    for name, text in before.items():
        (project.path / name).write_text(text)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_of_a_recipe_run(project: Project, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order: those that write files for real, with the files that are shown; the others by --dry."""
    page = RECIPES / name
    shown = files(page)
    ready_for(project, page)
    tagged(project.path, monkeypatch)
    for command in commands(page):
        program, task, *words = shlex.split(command)
        assert program in ("invoke", "multiarch"), "a command of another program is marked as one that is not run here"
        if task == "init":
            assert 0 == project.run(task, *words).status
            assert shown["invoke.yaml (init)"] == (project.path / "invoke.yaml").read_text()
            project.write(invoke_yaml=shown["invoke.yaml"])
            for before in [name for name in shown if name.endswith(" (before)")]:
                (project.path / before.removesuffix(" (before)")).unlink()
        elif task == "pipeline":
            assert (0, []) == ((done := project.run(task, *words)).status, done.err)
            path = PATHS[words[words.index("--ci") + 1]]
            assert shown[path] == (project.path / path).read_text()
        else:
            done = project.run("--dry", task, *words)
            assert (0, True, []) == (done.status, bool(done.out), done.err)


def test_every_command_is_run_or_counted() -> None:
    """Each recipe's; a new one does not pass unseen, nor one that becomes marked."""
    assert COMMANDS == {
        page.name: (len(commands(page)), len(unrun(page))) for page in sorted(RECIPES.glob("*.md"), key=os.fspath)
    }


def test_every_block_is_known() -> None:
    """A block is a file with a name, commands, or a text: no YAML stands there that nothing checks."""
    odd = [
        (page.name, block.text)
        for page in RECIPES.glob("*.md")
        for block in blocks(page)
        if not (block.title or block.language in ("sh", "text"))
    ]
    fences = sum(page.read_text().count("\n```") for page in RECIPES.glob("*.md"))
    assert ([], fences) == (odd, 2 * sum(len(blocks(page)) for page in RECIPES.glob("*.md")))


def test_the_tags_are_those_of_the_matrix(project: Project) -> None:
    """24, as the page says them, on 4 indexes."""
    page = RECIPES / "versions-and-flavours.md"
    written(page, project.path)
    tags = [(target.name, tag) for target in loaded(project.path).targets for tag in target.settings.publish.tags]
    assert (24, 4) == (len(tags), len({name for name, _ in tags}))
    assert sorted(files(page)["tags"].split()) == sorted(tag for _, tag in tags)


def test_what_is_added_for_signing_stays(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right that the page adds to the job is there after the workflow is written again."""
    page = RECIPES / "signing.md"
    place = written(page, project.path)["keyless/invoke.yaml"]
    addition = plain(files(page)["addition to the job manifest"])
    monkeypatch.chdir(place)
    assert 0 == project.run("pipeline", "--ci", "github").status
    path = place / PATHS["github"]
    workflow = plain(path.read_text())
    workflow["jobs"]["manifest"]["permissions"] |= addition["permissions"]
    with path.open("w") as file:
        YAML().dump(workflow, file)
    assert 0 == project.run("pipeline", "--ci", "github").status
    job = plain(path.read_text())["jobs"]["manifest"]
    assert {"contents": "read", "packages": "write", "id-token": "write"} == job["permissions"]
    assert "sh ci/install.sh" in job["steps"][1]["run"]

"""invoke.yaml and tasks.py of a project: all that is in them stays, and nothing is half-written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.adoption.adopted import adopt, lay

if TYPE_CHECKING:
    from tests.unit.project import Project

COMPOSE = {"compose.yaml": "services: {app: {image: 'someone/app:1', build: {context: ., platforms: [linux/arm64]}}}\n"}
FILES = COMPOSE | {"Dockerfile": ""}
BLOCK = 'multiarch:\n  image: docker.io/someone/app\n  tags: ["1"]\n  platforms: [linux/arm64]\n'
# As the parser writes lists below a mapping that has none.
ADDED = '  tags:\n  - "1"\n  platforms:\n  - linux/arm64\n'


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ("", BLOCK),
        ("# only this\n", f"# only this\n\n{BLOCK}"),
        ("run:\n  echo: true   # shown\n\n\n", f"run:\n  echo: true   # shown\n\n\n\n{BLOCK}"),
        ("---\nrun: {echo: true} # x", f"---\nrun: {{echo: true}} # x\n\n{BLOCK}"),
        ("\ufeffa: 'b'\n", f"\ufeffa: 'b'\n\n{BLOCK}"),
        (
            "multiarch:\n  image: someone/app # ours\n  # the end\nrun: {echo: true}\n",
            f"multiarch:\n  image: someone/app # ours\n  # the end\n{ADDED}run: {{echo: true}}\n",
        ),
        (
            "multiarch:\n  jobs: 2\n",
            f"multiarch:\n  jobs: 2\n  image: docker.io/someone/app\n{ADDED}",
        ),
    ],
)
def test_what_is_in_the_file_stays(project: Project, existing: str, expected: str) -> None:
    """Comments, blank lines, quotes and order; what our block says already is not said again."""
    assert expected == adopt(project, FILES | {"invoke.yaml": existing}).text


def test_ends_of_lines_stay(project: Project) -> None:
    """Ours end as the project's do."""
    lay(project.path, FILES)
    (project.path / "invoke.yaml").write_bytes(b"a: b\r\n")
    assert 0 == project.run("init").status
    assert b"a: b\r\n\r\n" + BLOCK.replace("\n", "\r\n").encode() == (project.path / "invoke.yaml").read_bytes()


def test_our_block_is_stronger_than_all_else(project: Project) -> None:
    """What it says of an image stays, and files about another one add nothing."""
    existing = "multiarch:\n  image: ghcr.io/someone/else\n  platforms: [linux/amd64]\n"
    told = adopt(project, FILES | {"invoke.yaml": existing})
    assert (existing, []) == (told.text, told.sources)
    assert "compose.yaml:1: this is about another image, and is not taken" in told.doubts


@pytest.mark.parametrize(
    "existing",
    [
        "{a: b}\n",
        "a: b\n...\n",
        "multiarch: {image: someone/app}  # c\n",
        "multiarch: &x\n  image: someone/app\nb: *x\n",
    ],
)
def test_a_file_without_room_is_left_alone_or_whole(project: Project, existing: str) -> None:
    """One line says so, and no byte is written; or all of it is still there."""
    lay(project.path, FILES | {"invoke.yaml": existing})
    result = project.run("init")
    text = (project.path / "invoke.yaml").read_text()
    if result.status:
        problem = "invoke.yaml: ours cannot be put into it as it is written; write it more simply"
        assert (existing, [], [problem]) == (text, result.out, result.err[-1:])
    else:
        assert ("someone/app" in text, 0) == (True, project.run("init", "--check").status)


@pytest.mark.parametrize(
    ("existing", "problem"),
    [
        ("- a\n", "invoke.yaml: this is no mapping; correct it, or remove the file"),
        ("a: [\n", "invoke.yaml:2: this is not YAML; correct it, or remove the file"),
        ("a: 1\n---\nb: 2\n", "invoke.yaml: it holds several documents, and is left as it is; put ours into one"),
    ],
)
def test_a_file_that_is_no_settings_is_one_line(project: Project, existing: str, problem: str) -> None:
    """Invoke itself has not read it here."""
    from multiarch.adoption.errors import AdoptionError
    from multiarch.adoption.project import plan_adoption

    lay(project.path, FILES | {"invoke.yaml": existing})
    with pytest.raises(AdoptionError) as raised:
        plan_adoption(project.path)
    assert problem == str(raised.value)


def test_check_shows_what_differs(project: Project) -> None:
    """It exits with 1, and writes nothing."""
    (project.path / "invoke.yaml").unlink(missing_ok=True)
    lay(project.path, FILES)
    missing = project.run("init", "--check")
    assert (1, []) == (missing.status, missing.out)
    assert "invoke.yaml: there is no such file; run: invoke init" == missing.err[-1]
    project.write(invoke_yaml="multiarch:\n  image: someone/app\n  tags: ['1']\n")
    differs = project.run("init", "--check")
    assert (1, []) == (differs.status, differs.out)
    assert "invoke.yaml is not what the project's files give; run: invoke init" in differs.err
    assert ["+  platforms:", "+  - linux/arm64"] == differs.err[-2:]
    assert "multiarch:\n  image: someone/app\n  tags: ['1']\n" == (project.path / "invoke.yaml").read_text()


@pytest.mark.parametrize(
    ("tasks", "lines"),
    [
        (
            "from invoke import task\n",
            ["  from multiarch import ns", "  ns.add_task(TASK)  # one such line for each task of yours"],
        ),
        (
            "ns = Collection()\n",
            ["  from multiarch import ns as multiarch", '  ns.add_collection(multiarch, "multiarch")'],
        ),
        ("from multiarch import ns\n", []),
    ],
)
def test_tasks_of_a_project_are_its_own(project: Project, tasks: str, lines: list[str]) -> None:
    """What is to be added to them is said."""
    told = adopt(project, FILES | {"tasks.py": tasks})
    assert lines == told.doubts[1:]
    assert tasks == (project.path / "tasks.py").read_text()


def test_an_invoke_json_is_not_added_to(project: Project) -> None:
    """Invoke reads one file only; ours would hide it."""
    (project.path / "invoke.yaml").unlink(missing_ok=True)
    lay(project.path, FILES | {"invoke.json": "{}"})
    result = project.run("init")
    assert (1, ["invoke.json: init writes YAML only; move what is in it to invoke.yaml"]) == (result.status, result.err)
    assert not (project.path / "invoke.yaml").exists()

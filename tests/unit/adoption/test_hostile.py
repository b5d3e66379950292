"""Files that are broken, or made to harm: one line each, in bounded time; the others still count."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.adoption.adopted import adopt, lay

if TYPE_CHECKING:
    from tests.unit.project import Project

LAUGHTER = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
WORKFLOW = ".github/workflows/docker.yml"


@pytest.mark.parametrize("name", ["compose.yaml", ".travis.yml", WORKFLOW, "docker-bake.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\0",
        b"docker/: [",
        b"- docker/\n",
        b"docker/: " + b"[" * 1000,
        b"docker/: " + b"{a: " * 150 + b"}" * 150,
        f"docker/: 1\n{LAUGHTER}".encode(),
        b"#docker/" * 100_000,
        b"docker/: &a [*a]\n",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_file_that_cannot_be_read_is_one_line(project: Project, name: str, content: bytes) -> None:
    """Nothing is taken from it; what another file says is."""
    lay(project.path, {name: ""})
    (project.path / name).write_bytes(content)
    told = adopt(project, {"Dockerfile.armhf": ""})
    assert (
        "multiarch:\n  platforms:\n    - platform: linux/arm/v7\n      dockerfile: Dockerfile.armhf\n" == told.settings
    )
    assert 1 == len([line for line in told.doubts if line.startswith(name)])


def test_json_that_is_nested_too_deeply_is_one_line(project: Project) -> None:
    """The parser of JSON would go as deep as its stack."""
    told = adopt(project, {"docker-bake.json": "[" * 100_000 + "]" * 100_000, "Dockerfile": ""})
    problem = "its JSON is nested too deeply, or has a number that is too long (nothing is taken from it)"
    assert ("multiarch:\n", True) == (told.settings, f"docker-bake.json: {problem}" in told.doubts)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "compose.yaml",
            "services: {a: {build: {context: [1], args: 5, tags: {a: b}, secrets: 7, x-bake: []}, image: 3}}",
        ),
        ("compose.yaml", "services: [a, b]\nsecrets: 5\n"),
        ("compose.yaml", "services: {a: {build: {ssh: {a: b}, labels: [1, [2]], platforms: arm64}}}"),
        (
            ".travis.yml",
            "env: {global: 5, jobs: {a: b}}\njobs: {include: [1, {script: {a: b}}]}\nscript: 7\ndeploy: [1]\n",
        ),
        (
            ".travis.yml",
            "script: [buildctl, buildctl build --opt, docker manifest create, docker manifest annotate a]\n",
        ),
        (
            WORKFLOW,
            "jobs: {a: {steps: [1, {uses: 5, with: [docker/]}, {run: [a]}, {env: 5, uses: docker/bake-action}]}}",
        ),
        (
            WORKFLOW,
            "jobs: {a: {steps: [{uses: docker/build-push-action, with: {push: true, tags: 5, platforms: [a]}}]}}",
        ),
        ("docker-bake.json", '{"target": {"default": {"tags": {"a": 1}, "args": [1], "output": [1], "secret": [5]}}}'),
        ("docker-bake.json", '{"target": {"default": {"contexts": {"a": "target:default"}, "platforms": [{}]}}}'),
        ("docker-bake.json", '{"group": {"default": {"targets": ["default", 5]}}, "target": [1]}'),
    ],
)
def test_values_of_another_kind_are_no_values(project: Project, name: str, text: str) -> None:
    """Whatever stands where a text, list or mapping belongs."""
    told = adopt(project, {name: text, "Dockerfile": ""})
    assert "multiarch:\n" == told.settings


def test_paths_out_of_this_world_do_not_exist(project: Project) -> None:
    """Neither a name that is too long, nor one that is not there, becomes a setting."""
    long = "x" * 5000
    told = adopt(project, {"compose.yaml": f"services: {{a: {{build: {{context: {long}}}}}, b: {{build: nowhere}}}}\n"})
    assert not any(word in told.settings for word in (long, "nowhere"))
    assert "compose.yaml:1: context: not sure: nowhere does not exist" in [
        line.replace("targets.b.", "") for line in told.doubts
    ]


def test_a_link_out_of_the_project_is_not_followed(project: Project) -> None:
    """A script that Travis would call."""
    (project.path / "build.sh").symlink_to("/etc/passwd")
    told = adopt(
        project, {".travis.yml": "script: [./build.sh, /etc/passwd, ../x.sh, buildctl build]\n", "Dockerfile": ""}
    )
    assert any(line.startswith("build.sh: a symbolic link leads out of the project") for line in told.doubts)


def test_texts_do_not_leave_their_place(project: Project) -> None:
    """Neither in the file nor in what is said: controls and line breaks, what YAML 1.1 takes for no text."""
    words = ["on", "1:30", "0x10", "a: b", "#c", "\u2028x", "\x1b[31m", "{x}", "*a", "~", "2001-01-01", "é", " x ", "-"]
    arguments = {f"A{number}": word for number, word in enumerate(words)}
    bake = {"target": {"default": {"args": {**arguments, "on": "1"}, "network\n  image: evil": "\x1b]0;x"}}}
    told = adopt(project, {"docker-bake.json": json.dumps(bake), "Dockerfile": ""})
    assert all(line.isprintable() for line in told.doubts)
    (project.path / "tasks.py").write_text(
        "from invoke import task\n@task\ndef show(c):\n    print(c.multiarch.build_args._config)\n"
    )
    shown = project.invoke("show")
    assert [str(arguments | {"on": "1"})] == shown.out


def test_hostile_lines_are_read_in_time(project: Project) -> None:
    """A pattern that tries all of a long line from each of its places would take hours."""
    long = 200_000
    told = adopt(
        project,
        {
            ".env": "A=" + " " * long + "x\n",
            WORKFLOW: f"jobs: {{a: {{steps: [{{run: '{'${{ ' * (long // 4)}'}}, {{run: './b.sh {'$(' * long}'}}]}}}}\n",
            ".travis.yml": f"script: [\"./b.sh 'x\", './b.sh {'a=' * long}', buildctl build]\n",
            "b.sh": "a 'b\n" * (long // 5),
            "compose.yaml": f"services: {{a: {{build: {{context: '{'${A:-' * (long // 5)}'}}}}}}\n",
            "Dockerfile": "",
        },
    )
    assert "multiarch:\n" == told.settings

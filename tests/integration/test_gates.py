"""The gate of the program, before images that BuildKit built: Dockerfiles in their right and their wrong form."""

from __future__ import annotations

import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from multiarch.config.load import load
from multiarch.formatting import columns
from multiarch.image.platform import Platform
from multiarch.publish.errors import GateError
from multiarch.publish.publication import Part, publish
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.integration.conftest import REGISTRY, Project
from tests.integration.gate_patterns import CONTEXT, PATTERNS, Pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Form:
    """A Dockerfile that was built: of a pattern the right form or the wrong one."""

    pattern: Pattern
    right: bool

    @property
    def tag(self) -> str:
        """The tag to publish."""
        return f"{PATTERNS.index(self.pattern)}-{'right' if self.right else 'wrong'}"


FORMS = [Form(pattern, right) for pattern in PATTERNS for right in (True, False)]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The repository in which all forms are staged."""
    path = tmp_path_factory.mktemp(f"gates-{secrets.token_hex(3)}-")
    project = Project(path)
    project.write(tasks_py="from multiarch import ns\n", invoke_yaml="multiarch:\n  platforms: [amd64, arm64]\n")
    context = path / "context"
    (context / "links").mkdir(parents=True)
    (context / "links" / "current").symlink_to("server")
    for name, content in CONTEXT.items():
        (context / name).write_bytes(content)
    project.ok("setup-binfmt")
    (address,) = project.ok("start-buildkit")
    (buildctl,) = project.ok("copy-buildctl")
    project.run("manifest", "--inspect")  # there is nothing yet, but it starts the registry

    def build(form: Form) -> None:
        _build(form, project, [buildctl, "--addr", address])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(build, FORMS))
    with pytest.MonkeyPatch.context() as patch:
        # Nothing is known of these images from an earlier run.
        patch.setenv("XDG_CACHE_HOME", str(path / "cache"))
        yield project.image


def _build(form: Form, project: Project, client: list[str]) -> None:
    """Build a form, and push it under its staging tag."""
    dockerfile: Path = project.path / form.tag
    dockerfile.mkdir()
    (dockerfile / "Dockerfile").write_text(form.pattern.dockerfile(right=form.right))
    platform = Platform.parse(form.pattern.platform)
    done = subprocess.run(
        [
            *(*client, "build", "--frontend", "dockerfile.v0", "--opt", f"platform={platform}"),
            *("--local", f"context={project.path / 'context'}", "--local", f"dockerfile={dockerfile}"),
            *("--output", f"type=image,name={project.image}:{form.tag}-{platform.slug},push=true"),
        ],
        capture_output=True,
        text=True,
    )
    assert (form.tag, 0) == (form.tag, done.returncode), done.stderr


def test_table_counts_what_was_not_checked(project: Project) -> None:
    """And names what is foreign on purpose, in the column that other releases do not have."""
    (project.path / "game").write_bytes(CONTEXT["amd64"])
    (project.path / "start").write_text("#!/bin/sh\n/game &\nexec $APP\n")
    project.write(
        Dockerfile='FROM busybox:stable\nCOPY --chmod=755 game start /\nCMD ["/start"]\n',
        invoke_yaml="multiarch:\n  platforms: [linux/amd64, {platform: linux/arm64, foreign: [/game]}]\n",
    )
    result = project.run("release")
    assert 0 == result.status, result.err
    said = "/start starts exec with what is known only when it runs"
    assert [f"{platform}: not checked: {said}" for platform in ("linux/amd64", "linux/arm64")] == [
        line for line in result.err.splitlines() if "not checked:" in line
    ]
    lines = result.err.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("PLATFORM "))
    head, amd64, arm64 = lines[start : start + 3]
    assert ("NOT CHECKED", "1", "1, foreign /game") == (head[-11:], amd64.split()[-1], " ".join(arm64.split()[-3:]))


def _publish(form: Form, image: str) -> tuple[bool, str]:
    """Publish a form. Return whether it was, and what the gates said."""
    foreign = list(form.pattern.foreign) if form.right else []
    block = {"image": [image], "tags": [form.tag], "platforms": [form.pattern.platform], "foreign": foreign}
    settings = load({**block, "arch_tag": "{tag}-{platform}"}, {}, {})
    notes: list[str] = []
    registry = Registry(REGISTRY, Policy(seconds=60), notes.append)
    try:
        publish([Part(settings)], {REGISTRY: registry}, say=notes.append)
    except GateError as error:
        notes.append(str(error))
    return registry.manifest(image.partition("/")[2], form.tag) is not None, "\n".join(notes)


def test_wrong_form_of_no_dockerfile_passes_silently(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is refused or noted by name, and the right form is published without a word."""
    rows, failures = [("DOCKERFILE", "RIGHT FORM", "WRONG FORM", "SAID")], {}
    for pattern in PATTERNS:
        right, wrong = Form(pattern, right=True), Form(pattern, right=False)
        is_published, said = _publish(right, image)
        passed, problem = _publish(wrong, image)
        words = "" if is_published and (not said or pattern.foreign) else said or "not published"
        words += "" if passed is not pattern.is_refused and pattern.said in problem else f" / {passed}: {problem}"
        if words:
            failures[pattern.name] = words
        ends = "published" if is_published else "refused", "noted" if passed else "refused"
        rows.append((pattern.name, *ends, pattern.said))
    with capsys.disabled():
        print("\n" + "\n".join(columns(rows)))
    assert {} == failures
    assert 40 <= len(PATTERNS)

"""docs/start.md, followed from its first line to its last in an empty directory, as a newcomer does."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sysconfig
from typing import TYPE_CHECKING

from tests.integration.conftest import ROOT
from tests.pages import blocks, commands, unrun

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "start.md"
# The new environment finds what the package needs where the tests have it, so that nothing is downloaded; Invoke's
# command is then that of its module.
INVOKE = '#!/bin/sh\nexec "$VIRTUAL_ENV/bin/python" -m invoke "$@"\n'
PIP = {"PYTHONPATH": sysconfig.get_paths()["purelib"], "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1"}


def script(name: str) -> str:
    """Return the page as one script of a shell: files are written where they are shown.

    :param name: of the directory, and so of the repository, in the place of `hello`.
    """
    parts = ["set -eu"]
    for block in blocks(PAGE):
        if block.title:
            parts.append(f"cat >{block.title} <<'END'\n{block.text}END")
        elif block.language == "sh" and not block.reason:
            parts += block.commands
    return "\n".join(parts).replace("/path/to/multiarch", str(ROOT)).replace("hello", name)


def test_a_newcomer_gets_there(tmp_path: Path) -> None:
    """Every command succeeds; the images run, each on its platform; and the workflow is there."""
    directory = f"hello-{secrets.token_hex(3)}"
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("INVOKE_", "BUILDKIT_"))}
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "invoke").write_text(INVOKE)
    (tmp_path / "bin" / "invoke").chmod(0o755)
    environ["PATH"] = f"{tmp_path / 'bin'}:{environ['PATH']}"
    done = subprocess.run(
        ["bash"],
        input=script(directory),
        cwd=tmp_path,
        env={**environ, **PIP},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert 0 == done.returncode, done.stderr
    lines = done.stdout.splitlines()
    assert ["aarch64", "armv7l"] == [line for line in lines if line in ("aarch64", "armv7l")]
    assert 2 == len(
        [line for line in lines if re.match(rf"127\.0\.0\.1:5001/{directory}:latest@sha256:[0-9a-f]{{64}}\b", line)]
    )
    assert ".github/workflows/multiarch.yml" == lines[-1]
    installed = (tmp_path / directory / ".venv" / "bin" / "multiarch").read_text()
    assert str(tmp_path) in installed.splitlines()[0]


def test_what_is_not_run_is_counted() -> None:
    """All else is; a command that is marked does not pass unseen."""
    assert (11, 4) == (len(commands(PAGE)), len(unrun(PAGE)))

"""The checks before a commit (.pre-commit-config.yaml), and those of CI (tasks.py)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from tests.unit.project import ROOT


def test_hooks_run_the_commands_of_lint_and_types() -> None:
    """What passes before a commit passes in CI: the same commands in the same order, with the tools of .venv."""
    config = YAML(typ="safe").load(ROOT / ".pre-commit-config.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "--dry", "lint", "types"],
        env={"INVOKE_RUN_ECHO_FORMAT": "{command}"},
        capture_output=True,
        text=True,
        check=True,
    )
    commands = done.stdout.replace(str(Path(sys.executable).parent), ".venv/bin").splitlines()
    assert 7 == len(commands)
    assert [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]] == commands

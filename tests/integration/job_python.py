"""Python of the machines that jobs run on: virtualenvs, and the packages that they install.

A virtualenv with pip takes seconds, and so does what pip asks an index. Both are done once for all jobs: their own
commands are as they were, and install from wheels alone.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tomli

if TYPE_CHECKING:
    from pathlib import Path

# `python3 -m venv DIRECTORY` with the pip of another virtualenv: links to its files where they can be made.
_PYTHON3 = """\
#!/bin/sh
[ "$2" = venv ] || exec {python} "$@"
set -eu
{python} "$@" --without-pip
cp -al {lib} "$3" 2>/dev/null || cp -a {lib} "$3"
printf '#!/bin/sh\\nexec "%s/bin/python" -m pip "$@"\\n' "$3" >"$3/bin/pip"
chmod +x "$3/bin/pip"
"""


@dataclass(frozen=True)
class Wheels:
    """Wheels of this package, of what it needs, and of what builds it."""

    directory: Path

    @classmethod
    def of(cls, root: Path, directory: Path) -> Wheels:
        """Build the wheel of a project, and download the others."""
        requires = tomli.loads((root / "pyproject.toml").read_text())["build-system"]["requires"]
        words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(directory), str(root)]
        subprocess.run([*words, *requires], check=True, stdin=subprocess.DEVNULL)
        return cls(directory)

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which pip takes these wheels alone."""
        return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.directory), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    @property
    def package(self) -> Path:
        """The wheel of this package."""
        (path,) = self.directory.glob("invoke_multiarch-*.whl")
        return path


def install_python3(directory: Path) -> Path:
    """Write a python3 into a directory whose virtualenvs have pip at once; return its own directory, for PATH."""
    template, programs = directory / "virtualenv", directory / "programs"
    subprocess.run([sys.executable, "-m", "venv", template], check=True)
    programs.mkdir()
    (programs / "python3").write_text(
        _PYTHON3.format(python=shlex.quote(sys.executable), lib=shlex.quote(f"{template}/lib"))
    )
    (programs / "python3").chmod(0o755)
    return programs

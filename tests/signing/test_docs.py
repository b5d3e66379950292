"""docs/sign.md: its commands, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from lab import cosign
from tests.unit.project import ROOT

if TYPE_CHECKING:
    from tests.signing.parts import Project, Registry

PAGE = (ROOT / "docs" / "sign.md").read_text()


def test_commands_of_the_page_sign_and_verify(project: Project, registry: Registry) -> None:
    """From no key to a signature that is verified; only the image is another."""
    setting = "sign: {key: cosign.key, log: false}"
    assert f"      image: ghcr.io/someone/app\n      {setting}\n" in PAGE
    project.write(sign=setting.removeprefix("sign: "))
    bin_ = project.folder / "bin"
    bin_.mkdir()
    (bin_ / "invoke").write_text(f'#!/bin/sh\nexec {sys.executable} -m invoke "$@"\n')
    (bin_ / "invoke").chmod(0o755)
    signing, verifying = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    # A release would fail here, where there is no Docker: the doctor says so by its status.
    script = f"{signing.replace('invoke doctor', 'invoke doctor || true')}{verifying}"
    environ = project.env(PATH=f"{bin_}:{cosign.folder()}:/usr/bin:/bin", IMAGE=f"{registry.host}/app:latest")
    environ.pop("COSIGN_PASSWORD")
    done = subprocess.run(
        ["bash", "-euc", script], cwd=project.folder, env=environ, capture_output=True, text=True, timeout=120
    )
    assert 0 == done.returncode, done.stderr
    (line,) = re.findall(r"^(ok .+)$", PAGE, re.MULTILINE)
    assert line in done.stdout.splitlines(), done.stdout
    assert f"{registry.host}/app:latest@{registry.digest()}" in done.stdout.splitlines()
    assert 3 == sum(line.endswith(" yes") for line in done.stdout.splitlines())
    assert f"Verification for {registry.host}/app:latest --" in done.stderr

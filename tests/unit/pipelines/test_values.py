"""Values of settings in the files of CIs: data wherever they stand, or refused where they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.settings import CIS
from multiarch.errors import ConfigurationError
from tests.unit.pipelines.files import parsed

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "X\njobs:\n  evil:\n    runs-on: x"


@pytest.mark.parametrize("ci", CIS)
@pytest.mark.parametrize(
    ("block", "where"),
    [
        ({"secrets": {"t": f"env:{EVIL}"}}, "multiarch.secrets.t"),
        ({"secrets": {"t": "env:A B"}}, "multiarch.secrets.t"),
        ({"secrets": {"t": "env:1A"}}, "multiarch.secrets.t"),
        ({"secrets": {"t": "env:${{ github.token }}"}}, "multiarch.secrets.t"),
        ({"secrets": {EVIL: "env:A"}}, "multiarch.secrets.X jobs: evil: runs-on: x"),
        ({"branches": [EVIL]}, r"multiarch.branches\[0\]"),
        ({"install": "pip install x\x1b[2J"}, "multiarch.install"),
        ({"install": "pip install x\r\nevil"}, "multiarch.install"),
        ({"platforms": [{"platform": "arm64", "runner": EVIL}]}, r"multiarch.platforms\[0\]"),
        ({"platforms": [{"platform": "arm64", "runner": "${{ secrets.X }}"}]}, r"multiarch.platforms\[0\]"),
        ({"platforms": [f"linux/{EVIL}"]}, r"multiarch.platforms\[0\]"),
        ({"image": [f"ghcr.io/{EVIL}"]}, r"multiarch.image\[0\]"),
    ],
)
def test_value_that_would_write_a_file_of_its_own_is_refused(
    tmp_path: Path, ci: str, block: dict[str, Any], where: str
) -> None:
    """One line names the setting; a line break in the name of a secret once wrote a job."""
    with pytest.raises(ConfigurationError, match=f"^{where}: ") as caught:
        parsed(ci, tmp_path, **{"platforms": ["arm64"], **block})
    assert 1 == len(str(caught.value).splitlines())


@pytest.mark.parametrize("ci", CIS)
def test_install_command_is_data(tmp_path: Path, ci: str) -> None:
    """Whatever YAML would make of its characters, it is the same text when the file is read."""
    install = "pip install x # - [a]: {b} & *c | 'd' \"e\" %f @g"
    text = str(parsed(ci, tmp_path, platforms=["arm64"], install=install))
    assert install.split("'")[0] in text

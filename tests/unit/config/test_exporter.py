"""Settings of how an image is written, and of builds that are the same whenever they are done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.buildkit.command import export
from multiarch.config.load import load
from multiarch.errors import ConfigurationError, MultiarchError
from tests.unit.config.test_checkout import git

if TYPE_CHECKING:
    from multiarch.config.settings import Settings


def read(block: dict[str, Any], environ: dict[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Return settings for one platform, in a directory that git knows nothing of."""
    block = {"image": "a/b", "platforms": ["arm64"], **block}
    return load(block, environ or {}, {}, directory=directory or Path("/nowhere"))


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({}, ""),
        ({"compression": "zstd"}, ",compression=zstd"),
        ({"compression": "zstd", "compression_level": 22}, ",compression=zstd,compression-level=22"),
        ({"compression_level": 9}, ",compression-level=9"),
        ({"compression": "uncompressed"}, ",compression=uncompressed"),
        ({"oci_artifact": False}, ",oci-artifact=false"),
        ({"oci_artifact": True}, ",oci-artifact=true"),
        ({"reproducible": True}, ",rewrite-timestamp=true"),
    ],
)
def test_settings_are_attributes_of_the_exporter(block: dict[str, Any], expected: str) -> None:
    """Of images, pushed or in an archive; a directory has none of it."""
    assert f"type=image,name=x,push=true{expected}" == export(read(block), "x")
    assert f"type=oci,dest=y{expected}" == export(read({**block, "output": "oci,dest=y"}), "x")
    assert "type=local,dest=y" == export(read({**block, "output": "local,dest=y"}), "x")


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"entitlements": ["device"]}, "entitlements[0]: 'device' is none of security.insecure, network.host"),
        ({"compression": "xz"}, "compression: 'xz' is none of gzip, estargz, zstd, uncompressed"),
        ({"compression_level": 10}, "compression_level: 10 is no level of gzip; expected from 0 to 9"),
        (
            {"compression": "zstd", "compression_level": 23},
            "compression_level: 23 is no level of zstd; expected from 0 to 22",
        ),
        (
            {"compression": "uncompressed", "compression_level": 1},
            "compression_level: 1 is no level of uncompressed; expected 0: it has none",
        ),
        (
            {"reproducible": True, "attestations": ["provenance"]},
            (
                "attestations: they tell when they were made, so that no two releases are alike: leave them out, or"
                " reproducible"
            ),
        ),
    ],
)
def test_wrong_option_is_told(block: dict[str, Any], expected: str) -> None:
    """With what is allowed in its place."""
    with pytest.raises(ConfigurationError) as caught:
        read(block)
    assert f"multiarch.{expected}" == str(caught.value)


def test_reproducible_build_has_the_time_of_its_commit(tmp_path: Path) -> None:
    """Unless the convention's variable, or a build argument, says another; and it has no attestations by itself."""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "-c", "core.editor=true", "commit", "--quiet", "--allow-empty", "-m", "x", "--date=1000 +0000")
    committed = git(tmp_path, "log", "-1", "--format=%ct")
    block: dict[str, Any] = {"reproducible": True}
    own = {**block, "build_args": {"SOURCE_DATE_EPOCH": "8"}}
    given = [
        read(block, {}, tmp_path),
        read(block, {"SOURCE_DATE_EPOCH": "7"}, tmp_path),
        read(own, {"SOURCE_DATE_EPOCH": "7"}, tmp_path),
    ]
    assert [committed, "7", "8"] == [settings.matrix[0].build_args["SOURCE_DATE_EPOCH"] for settings in given]
    assert [{}] * 3 == [settings.build.attestations for settings in given]
    assert {"provenance"} == set(read({}).build.attestations)


def test_time_that_is_not_known_is_an_error_of_the_build() -> None:
    """The job that publishes does not need it."""
    settings = read({"reproducible": True})
    settings.publish.check()
    with pytest.raises(MultiarchError, match=r"^multiarch\.reproducible: git knows no commit here, whose"):
        settings.build.check()
    with pytest.raises(ConfigurationError, match=r"the variable SOURCE_DATE_EPOCH is no number of seconds: 'x'$"):
        read({"reproducible": True}, {"SOURCE_DATE_EPOCH": "x"})

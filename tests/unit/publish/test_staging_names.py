"""Which tags are staging tags, and whose."""

from __future__ import annotations

import pytest

from multiarch.errors import ConfigurationError
from multiarch.publish.staging_names import StagingNames
from tests.unit.staging import settings_for

TAGS = ("latest", "latest-amd64", "latest-813-amd64", "latest-1-2-arm-v7", "1.4", "1.4-9-arm-v7", "v7", "x-5-amd64")


def _read(build: str | None = None, **block: object) -> dict[str, str]:
    settings = settings_for("linux/amd64", "linux/arm/v7", **block)
    return {tag: name.build for tag, name in StagingNames.of(settings, build).read(TAGS).items()}


def test_usual_forms_are_read_within_a_ci_and_outside() -> None:
    """A build is named where it is certain: of ``x-5-amd64`` no tag ``x`` is there, so that may be one of no CI."""
    expected = {"latest-amd64": "", "latest-813-amd64": "813", "latest-1-2-arm-v7": "1-2"}
    assert {**expected, "1.4-9-arm-v7": "9", "x-5-amd64": ""} == _read()


def test_build_is_no_part_of_another_build() -> None:
    """``latest-1-2-arm-v7`` is of build 1-2, since no tag ``latest-1`` is there; nor is it of build 1."""
    assert {"latest-813-amd64": "813"} == _read("813")
    assert {"latest-1-2-arm-v7": "1-2"} == _read("1-2")
    assert [{}] * 4 == [_read("2"), _read("1"), _read("13"), _read("5")]
    assert {} == _read(".*")


def test_form_of_the_settings_counts() -> None:
    """Published tags are none, whatever they look like; without ``{build}`` no build can be named."""
    assert {"latest-amd64": ""} == _read(arch_tag="latest-{platform}")
    assert {"latest-amd64": "", "x-5-amd64": ""} == _read(arch_tag="{tag}-{architecture}", tags=["latest-813-amd64"])
    with pytest.raises(ConfigurationError, match=r"--build: arch_tag '\{tag\}-\{platform\}' has no \{build\}"):
        _read("1", arch_tag="{tag}-{platform}")

"""The inputs of a build: what is read for them, and how often; each release reads them for its records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multiarch.buildkit.sent_files import SentFiles
from multiarch.config.project import load_project
from multiarch.image.platform import Platform
from multiarch.publish.inputs import (
    KnownInputs,
    UnknownInputsError,
    are_own_inputs,
    inputs_of_platform,
    read_inputs,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.project import Project

AMD64 = Platform.parse("linux/amd64")


class Counting(SentFiles):
    """Counts the files that it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def file(self, path: Path) -> str:
        """Count it."""
        self.asked += 1
        return super().file(path)


def block(**more: Any) -> dict[str, Any]:
    """Return a block of one platform."""
    return {"image": "someone/{target}", "platforms": ["linux/amd64"], **more}


def test_base_that_several_share_is_read_once(project: Project) -> None:
    """Of each of ten targets two contexts are the one before it: there are 1023 ways down to the first."""
    targets: dict[str, Any] = {"t0": {}}
    targets |= {f"t{n}": {"contexts": {"a": f"target:t{n - 1}", "b": f"target:t{n - 1}"}} for n in range(1, 10)}
    whole = load_project(block(targets=targets), {}, {})
    sent = Counting()
    inputs_of_platform(whole, whole.target("t9"), AMD64, "", sent, {})
    # The files of the one context that they have, and the Dockerfile of each.
    assert len(list(project.path.iterdir())) + 10 == sent.asked


def test_each_of_a_chain_is_read_once_whatever_is_built_on_it(project: Project) -> None:
    """Thirty targets, each on the one before it: with what was read of those below, each costs as much as the first."""
    targets: dict[str, Any] = {"t0": {}}
    targets |= {f"t{n}": {"contexts": {"base": f"target:t{n - 1}"}} for n in range(1, 30)}
    whole = load_project(block(targets=targets), {}, {})
    sent = Counting()
    known: KnownInputs = {}
    for target in whole:
        inputs_of_platform(whole, target, AMD64, "", sent, known)
    assert len(list(project.path.iterdir())) + 30 == sent.asked


def test_record_is_not_of_files_that_changed_while_they_were_built(project: Project) -> None:
    """A target's own files are compared; what it is built on was built, whatever becomes of its files."""
    whole = load_project(block(targets={"base": {}, "app": {"contexts": {"base": "target:base"}}}), {}, {})
    app = whole.target("app")
    inputs = inputs_of_platform(whole, app, AMD64, "", SentFiles(), {})
    assert are_own_inputs(inputs, app, AMD64, "", SentFiles())
    (project.path / "Dockerfile").write_text("FROM scratch\nLABEL other=1\n")
    assert not are_own_inputs(inputs, app, AMD64, "", SentFiles())


def test_ignore_file_that_leads_nowhere_is_one_that_is_not_known(project: Project) -> None:
    """It ends no run: no more than any other file that cannot be read."""
    (project.path / ".dockerignore").symlink_to("x" * 300)
    whole = load_project(block(image="someone/app"), {}, {})
    with pytest.raises(UnknownInputsError, match="File name too long"):
        read_inputs(whole, whole.targets[0], "")

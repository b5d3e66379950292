"""Merge of a pipeline into the file of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from multiarch.config.settings import CIS
from tests.unit.pipelines.files import ASSETS, FAR, NATIVE, PAIR, PATHS, PLAIN, VARIED, merged, parsed, text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("ci", CIS)
@pytest.mark.parametrize("before", [VARIED, NATIVE, FAR, PLAIN, PAIR, ASSETS])
@pytest.mark.parametrize("after", [VARIED, NATIVE, FAR, PLAIN, PAIR, ASSETS])
def test_nothing_of_former_settings_is_left(
    tmp_path: Path, ci: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """A file that was written from other settings is the same as a new one."""
    (tmp_path / "new").mkdir()
    path = tmp_path / PATHS[ci]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(ci, tmp_path, **before))
    written = YAML(typ="safe").load(text(ci, tmp_path, **after))
    new = parsed(ci, tmp_path / "new", **after)
    for job in [*written.values(), *new.values()] if ci == "gitlab" else []:
        if isinstance(job, dict):
            job.pop("tags", None)  # may be a project's own
    assert new == written


COMMENT = "# Deploys to production; ask before you change it."


@pytest.mark.parametrize(
    ("ci", "own"),
    [
        ("gitlab", f"\n{COMMENT}\ndeploy:\n  script: x\n"),
        ("travis", f"\n    {COMMENT}\n    - stage: build\n      script: x\n"),
        ("circleci", f"\n{COMMENT}\norbs: {{}}\n"),
    ],
)
def test_a_comment_below_ours_stays(tmp_path: Path, ci: str, own: str) -> None:
    """The parser takes it for a part of ours, which grows, shrinks or goes above it."""
    current = text(ci, tmp_path) + own
    for block in ({**PLAIN, "smoke": ["true"]}, {**PLAIN, "platforms": ["amd64"]}, PLAIN):
        current = merged(tmp_path, ci, current, **block).text
        assert 1 == current.count(COMMENT)


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ("# Top.\n---\n# Below.\nscript: x\n", "# Top.\n---\n# Below.\nscript: x\n"),
        ("script: x\r\nlanguage: c\r\n", "script: x\r\nlanguage: c\r\nstages:\r\n"),
        ("# Only this.\n", "# Only this.\n"),
        ("\n\nscript: x\n", "\n\nscript: x\n"),
        ("\n" * 40 + "script: x\n", "\n" * 40 + "script: x\n"),
    ],
)
def test_how_a_file_is_written_stays(tmp_path: Path, existing: str, expected: str) -> None:
    """The mark of a document and the lines above it, the ends of lines, and a file of comments alone."""
    after = merged(tmp_path, "travis", existing).text
    assert expected.replace("stages:\r\n", "") in after
    assert after.count("\n") == after.count("\r\n") or "\r" not in after


def test_an_anchor_of_the_projects_is_not_written_through(tmp_path: Path) -> None:
    """A list that several jobs share is copied for ours, and stays as it is for the others."""
    existing = (
        "jobs:\n  include:\n    - stage: build\n      name: linux/amd64\n      before_script: &p [a, b]\n"
        "    - stage: mine\n      before_script: *p\n      script: x\n"
    )
    jobs = merged(tmp_path, "travis", existing).data["jobs"]["include"]
    commands = {job.get("name"): job.get("before_script") for job in jobs}
    expected = ["invoke start-buildkit --platform linux/amd64", "invoke copy-buildctl"]
    assert (["a", "b"], expected) == (commands[None], commands["linux/amd64"])


@pytest.mark.parametrize(
    ("ci", "existing"),
    [
        (
            "circleci",
            "version: '2.1'\njobs: &j\n  t: {machine: true, steps: [checkout]}\nworkflows: &w\n  t: {jobs: [t]}\n",
        ),
        ("gitlab", "test:\n    script:\n        - x\n    variables:\n        A: b\n"),
        ("travis", "jobs:\n  include: &inc\n    - script: make\n_more: *inc\n"),
        ("travis", "jobs: &j\n  include:\n    - script: make\n_x: *j\n"),
        (
            "travis",
            "_x: &x\n  addons: {apt: {packages: [jq]}}\njobs: &j\n  include:\n    - <<: *x\n      script: make\n",
        ),
    ],
)
def test_what_a_project_has_anchored_stays(tmp_path: Path, ci: str, existing: str) -> None:
    """A mapping or list with an anchor, or one that is merged, loses nothing; and a file keeps its own indentation."""
    before, after = YAML(typ="safe").load(existing), merged(tmp_path, ci, existing)
    if ci == "travis":
        assert before["jobs"]["include"][0] == after.data["jobs"]["include"][0]
    elif ci == "gitlab":
        assert after.text.startswith(existing)
    else:
        assert [True, True] == [before[key].items() <= after.data[key].items() for key in ("jobs", "workflows")]

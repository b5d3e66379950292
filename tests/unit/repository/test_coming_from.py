"""docs/coming-from.md: what it names of ours is there, and what it names of others is all that they have."""

from __future__ import annotations

import re
import shlex

import msgspec
import pytest

from multiarch import ns
from multiarch.config.project import load_project
from multiarch.config.schema import Block, PlatformEntry
from tests.unit.cli.test_tasks import FLAGS
from tests.unit.project import ROOT

PAGE = (ROOT / "docs" / "coming-from.md").read_text()
SETTINGS = {field.name for kind in (Block, PlatformEntry) for field in msgspec.structs.fields(kind)} | {"matrix"}
# Values, and names of a CI's; each as the loader takes it where it is one of a setting.
VALUES = {
    "cache": ["gha", "registry", "local", "inline"],
    "tags": ["{semver}", "{major}.{minor}", "latest", "edge if default-branch", "latest if stable"],
    "secrets": ["env:NAME", "file:PATH"],
}
NOT_SETTINGS = {
    "default",  # of `groups`
    "INVOKE_MULTIARCH_…",
    "RUN --network=host",
    "GIT_AUTH_TOKEN",
    "digest",  # an output of a step
}
# All that they have, from their sources: buildx bake/bake.go and docs/reference/buildx_bake.md, action.yml of
# build-push-action, dockers_v2.md of GoReleaser, docs/reference/commandline/manifest_*.md of docker/cli.
THEIRS = {
    "From buildx bake": "args annotations attest cache-from cache-to call context contexts description dockerfile"
    " dockerfile-inline entitlements extra-hosts group inherits labels matrix name network no-cache no-cache-filter"
    " output platforms policy pull resources secret shm-size ssh tags target ulimits variable function --allow"
    " --builder --call --check --load --metadata-file --policy --print --progress --provenance --pull --push --sbom"
    " --set --var",
    "From docker/build-push-action": "add-hosts allow annotations attests build-args build-contexts builder cache-from"
    " cache-to call cgroup-parent context file labels load network no-cache no-cache-filters outputs platforms"
    " provenance pull push sbom secrets secret-envs secret-files shm-size ssh tags target ulimit github-token imageid"
    " digest metadata",
    "From GoReleaser": "id ids dockerfile images tags extra_files labels annotations platforms disable sbom build_args"
    " flags retry",
    "From docker manifest": "--amend --insecure --arch --os --os-features --os-version --variant --purge",
}


def rows(section: str) -> list[tuple[str, str]]:
    """Return the rows of a section's tables: theirs, and ours."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return [(theirs, ours) for theirs, ours in re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE)]


def problem(name: str) -> str:
    """Return what is wrong with a name of ours; nothing where it is there."""
    if name in SETTINGS | NOT_SETTINGS or any(name in values for values in VALUES.values()):
        return ""
    words = shlex.split(name)
    flags = {alias for step in FLAGS for one in ns[step].get_arguments(ignore_unknown_help=True) for alias in one.names}
    if words[0].startswith("--"):
        return "" if words[0][2:].replace("-", "_") in {flag.replace("-", "_") for flag in flags} else name
    if words[0] != "invoke":
        return name
    step = next(word for word in words[1:] if word != "--dry")
    own = {alias for one in ns[step].get_arguments(ignore_unknown_help=True) for alias in one.names}
    return " ".join(word for word in words if word.startswith("--") and word[2:] not in own | {"dry"})


@pytest.mark.parametrize("section", THEIRS)
def test_what_is_named_of_ours_is_there(section: str) -> None:
    """Settings, flags and tasks, in each table."""
    named = [
        name for _, ours in rows(section) for name in re.findall(r"`([^`]+)`", ours) if not name.startswith("FROM")
    ]
    assert [] == [wrong for name in named if (wrong := problem(name))]
    assert len(named) > 8


@pytest.mark.parametrize("section", THEIRS)
def test_what_they_have_is_told(section: str) -> None:
    """Every attribute, input, field and flag of theirs has its row: what we do not have is not passed over."""
    told = {word for theirs, _ in rows(section) for name in re.findall(r"`([^`]+)`", theirs) for word in name.split()}
    assert set() == set(THEIRS[section].split()) - told


def test_values_of_ours_are_taken() -> None:
    """Those that the tables name, by the loader."""
    for cache in VALUES["cache"]:
        load_project({"image": "a/b", "platforms": ["amd64"], "cache": cache}, {}, {})
    load_project({"image": "a/b", "platforms": ["amd64"], "tags": [*VALUES["tags"], "x"]}, {}, {})


def test_a_name_that_is_not_there_is_found() -> None:
    """The check above sees a setting, a task's flag and a flag that nothing has."""
    assert ["cache_from", "--no-such", "--no-such"] == [
        problem(name) for name in ("cache_from", "--no-such", "invoke manifest --no-such")
    ]

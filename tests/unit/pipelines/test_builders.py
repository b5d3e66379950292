"""Jobs of platforms that are built elsewhere: what they need, and which of their steps have the keys of builders."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.settings import CIS
from multiarch.errors import ConfigurationError
from tests.unit.pipelines.files import PLAIN, merged, parsed, text

if TYPE_CHECKING:
    from pathlib import Path

TLS = ("FLEET_CA", "FLEET_CERT", "FLEET_KEY")
ARM = {"address": "tcp://arm-1.example:1234", "platforms": ["arm64"], "tls": "env:FLEET"}
FLEET: dict[str, Any] = {
    "image": ["a/b"],
    "platforms": ["amd64", "arm64", "s390x", "ppc64le"],
    "builders": {
        "arm-1": ARM,
        "z": {"address": "ssh://build@z.example", "platforms": ["s390x"]},
        "p": {"pods": {"selector": "app=buildkit"}, "platforms": ["ppc64le"]},
    },
}
ALL = (*TLS, "FLEET_SSH_KEY", "FLEET_KNOWN_HOSTS", "FLEET_KUBECONFIG")
WITHHELD = (
    "kept_FLEET_CA=$FLEET_CA kept_FLEET_CERT=$FLEET_CERT kept_FLEET_KEY=$FLEET_KEY; unset FLEET_CA FLEET_CERT FLEET_KEY"
)
HANDED_OUT = 'export FLEET_CA="$kept_FLEET_CA" FLEET_CERT="$kept_FLEET_CERT" FLEET_KEY="$kept_FLEET_KEY"'
ONE: dict[str, Any] = {"image": ["a/b"], "platforms": ["amd64", "arm64"], "builders": {"arm-1": ARM}}


@pytest.mark.parametrize("ci", CIS)
def test_head_names_the_secrets_of_builders_and_what_they_become(tmp_path: Path, ci: str) -> None:
    """Whoever sets them has to know what is in each."""
    lines = text(ci, tmp_path, **FLEET).splitlines()
    what = (
        "# Secrets of builders: ca.pem, cert.pem, key.pem of fleet-certs in FLEET_CA, FLEET_CERT, FLEET_KEY; a private "
        "key without a passphrase in FLEET_SSH_KEY; what ssh-keyscan prints in FLEET_KNOWN_HOSTS; a kubeconfig in "
        "FLEET_KUBECONFIG."
    )
    assert [
        what,
        "# As they are, or in base64 where the CI takes or masks one line alone; each is a file of mode 0600 of the",
        "# building step, and goes with it.",
    ] == [line for line in lines[:8] if "Secrets of" in line or "base64" in line or "goes with" in line]
    (to_set,) = (line for line in lines[:8] if line.startswith("# To be set at the CI: "))
    assert to_set.endswith(f"{', '.join(ALL)}.")


@pytest.mark.parametrize("ci", CIS)
def test_file_without_builders_says_nothing_of_them(tmp_path: Path, ci: str) -> None:
    """Also one that had some: nothing of theirs is left in it."""
    plain = text(ci, tmp_path)
    assert [] == [word for word in ("FLEET", "kept_", "unset") if word in plain]
    with_builders = merged(tmp_path, ci, plain, **ONE)
    assert "FLEET_KEY" in with_builders.text
    assert plain == merged(tmp_path, ci, with_builders.text, **PLAIN).text


@pytest.mark.parametrize("ci", CIS)
def test_file_with_builders_is_up_to_date_after_a_second_run(tmp_path: Path, ci: str) -> None:
    """`merged` checks it as `pipeline --check` does."""
    first = merged(tmp_path, ci, "", **FLEET)
    assert first.text == merged(tmp_path, ci, first.text, **FLEET).text


def test_travis_keeps_the_keys_until_the_build(tmp_path: Path) -> None:
    """Its phases are in one shell: what is installed, and the project's tasks before the build, do not get them."""
    amd64, arm64, manifest = parsed("travis", tmp_path, **ONE)["jobs"]["include"]
    assert [[WITHHELD, "pip install tools"]] * 3 == [job["install"] for job in (amd64, arm64, manifest)]
    assert ["invoke copy-buildctl", HANDED_OUT] == arm64["before_script"]
    assert "invoke build-arch --platform linux/arm64" == arm64["script"]
    start, copy = amd64["before_script"]
    assert ["start-buildkit", "copy-buildctl"] == [start.split()[1], copy.split()[1]]
    assert "before_script" not in manifest


def test_gitlab_keeps_the_keys_until_the_build(tmp_path: Path) -> None:
    """As Travis: the lines of before_script and script are in one shell."""
    file = parsed("gitlab", tmp_path, **ONE)
    assert WITHHELD == file[".multiarch"]["before_script"][0]
    assert ["invoke copy-buildctl", HANDED_OUT, "invoke build-arch --platform linux/arm64"] == file[
        "build linux/arm64"
    ]["script"]
    assert ["invoke manifest"] == file["publish manifest"]["script"]
    assert [] == [line for line in file["build linux/amd64"]["script"] if "FLEET" in line]


def test_github_names_the_keys_in_the_building_step_alone(tmp_path: Path) -> None:
    """A step has the secrets that it names."""
    jobs = parsed("github", tmp_path, **ONE)["jobs"]
    holders = [step["run"] for job in jobs.values() for step in job["steps"] if "FLEET_KEY" in step.get("env", {})]
    assert ["invoke build-arch --platform ${{ matrix.platform }}"] * 2 == holders
    assert {name: f"${{{{ secrets.{name} }}}}" for name in TLS}.items() <= jobs["build"]["steps"][-1]["env"].items()
    entries = {entry["platform"]: entry for entry in jobs["build"]["strategy"]["matrix"]["include"]}
    assert [(False, False), (False, True)] == [(one["emulated"], one["builder"]) for one in entries.values()]


def test_circleci_drops_the_keys_in_all_steps_but_the_build(tmp_path: Path) -> None:
    """Each of its steps has a shell of its own, and all variables of the project."""
    jobs = parsed("circleci", tmp_path, **ONE)["jobs"]
    drop = "unset FLEET_CA FLEET_CERT FLEET_KEY\n"
    install, server, client, build = jobs["multiarch-build"]["steps"][1:]
    assert [True, True, True, False] == [
        command.startswith(drop)
        for command in (
            install["run"]["command"],
            server["unless"]["steps"][0]["run"],
            client["run"],
            build["run"],
        )
    ]
    assert {"run": f"{drop}invoke manifest"} == jobs["multiarch-publish"]["steps"][-1]


@pytest.mark.parametrize("ci", CIS)
def test_publishing_step_has_the_keys_where_images_are_tried_on_a_builder(tmp_path: Path, ci: str) -> None:
    """It needs BuildKit's client then, and no emulator for what is tried there."""
    file = parsed(ci, tmp_path, smoke=["true"], **ONE)
    job = {
        "travis": lambda: file["jobs"]["include"][-1],
        "github": lambda: file["jobs"]["manifest"],
        "gitlab": lambda: file["publish manifest"],
        "circleci": lambda: file["jobs"]["multiarch-publish"],
    }[ci]()
    assert ("invoke copy-buildctl" in str(job), "setup-binfmt" in str(job)) == (True, False)
    expected = {"travis": HANDED_OUT, "gitlab": HANDED_OUT, "github": "secrets.FLEET_KEY"}
    assert expected.get(ci, "{'run': 'invoke manifest'}") in str(job)


@pytest.mark.parametrize("ci", CIS)
def test_builder_that_says_no_platforms_has_a_server_beside_it(tmp_path: Path, ci: str) -> None:
    """What it has is known when it answers; its keys are there then."""
    block = {**ONE, "builders": {"arm-1": {"address": "tcp://a:1", "tls": "env:FLEET"}}}
    written = text(ci, tmp_path, **block)
    assert [True] * 3 == [word in written for word in ("start-buildkit", "setup-binfmt", "FLEET_KEY")]


@pytest.mark.parametrize("ci", CIS)
def test_directory_of_certificates_is_refused(tmp_path: Path, ci: str) -> None:
    """The machines of a CI begin with nothing; those that are named in `runner` may have it."""
    builders = {"arm-1": {**ARM, "tls": "/etc/fleet"}}
    with pytest.raises(ConfigurationError) as caught:
        text(ci, tmp_path, **{**ONE, "builders": builders})
    assert (
        "multiarch.builders.arm-1.tls: /etc/fleet is a directory of this machine, which the jobs of a CI do not have; "
        "write tls: env:FLEET, for certificates out of the secrets FLEET_CA, FLEET_CERT and FLEET_KEY"
    ) == str(caught.value)
    runner = {"travis": "arm64-graviton2"}.get(ci, "mine")
    own = [{"platform": "arm64", "runner": {ci: runner}}]
    assert "invoke build-arch" in text(ci, tmp_path, **{**ONE, "platforms": own, "builders": builders})


def test_shell_keeps_what_it_withholds(tmp_path: Path) -> None:
    """No program has it until it is handed out: with all of its lines, in the shell of Debian and of Alpine alike."""
    script = f"{WITHHELD}\nenv -0 >{tmp_path}/before\n{HANDED_OUT}\nenv -0 >{tmp_path}/after\n"
    secrets = {"FLEET_CA": "a\nb", "FLEET_CERT": "c d", "FLEET_KEY": "$(e) 'f'"}
    subprocess.run(["sh", "-euc", script], env={**secrets, "PATH": "/usr/bin:/bin"}, check=True)
    before, after = ((tmp_path / name).read_text().split("\0") for name in ("before", "after"))
    assert [] == [line for line in before if "FLEET" in line]
    assert sorted(f"{name}={value}" for name, value in secrets.items()) == sorted(x for x in after if "FLEET" in x)

"""Signing, as far as it shows without cosign: what ``--dry`` prints, and what is said before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.project import Project

BLOCK = "multiarch:\n  image: ghcr.io/a/b\n  platforms: [linux/amd64]\n  attestations: []\n"
NO_LOG = "--use-signing-config=false --tlog-upload=false"
REMEDY = "install cosign 3 (docs.sigstore.dev, System Configuration), or take sign out of the settings"


@pytest.mark.parametrize(
    ("sign", "command"),
    [
        ("cosign", "cosign sign --yes --recursive ghcr.io/a/b:latest"),
        (
            "{key: cosign.key, log: false}",
            f"cosign sign --yes --key=cosign.key {NO_LOG} --recursive ghcr.io/a/b:latest",
        ),
        (
            "{key: 'awskms:///alias/a b'}",
            "cosign sign --yes '--key=awskms:///alias/a b' --recursive ghcr.io/a/b:latest",
        ),
    ],
)
def test_dry_run_prints_how_the_tag_is_signed(project: Project, sign: str, command: str) -> None:
    """Behind what publishes it; without the setting there is no such line."""
    project.write(invoke_yaml=f"{BLOCK}  sign: {sign}\n")
    signed = project.run("--dry", "manifest")
    project.write(invoke_yaml=BLOCK)
    assert (0, [*project.run("--dry", "manifest").out, command]) == (signed.status, signed.out)


@pytest.mark.parametrize(
    ("setting", "flag"),
    [("", "--allow-http-registry "), ("  insecure_registries: ['127.0.0.1:9']\n", "--allow-http-registry ")],
)
def test_dry_run_says_how_a_registry_is_spoken_to(project: Project, setting: str, flag: str) -> None:
    """One on the loopback interface has no TLS."""
    project.write(
        invoke_yaml=f"multiarch:\n  image: 127.0.0.1:9/a\n  platforms: [linux/amd64]\n{setting}  sign: cosign\n"
    )
    assert f"cosign sign --yes --recursive {flag}127.0.0.1:9/a:latest" == project.run("--dry", "manifest").out[-1]


@pytest.mark.parametrize("step", ["release", "manifest"])
def test_missing_cosign_is_told_before_anything_is_done(project: Project, step: str) -> None:
    """In one line; neither a Docker host nor a registry is looked for."""
    project.write(invoke_yaml=f"{BLOCK}  sign: cosign\n")
    done = project.run(step)
    assert (1, [], [f"cannot sign with cosign: it is not on PATH; {REMEDY}"]) == (done.status, done.out, done.err)


@pytest.mark.parametrize("output", ["none", "oci,dest=archive.tar"])
def test_nothing_is_needed_to_sign_where_nothing_is_pushed(project: Project, output: str) -> None:
    """A pull request may have no cosign: then what is missing next is told."""
    project.write(invoke_yaml=f"{BLOCK}  sign: cosign\n  output: '{output}'\n")
    done = project.run("release")
    assert (1, False) == (done.status, any("cosign" in line for line in done.err))

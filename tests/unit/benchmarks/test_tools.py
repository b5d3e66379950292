"""The contestants build the same: what their commands say of a job."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from benchmarks.arena import Arena, Job
from benchmarks.tools import bare, ours, serial

if TYPE_CHECKING:
    from pathlib import Path

JOB = Job(
    ["127.0.0.1:1/a", "127.0.0.1:2/a"],
    ["latest", "1.4"],
    ["linux/amd64", "linux/arm64"],
    cache="127.0.0.1:1/cache",
    arguments={"A": "b"},
    secrets={"certificates": "/c.pem"},
)


def test_bare_solve_pushes_all_tags(tmp_path: Path) -> None:
    """In one solve, with the provenance and the cache of the others: it is the limit for all of them."""
    (words,) = bare(Arena(tmp_path, "tcp://127.0.0.1:3", ["127.0.0.1:1"]), JOB)
    app, names = f"{tmp_path}/app", "127.0.0.1:1/a:latest,127.0.0.1:1/a:1.4,127.0.0.1:2/a:latest,127.0.0.1:2/a:1.4"
    assert [
        *(f"{tmp_path}/buildctl", "--addr", "tcp://127.0.0.1:3", "build"),
        *("--frontend", "dockerfile.v0", "--progress", "plain"),
        *("--local", f"context={app}", "--local", f"dockerfile={app}"),
        *("--opt", "platform=linux/amd64,linux/arm64", "--opt", "attest:provenance=mode=min"),
        *("--opt", "build-arg:A=b", "--secret", "id=certificates,src=/c.pem"),
        *("--output", f'type=image,"name={names}",push=true'),
        *("--import-cache", "type=registry,ref=127.0.0.1:1/cache:buildcache"),
        *("--export-cache", "type=registry,ref=127.0.0.1:1/cache:buildcache,mode=max"),
    ] == words


def test_ours_is_configured_as_an_adopter_does(tmp_path: Path) -> None:
    """In invoke.yaml, before the time is taken; the command has no flags."""
    commands = ours(Arena(tmp_path, "tcp://127.0.0.1:3", ["127.0.0.1:1"]), JOB)
    assert [[sys.executable, "-m", "invoke", "release"]] == commands
    assert {
        "multiarch": {
            "image": ["127.0.0.1:1/a", "127.0.0.1:2/a"],
            "tags": ["latest", "1.4"],
            "platforms": ["linux/amd64", "linux/arm64"],
            "context": "app",
            "dest": str(tmp_path),
            "buildkit_image": "moby/buildkit:v0.32.2",
            "build_args": {"A": "b"},
            "secrets": {"certificates": "file:/c.pem"},
            "cache": "registry",
            "cache_image": "127.0.0.1:1/cache",
        }
    } == json.loads((tmp_path / "invoke.yaml").read_text())


def test_the_document_builds_one_platform_after_the_other(tmp_path: Path) -> None:
    """Then it makes the index with Docker's command."""
    job = Job(["127.0.0.1:1/a"], platforms=["linux/amd64", "linux/arm64"])
    commands = serial(Arena(tmp_path, "tcp://127.0.0.1:3", ["127.0.0.1:1"]), job)
    expected = ["buildctl", "buildctl", "manifest create", "manifest annotate", "manifest annotate", "manifest push"]
    actual = [" ".join(words[1:3]) if words[0] == "docker" else words[0].rpartition("/")[2] for words in commands]
    assert expected == actual

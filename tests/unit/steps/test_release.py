"""The chain, on a builder that is given, with a small program in the place of buildctl and a real registry protocol."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.unit.rawjson import log, vertex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.project import Project, Result
    from tests.unit.registry_server import RegistryServer

PREAMBLE = """\
#!/bin/sh
PATH=/usr/bin:/bin
for word; do
  case $word in platform=linux/*) platform=${word#platform=linux/} ;; esac
  [ "$last" = --metadata-file ] && metadata=$word
  last=$word
done
echo "$$" > pid-$platform
push() { echo "{\\"containerimage.digest\\": \\"$(cat digest-$platform)\\"}" > "$metadata"; }
say() { cat "$1" >&2; }
"""
PATIENTLY = "n=0; while [ $n -lt 500 ]; do n=$((n + 1)); sleep 0.01; [ -e {} ] && break; done; [ -e {} ] || exit 1"


class Release:
    """A project whose two platforms are built by a script, each by itself as they differ in more than that."""

    def __init__(self, project: Project, server: RegistryServer) -> None:
        self.project = project
        self.server = server
        project.write(
            invoke_yaml=f"multiarch:\n  image: {server.host}/app\n  tags: [latest, '1']\n  dest: bin\n"
            "  retry_seconds: 5\n  platforms:\n"
            "    - {platform: linux/amd64, target: one}\n    - {platform: linux/arm64, target: two}\n"
        )
        self.digests = {name: self._image(name) for name in ("amd64", "arm64")}

    def _image(self, name: str) -> str:
        """Have the registry hold an image that the script will say it pushed."""
        body = json.dumps({"os": "linux", "architecture": name}).encode()
        config = {"digest": self.server.hold_blob("app", body), "size": len(body)}
        digest = str(self.server.hold_manifest("app", f"pushed-{name}", {"config": config})["digest"])
        (self.project.path / f"digest-{name}").write_text(digest)
        return digest

    def install(self, script: str) -> None:
        """Have a buildctl of this *script*: ``$platform``, ``push``, ``say FILE``."""
        program = self.project.path / "bin" / "buildctl"
        program.parent.mkdir(exist_ok=True)
        program.write_text(PREAMBLE + script)
        program.chmod(0o755)

    def run(self, script: str, *flags: str) -> Result:
        """Run the release with a buildctl of this *script*."""
        self.install(script)
        return self.project.run("release", *flags)

    @property
    def published(self) -> dict[str, list[str]]:
        """The digests under each tag."""
        return {
            tag: [entry["digest"] for entry in json.loads(self.server.contents[path][1])["manifests"]]
            for tag in ("latest", "1")
            if (path := f"/v2/app/manifests/{tag}") in self.server.contents
        }

    def is_running(self, name: str) -> bool:
        """Tell whether the build of a platform is there still."""
        try:
            os.kill(int((self.project.path / f"pid-{name}").read_text()), 0)
        except ProcessLookupError:
            return False
        return True


@pytest.fixture
def release(project: Project, server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Release]:
    """A release on a builder that answers."""
    with socket.create_server(("127.0.0.1", 0)) as builder:
        monkeypatch.setenv("BUILDKIT_HOST", f"tcp://127.0.0.1:{builder.getsockname()[1]}")
        yield Release(project, server)


def test_all_platforms_are_published_under_all_tags(release: Release) -> None:
    """The tags on standard output with their digest; what runs, and how to run it, on standard error."""
    (release.project.path / "said").write_text(f"{vertex('a', 'RUN true', seconds=1)}\n{log('a', 'built')}\n")
    result = release.run('say said; [ "$platform" = arm64 ] && sleep 0.05; push')
    host, digests = release.server.host, list(release.digests.values())
    assert {"latest": digests, "1": digests} == release.published
    assert (0, [f"{host}/app:latest", f"{host}/app:1"]) == (result.status, [x.partition("@")[0] for x in result.out])
    assert [True, True] == [f"linux/{name} │ RUN true  1.0s" in result.err for name in release.digests]
    assert [f"run it: docker run --rm --platform linux/{name} {host}/app:latest" for name in release.digests] == (
        result.err[-2:]
    )


def test_platforms_are_built_at_the_same_time(release: Release) -> None:
    """Two builds that wait for each other both end."""
    wait = PATIENTLY.format("met-$other", "met-$other")
    result = release.run(f": > met-$platform; [ $platform = amd64 ] && other=arm64 || other=amd64\n{wait}\npush")
    assert (0, 2) == (result.status, len(release.published)), result.err


@pytest.mark.parametrize(
    ("cache", "solves"), [("none", ["linux/amd64,linux/arm64"]), ("registry", ["linux/amd64", "linux/arm64"])]
)
def test_platforms_with_a_cache_are_built_apart(release: Release, cache: str, solves: list[str]) -> None:
    """What could be one solve is one for each platform: one's cache would overwrite the other's."""
    release.project.write(
        invoke_yaml=f"multiarch:\n  image: {release.server.host}/app\n  dest: bin\n  jobs: 9\n  retry_seconds: 5\n"
        f"  cache: {cache}\n  platforms: [linux/amd64, linux/arm64]\n"
    )
    release.run('echo "$@" >> calls; sleep 0.3; exit 1')
    calls = sorted((release.project.path / "calls").read_text().splitlines())
    assert solves == sorted(re.findall("platform=(\\S+)", "\n".join(calls)))
    refs = [re.findall(r"buildcache-(\w+)", call) for call in calls]
    assert ([[]] if cache == "none" else [["amd64"] * 2, ["arm64"] * 2]) == refs


def test_a_failure_stops_the_others_and_moves_no_tag(release: Release) -> None:
    """The first platform to fail ends the run at once, with its words; the tags stay, and no process is left."""
    error = 'process "/bin/sh -c make" did not complete successfully: exit code: 2'
    said = f"{log('a', 'make: no rule')}\n{vertex('a', 'RUN make', seconds=1, error=error)}\n"
    (release.project.path / "said").write_text(said)
    wait = PATIENTLY.format("pid-arm64", "pid-arm64")
    began = time.monotonic()
    result = release.run(f"[ $platform = arm64 ] && exec sleep 20\n{wait}\nsay said; exit 1")
    assert time.monotonic() - began < 15
    assert (1, [], {}) == (result.status, result.out, release.published)
    assert [f"linux/amd64: build failed in RUN make: {error}", "  | make: no rule"] == result.err[-2:]
    assert [False, False] == [release.is_running(name) for name in release.digests]


def test_an_image_of_another_platform_moves_no_tag(release: Release) -> None:
    """What was pushed is checked before any tag is written."""
    (release.project.path / "digest-arm64").write_text(release.digests["amd64"])
    result = release.run("push")
    assert (1, [], {}) == (result.status, result.out, release.published)
    assert "should be for linux/arm64, but its config says linux/amd64" in result.err[-1]

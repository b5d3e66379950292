"""kill -9 at any moment of a release of three targets: no index is half, no tag moves before all gates have passed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.exhaustive.many import TAGS, TARGETS, ManyTags
from tests.unit.registry_server import RegistryServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.project import Project
    from tests.unit.registry_server import Reply, Request

KILLS = int(os.environ.get("MULTIARCH_KILLS", "10"))
PLATFORMS = ("amd64", "arm64")
PATHS = {f"/v2/{target}/manifests/{tag}" for target in TARGETS for tag in TAGS}
REQUESTS = 200  # of a release, about
# In the place of buildctl: tells the digest of what the registry holds already.
BUILDCTL = """\
#!/bin/sh
PATH=/usr/bin:/bin
for word; do
  case $word in context=*) target=${word#context=} ;; esac
  [ "$last" = --metadata-file ] && metadata=$word
  last=$word
done
echo "{\\"containerimage.digest\\": \\"$(cat digest-$target)\\"}" > "$metadata"
"""


class Release:
    """A project of three targets, in a process that is killed with the request of a number, or after some seconds."""

    def __init__(self, project: Project, many: ManyTags) -> None:
        self.project, self.many = project, many
        self.requests: list[Request] = []
        buildctl = project.path / "bin" / "buildctl"
        buildctl.parent.mkdir()
        buildctl.write_text(BUILDCTL)
        buildctl.chmod(0o755)
        for target in TARGETS:
            (project.path / target).mkdir()
            (project.path / target / "Dockerfile").write_text("FROM scratch\n")
        block = many.block | {"dest": "bin"}
        for target, written in block["targets"].items():
            written["context"] = target
        project.write(invoke_yaml=json.dumps({"multiarch": block}))  # JSON is YAML

    def build(self, word: str) -> None:
        """Have the next release build other images."""
        for target, digest in self.many.stage(word).items():
            (self.project.path / f"digest-{target}").write_text(digest)

    def kill_at(self, number: int, seconds: float, *, of_tags: bool = False) -> bool:
        """Run a release and kill it, with a request or after a time; return whether it came to its end before.

        :param of_tags: whether only the writes of tags are counted.
        """
        lock = threading.Lock()
        self.requests.clear()
        process = subprocess.Popen(
            self.project.command("release"),
            cwd=self.project.path,
            env=self.project.env(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

        def react(server: RegistryServer, request: Request) -> Reply:
            with lock:
                self.requests.append(request)
                is_counted = not of_tags or is_write(request)
                due = is_counted and number == sum(is_write(one) or not of_tags for one in self.requests)
            # Either has not been done, or was and is not answered.
            answer = server.from_contents(request) if number % 2 or not due else None
            if due:
                process.kill()
            return answer or server.from_contents(request)

        for server in self.many.servers:
            server.otherwise = lambda request, server=server: react(server, request)  # type: ignore[misc]
        err = ""
        try:
            _, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), err
        return process.returncode == 0

    def configs_seen(self) -> int:
        """Return how many configs had been read for the gates before the first tag was written."""
        written = [n for n, one in enumerate(self.requests) if is_write(one)]
        before = [f"{one.verb} {one.path}" for one in self.requests[: min(written, default=0)]]
        return len({line for line in before if line.startswith("GET ") and "/blobs/sha256:" in line})


@pytest.fixture
def release(project: Project, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Release]:
    """A project on a builder that answers, and two registries with a release before."""
    many = ManyTags(RegistryServer().start(), RegistryServer().start(), PLATFORMS)
    many.renew("old")
    builder = RegistryServer().start()  # it is asked for no more than a connection
    monkeypatch.setenv("BUILDKIT_HOST", f"tcp://{builder.host}")
    (project.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(project.path / "tmp"))
    yield Release(project, many)
    for server in (*many.servers, builder):
        server.stop()


def is_write(request: Request) -> bool:
    """Whether a request moves a published tag."""
    return request.verb == "PUT" and request.path in PATHS


def is_whole(server: RegistryServer, path: str) -> bool:
    """Whether a tag points to an index of both platforms, all of whose images are there."""
    folder = path.rpartition("/")[0]
    entries = json.loads(server.contents[path][1])["manifests"]
    images = [json.loads(server.contents[f"{folder}/{entry['digest']}"][1]) for entry in entries]
    blobs = [f"{folder.removesuffix('manifests')}blobs/{image['config']['digest']}" for image in images]
    return list(PLATFORMS) == [json.loads(server.contents[blob][1])["architecture"] for blob in blobs]


def test_kill_at_any_moment_leaves_whole_indexes(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    """Each tag holds what it held, or the new index, whole; the next release succeeds."""
    chance = random.Random(15)  # noqa: S311 (the moments are to be the same in each run)
    moved_none = moved_some = moved_all = 0
    for kill in range(KILLS):
        release.build(f"killed {kill}")
        before = release.many.tags
        for server in release.many.servers:
            server.requests.clear()
        if kill % 3 == 0:
            ended = release.kill_at(10_000, chance.uniform(0.1, 1.0))
        else:
            of_tags = kill % 3 == 1
            ended = release.kill_at(chance.randint(1, 24 if of_tags else REQUESTS), 60, of_tags=of_tags)
        time.sleep(0.05)  # for the requests that the registry has already, to be done
        changed = [tag for tag, content in release.many.tags.items() if content != before[tag]]
        for server, path in release.many.references:
            assert before[name(server, path)] == server.contents.get(path, (None, None))[1] or is_whole(server, path)
        moved_none += not changed
        moved_some += 0 < len(changed) < 24
        moved_all += len(changed) == 24
        assert not ended or 24 == len(changed)
        assert 6 == release.configs_seen() or not changed
        for server in release.many.servers:
            server.otherwise = server.from_contents
        release.build(f"next {kill}")
        result = release.project.invoke("release")
        # What the killed one left went with this one.
        assert [] == os.listdir(release.project.path / "tmp")
        assert (0, 24) == (result.status, len(result.out)), result.err
        assert 3 == len({*release.many.tags.values()})
        assert [] == [path for server, path in release.many.references if not is_whole(server, path)]
    with capsys.disabled():
        print(f"\n{KILLS} kills: {moved_none} before a tag, {moved_some} between tags, {moved_all} after all", end=" ")


def name(server: RegistryServer, path: str) -> str:
    """Return the name of a tag."""
    return f"{server.host}/{path.removeprefix('/v2/').replace('/manifests/', ':')}"

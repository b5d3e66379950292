"""`release --resume` after kill -9 at any moment, and `build-arch --resume`: what was built is not built again."""

from __future__ import annotations

import json
import os
import random
import signal
import time
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import pytest

from tests.fleet.parts import MIRROR, Project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fleet.parts import Builder, Registry, Result

    Start = Callable[..., Builder]

KILLS = int(os.environ.get("MULTIARCH_KILLS", "3"))
TARGETS = ("base", "app", "worker")
PLATFORMS = ("linux/amd64", "linux/386")
EVERY = {f"{target} {platform}" for target in TARGETS for platform in PLATFORMS}
# Platforms that differ in an argument are built apart.
SETTINGS = """\
  reproducible: true
  platforms: [linux/amd64, {platform: linux/386, build_args: {OF: "386"}}]
  targets:
    base: {context: base, tags: []}
    app: {context: app, contexts: {base: "target:base"}}
    worker: {context: worker}
"""
RUN = "ARG OF\nCOPY word /\nRUN sleep 0.3 && cat word && touch /of-$OF\n"


class Images:
    """A project of three images, one on another, each of two platforms."""

    def __init__(self, project: Project, host: str, builder: Builder) -> None:
        self.project, self.host = project, host
        project.environ |= {"BUILDKIT_HOST": builder.address, "SOURCE_DATE_EPOCH": "1700000000"}
        for name in TARGETS:
            (project.path / name).mkdir()
            below = "base" if name == "app" else f"{MIRROR}/library/busybox:stable"
            (project.path / name / "Dockerfile").write_text(f"FROM {below}\n{RUN}")
        self.word = ""

    def renew(self, word: str, settings: str = SETTINGS) -> None:
        """Let the images be others, in repositories where nothing is yet."""
        self.word = word
        for name in TARGETS:
            (self.project.path / name / "word").write_text(f"{word} of {name}")
        self.project.image = f"{self.host}/{word}/{{target}}"
        self.project.write("", settings)
        text = (self.project.path / "invoke.yaml").read_text()
        (self.project.path / "invoke.yaml").write_text(text.replace("  attestations: []\n", ""))

    def run(self, *words: str) -> Result:
        """Run a step that must succeed."""
        result = self.project.run(*words)
        assert 0 == result.status, result.err
        return result

    def kill(self, line: int) -> None:
        """Kill a release when it has said some lines."""
        process = self.project.begin("release", "--resume")
        assert process.stderr is not None
        for _ in zip(range(line), process.stderr, strict=False):
            pass
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def staged(self) -> set[str]:
        """Return what has a staging tag with a record, as the registry has it."""
        tags = {name: "base" if name == "base" else "latest" for name in TARGETS}
        return {
            f"{target} {platform}"
            for target in TARGETS
            for platform in PLATFORMS
            if "multiarch.inputs" in self._index(target, f"{tags[target]}-{platform.partition('/')[2]}")
        }

    def _index(self, target: str, tag: str) -> dict[str, Any]:
        """Return the annotations of what is under a tag; none where there is nothing."""
        url = f"http://{self.host}/v2/{self.word}/{target}/manifests/{tag}"
        request = urllib.request.Request(url, headers={"Accept": "application/vnd.oci.image.index.v1+json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer).get("annotations", {})
                return found
        except HTTPError:
            return {}

    def report(self) -> tuple[set[str], set[str]]:
        """Return what the last run with a report built, and what it took."""
        data = json.loads((self.project.path / "report.json").read_text())
        built = {platform for solve in data["solves"] for platform in solve["platforms"]}
        return built, {f"{row['target']} {row['platform']}" for row in data["platforms"] if row["taken"]}


@pytest.fixture
def images(tmp_path: Path, project: Project, registry: Registry, local: Start) -> Images:
    """The project, on a builder that it is given."""
    return Images(project, registry.host, local("builder", registry.host))


def test_release_resumes_after_kill_at_any_moment(images: Images, capsys: pytest.CaptureFixture[str]) -> None:
    """What has its staging tag is taken, the rest is built, and the indexes are those of a release from nothing."""
    chance = random.Random(17)  # noqa: S311 (the moments are to be the same in each run)
    images.renew("first")
    lines = len(images.run("release").err.splitlines())
    counts = []
    for kill in range(KILLS):
        images.renew(f"kill{kill}")
        # In each part of the release once: nothing is taken of an early one.
        images.kill(chance.randint(1 + lines * kill // KILLS, lines * (kill + 1) // KILLS))
        time.sleep(0.3)  # for a write that the registry has already
        left = images.staged()
        resumed = images.run("release", "--resume", "--report", "report.json")
        assert (EVERY - left, left) == images.report()
        assert left == {line.partition(": taken")[0] for line in resumed.err.splitlines() if ": taken from" in line}
        assert images.run("release", "--no-cache").out == resumed.out
        counts.append(len(left))
    with capsys.disabled():
        print(f"\n{KILLS} kills: of {len(EVERY)} images were taken {', '.join(map(str, counts))}", end=" ")


def test_release_that_was_built_in_one_solve_is_taken_whole(images: Images) -> None:
    """What was pushed is one index of both platforms with their provenance; nothing else has to be kept."""
    alike = SETTINGS.replace('{platform: linux/386, build_args: {OF: "386"}}', "linux/386")
    images.renew("one", alike.replace("  reproducible: true\n", ""))
    first = images.run("release")
    again = images.run("release", "--resume", "--report", "report.json")
    assert (first.out, (set(), EVERY)) == (again.out, images.report())


def test_job_of_a_ci_that_is_run_again_builds_what_is_missing(images: Images) -> None:
    """A base and what is built on it, in one job; then all of it is there, until a file is another.

    Here the provenance says what the images were built from.
    """
    images.renew("job", SETTINGS.replace("  reproducible: true\n", ""))
    words = ("build-arch", "--platform", "linux/386", "--resume", "--report", "report.json")
    first = images.run(*words, "--target", "base")
    images.run(*words)
    assert ({"app linux/386", "worker linux/386"}, {"base linux/386"}) == images.report()
    again = images.run(*words)
    assert (set(), {f"{target} linux/386" for target in TARGETS}) == images.report()
    assert first.out == again.out[:1]
    (images.project.path / "base" / "word").write_text("another")
    images.run(*words)
    assert ({"base linux/386", "app linux/386"}, {"worker linux/386"}) == images.report()

"""Two publishers of one tag at the same time, 200 times with random timing: nothing published is lost unasked.

No registry lets a tag be written only where it is what was read. So a write that comes between the last look of another
publisher and the write of that one may be overwritten; it is known here which rounds these are: no other is excused.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from multiarch.errors import MultiarchError
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference
from multiarch.publish.publication import Part, publish
from multiarch.publish.repair import Change, Repair
from multiarch.publish.replacement import Replacement
from multiarch.registry.client import Registry
from multiarch.retry import Policy
from tests.unit.staging import AMD64, ARM, ARM64, image, index_of, listed, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from multiarch.image.manifest import Manifest
    from tests.unit.registry_server import RegistryServer

ROUNDS = 200
LATEST = 0.03  # seconds; a publication takes about as long
KEY = "org.opencontainers.image.revision"
OLD, NEW = "1" * 40, "2" * 40


class Watched(Registry):
    """A client that knows when it reads and writes the tag.

    :ivar is_between: whether it has read the tag and may write it.
    """

    def __init__(self, host: str) -> None:
        super().__init__(host, Policy(attempts=1), lambda _: None)
        self.is_between = False
        self.reads: list[float] = []
        self.writes: list[tuple[float, float]] = []

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """Read a manifest."""
        if reference == "latest":
            self.is_between = True
            self.reads.append(time.monotonic())
        return super().manifest(repository, reference)

    def put_manifest(self, repository: str, reference: str, manifest: Manifest, *, awaited: bool = False) -> str:
        """Write a manifest."""
        started = time.monotonic()
        try:
            return super().put_manifest(repository, reference, manifest, awaited=awaited)
        finally:
            if reference == "latest":
                self.is_between = False
                self.writes.append((started, time.monotonic()))

    def overwrites(self, other: Watched) -> bool:
        """Whether the other has written between a last look of this one and its write."""
        windows = [(max(read for read in self.reads if read <= start), end) for start, end in self.writes]
        return any(look <= end and start <= until for look, until in windows for start, end in other.writes)


@dataclass
class Publisher:
    """One of the two. :ivar act: publishes with its client. :ivar delay: seconds before it begins."""

    client: Watched
    delay: float
    act: Callable[[Watched, Callable[[float], object]], object]
    error: MultiarchError | None = None

    def run(self, other: Publisher) -> None:
        """Publish; a repair waits until whoever has read the tag before has written it."""

        def settle(_: float) -> None:
            self.client.is_between = False
            while other.client.is_between:
                time.sleep(0.0002)

        time.sleep(self.delay)
        try:
            self.act(self.client, settle)
        except MultiarchError as error:
            self.error = error
        finally:
            self.client.is_between = False


def race(server: RegistryServer, chance: random.Random, *acts: Any) -> list[Publisher]:
    """Let two publishers race; return them."""
    pair = [Publisher(Watched(server.host), chance.uniform(0, LATEST), act) for act in acts]
    threads = [threading.Thread(target=one.run, args=(other,)) for one, other in zip(pair, reversed(pair), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return pair


def repairing(server: RegistryServer, platform: str, digest: str) -> Any:
    """Return what replaces the image of a platform."""
    reference = ImageReference(server.host, "app", digest=digest)
    change = Change((Replacement(Platform.parse(platform), reference),))

    def act(client: Watched, settle: Callable[[float], object]) -> object:
        return Repair(change, settings_for(f"{server.host}/app"), {server.host: client}, lambda _: None, settle).run()

    return act


def releasing(server: RegistryServer, commit: str) -> Any:
    """Return what releases amd64 and arm64, of a commit, from staging tags of its own."""
    for config in (AMD64, ARM64):
        labelled = {**config, "config": {"Labels": {KEY: commit}}}
        image(server, labelled, f"{commit[:1]}-{config['architecture']}")
    noted = {"labels": {KEY: commit}, "annotations": {KEY: commit}}
    settings = settings_for(
        f"{server.host}/app", platforms=["amd64", "arm64"], arch_tag=f"{commit[:1]}-{{architecture}}", **noted
    )

    def act(client: Watched, _: object) -> object:
        known = {(OLD, NEW): True, (NEW, OLD): False}
        return publish(
            [Part(settings)], {server.host: client}, say=lambda _: None, is_ancestor=lambda *pair: known[pair]
        )

    return act


def listed_now(server: RegistryServer) -> dict[str, str]:
    """Return the digest of each platform, none of which is listed twice."""
    entries = index_of(server)["manifests"]
    found = {entry["platform"]["architecture"]: entry["digest"] for entry in entries}
    assert len(entries) == len(found)
    return found


def begin(server: RegistryServer, commit: str = OLD) -> dict[str, str]:
    """Publish two platforms; return their digests."""
    server.contents.clear()
    entries = [
        {**image(server, {**one, "created": "0"}, one["architecture"]), "platform": one} for one in (AMD64, ARM64)
    ]
    listed(server, "latest", *entries, annotations={KEY: commit})
    return {entry["platform"]["architecture"]: entry["digest"] for entry in entries}


def two_repairs(server: RegistryServer, chance: random.Random) -> int:
    """Both are in the tag, unless one was told that it is not."""
    begin(server)
    new = {one["architecture"]: image(server, {**one, "created": "1"}, "x")["digest"] for one in (AMD64, ARM64)}
    pair = race(server, chance, *(repairing(server, f"linux/{name}", digest) for name, digest in new.items()))
    now = listed_now(server)
    done = {name: digest for (name, digest), one in zip(new.items(), pair, strict=True) if one.error is None}
    assert (2, done) == (len(now), {name: now[name] for name in done})
    assert done
    return 0


def repair_and_release(server: RegistryServer, chance: random.Random) -> int:
    """The platform that the repair adds is there, and so are those of the release."""
    begin(server)
    added = image(server, ARM, "added")["digest"]
    repair, release = race(server, chance, repairing(server, "linux/arm/v7", added), releasing(server, NEW))
    now = listed_now(server)
    excused = repair.client.overwrites(release.client)
    assert {"amd64", "arm64"} <= now.keys()
    if repair.error is None:
        assert added == now["arm"]
    if release.error is None and not excused:
        staged = {one: server.contents[f"/v2/app/manifests/2-{one}"] for one in ("amd64", "arm64")}
        assert staged == {one: server.contents[f"/v2/app/manifests/{now[one]}"] for one in staged}
    assert None in (repair.error, release.error)
    return int(excused)


def two_commits(server: RegistryServer, chance: random.Random) -> int:
    """The newer commit wins, whichever ends last."""
    begin(server, "0" * 40)
    server.contents.pop("/v2/app/manifests/latest")
    older, newer = race(server, chance, releasing(server, OLD), releasing(server, NEW))
    assert {"amd64", "arm64"} == listed_now(server).keys()
    excused = older.client.overwrites(newer.client)
    if newer.error is None and not excused:
        assert NEW == index_of(server)["annotations"][KEY]
    return int(excused)


def test_nothing_that_is_published_is_lost(server: RegistryServer, capsys: pytest.CaptureFixture[str]) -> None:
    """In each round; how many of them were within one request of each other is told."""
    plays = (two_repairs, repair_and_release, two_commits)
    excused = dict.fromkeys(plays, 0)
    for number in range(ROUNDS):
        play = plays[number % len(plays)]
        excused[play] += play(server, random.Random(number))  # noqa: S311 (no secret)
    with capsys.disabled():
        told = ", ".join(f"{play.__name__} {count}" for play, count in excused.items())
        print(f"\n{ROUNDS} races; within one request of each other: {told}")

"""Of two builds of one branch the newer commit wins, whichever ends last; git knows which that is."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.config.checkout import Checkout
from tests.exhaustive.released import git
from tests.unit.staging import ARM64, image, index_of, listed, only_arm64, publish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry_server import RegistryServer, Reply, Request

KEY = "org.opencontainers.image.revision"
CI = {"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7", "GITHUB_REF": "refs/heads/main"}


class Repository:
    """A repository of three commits, *old* and *new* one behind the other, and *other* beside them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        git(path, "init", "-q", "-b", "main")
        self.old, self.new = self.commit("old"), self.commit("new")
        git(path, "checkout", "-q", self.old)
        self.other = self.commit("other")
        git(path, "checkout", "-q", "main")

    def commit(self, name: str) -> str:
        """Make a commit; return its hash."""
        git(self.path, "commit", "-q", "--allow-empty", "-m", name)
        return git(self.path, "rev-parse", "HEAD")

    def clone(self, name: str, *words: str) -> Path:
        """Return a clone, which is made with these words."""
        path = self.path.with_name(name)
        git(self.path, "clone", "-q", *words, f"file://{self.path}", str(path))
        return path


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository."""
    return Repository(tmp_path / "repository")


def build(server: RegistryServer, commit: str, *tags: str, where: Path, capsys: Any, **more: Any) -> list[str]:
    """Publish what was built of a commit; return what is said of it."""
    tags = tags or ("latest",)
    image(server, {**ARM64, "config": {"Labels": {KEY: commit}}}, f"{tags[0]}-arm64")
    noted = {"labels": {KEY: commit}, "annotations": {KEY: commit}}
    settings = only_arm64(server, tags=list(tags), **noted | more)
    published = publish(server, settings, is_ancestor=Checkout({}, where).is_ancestor)
    told = [line for line in capsys.readouterr().out.splitlines() if "not checked" not in line]
    return [*map(str, published), *told] if told else []


def commit_of(server: RegistryServer, tag: str = "latest") -> str:
    """Return the commit that an index names."""
    return str(index_of(server, tag)["annotations"][KEY])


def test_older_commit_leaves_the_tag_of_a_newer_one(
    server: RegistryServer, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one line, without an error, and with nothing written but its staging tag; its result is no tag."""
    publish_of = partial(build, server, where=repository.path, capsys=capsys)
    assert [] == publish_of(repository.new)
    server.requests.clear()
    (line,) = publish_of(repository.old)
    assert line == (
        f"{server.host}/app:latest stays as it is: it is of {repository.new[:12]}, which is newer than"
        f" {repository.old[:12]}; newer_wins: false moves it all the same"
    )
    assert (repository.new, []) == (commit_of(server), [one for one in server.asked if one.startswith("PUT")])


def test_other_orders_move_the_tag(
    server: RegistryServer, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newer one after the older, the same one again, one of another branch, and all with the setting off."""
    publish_of = partial(build, server, where=repository.path, capsys=capsys)
    for commit in (repository.old, repository.new, repository.new, repository.other, repository.new):
        assert ([], commit) == (publish_of(commit), commit_of(server))
    assert [] == publish_of(repository.old, newer_wins=False)
    assert repository.old == commit_of(server)


def test_each_tag_is_looked_at_by_itself(
    server: RegistryServer, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """The version of an older commit is published, though `latest` is further already."""
    publish_of = partial(build, server, where=repository.path, capsys=capsys)
    publish_of(repository.new)
    published, line = publish_of(repository.old, "latest", "1.0.0")
    assert [True, True] == ["/app:1.0.0@sha256:" in published, "/app:latest stays as it is" in line]
    assert [repository.new, repository.old] == [commit_of(server, tag) for tag in ("latest", "1.0.0")]


def test_newer_commit_that_comes_right_before_the_move_wins(
    server: RegistryServer, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tags are looked at again; the other tags of the build move."""
    publish_of = partial(build, server, where=repository.path, capsys=capsys)
    reads = 2

    def react(request: Request) -> Reply:
        nonlocal reads
        reads -= 1
        if reads == 0:
            listed(server, "latest", annotations={KEY: repository.new})
        return server.from_contents(request)

    server.table["GET /v2/app/manifests/latest"] = [react]
    published, _ = publish_of(repository.old, "latest", "1.0.0")
    assert True is published.startswith(f"{server.host}/app:1.0.0@")
    assert [repository.new, repository.old] == [commit_of(server, tag) for tag in ("latest", "1.0.0")]


def test_commit_is_that_of_an_image_where_the_index_names_none(
    server: RegistryServer, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in what other tools have published; and in what was repaired with an image of a newer commit."""
    labelled = image(server, {**ARM64, "config": {"Labels": {KEY: repository.new}}}, "a")
    plain = image(server, ARM64, "b")
    for entry, named in (
        ({**labelled, "platform": ARM64}, {}),
        ({**plain, "platform": ARM64, "annotations": {KEY: repository.new}}, {KEY: repository.old}),
    ):
        listed(server, "latest", entry, annotations=named)
        (line,) = build(server, repository.old, where=repository.path, capsys=capsys)
        assert "latest stays as it is" in line


@pytest.mark.parametrize("theirs", ["f" * 40, "--upload-pack=x", "HEAD", "main", "F" * 40, ""])
def test_commit_that_git_does_not_know_is_told_or_is_none(
    server: RegistryServer, repository: Repository, capsys: pytest.CaptureFixture[str], theirs: str
) -> None:
    """Whoever may push may write anything; the tag moves as it did before."""
    listed(server, "latest", annotations={KEY: theirs})
    told = build(server, repository.old, where=repository.path, capsys=capsys)
    expected = (
        f"{server.host}/app:latest is of ffffffffffff; whether that is newer than {repository.old[:12]} is not known"
        " here (is the clone whole?): it moves"
    )
    assert ([expected] if theirs == "f" * 40 else []) == told[1:]
    assert repository.old == commit_of(server)


def test_git_and_the_label_are_asked_once(server: RegistryServer) -> None:
    """Right before the tags move they are read again, and nothing else, which would leave others more time."""
    labelled = image(server, {**ARM64, "config": {"Labels": {KEY: "b" * 40}}}, "a")
    entry = {**labelled, "platform": ARM64}
    listed(server, "latest", entry)
    listed(server, "1.0.0", entry)
    image(server, {**ARM64, "config": {"Labels": {KEY: "a" * 40}}}, "latest-arm64")
    asked: list[tuple[str, ...]] = []
    noted = {"labels": {KEY: "a" * 40}, "annotations": {KEY: "a" * 40}}
    settings = only_arm64(server, tags=["latest", "1.0.0"], **noted)
    server.requests.clear()

    def ask(*pair: str) -> bool:
        asked.append(pair)
        return False

    publish(server, settings, is_ancestor=ask)
    assert [("a" * 40, "b" * 40)] == asked
    config = json.loads(server.contents[f"/v2/app/manifests/{labelled['digest']}"][1])["config"]["digest"]
    assert 1 == server.asked.count(f"GET /v2/app/blobs/{config}")


def test_index_that_names_commits_without_end_is_no_work_without_end(
    server: RegistryServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever may push may write anything; 500 fetches of git would take hours."""
    plain = {**image(server, ARM64, "b"), "platform": ARM64}
    listed(server, "latest", *({**plain, "annotations": {KEY: f"{number:012x}{0:028x}"}} for number in range(500)))
    image(server, {**ARM64, "config": {"Labels": {KEY: "a" * 40}}}, "latest-arm64")
    asked: list[str] = []
    settings = only_arm64(server, labels={KEY: "a" * 40})

    def ask(_: str, theirs: str) -> None:
        asked.append(theirs)

    publish(server, settings, is_ancestor=ask)
    assert [f"{number:012x}{0:028x}" for number in range(20)] == asked
    assert 20 == capsys.readouterr().out.count("is not known here")


def test_label_that_cannot_be_read_is_told(
    server: RegistryServer, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """That nobody knows which commit is the newer is not the same as that ours is."""
    labelled = image(server, {**ARM64, "config": {"Labels": {KEY: repository.new}}}, "a")
    config = json.loads(server.contents[f"/v2/app/manifests/{labelled['digest']}"][1])["config"]["digest"]
    listed(server, "latest", {**labelled, "platform": ARM64})
    del server.contents[f"/v2/app/blobs/{config}"]
    _, line = build(server, repository.old, where=repository.path, capsys=capsys)
    assert line.startswith(
        f"{server.host}/app:latest: of which commit it is cannot be read (GET {server.host}/app/blobs/"
    )
    assert line.endswith("): it moves")


def test_tag_that_stays_is_not_told_to_move(
    server: RegistryServer, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two commits of an index git may know one alone."""
    entry = {**image(server, ARM64, "b"), "platform": ARM64, "annotations": {KEY: repository.new}}
    listed(server, "latest", entry, annotations={KEY: "f" * 40})
    (line,) = build(server, repository.old, where=repository.path, capsys=capsys)
    assert "latest stays as it is" in line


def test_clone_of_a_ci_gets_the_newer_commit(repository: Repository) -> None:
    """It was made before that commit was; elsewhere nothing is fetched."""
    clone = repository.clone("clone")
    latest = repository.commit("latest")
    assert None is Checkout({}, clone).is_ancestor(repository.new, latest)
    assert True is Checkout(CI, clone).is_ancestor(repository.new, latest)
    assert False is Checkout(CI, clone).is_ancestor(latest, repository.new)
    assert False is (clone / ".git/FETCH_HEAD").exists()


def test_clone_that_is_not_whole_does_not_know_what_it_does_not_see(repository: Repository) -> None:
    """What it sees it knows."""
    repository.commit("latest")
    clone = repository.clone("clone", "--depth=2")
    seen = git(clone, "log", "--format=%H").split("\n")
    assert [True, None, None] == [
        Checkout(CI, clone).is_ancestor(*pair)
        for pair in ((seen[1], seen[0]), (seen[0], seen[1]), (repository.old, seen[0]))
    ]

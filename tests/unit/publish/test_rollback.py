"""Published tags are put back on what they were, as far as it is known, and only where that is whole."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from multiarch.image.reference import ImageReference
from multiarch.publish.errors import MovedMeanwhileError, NotPublishedError, NotRepairedError, TagsNotMovedError
from multiarch.publish.previous import note_moves
from multiarch.publish.rollback import Rollback
from multiarch.publish.tags import Move
from tests.unit.registry_server import refusal
from tests.unit.staging import AMD64, ARM64, image, index_of, listed, only_arm64, publish, registry_of, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from multiarch.errors import MultiarchError
    from tests.unit.registry_server import RegistryServer, Reply, Request

NOBODY = f"sha256:{'a' * 64}"


def released(server: RegistryServer, number: int, *tags: str, **more: Any) -> str:
    """Publish a release of one platform; return its digest."""
    image(server, {**ARM64, "created": f"{number}"}, f"{(tags or ('latest',))[0]}-arm64")
    return publish(server, only_arm64(server, tags=list(tags or ("latest",)), **more))[0].digest


def roll_back(server: RegistryServer, *tags: str, to: str = "") -> list[str]:
    """Put tags of `app` back; return what is said."""
    said: list[str] = []
    references = [ImageReference(server.host, "app", tag) for tag in tags or ("latest",)]
    Rollback(references, to, {server.host: registry_of(server)}, said.append).run()
    return [line.replace(server.host, "HOST") for line in said]


def digest_of(server: RegistryServer, tag: str = "latest") -> str:
    """Return the digest under a tag."""
    manifest = registry_of(server).manifest("app", tag)
    assert manifest is not None
    return manifest.digest


def refused(server: RegistryServer, error: type[MultiarchError], to: str = "") -> str:
    """Return the line with which it is refused; nothing was written."""
    server.requests.clear()
    with pytest.raises(error) as caught:
        roll_back(server, to=to)
    assert [] == [asked for asked in server.asked if asked.startswith("PUT")]
    return str(caught.value).replace(server.host, "HOST")


@pytest.mark.parametrize("noted", [True, False], ids=["noted in the index", "remembered on this machine"])
def test_each_rollback_goes_one_release_further_back(
    server: RegistryServer, noted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never forth again: the second one does not undo the first."""
    first, second, third = (released(server, number, note_previous=noted) for number in (1, 2, 3))
    if noted:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    went = [third]
    for _ in range(2):
        roll_back(server)
        went.append(digest_of(server))
    assert [third, second, first] == went
    message = refused(server, NotRepairedError)
    assert message == (
        f"no tag was moved: HOST/app:latest: neither the index {first} nor this machine knows what was there before;"
        " name it: --rollback --to sha256:…"
    )


def test_release_of_what_was_there_before_is_one_more_release(server: RegistryServer) -> None:
    """1, 2, and 1 again: the way back is 2, and then 1."""
    first, second = released(server, 1), released(server, 2)
    assert first == released(server, 1)
    went = []
    for _ in range(2):
        roll_back(server)
        went.append(digest_of(server))
    assert [second, first] == went
    assert first == digest_of(server)


def test_move_that_is_remembered_counts_more_than_the_note(server: RegistryServer) -> None:
    """An index may get its tag once more, as with --only-changed: it names what was there before the first time."""
    first, second = (released(server, number, note_previous=True) for number in (1, 2))
    reference = ImageReference(server.host, "app", "latest")
    third = released(server, 3, note_previous=True)
    server.contents["/v2/app/manifests/latest"] = server.contents[f"/v2/app/manifests/{second}"]
    note_moves([Move(reference, third, second)])
    went = []
    for _ in range(3):
        roll_back(server)
        went.append(digest_of(server))
    assert [third, second, first] == went


def test_way_forth_forgets_no_way_back(server: RegistryServer) -> None:
    """Forth by a digest that is given; what was before the one where the tag has been is still known then."""
    first, second, third = (released(server, number) for number in (1, 2, 3))
    roll_back(server)
    roll_back(server, to=third)
    roll_back(server, to=second)
    roll_back(server)
    assert first == digest_of(server)


def test_repeat_with_the_note_moves_no_tag(server: RegistryServer) -> None:
    """The index names what was there before the release, not before its repeat."""
    first, second = (released(server, number, note_previous=True) for number in (1, 2))
    server.requests.clear()
    assert second == released(server, 2, note_previous=True)
    assert [] == [asked for asked in server.asked if asked.startswith("PUT")]
    assert {"multiarch.previous": json.dumps({"latest": first}, separators=(",", ":"))} == index_of(server)[
        "annotations"
    ]


def test_without_the_setting_the_index_says_nothing_of_before(server: RegistryServer) -> None:
    """The same images have the same index, whatever was there."""
    released(server, 1)
    alone = released(server, 2, "alone")
    assert alone == released(server, 2)
    assert "annotations" not in index_of(server)


def test_tags_go_back_each_to_its_own(server: RegistryServer) -> None:
    """All of them, in one run."""
    old, new = released(server, 1, "1"), released(server, 2, "latest")
    released(server, 3, "1", "latest", note_previous=True)
    roll_back(server, "1", "latest")
    assert [old, new] == [digest_of(server, tag) for tag in ("1", "latest")]


def test_digest_that_is_given_wins(server: RegistryServer) -> None:
    """And what is lost with it is told."""
    entries = [{**image(server, one, one["architecture"]), "platform": one} for one in (AMD64, ARM64)]
    listed(server, "latest", *entries)
    smaller = listed(server, "small", entries[1])["digest"]
    assert ["HOST/app:latest loses linux/amd64"] == roll_back(server, to=smaller)
    assert smaller == digest_of(server)
    server.requests.clear()
    roll_back(server, to=smaller)
    assert [] == [asked for asked in server.asked if asked.startswith("PUT")]


def test_former_index_must_be_whole(server: RegistryServer) -> None:
    """A registry may have removed what no tag reached."""
    first, _ = released(server, 1), released(server, 2)
    (entry,) = json.loads(server.contents[f"/v2/app/manifests/{first}"][1])["manifests"]
    del server.contents[f"/v2/app/manifests/{entry['digest']}"]
    assert (
        f"no tag was moved: HOST/app@{first} is not whole any more: the registry has no {entry['digest']};"
        " name another with --to"
    ) == refused(server, NotRepairedError)
    del server.contents[f"/v2/app/manifests/{first}"]
    gone = "no tag was moved: HOST/app@{} is not in the registry any more; name another digest with --to"
    assert [gone.format(first), gone.format(NOBODY)] == [
        refused(server, NotRepairedError),
        refused(server, NotRepairedError, NOBODY),
    ]


def test_tag_that_is_not_there_is_told(server: RegistryServer) -> None:
    """There is nothing to put back."""
    assert "HOST/app:latest is not published: there is no such tag" == refused(server, NotPublishedError)


@pytest.mark.parametrize(
    "note",
    ["", "{}", "[]", '{"latest": 1}', '{"latest": "latest"}', '{"latest":"sha256:' + "a" * 63 + '"}', "{" * 9000],
)
def test_malformed_note_is_none(server: RegistryServer, note: str) -> None:
    """Whoever may push may write anything."""
    entry = {**image(server, ARM64, "a"), "platform": ARM64}
    listed(server, "latest", entry, annotations={"multiarch.previous": note})
    assert "nor this machine knows what was there before" in refused(server, NotRepairedError)


@pytest.mark.parametrize("text", [b"", b"[]", b'{"reference": "x", "moves": []}', b'{"moves": [[1, 2]]}', b"\xff" * 99])
def test_malformed_memory_is_none(server: RegistryServer, tmp_path: Path, text: bytes) -> None:
    """A file of this machine may be cut short, or of another program."""
    released(server, 1)
    released(server, 2)
    (file,) = (tmp_path / "state/multiarch/previous").iterdir()
    file.write_bytes(text)
    assert "nor this machine knows what was there before" in refused(server, NotRepairedError)


@pytest.mark.parametrize("kind", ["pipe", "link", "directory"])
def test_memory_that_is_no_file_is_none(server: RegistryServer, tmp_path: Path, kind: str) -> None:
    """A pipe would be waited for without end, by a release whose tags have moved; a link leads to somebody else's."""
    released(server, 1)
    released(server, 2)
    (file,) = (tmp_path / "state/multiarch/previous").iterdir()
    assert [0o700, 0o700, 0o600] == [path.stat().st_mode & 0o777 for path in (file.parent.parent, file.parent, file)]
    other = file.rename(tmp_path / "other")
    make: dict[str, Callable[[], object]] = {"pipe": lambda: os.mkfifo(file), "directory": file.mkdir}
    make.get(kind, lambda: file.symlink_to(other))()
    assert "nor this machine knows what was there before" in refused(server, NotRepairedError)
    third = released(server, 3)
    assert third == digest_of(server)


def test_memory_that_cannot_be_written_is_no_failure(
    server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release is published."""
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    released(server, 1)
    second = released(server, 2)
    assert second == digest_of(server)


def test_release_of_somebody_else_meanwhile_is_not_undone(server: RegistryServer) -> None:
    """Right before the tag moves it is read again."""
    released(server, 1)
    released(server, 2)
    reads = 2

    def react(request: Request) -> Reply:
        nonlocal reads
        reads -= 1
        if reads == 0:
            listed(server, "latest", annotations={"of": "somebody else"})
        return server.from_contents(request)

    server.table["GET /v2/app/manifests/latest"] = [react]
    message = refused(server, MovedMeanwhileError)
    assert message == (
        "no tag was moved: HOST/app:latest was moved by somebody else meanwhile; look at what is there, and run this"
        " again"
    )


def test_second_tag_that_is_refused_puts_the_first_back(server: RegistryServer) -> None:
    """All tags or none."""
    released(server, 1, "1", "2")
    last = released(server, 2, "1", "2")
    server.table["PUT /v2/app/manifests/2"] = [refusal(403)]
    with pytest.raises(TagsNotMovedError):
        roll_back(server, "1", "2")
    assert [last, last] == [digest_of(server, tag) for tag in ("1", "2")]


def test_repair_is_taken_back_too(server: RegistryServer) -> None:
    """It is a publication like any other."""
    from tests.unit.publish.test_repair import published, repair

    for noted in (True, False):
        published(server)
        before = digest_of(server)
        repair(server, removed="linux/arm64", note_previous=noted)
        assert noted == ("multiarch.previous" in index_of(server)["annotations"])
        roll_back(server)
        assert before == digest_of(server)


def test_several_repositories_note_what_they_agree_on(server: RegistryServer) -> None:
    """A tag that is different things in two repositories was nothing that one note could name."""
    for name, number in (("a", 1), ("b", 2)):
        server.hold_manifest(name, "latest", {"layers": [], "number": number})
        server.hold_manifest(name, "same", {"layers": []})
    image(server, ARM64, "latest-arm64")
    names = [f"{server.host}/{name}" for name in ("app", "a", "b")]
    publish(server, settings_for(*names, platforms=["arm64"], tags=["latest", "same"], note_previous=True))
    assert ["same"] == list(json.loads(index_of(server)["annotations"]["multiarch.previous"]))

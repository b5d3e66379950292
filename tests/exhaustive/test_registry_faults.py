"""The registry client against the whole fault table: transient faults are outlasted, permanent ones end at once."""

from __future__ import annotations

import base64
import logging
import sys
import traceback
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from multiarch.errors import MultiarchError, RegistryError, RegistryUnreachableError
from multiarch.image.manifest import OCI_INDEX
from multiarch.registry.errors import ReadBackError
from multiarch.retry import Policy
from tests.exhaustive.fault_table import FAULTS, IDENTITY, LATE, REPEATS, TOKEN, VERBS, always
from tests.exhaustive.registry_scene import Case, Scene, give_up, leave_with_parent, outlast_apart
from tests.unit.registry_server import RESET, Reply, json_reply, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Rows = dict[tuple[str, str], Future[list[Case]]]

USER, PASSWORD = "somebody", "pass-w0rd:x"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = [PASSWORD, BASIC, IDENTITY, TOKEN]
OUTLASTED = [(verb, repeat) for repeat in ("for 90 s", "5 times", "once") for verb in VERBS]
FINAL = [name for name, verb in VERBS.items() if verb.permanent]
# The cases of the table that were run.
TRANSIENT: list[Case] = []
PERMANENT: list[Case] = []


def _id(verb: str, repeat: str) -> str:
    return f"{verb}, {repeat}"


def _chosen(request: pytest.FixtureRequest) -> set[str]:
    """Return the ids of the parameters of this file's tests that were chosen."""
    return {
        item.name.partition("[")[2].removesuffix("]") for item in request.session.items if item.path == request.path
    }


@pytest.fixture
def scene(docker_config: Path) -> Iterator[Scene]:
    """Both servers, and a client of each."""
    scene = Scene(docker_config)
    yield scene
    scene.stop()


@pytest.fixture(scope="module", autouse=True)
def rows(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    """The chosen rows of the table, run by two processes from now on, because they are thousands of requests."""
    directory = str(tmp_path_factory.mktemp("logins"))
    pool = ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=leave_with_parent)
    yield {row: pool.submit(outlast_apart, directory, *row) for row in OUTLASTED if _id(*row) in _chosen(request)}
    pool.shutdown(cancel_futures=True)


def _wrong(cases: list[Case]) -> list[str]:
    return [f"{case.verb}, {case.name}: {case.wrong}" for case in cases if case.wrong]


# Permanent faults, and transient ones that last.


@pytest.mark.parametrize("verb", FINAL)
def test_permanent_fault_takes_one_attempt(scene: Scene, verb: str) -> None:
    """No wait, no line, and no second request but one with a token after the first 401; 404 may be an answer."""
    cases = give_up(scene, VERBS[verb])
    PERMANENT.extend(cases)
    assert [] == _wrong(cases)


@pytest.mark.parametrize("fault", ["503", "429 until a date", "refused", "reset"])
@pytest.mark.parametrize("verb", ["GET token", "HEAD manifest", "copy: GET source", "PUT index"])
def test_fault_that_lasts_is_an_error_in_the_end(scene: Scene, verb: str, fault: str) -> None:
    """After more than 90 s, which a restart may take, and no more than the policy's seconds."""
    scene.inject(VERBS[verb], FAULTS[fault], REPEATS["forever"])
    result = scene.run(VERBS[verb])
    assert isinstance(result, (RegistryError, RegistryUnreachableError)), repr(result)
    assert 90 < scene.clock.now <= Policy().seconds


@pytest.mark.parametrize("fault", LATE)
def test_tag_that_stays_as_it_was_is_an_error_in_the_end(scene: Scene, fault: str) -> None:
    """A registry that shows a tag late gets the policy's time, and not more."""
    verb = VERBS["GET what is late"]
    scene.inject(verb, LATE[fault], REPEATS["forever"])
    assert ReadBackError is type(scene.run(verb))
    assert 90 < scene.clock.now <= Policy().seconds


def test_tag_that_another_client_wrote_takes_one_attempt(scene: Scene) -> None:
    """A digest that is neither the new one nor the old one will not become the new one by waiting."""
    verb = VERBS["GET what is late"]
    scene.inject(verb, always(Reply(200, b"{}", {"Content-Type": OCI_INDEX})), REPEATS["forever"])
    assert ReadBackError is type(scene.run(verb))
    assert (1, []) == (len(scene.near.requests), scene.shown)


def test_attempts_at_the_source_of_a_copy_are_not_multiplied(scene: Scene) -> None:
    """The source is read within the request that sends it, which is retried as well."""
    scene.connect(attempts=3)
    verb = VERBS["copy: GET source"]
    scene.inject(verb, FAULTS["503"], REPEATS["forever"])
    assert RegistryError is type(scene.run(verb))
    assert 3 == scene.far.asked.count(verb.request)


# Secrets.

SECRET_VERBS = (
    "GET manifest",
    "GET blob, its rest",
    "copy: PUT blob",
    "copy: GET source",
    "mount: POST",
    "DELETE tag",
)


@pytest.mark.parametrize("end", ["403", "503", "reset"])
@pytest.mark.parametrize("login", ["basic", "password", "identity"])
def test_no_fault_shows_a_secret(scene: Scene, caplog: pytest.LogCaptureFixture, login: str, end: str) -> None:
    """The log of a CI is public: no error, no traceback, no line and no library's log may hold one."""
    caplog.set_level(logging.DEBUG)
    scene.log_in(**({"auth": "", "identitytoken": IDENTITY} if login == "identity" else {"auth": BASIC}))
    for verb in (VERBS[name] for name in SECRET_VERBS):
        caplog.clear()
        scene.fresh()
        scene.connect(attempts=3)
        scene.inject(verb, FAULTS.get(end, always(refusal(403))), REPEATS["forever"])
        challenge = 'Basic realm="the registry"' if login == "basic" else scene.challenge
        scene.guard(scene.server(verb), verb.request, challenge)
        # The server with the tokens stumbles as well, after it has got the secrets.
        scene.far.table["GET /token"] = [refusal(503), json_reply({"token": TOKEN})]
        scene.far.table["POST /token"] = [RESET, json_reply({"token": TOKEN})]
        result = scene.run(verb)
        assert isinstance(result, MultiarchError), f"{verb.name}: {result!r}"
        sent = [f"{request.headers} {request.body!r}" for request in scene.near.requests + scene.far.requests]
        output = "\n".join([*traceback.format_exception(result), repr(result), *scene.shown, caplog.text])
        assert any(secret in text for secret in SECRETS for text in sent), f"{verb.name}: no secret was ever sent"
        assert verb.request.partition(" ")[2] in caplog.text, f"{verb.name}: nothing was logged"
        assert [] == [secret for secret in SECRETS if secret in output], f"{verb.name}: {output}"


# Transient faults.


@pytest.mark.parametrize(("verb", "repeat"), OUTLASTED, ids=[_id(*row) for row in OUTLASTED])
def test_transient_fault_is_outlasted(rows: Rows, verb: str, repeat: str) -> None:
    """Whatever the fault, the operation succeeds in the end: one wait and one line for each, and no request more."""
    cases = rows[verb, repeat].result(60)
    TRANSIENT.extend(cases)
    assert [] == _wrong(cases)


# The count.


def test_table_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Every case was run, or the tests above say less than they seem to: with a part of the table it fails."""
    rows = [f"{'the fault table':24}{'outlasted':>12}{'in one try':>12}"]
    for verb in VERBS:
        row = f"{verb:24}"
        for cases in (TRANSIENT, PERMANENT):
            run = [not case.wrong for case in cases if case.verb == verb]
            row += f"{f'{sum(run)}/{len(run)}' if run else '':>12}"
        rows.append(row.rstrip())
    rows.append(f"{len(TRANSIENT)} transient cases, {len(PERMANENT)} permanent cases")
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(rows) + "\n")
    # 16 requests x 14 faults x 3, without one x 3, and 2 x 3 of what is late; 16 x 7 statuses, without 404 of the one
    # that is read back.
    assert (675, 111) == (len(TRANSIENT), len(PERMANENT))

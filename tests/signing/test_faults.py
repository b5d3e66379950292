"""What keeps a signature from being made leaves the tags, shows no secret, and leaves nothing running."""

from __future__ import annotations

import json
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.fleet.parts import command_lines, wait_until
from tests.logins import directories_with
from tests.signing.parts import PASSWORD, Keys, Project, Registry, is_running

if TYPE_CHECKING:
    from pathlib import Path

USER, WORD = "someone", "the pass of the registry"
# What ``htpasswd -nbB`` writes for them (bcrypt).
HTPASSWD = "someone:$2b$05$abcdefghijklmnopqrstuuAlKX.c55/hdDmoamV8uuo0wuNGvDd3O\n"


def test_failing_cosign_leaves_the_tags(project: Project, registry: Registry, keys: Keys) -> None:
    """Of the images one is refused, by a stand-in for what a registry or a service would refuse."""
    assert 0 == project.run("manifest").status
    before = registry.digest()
    last = registry.entries(before)[1]
    project.stand_in(
        f'case "$1 $*" in "sign "*{last}) echo "Error: signing: no quorum" >&2; exit 1;; esac; exec $real "$@"'
    )
    # The key of another, so that nothing is taken for signed.
    project.keys = Keys.make(project.folder / "other")
    project.write()
    failed = project.run("manifest", "--annotation", "a=b", "--tag", "latest", "--tag", "new")
    where = f"{registry.host}/app@{last}"
    line = f"not published: cosign cannot sign {where}: signing: no quorum; the tags are as before"
    assert (1, [], True) == (failed.status, failed.out, line in failed.err), failed.err
    assert (before, "") == (registry.digest(), registry.digest("new"))
    assert "Traceback" not in failed.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_leaves_the_tags_and_no_cosign(project: Project, registry: Registry, number: int) -> None:
    """Nor what cosign has started, nor a login."""
    folder = project.stand_in(
        'case "$1" in sign) sleep 600 & echo $! > $here/child; echo $$ > $here/pid; wait;; esac; exec $real "$@"'
    )
    files = registry.host.replace(":", "_")  # are named so
    process = project.begin("manifest")
    wait_until((folder / "pid").exists, "the begin of a signature")
    assert 1 <= len(directories_with(files))
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (128 + number, "") == (process.returncode, registry.digest()), err
    pids = [int((folder / name).read_text()) for name in ("pid", "child")]
    wait_until(lambda: not any(map(is_running, pids)), "the end of cosign", 5)
    assert ([], False) == (directories_with(files), "Traceback" in err)


def test_secrets_are_in_no_argument_log_or_file_of_others(tmp_path: Path, keys: Keys) -> None:
    """With a registry that asks for a login: cosign gets that of this registry, in a directory of its own."""
    registry = Registry(tmp_path / "registry", login=(USER, WORD), htpasswd=HTPASSWD).start()
    try:
        (tmp_path / "project").mkdir()
        project = Project(tmp_path / "project", registry, keys)
        project.write()
        registry.stage("amd64", "arm64")
        folder = project.stand_in(
            'case "$1" in sign) stat -c %a "$DOCKER_CONFIG" "$DOCKER_CONFIG/config.json" > $here/modes;'
            ' cp "$DOCKER_CONFIG/config.json" $here/config; env > $here/env;; esac; exec $real "$@"'
        )
        prefix = "REGISTRY_" + registry.host.replace(".", "_").replace(":", "_")
        login = {f"{prefix}_USERNAME": USER, f"{prefix}_PASSWORD": WORD}
        other = {"GHCR_IO_USERNAME": "other", "GHCR_IO_PASSWORD": "the pass of another"}
        lines: set[str] = set()
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                lines.update(command_lines())
                time.sleep(0.005)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            done = project.run("manifest", "--verbose", **login, **other)
        finally:
            over.set()
            watcher.join()
        assert 0 == done.status, done.err
        digest = registry.digest()
        assert [1, 1, 1] == [registry.signatures(one) for one in [digest, *registry.entries(digest)]]
        assert any(" sign --yes --key=" in line for line in lines)
        secrets = (PASSWORD, WORD, "the pass of another")
        shown = [*lines, *done.out, done.err]
        assert [] == [text for text in shown if any(secret in text for secret in secrets)]
        assert "700\n600\n" == (folder / "modes").read_text()
        assert [registry.host] == list(json.loads((folder / "config").read_text())["auths"])
        assert "DOCKER_AUTH_CONFIG" not in (folder / "env").read_text()
    finally:
        registry.end()


def test_wrong_password_is_one_line_before_anything_is_written(project: Project, registry: Registry) -> None:
    """So it is with none; cosign does not ask at the terminal."""
    key = project.keys.private
    wrong = project.run("manifest", COSIGN_PASSWORD="not this one")
    line = f"multiarch.sign.key: cosign cannot use {key}: decrypt: encrypted: decryption failed"
    assert (1, True) == (wrong.status, f"{line}; is COSIGN_PASSWORD its password?" in wrong.err), wrong.err
    missing = project.run("manifest", COSIGN_PASSWORD=None)
    assert (1, True) == (missing.status, "; set COSIGN_PASSWORD to its password" in missing.err), missing.err
    assert "" == registry.digest()
    assert False is any(word in wrong.err + missing.err for word in ("Traceback", "not this one"))


def test_release_tells_of_a_missing_key_before_it_builds(project: Project) -> None:
    """There is no Docker host here: it is not even looked for."""
    project.write(sign="{key: no.key, log: false}")
    done = project.run("release")
    line = "multiarch.sign.key: cosign cannot use no.key: open no.key: no such file or directory"
    assert (1, True, False) == (done.status, line in done.err, "no Docker host" in done.err), done.err


def test_doctor_names_cosign_and_its_key(project: Project) -> None:
    """With its version, or with what to do."""

    def said(**environ: str) -> list[str]:
        return [line for line in project.run("doctor", **environ).out if " signing: " in line]

    assert [f"ok      signing: cosign 3.1.2 signs with {project.keys.private}"] == said()
    assert ["failure signing: cannot sign with cosign: it is not on PATH"] == [
        line.partition(";")[0] for line in said(PATH="/usr/bin:/bin")
    ]
    assert ["decryption failed" in line for line in said(COSIGN_PASSWORD="wrong")] == [True]

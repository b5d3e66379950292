"""Files of ``docker buildx bake``: buildx evaluates them where it is there; plain JSON is read as it is."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.adoption import builds
from multiarch.adoption.bake_blocks import Blocks
from multiarch.adoption.builds import Text
from multiarch.adoption.findings import Doubt, Draft, Evidence, Place
from multiarch.adoption.source_files import UnreadableError, source_text
from multiarch.formatting import one_line
from multiarch.paths import temporary_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

# In the order in which bake reads them; a later one overrides (buildx, bake/bake.go, defaultFilenames).
FILES = ("docker-bake.json", "docker-bake.hcl", "docker-bake.override.json", "docker-bake.override.hcl")
# What only bake itself evaluates.
_EVALUATED = ("${", "%{", '"inherits"', '"matrix"', '"function"', '"variable"')
_SECONDS = 60  # it answers in a fraction of one, unless a function never ends
_LARGEST = 4 << 20  # bytes of its answer
_ENVIRONMENT = ("PATH", "HOME", "DOCKER_CONFIG", "BUILDX_CONFIG")
_DEEPEST = 10  # groups in groups
_MOST = 1_000  # targets; a project of ours has no more
_TAKEN = {"tags", "platforms", "context", "dockerfile", "target", "args", "labels", "contexts", "secret", "ssh"}
_OTHERWISE = {"entitlements": "it is the whole project's; write multiarch.entitlements"}
_TAKEN |= {"attest", "pull", "no-cache", "output", "name", "description"}


def read(directory: Path) -> Evidence:
    """Return what the files of bake in a directory say."""
    try:
        texts = {file: text for file in FILES if (text := source_text(directory, file)) is not None}
        if not texts:
            return Evidence()
        plain = list(texts) == ["docker-bake.json"] and not any(word in texts[FILES[0]] for word in _EVALUATED)
        data = _parsed(texts[FILES[0]], FILES[0]) if plain else _printed(directory, list(texts))
    except UnreadableError as error:
        return error.evidence
    return _evidence(data, Blocks(texts), next(reversed(texts)))


def _parsed(text: str, file: str) -> Any:
    """Return JSON as data. :raises UnreadableError: it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableError(file, f"{file}:{error.lineno}: this is not JSON: {error.msg}") from None
    except (RecursionError, ValueError):
        raise UnreadableError(file, "its JSON is nested too deeply, or has a number that is too long") from None


def _printed(directory: Path, files: list[str]) -> Any:
    """Return what buildx makes of files. :raises UnreadableError: it makes nothing of them, or is not there."""
    words = [word for file in files for word in ("-f", file)]
    try:
        if _run(directory, "version").status:
            raise UnreadableError(files[-1], "only buildx evaluates it, and docker buildx is not there: install it")
        answer = _run(directory, "bake", "--print", *words)
    except OSError:
        raise UnreadableError(files[-1], "only buildx evaluates it, and docker is not there: install both") from None
    if answer.status or len(answer.output) > _LARGEST:
        said = next((line for line in answer.errors if line.startswith("ERROR:")), "") or (answer.errors or [""])[-1]
        said = said or f"nothing within {_SECONDS} s and {_LARGEST:,} bytes"
        raise UnreadableError(files[-1], f"docker buildx bake --print says: {one_line(said, 300)}")
    return _parsed(answer.output.decode(errors="replace"), files[-1])


class _Answer(Struct, frozen=True):
    """What a command has said. :ivar output: at most one byte more than may be."""

    status: int
    output: bytes
    errors: list[str]


def _run(directory: Path, *words: str) -> _Answer:
    """Run ``docker buildx``, for a bounded time. :raises OSError: there is no docker."""
    # Variables of this process would be taken for those of the files, and make another run's result another one.
    environ = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    with tempfile.TemporaryFile() as errors, _agent() as agent:
        process = subprocess.Popen(
            ["docker", "buildx", *words],
            cwd=directory,
            env={**environ, "SSH_AUTH_SOCK": agent},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        with process, _ending(process):
            output = process.stdout.read(_LARGEST + 1) if process.stdout else b""
            if len(output) <= _LARGEST:
                process.wait()
        errors.seek(0)
        said = errors.read(_LARGEST).decode(errors="replace").splitlines()
        return _Answer(process.returncode, output, said)


@contextmanager
def _agent() -> Iterator[str]:
    """Yield a socket in the place of an agent's: without one, bake prints nothing of targets with ``ssh``."""
    with temporary_directory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = f"{directory}/agent"
        listener.bind(path)
        yield path


@contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process after a time, and at the end; with those it began: docker runs buildx in one of its own."""

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(_SECONDS, kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        kill()


def _evidence(data: Any, blocks: Blocks, file: str) -> Evidence:
    targets, groups = _section(data, "target"), _section(data, "group")
    default = _members("default", targets, groups, 0)
    if not default:
        reason = "it has no group or target default, so that it is not told which targets are released"
        return Evidence(doubts=(Doubt("", reason, Place(file)),))
    names: list[str] = []
    for name in default:
        _add_with_bases(names, targets, name, 0)
    if len(names) > _MOST:
        return Evidence(doubts=(Doubt("", f"it has more than {_MOST:,} targets; none is taken", Place(file)),))
    bases = {base for name in names for base in _bases(targets[name])}
    images = []
    for name in names:
        draft = Draft(name, file)
        _fill(draft, targets[name], blocks, is_base=name in bases)
        images.append(draft.image())
    return Evidence(images=tuple(images), default=tuple(default) if bases else ())


def _section(data: Any, key: str) -> dict[str, Any]:
    section = data.get(key) if isinstance(data, dict) else None
    if not isinstance(section, dict):
        return {}
    return {name: value for name, value in section.items() if isinstance(value, dict)}


def _members(name: str, targets: Mapping[str, Any], groups: Mapping[str, Any], depth: int) -> list[str]:
    """Return the targets of a group, or the one of that name, each once."""
    if name in groups and depth < _DEEPEST:
        inner = [member for member in groups[name].get("targets") or [] if isinstance(member, str)]
        return list(dict.fromkeys(one for member in inner for one in _members(member, targets, groups, depth + 1)))
    return [name] if name in targets else []


def _bases(target: Mapping[str, Any]) -> list[str]:
    contexts = target.get("contexts")
    values = contexts.values() if isinstance(contexts, dict) else ()
    return [text.removeprefix("target:") for text in values if isinstance(text, str) and text.startswith("target:")]


def _add_with_bases(names: list[str], targets: Mapping[str, Any], name: str, depth: int) -> None:
    """Add a target to a list, behind those that it is built on."""
    if name in names or name not in targets or depth > len(targets):
        return
    for base in _bases(targets[name]):
        _add_with_bases(names, targets, base, depth + 1)
    if name not in names:
        names.append(name)


def _fill(draft: Draft, target: Mapping[str, Any], blocks: Blocks, *, is_base: bool) -> None:
    """Read a target as bake prints it (docs.docker.com, "Bake file reference")."""

    def at(attribute: str) -> int:
        place = blocks.place(draft.name, attribute)
        draft.file = place.file
        return place.line

    def text(attribute: str) -> Text | None:
        value = target.get(attribute)
        return Text(value, at(attribute)) if isinstance(value, str) else None

    def many(attribute: str) -> list[Any]:
        value = target.get(attribute)
        return [item for item in value if isinstance(item, (str, dict))] if isinstance(value, list) else []

    line = at("tags")
    builds.put_references(draft, [Text(str(item), line) for item in many("tags")])
    line = at("platforms")
    builds.put_platforms(draft, [Text(str(item), line) for item in many("platforms")])
    # In the place of its file bake takes one that is written in it.
    builds.put_context(draft, text("context"), None if "dockerfile-inline" in target else text("dockerfile"))
    if stage := text("target"):
        draft.put("target", stage.text, at("target"))
    for attribute, setting in {"args": "build_args", "labels": "labels"}.items():
        builds.put_pairs(draft, setting, _pairs(draft, target.get(attribute), setting, at(attribute)))
    builds.put_contexts(draft, _pairs(draft, target.get("contexts"), "contexts", at("contexts")))
    builds.put_secrets(draft, many("secret"), at("secret"))
    builds.put_ssh(draft, many("ssh"), at("ssh"))
    if attests := many("attest"):
        builds.put_attestations(draft, attests, at("attest"))
    for attribute, setting in {"pull": "pull", "no-cache": "no_cache"}.items():
        if attribute in target:
            builds.put_flag(draft, setting, target[attribute], at(attribute))
    if "dockerfile-inline" in target:
        draft.is_built = False
    _doubt_rest(draft, target, at, is_base=is_base)


def _doubt_rest(draft: Draft, target: Mapping[str, Any], at: Callable[[str], int], *, is_base: bool) -> None:
    """Note what is there and not taken. :param at: returns the line of an attribute."""
    outputs = target.get("output")
    for item in outputs if isinstance(outputs, list) and not is_base else ():
        if isinstance(item, (str, dict)):
            builds.doubt_output(draft, builds.attributes(item), at("output"))
    for attribute in target:
        if attribute not in _TAKEN:
            draft.doubt(attribute, _OTHERWISE.get(attribute, "there is no setting that means the same"), at(attribute))


def _pairs(draft: Draft, written: Any, setting: str, line: int) -> dict[str, Text]:
    """Return the texts of a mapping; what is no text comes from a variable of the machine, and is left out."""
    found = {}
    for name, value in written.items() if isinstance(written, dict) else ():
        if isinstance(value, str):
            found[name] = Text(value, line)
        else:
            draft.doubt(f"{setting}.{name}", "its value is no text", line)
    return found

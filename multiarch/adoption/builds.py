"""Settings of one build, from the words that bake, compose and build-push-action have in common."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.config.tags import NAMES
from multiarch.image.platform import Platform
from multiarch.image.reference import DOCKER_HUB, ImageReference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multiarch.adoption.findings import Draft

_REMOTE = re.compile(r"\w+://|git@|-$|\{\{")
_CONTEXTS = ("target:", "docker-image://")
_LATEST = "latest"
_PUSHED = ("image", "registry")
_OF_A_PUSH = ("type", "name", "push", "push-by-digest", "name-canonical")
# What values of ours mean, and those of other tools do not.
_MEANT = re.compile(rf"^env:\w|\{{(?:target|{'|'.join(NAMES)})\}}")


class Text(Struct, frozen=True):
    """Text of a file, and its line."""

    text: str
    line: int


def put_references(draft: Draft, references: Iterable[Text]) -> None:
    """Set ``image`` and ``tags`` from references with tags, where each repository has the same tags."""
    tags: dict[str, dict[str, None]] = {}
    first = 0
    for item in references:
        first = first or item.line
        try:
            reference = ImageReference.parse(item.text)
        except ValueError as error:
            draft.doubt("image", str(error), item.line)
            return
        if reference.digest:
            draft.doubt("image", f"{item.text} is pinned to a digest", item.line)
            return
        if reference.registry == DOCKER_HUB and reference.repository.startswith("library/"):
            draft.doubt("image", f"{item.text} names no repository that can be pushed to", item.line)
            return
        tags.setdefault(reference.name, {})[reference.tag or _LATEST] = None
    if not tags:
        return
    every = list(tags.values())
    if any(one.keys() != every[0].keys() for one in every):
        draft.doubt("image", f"{' and '.join(tags)} do not have the same tags", first)
        return
    draft.put("image", next(iter(tags)) if len(tags) == 1 else list(tags), first)
    draft.put("tags", list(every[0]), first)


def put_platforms(draft: Draft, platforms: Iterable[Text]) -> None:
    """Set ``platforms``, all or none."""
    known: dict[Platform, int] = {}
    for item in platforms:
        try:
            known.setdefault(Platform.parse(item.text), item.line)
        except ValueError as error:
            draft.doubt("platforms", str(error), item.line)
            return
    if known:
        draft.put("platforms", list(map(str, known)), next(iter(known.values())))


def put_context(draft: Draft, context: Text | None, dockerfile: Text | None) -> None:
    """Set ``context`` and ``dockerfile``, whose path is from the context; usual values are left out."""
    place = context.text if context else "."
    if context and _REMOTE.match(place):
        draft.doubt("context", f"{place} is no directory of the project", context.line)
        draft.is_built = False
        return
    place = posixpath.normpath(place or ".")
    if context and place != ".":
        draft.put("context", place, context.line)
    if dockerfile:
        put_dockerfile(draft, Text(posixpath.join(place, dockerfile.text), dockerfile.line))


def put_dockerfile(draft: Draft, dockerfile: Text) -> None:
    """Set ``dockerfile``, whose path is from the project's directory; the usual one is left out."""
    if _REMOTE.match(dockerfile.text):
        draft.doubt("dockerfile", f"{dockerfile.text} is no file of the project", dockerfile.line)
        draft.is_built = False
        return
    path = posixpath.normpath(dockerfile.text)
    if path != posixpath.join(
        str(draft.findings["context"].value) if "context" in draft.findings else "", "Dockerfile"
    ):
        draft.put("dockerfile", path, dockerfile.line)


def put_pairs(draft: Draft, setting: str, pairs: Mapping[str, Text]) -> None:
    """Set ``build_args`` or another mapping; a text that would have another meaning in it is left out."""
    plain = {name: item for name, item in pairs.items() if not _MEANT.search(item.text)}
    for name, item in pairs.items():
        if name not in plain:
            draft.doubt(f"{setting}.{name}", f"{item.text} would be filled in here", item.line)
    if plain:
        draft.put(setting, {name: item.text for name, item in plain.items()}, next(iter(plain.values())).line)


def put_contexts(draft: Draft, contexts: Mapping[str, Text]) -> None:
    """Set ``contexts``, where each is a target, an image, a directory or a git repository."""
    for item in contexts.values():
        scheme = re.match(r"[\w-]+:", item.text)
        if scheme and not item.text.startswith((*_CONTEXTS, "https://", "ssh://", "git://", "git@")):
            draft.doubt("contexts", f"{item.text} is of a kind that there is no setting for", item.line)
            return
    put_pairs(draft, "contexts", contexts)


def put_secrets(draft: Draft, secrets: Iterable[Mapping[str, Any] | str], line: int) -> None:
    """Set ``secrets`` from BuildKit's own words for them: ``id=token,env=TOKEN`` or ``id=npm,src=FILE``."""
    found = {}
    for written in secrets:
        item = attributes(written)
        name, variable, path = item.get("id"), item.get("env"), item.get("src", item.get("source"))
        if not name or bool(variable) == bool(path):
            draft.doubt("secrets", "it is not told whether a secret is in a variable or in a file", line)
            return
        found[name] = f"env:{variable}" if variable else f"file:{path}"
    if found:
        draft.put("secrets", found, line)


def put_ssh(draft: Draft, sockets: Iterable[Mapping[str, Any] | str], line: int) -> None:
    """Set ``ssh`` from ``default`` or ``ID=PATH``."""
    found = []
    for item in sockets:
        if isinstance(item, str):
            found.append(item)
        elif paths := item.get("paths"):
            found.append(f"{item.get('id', 'default')}={','.join(map(str, paths))}")
        else:
            found.append(str(item.get("id", "default")))
    if found:
        draft.put("ssh", found, line)


def put_attestations(draft: Draft, attests: Iterable[Mapping[str, Any] | str], line: int) -> None:
    """Set ``attestations`` from ``type=provenance,mode=max`` and the like; those that are disabled are left out."""
    found: list[str | dict[str, str]] = []
    for written in attests:
        item = attributes(written)
        kind = item.pop("type", "")
        if item.pop("disabled", "false") != "true":
            words = ",".join(f"{name}={value}" for name, value in item.items())
            found.append({kind: words} if words else kind)
    draft.put("attestations", found, line)


def doubt_output(draft: Draft, output: Mapping[str, str], line: int) -> None:
    """Note what of an output (BuildKit, README.md, "Output") is more than a push."""
    if output.get("type") not in _PUSHED or output.get("push") == "false":
        draft.doubt("output", "it goes to somewhere else than to a registry", line)
    elif more := [name for name in output if name not in _OF_A_PUSH]:
        draft.doubt("output", f"{', '.join(more)} of it is not taken", line)


def put_flag(draft: Draft, setting: str, value: Any, line: int) -> None:
    """Set ``pull`` or ``no_cache`` where it is true; false is the usual value."""
    text = str(value).lower()
    if text == "true":
        draft.put(setting, True, line)
    elif text != "false":
        draft.doubt(setting, f"{value} is neither true nor false", line)


def attributes(written: Mapping[str, Any] | str) -> dict[str, str]:
    """Return the attributes of a secret or attestation: of a mapping, or of ``name=value,name=value``."""
    if isinstance(written, str):
        pairs = (part.partition("=") for part in written.split(",") if part)
        return {name.strip(): value for name, _, value in pairs}
    plain = {True: "true", False: "false"}
    return {str(name): plain[value] if isinstance(value, bool) else str(value) for name, value in written.items()}

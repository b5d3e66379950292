"""Contexts of a build: directories of this machine, and what BuildKit fetches itself (git, archives, images)."""

from __future__ import annotations

import re

from msgspec import Struct

from multiarch.formatting import is_clean

# What the Dockerfile frontend of BuildKit takes (frontend/dockerui, util/gitutil): addresses, and git's user@host:path.
_REMOTE = re.compile(r"(https?|git|ssh)://|[\w.-]+@[\w.-]+:", re.IGNORECASE)
_IMAGE = "docker-image://"
_USER = re.compile(r"https?://[^/?#]*@", re.IGNORECASE)
_WEB = re.compile(r"https?://([^?#]*)(\?[^#]*)?(#.*)?", re.IGNORECASE | re.DOTALL)


class Context(Struct, frozen=True):
    """A context. :ivar place: a directory, or an address. :ivar is_local: whether it is a directory of this machine."""

    place: str
    is_local: bool = True


def parse_context(text: str) -> Context:
    """Return the context that a text names: a directory, or the address of a git repository or an archive.

    :raises ValueError: the text is empty or unprintable, or an address that holds a password, or a ``#`` that BuildKit
        would not take for a part of a repository.
    """
    if not text or not is_clean(text):
        raise ValueError(f"{text!r} is no directory and no address")
    if not _REMOTE.match(text):
        return Context(text)
    if _USER.match(text):
        # It would be in arguments, logs and the provenance.
        advice = "give it as a secret: multiarch.secrets: {GIT_AUTH_TOKEN: env:NAME}"
        raise ValueError(f"the address has a user or a password in it, which would be shown; {advice}")
    web = _WEB.fullmatch(text)
    if web and len(web[3] or "") > 1 and not web[1].endswith(".git"):
        raise ValueError(f"{text!r}: what stands behind # is of git, whose address ends in .git: {_with_git(web[0])}")
    return Context(text, is_local=False)


def parse_named_context(text: str) -> Context:
    """Return a named context: an image (``docker-image://``), or what `parse_context` returns and raises."""
    is_image = text.startswith(_IMAGE) and is_clean(text) and text != _IMAGE
    return Context(text, is_local=False) if is_image else parse_context(text)


def _with_git(address: str) -> str:
    place, _, fragment = address.partition("#")
    return f"{place.rstrip('/')}.git#{fragment}"

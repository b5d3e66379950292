"""Contexts: what is a directory, what BuildKit fetches, and what it would not take."""

from __future__ import annotations

from typing import Any

import pytest

from multiarch.config.contexts import Context, parse_context
from multiarch.config.load import load
from multiarch.errors import ConfigurationError


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/a/b.git#main:dir",
        "https://example.com/context.tar.gz",
        "http://127.0.0.1:80/Dockerfile?x=y#",
        "git://example.com/a.git",
        "ssh://git@example.com:2222/a.git#v1",
        "git@github.com:a/b.git#main",
        "HTTPS://example.com/a.tar",
    ],
)
def test_address_is_fetched_by_the_builder(address: str) -> None:
    """As docker build takes them."""
    assert Context(address, is_local=False) == parse_context(address)


@pytest.mark.parametrize("path", [".", "../web", "github.com/a/b", "a:b", "@x", "a#b", "C:/x"])
def test_all_else_is_a_directory(path: str) -> None:
    """Also what looks like an address only from afar: it may be there."""
    assert Context(path) == parse_context(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "https://github.com/a/b#main",
            (
                "'https://github.com/a/b#main': what stands behind # is of git, whose address ends in .git:"
                " https://github.com/a/b.git#main"
            ),
        ),
        ("", "'' is no directory and no address"),
        ("a\nb", "'a\\nb' is no directory and no address"),
    ],
)
def test_address_that_would_not_be_taken_is_told(text: str, expected: str) -> None:
    """BuildKit downloads a page of the forge in the place of the repository, and finds no Dockerfile in it."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse_context(text)
    assert expected == str(caught.value)


@pytest.mark.parametrize("address", ["https://user:hunter2@example.com/a.git", "HTTP://hunter2@example.com/a.tar#x"])
@pytest.mark.parametrize("setting", ["context", "contexts"])
def test_password_in_an_address_is_refused_unseen(address: str, setting: str) -> None:
    """It would be in arguments, logs and the provenance; BuildKit takes a token as a secret."""
    value: Any = {"a": address} if setting == "contexts" else address
    with pytest.raises(ConfigurationError) as caught:
        load({setting: value, "platforms": ["arm64"]}, {}, {})
    assert (
        f"multiarch.{setting}: the address has a user or a password in it, which would be shown; give it as a secret:"
        " multiarch.secrets: {GIT_AUTH_TOKEN: env:NAME}"
    ) == str(caught.value)


def test_platform_has_contexts_of_its_own() -> None:
    """Its context replaces the one for all, its named ones are joined, and those of the run win."""
    block = {
        "context": "web",
        "contexts": {"a": "x", "b": "docker-image://alpine"},
        "platforms": ["amd64", {"platform": "arm64", "context": "https://h/a.git", "contexts": {"a": "y", "c": "z"}}],
    }
    plain, own = load(block, {}, {"contexts": ["c=run"]}).matrix
    image, run = Context("docker-image://alpine", is_local=False), Context("run")
    assert (Context("web"), {"a": Context("x"), "b": image, "c": run}) == (plain.context, plain.contexts)
    assert (Context("https://h/a.git", is_local=False), {"a": Context("y"), "b": image, "c": run}) == (
        own.context,
        own.contexts,
    )

"""The setting ``sign``."""

from __future__ import annotations

from typing import Any

import pytest

from multiarch.config.load import load
from multiarch.config.project import load_project
from multiarch.config.signing import Signing
from multiarch.errors import ConfigurationError

WHERE = "multiarch.sign"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, None),
        ("", None),
        ("cosign", Signing()),
        ({"key": "cosign.key"}, Signing(key="cosign.key")),
        ({"key": "env://KEY", "log": False}, Signing(key="env://KEY", log=False)),
        ({"key": "awskms:///alias/app"}, Signing(key="awskms:///alias/app")),
        (
            {"identity": "me@example.org", "issuer": "https://a.b"},
            Signing(identity="me@example.org", issuer="https://a.b"),
        ),
    ],
)
def test_who_signs_is_read(written: object, expected: Signing | None) -> None:
    """A word, or a mapping; nobody by default."""
    assert expected == load({"sign": written}, {}, {}).publish.sign


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("gpg", "multiarch.sign: 'gpg' is not known; write cosign, or a mapping with its key"),
        ({}, "multiarch.sign: the mapping is empty; name a key, or write cosign to sign without one"),
        (True, "multiarch.sign: expected text | a mapping, got True"),
        ({"keys": "a"}, "multiarch.sign.keys: unknown setting; did you mean key?"),
        ({"x": "a"}, "multiarch.sign.x: unknown setting; known: identity, issuer, key, log"),
        ({"key": 5}, "multiarch.sign.key: expected text, got 5"),
        ({"key": ""}, "multiarch.sign.key: expected text, got ''"),
        ({"key": "a\nb"}, "multiarch.sign.key: expected up to 1000 printable characters"),
        ({"key": "k" * 1001}, "multiarch.sign.key: expected up to 1000 printable characters"),
        ({"key": "k", "log": "no"}, "multiarch.sign.log: expected true or false, got 'no'"),
        ({"log": False}, "multiarch.sign.log: false only goes with a key: without one, the log says when was signed"),
        ({"key": "k", "issuer": "i"}, "multiarch.sign.issuer: only goes without a key"),
        ({"identity": "me"}, "multiarch.sign.identity: issuer is missing: give both, or neither"),
    ],
)
def test_mistakes_are_named(written: object, error: str) -> None:
    """Each with its key, and what is allowed."""
    with pytest.raises(ConfigurationError) as caught:
        load({"sign": written}, {}, {})
    assert error == str(caught.value)


@pytest.mark.parametrize("key", ["pkcs11:token=a;object=b?pin-value=1234", "https://me:1234@example.org/cosign.key"])
def test_key_with_a_secret_in_its_address_is_refused(key: str) -> None:
    """Arguments of a program can be read by all users; the error does not show it either."""
    with pytest.raises(ConfigurationError) as caught:
        load({"sign": {"key": key}}, {}, {})
    assert (True, False) == (str(caught.value).startswith("multiarch.sign.key: holds a "), "1234" in str(caught.value))


def test_all_targets_are_signed_alike() -> None:
    """It is the project's; a target cannot have its own."""
    block: dict[str, Any] = {"platforms": ["amd64"], "sign": {"key": "k"}, "targets": {"a": {}, "b": {}}}
    project = load_project(block, {}, {})
    signing = [target.settings.publish.sign for target in project]
    assert [Signing(key="k"), Signing(key="k"), Signing(key="k")] == [*signing, project.settings.publish.sign]
    block["targets"]["a"] = {"sign": "cosign"}
    with pytest.raises(ConfigurationError, match=r"multiarch\.targets\.a\.sign"):
        load_project(block, {}, {})


def test_variable_sets_it() -> None:
    """As a CI may."""
    assert Signing(where="INVOKE_MULTIARCH_SIGN") == load({}, {"INVOKE_MULTIARCH_SIGN": "cosign"}, {}).publish.sign

"""Who signs what is published: the setting ``sign``."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.errors import ConfigurationError, without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.layers import Layers

_TOOL = "cosign"
_KEYS = ("identity", "issuer", "key", "log")
_LONGEST = 1000  # characters of a value; the address of a key in a cloud has some hundred


class Signing(Struct, frozen=True, kw_only=True):
    """How cosign signs.

    :ivar key: a file, ``env://NAME``, or the address of a key that cosign knows; None to sign without a key (keyless).
    :ivar log: whether signatures go to a transparency log, and are looked for there.
    :ivar identity: who signs without a key, as the certificate names them; empty where that is not told.
    :ivar issuer: who says so.
    :ivar where: the setting that says all this.
    """

    key: str | None = None
    log: bool = True
    identity: str = ""
    issuer: str = ""
    where: str = "multiarch.sign"


def read_signing(layers: Layers) -> Signing | None:
    """Read ``sign``; None where nothing is signed. :raises ConfigurationError: it cannot be used."""
    written = layers.block.sign
    if written is None or written == "":
        return None
    if isinstance(written, str):
        if written != _TOOL:
            raise layers.error("sign", f"{written!r} is not known; write cosign, or a mapping with its key")
        return Signing(where=layers.where("sign"))
    if not written:
        raise layers.error("sign", "the mapping is empty; name a key, or write cosign to sign without one")
    if unknown := sorted(written.keys() - set(_KEYS)):
        near = difflib.get_close_matches(unknown[0], _KEYS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_KEYS)}"
        raise _error(layers, unknown[0], f"unknown setting; {hint}")
    log = written.get("log", True)
    if not isinstance(log, bool):
        raise _error(layers, "log", f"expected true or false, got {log!r}")
    signing = Signing(
        key=_text(layers, written, "key") or None,
        log=log,
        identity=_text(layers, written, "identity"),
        issuer=_text(layers, written, "issuer"),
        where=layers.where("sign"),
    )
    _check_together(layers, signing)
    return signing


def _text(layers: Layers, written: Mapping[str, Any], name: str) -> str:
    """Return a value; empty where it is not given."""
    if name not in written:
        return ""
    value = written[name]
    if not isinstance(value, str) or not value:
        raise _error(layers, name, f"expected text, got {value!r}")
    if not value.isprintable() or len(value) > _LONGEST:
        raise _error(layers, name, f"expected up to {_LONGEST} printable characters")
    return value


def _check_together(layers: Layers, signing: Signing) -> None:
    if signing.key and "pin-value=" in signing.key:
        raise _error(layers, "key", "holds a PIN, which all users of the machine may read; set COSIGN_PKCS11_PIN")
    if signing.key and without_secrets(signing.key) != signing.key:
        raise _error(layers, "key", "holds a user, which all users of the machine may read; name the key without it")
    if signing.key and (signing.identity or signing.issuer):
        raise _error(layers, "identity" if signing.identity else "issuer", "only goes without a key")
    if bool(signing.identity) != bool(signing.issuer):
        given, missing = ("identity", "issuer") if signing.identity else ("issuer", "identity")
        raise _error(layers, given, f"{missing} is missing: give both, or neither")
    if not signing.key and not signing.log:
        raise _error(layers, "log", "false only goes with a key: without one, the log says when was signed")


def _error(layers: Layers, name: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"{layers.where('sign')}.{name}", problem)

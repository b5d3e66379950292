"""The challenge of a registry: its WWW-Authenticate header (RFC 9110, section 11.6.1)."""

from __future__ import annotations

import re

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 (the grammar's word for a name)
_GAP = re.compile(r"[\s,]*")
_SCHEME = re.compile(_TOKEN)
_PARAMETER = re.compile(rf'({_TOKEN})=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_ESCAPED = re.compile(r"\\(.)")


def parse_challenge(header: str) -> dict[str, dict[str, str]]:
    """Return the schemes that a header offers, in lower case, with their parameters; what follows nonsense is left out.

    Each piece is matched where the last one ended, and by one alternative alone: the time is linear.
    """
    schemes: dict[str, dict[str, str]] = {}
    parameters: dict[str, str] = {}
    position = 0
    while True:
        position = _GAP.match(header, position).end()  # type: ignore[union-attr]
        if found := _PARAMETER.match(header, position):
            name, quoted, plain = found.groups()
            parameters[name.lower()] = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
        elif found := _SCHEME.match(header, position):
            parameters = {}
            # The first of two challenges of one scheme is the one that the registry prefers.
            schemes.setdefault(found[0].lower(), parameters)
        else:
            return schemes
        position = found.end()

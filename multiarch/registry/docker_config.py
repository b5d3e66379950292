"""Docker's store of credentials, looked through in the order of docker/cli (cli/config/configfile/file.go).

That is BuildKit's order too, so that whoever is asked for us is one user: what is in ``DOCKER_AUTH_CONFIG``, else the
helper of the registry, else the helper of all, else the file. Where there is a helper, the file is not looked into.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multiarch.errors import ConfigurationError
from multiarch.formatting import one_line
from multiarch.image.reference import DOCKER_HUB

VARIABLE = "DOCKER_AUTH_CONFIG"  # docker/cli 28.3 and later, BuildKit 0.24 and later
_HUB_KEY = "https://index.docker.io/v1/"  # what Docker calls its Hub in the list of credentials
_HELPER_SECONDS = 120.0  # one may ask a cloud for a token, or a person for a word
_TOKEN_USER = "<token>"  # noqa: S105 (in the place of a user: what follows is an identity token)
_LONGEST_WORDS = 200  # characters of a helper's own words that are shown


@dataclass(frozen=True)
class Login:
    """User and password for a registry, or an identity token, or nothing."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """User and password as Basic authorisation and Docker's configuration have them; empty without a user."""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode() if self.user else ""

    @property
    def entry(self) -> dict[str, str]:
        """The login as an entry of ``auths`` in Docker's configuration; empty without one."""
        if self.identity_token:
            return {"identitytoken": self.identity_token}
        return {"auth": self.basic} if self.user else {}


def key(registry: str) -> str:
    """Return what a registry is called in Docker's list of credentials."""
    return _HUB_KEY if registry == DOCKER_HUB else registry


def directory() -> Path:
    """Return the directory of Docker's configuration."""
    return Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111 (there may be no home)


def _where() -> str:
    """Return the name of the file in errors."""
    return "~/.docker/config.json" if not os.environ.get("DOCKER_CONFIG") else str(directory() / "config.json")


def stored_login(registry: str) -> Login:
    """Return the credentials for a registry: of this run, else those that ``docker login`` stored.

    :raises ConfigurationError: a credential helper fails, or the configuration cannot be read.
    """
    name = key(registry)
    if basic := entries_of_variable().get(name):
        return decoded(basic)
    config = read()
    helpers = mapping(config.get("credHelpers"))
    # An empty name there stands for the file, where another helper is for all the others.
    helper = helpers[name] if name in helpers else config.get("credsStore")
    if helper:
        return _ask(str(helper), name, registry)
    auths = mapping(config.get("auths"))
    entry = auths.get(name) or next((auths[other] for other in auths if _host_of(other) == name), None)
    return _login_of(entry)


def read() -> dict[str, Any]:
    """Return the content of the file; empty without one. :raises ConfigurationError: it is not Docker's."""
    try:
        config = json.loads((directory() / "config.json").read_text())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(_where(), f"it cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise ConfigurationError(_where(), "it is not as docker login writes it; correct it")
    return config


def entries_of_variable() -> dict[str, str]:
    """Return the entries of ``DOCKER_AUTH_CONFIG``; none where Docker would ignore all of it."""
    try:
        auths = json.loads(os.environ.get(VARIABLE) or "{}")
        if not isinstance(auths, dict) or auths.keys() - {"auths"}:
            return {}
        entries = auths.get("auths", {})
        is_valid = all(entry.keys() == {"auth"} and decoded(entry["auth"]).user for entry in entries.values())
        return {name: entry["auth"] for name, entry in entries.items()} if is_valid else {}
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return {}


def decoded(basic: str) -> Login:
    """Return the user and password of an entry. :raises ValueError: it is none."""
    try:
        user, _, password = base64.b64decode(basic, validate=True).decode().partition(":")
    except binascii.Error:
        raise ValueError(basic) from None
    return Login(user, password)


def mapping(value: Any) -> dict[str, Any]:
    """Return a mapping as it is, and an empty one for anything else, as Docker ignores that too."""
    return dict(value) if isinstance(value, dict) else {}


def _ask(helper: str, name: str, registry: str) -> Login:
    """Return what a helper has, nothing where it has none (docker-credential-helpers, credentials/credentials.go)."""
    command = [f"docker-credential-{helper}", "get"]
    try:
        done = subprocess.run(command, input=name, capture_output=True, text=True, timeout=_HELPER_SECONDS)
        if done.returncode:
            if "credentials not found" in done.stdout:
                return Login()
            # Its words are text; JSON would be an answer, which may hold the secret.
            said = "" if "{" in done.stdout else done.stdout.strip()
            words = one_line(said or done.stderr.strip())[:_LONGEST_WORDS]
            raise ValueError(words or f"exit status {done.returncode}")
        fields = {str(field).lower(): value for field, value in mapping(json.loads(done.stdout)).items()}
        user, secret = _text(fields.get("username")), _text(fields.get("secret"))
    except FileNotFoundError:
        reason = f"{command[0]} is not there"
    except subprocess.TimeoutExpired:
        reason = f"{command[0]} has not answered for {_HELPER_SECONDS:.0f} s"
    except json.JSONDecodeError:
        reason = f"{command[0]} answered something else than JSON"  # which may hold the secret
    except (OSError, ValueError, RecursionError) as error:
        reason = f"{command[0]}: {getattr(error, 'strerror', None) or error}"
    else:
        return Login(identity_token=secret) if user == _TOKEN_USER else Login(user, secret)
    problem = f"the credential helper for {registry} failed ({reason}); is it installed and on PATH?"
    raise ConfigurationError(_where(), problem)


def _login_of(entry: Any) -> Login:
    """Return the login of an entry of the file. :raises ConfigurationError: it is none of Docker's."""
    fields = {str(name).lower(): value for name, value in mapping(entry).items()}
    try:
        basic = decoded(fields["auth"]) if fields.get("auth") else Login()
        token = _text(fields.get("identitytoken"))
        user, password = basic.user or _text(fields.get("username")), basic.password or _text(fields.get("password"))
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(_where(), "it is not as docker login writes it; correct it") from None
    if token:
        return Login(identity_token=token)
    return Login(user, password) if user and password else Login()


def _text(value: object) -> str:
    """Return a field of a login, empty without one. :raises ValueError: it is no text; the error does not show it."""
    if value is None:
        return ""
    if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("a user or a secret in its answer is no text")
    return value


def _host_of(name: str) -> str:
    """Return the host of an entry, which older versions wrote as an address."""
    return re.sub(r"^https?://", "", name).partition("/")[0]

"""Secrets by which the jobs of a CI reach builders elsewhere: their names, and what the head of a file says of them.

They are root on the builders. The step that builds has them, and the one that publishes where images are tried on a
builder; others run what is installed or the project's own code. GitHub gives a step the secrets that it names. Travis
and GitLab have one shell for a job, which keeps them to itself until then, and CircleCI one for each step, which drops
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError
from multiarch.fleet.access import KNOWN_HOSTS, KUBECONFIG, SSH_KEY, scheme_of
from multiarch.fleet.tls_files import variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multiarch.config.builders import RemoteBuilder
    from multiarch.config.settings import MatrixEntry

_OF_SCHEMES = {"ssh": (SSH_KEY, KNOWN_HOSTS), "kube-pod": (KUBECONFIG,)}
_CONTENTS = {
    SSH_KEY: "a private key without a passphrase",
    KNOWN_HOSTS: "what ssh-keyscan prints",
    KUBECONFIG: "a kubeconfig",
}


def secrets_of(entries: Iterable[MatrixEntry]) -> tuple[str, ...]:
    """Return the names of the secrets for the builders of platforms, each once."""
    builders = {builder.name: builder for entry in entries for builder in entry.builders}
    return tuple(dict.fromkeys(name for builder in builders.values() for name in _of(builder)))


def check_directories(entries: Iterable[MatrixEntry]) -> None:
    """Check that no builder's certificates are a directory, which the usual machine of a CI does not have.

    :raises ConfigurationError: those of one are.
    """
    for builder in (builder for entry in entries for builder in entry.builders):
        if builder.tls and builder.tls.directory:
            problem = f"{builder.tls.directory} is a directory of this machine, which the jobs of a CI do not have"
            remedy = "write tls: env:FLEET, for certificates out of the secrets FLEET_CA, FLEET_CERT and FLEET_KEY"
            raise ConfigurationError(f"{builder.where}.tls", f"{problem}; {remedy}")


def notes(names: Sequence[str]) -> list[str]:
    """Return lines on what is in the secrets of builders, and what becomes of it."""
    if not names:
        return []
    certificates = [name for name in names if name not in _CONTENTS]
    contents = ["ca.pem, cert.pem, key.pem of fleet-certs in " + ", ".join(certificates)] if certificates else []
    contents += [f"{_CONTENTS[name]} in {name}" for name in names if name in _CONTENTS]
    return [
        f"Secrets of builders: {'; '.join(contents)}.",
        "As they are, or in base64 where the CI takes or masks one line alone; each is a file of mode 0600 of the",
        "building step, and goes with it.",
    ]


def withheld(names: Sequence[str]) -> str:
    """Return the command by which a shell keeps variables to itself, so that no program that it runs has them."""
    return f"{' '.join(f'kept_{name}=${name}' for name in names)}; unset {' '.join(names)}"


def handed_out(names: Sequence[str]) -> str:
    """Return the command by which a shell hands variables out again that it has `withheld`."""
    return f"export {' '.join(_assignment(name) for name in names)}"


def dropped(names: Sequence[str]) -> str:
    """Return the line by which a shell of its own drops variables."""
    return f"unset {' '.join(names)}\n" if names else ""


def _assignment(name: str) -> str:
    return f'{name}="$kept_{name}"'


def _of(builder: RemoteBuilder) -> Sequence[str]:
    if builder.tls and builder.tls.variables:
        return variables(builder.tls.variables)
    return _OF_SCHEMES.get(scheme_of(builder), ())

"""Keys of builders elsewhere out of variables, in which a CI has its secrets: files of this user alone during a run.

buildctl dials through ssh and kubectl. kubectl is told by a variable where its kubeconfig is; ssh takes words alone,
and is told by a program of its name, which comes first on the PATH of buildctl.
"""

from __future__ import annotations

import base64
import os
import shlex
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError
from multiarch.registry import login_files

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.config.builders import RemoteBuilder

SSH_KEY, KNOWN_HOSTS, KUBECONFIG = "FLEET_SSH_KEY", "FLEET_KNOWN_HOSTS", "FLEET_KUBECONFIG"
LARGEST = 1 << 20  # characters of a variable; a chain of certificates has some thousand
_PRIVATE_KEY = "PRIVATE KEY-----"  # of PEM and of OpenSSH (PROTOCOL.key)

Variables = tuple[tuple[str, str], ...]


def scheme_of(builder: RemoteBuilder) -> str:
    """Return the scheme by which a builder is reached: ``kube-pod`` for the pods of a pool."""
    return "kube-pod" if builder.pods else builder.address.partition("://")[0]


def provide(scheme: str) -> Variables:
    """Return the variables by which the programs of a scheme find the keys of this run; none where none are given.

    The files are there until the run ends.

    :raises ConfigurationError: a variable does not hold what it is to hold.
    """
    if scheme == "ssh":
        return _ssh()
    return _kubernetes() if scheme == "kube-pod" else ()


def text_of(variable: str) -> str:
    """Return the text of a file out of a variable: as it is, or in base64, for a CI that takes or masks one line alone.

    It is empty where the variable is not set, and where it is longer than any such file.
    """
    text = os.environ.get(variable, "")
    if len(text) > LARGEST:
        return ""
    with suppress(ValueError):
        text = base64.b64decode("".join(text.split()), validate=True).decode()
    text = text.replace("\r\n", "\n")
    return text if text.endswith("\n") or not text else f"{text}\n"


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a new file that at no time anybody else may read.

    :param text: of a variable; bytes that are no text are written as they are.
    :param mode: permissions of the file.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def _ssh() -> Variables:
    """Return the variables that make ssh use the key and the host keys of ours; none where neither is set.

    :raises ConfigurationError: one holds something else.
    """
    if not (os.environ.get(SSH_KEY) or os.environ.get(KNOWN_HOSTS)):
        return ()
    key, hosts, program = text_of(SSH_KEY), text_of(KNOWN_HOSTS), shutil.which("ssh")
    if os.environ.get(SSH_KEY) and _PRIVATE_KEY not in key:
        raise ConfigurationError(
            SSH_KEY, "holds no private key: it is to hold what ssh-keygen wrote, without a passphrase"
        )
    if os.environ.get(KNOWN_HOSTS) and " " not in hosts:
        raise ConfigurationError(
            KNOWN_HOSTS, "holds no host key: it is to hold what ssh-keyscan prints for the builders"
        )
    if program is None:
        return ()
    # A file system in memory may be one that nothing is executed from.
    secret, public = login_files.make(), login_files.make(runnable=True)
    words = [program]
    if key:  # else those of an agent, or of the user
        write(secret / "key", key)
        words += ["-i", str(secret / "key"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
    if hosts:
        write(secret / "known_hosts", hosts)
        words += ["-o", f'UserKnownHostsFile="{secret}/known_hosts"', "-o", "StrictHostKeyChecking=yes"]
    write(public / "ssh", f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', 0o700)
    return (("PATH", f"{public}:{os.environ.get('PATH', os.defpath)}"),)


def _kubernetes() -> Variables:
    if not os.environ.get(KUBECONFIG):
        return ()
    text = text_of(KUBECONFIG)
    if "clusters" not in text:
        raise ConfigurationError(KUBECONFIG, "holds no kubeconfig: it is to hold what kubectl config view --raw prints")
    path = login_files.make() / "kubeconfig"
    write(path, text)
    return (("KUBECONFIG", str(path)),)

"""Signatures of what is published, by cosign: made before a tag moves, and looked for where something is shown.

Signatures belong to a digest in one repository, where they refer to it (distribution-spec 1.1, "Listing Referrers"; in
a registry without referrers cosign keeps them under the tag ``sha256-…``). What is signed already is not signed again.
"""

from __future__ import annotations

import os
import ssl
import threading
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.certificates import certificates_of, check_file, named_bundle
from multiarch.ci import running_in
from multiarch.concurrency import each
from multiarch.errors import ConfigurationError
from multiarch.publish.cosign import Cosign
from multiarch.publish.errors import SigningError
from multiarch.registry.login_files import configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from multiarch.config.signing import Signing
    from multiarch.image.reference import ImageReference
    from multiarch.publish.tags import Sign
    from multiarch.registry.client import Registry
    from multiarch.trace import Trace

_SIDE_BY_SIDE = 4  # processes of cosign; each takes a processor for some tenths of a second
# Exit statuses of ``cosign verify`` (cosign, doc/cosign_exit_codes.md): nothing there, and nothing there that fits.
_UNSIGNED = (10, 12)
_UNMATCHED = "no matching attestations"  # its words for the latter where signatures are bundles


class State(Enum):
    """What is known of the signature of an image; the values are those of tables."""

    SIGNED = "yes"
    UNSIGNED = "no"
    UNKNOWN = "?"


class Signer:
    """Signs and verifies by digest, for one run. Safe to use from several threads.

    :param cosign: the program, whose logins are those of *registries*.
    :param folder: of this user alone, for files that cosign reads.
    :param registries: a client for the registry of each image, by host, which knows how it is spoken to.
    """

    def __init__(self, signing: Signing, cosign: Cosign, folder: Path, registries: Mapping[str, Registry]) -> None:
        self._signing = signing
        self._cosign = cosign
        self._folder = folder
        self._registries = registries
        self._flags: dict[str, list[str]] = {}
        self._making = threading.Lock()
        self._running = threading.BoundedSemaphore(_SIDE_BY_SIDE)
        self._verifying = self._write_public_key() if signing.key else identity_flags(signing)

    def state(self, reference: ImageReference) -> State:
        """Return what is known of a signature: by our key, or by those whom the settings name.

        :param reference: with a digest.
        :raises StoppedError: the run was stopped.
        """
        if not self._verifying:
            return State.UNKNOWN
        words = ["verify", *self._verifying, *self._registry_flags(reference.registry), str(reference)]
        with self._running:
            ended = self._cosign.run(words)
        if ended.status == 0:
            return State.SIGNED
        return State.UNSIGNED if ended.status in _UNSIGNED or _UNMATCHED in ended.text else State.UNKNOWN

    def sign(self, references: Iterable[ImageReference], say: Callable[[str], object]) -> None:
        """Sign what is not signed yet.

        :param say: takes cosign's own words where it may ask a person who they are.
        :raises SigningError: one could not be signed; the others may be signed then.
        """
        asks = not self._signing.key and running_in(os.environ) is None
        sign = partial(self._sign, say=say if asks else None)
        # One at a time where each may open a browser.
        limit = 1 if asks else _SIDE_BY_SIDE
        each(sign, dict.fromkeys(references), on_failure=self._cosign.stop, limit=limit)

    def states(self, references: Sequence[ImageReference]) -> list[State]:
        """Return what is known of several signatures."""
        return each(self.state, references, on_failure=self._cosign.stop, limit=_SIDE_BY_SIDE)

    def _sign(self, reference: ImageReference, say: Callable[[str], object] | None) -> None:
        if self.state(reference) is State.SIGNED:
            return
        flags = self._registry_flags(reference.registry)
        with self._running:
            ended = self._cosign.run([*sign_words(self._signing), *flags, str(reference)], say)
        if ended.status:
            raise SigningError(reference, ended.words)

    def _write_public_key(self) -> list[str]:
        """Write the public half of our key to a file; return the flags that verify with it what the key signs.

        :raises ConfigurationError: the key cannot be used.
        """
        ended = self._cosign.run(["public-key", f"--key={self._signing.key}"])
        begin, end = (ended.text.find(f"-----{word} PUBLIC KEY-----") for word in ("BEGIN", "END"))
        if ended.status or not 0 <= begin < end:
            problem = f"cosign cannot use {self._signing.key}: {ended.words}{_remedy(ended.text)}"
            raise ConfigurationError(f"{self._signing.where}.key", problem)
        path = self._folder / "cosign.pub"
        path.write_text(ended.text[begin : ended.text.index("\n", end) + 1])
        return [f"--key={path}", *([] if self._signing.log else ["--insecure-ignore-tlog"])]

    def _registry_flags(self, host: str) -> list[str]:
        """Return the flags by which a registry is spoken to as we do it ourselves."""
        with self._making:
            if host not in self._flags:
                registry = self._registries[host]
                flags = insecure_flags(is_plain=registry.is_plain, is_unverified=registry.is_unverified)
                self._flags[host] = [*flags, *self._certificate_flags(host)]
            return self._flags[host]

    def _certificate_flags(self, host: str) -> list[str]:
        """Return the flags for the certificates of a registry; cosign trusts those of the system or these."""
        known, (_, named) = certificates_of(host), named_bundle()
        flags = []
        if known.authorities or named:
            import certifi

            system = ssl.get_default_verify_paths().cafile
            paths = [*([Path(system)] if system else []), Path(named or certifi.where()), *known.authorities]
            path = self._folder / f"{host.replace(':', '_')}.pem"
            path.write_bytes(b"\n".join(_content(one) for one in paths))
            flags.append(f"--registry-cacert={path}")
        for identity in known.identities[:1]:
            flags += [f"--registry-client-cert={identity.certificate}", f"--registry-client-key={identity.key}"]
        return flags


@contextmanager
def opened(
    signing: Signing, registries: Mapping[str, Registry], hosts: Iterable[str], trace: Trace | None = None
) -> Iterator[tuple[Signer, str]]:
    """Yield who signs, and the version of cosign; its logins go at the end.

    :param hosts: whose logins it gets.
    :raises CosignMissingError: cosign is not there. :raises CosignVersionError: it is too old.
    :raises ConfigurationError: the key cannot be used.
    """
    with configuration(dict.fromkeys(hosts)) as folder:
        cosign = Cosign({"DOCKER_CONFIG": str(folder)}, trace)
        try:
            yield Signer(signing, cosign, folder, registries), cosign.version
        finally:
            cosign.stop()


@contextmanager
def signing(
    setting: Signing,
    registries: Mapping[str, Registry],
    images: Iterable[ImageReference],
    say: Callable[[str], object],
    trace: Trace | None,
) -> Iterator[Sign]:
    """Yield what signs by digest, as `opened` does, in the registries of images."""
    with opened(setting, registries, [image.registry for image in images], trace) as (signer, _):
        yield partial(signer.sign, say=say)


def sign_words(signing: Signing) -> list[str]:
    """Return the words of a command that signs, but for its images."""
    words = ["sign", "--yes", *([f"--key={signing.key}"] if signing.key else [])]
    # Without a log there is nothing to ask services for.
    return words if signing.log else [*words, "--use-signing-config=false", "--tlog-upload=false"]


def identity_flags(signing: Signing) -> list[str]:
    """Return the flags that verify what somebody signs without a key; none where it is not told who."""
    if not signing.identity:
        return []
    return [f"--certificate-identity={signing.identity}", f"--certificate-oidc-issuer={signing.issuer}"]


def insecure_flags(*, is_plain: bool, is_unverified: bool) -> list[str]:
    """Return the flags for a registry without TLS, or with certificates that nobody verifies."""
    if is_plain:
        return ["--allow-http-registry"]
    return ["--allow-insecure-registry"] if is_unverified else []


def _remedy(text: str) -> str:
    """Return the end of an error of a key: what to do about its password, where that may be the cause."""
    if "COSIGN_PASSWORD" not in os.environ and "ioctl" in text:  # it would have asked at a terminal
        return "; set COSIGN_PASSWORD to its password"
    return "; is COSIGN_PASSWORD its password?" if "decrypt" in text else ""


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            return b"\n".join(_content(one) for one in sorted(path.iterdir()) if one.is_file())
        check_file(path)
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(str(path), f"cannot be used: {error.strerror or error}") from None

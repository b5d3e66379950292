"""Client for one registry (OCI distribution specification 1.1): manifests, tags and blobs.

Bytes are checked against their digest, whether read or written; transient faults are retried.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import secrets
from typing import TYPE_CHECKING, Any

from multiarch.errors import InvalidAnswerError, RegistryError, RegistryUnreachableError
from multiarch.image.manifest import MANIFESTS, OCI_INDEX, Descriptor, Manifest, digest_of
from multiarch.registry import limits
from multiarch.registry.blobs import BlobReader
from multiarch.registry.errors import DigestMismatchError, ReadBackError
from multiarch.registry.remembered import RememberedManifests
from multiarch.registry.transport import Transport
from multiarch.registry.uploads import Target, Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from multiarch.image.reference import ImageReference
    from multiarch.registry.answers import Answer
    from multiarch.retry import Policy
    from multiarch.trace import Trace

_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,256}")
_REFERENCE = re.compile(r"sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ACCEPT = ", ".join(MANIFESTS)


class Registry:
    """A client of one registry. Safe to use from several threads.

    :param host: ``host[:port]`` as it stands in image references.
    :param policy: how requests are retried.
    :param say: takes one line for each retry.
    :param insecure: whether TLS may go unverified, or be missing.
    :param declared: whether another program holds it for insecure, such as Docker; asked where it does not answer else.
    :param trace: shows the requests, where that is asked for.
    """

    def __init__(
        self,
        host: str,
        policy: Policy,
        say: Callable[[str], None],
        *,
        insecure: bool = False,
        declared: Callable[[], bool] = lambda: False,
        trace: Trace | None = None,
    ) -> None:
        self.host = host
        self._transport = Transport(host, policy, say, insecure=insecure, declared=declared, trace=trace)
        self._uploads = Uploads(self._transport)
        self._remembered = RememberedManifests()

    def expecting(self, requests: int) -> contextlib.AbstractContextManager[None]:
        """Begin connections for so many requests at the same time, which are sent within the context."""
        return self._transport.connections.ahead.begun(requests)

    @property
    def is_plain(self) -> bool:
        """Whether the registry has no TLS; one that may lack it is asked for it, once."""
        return self._transport.connections.base().startswith("http:")

    @property
    def is_unverified(self) -> bool:
        """Whether its certificate goes unverified, or is missing, as far as is known before it was asked anything."""
        return self._transport.connections.is_unverified

    def ask_base(self) -> Answer:
        """Return the answer to ``GET /v2/`` ("Determining Support"), which may be a refusal (401, 403, 404).

        :raises RegistryError: a token is refused, or the registry fails. :raises RegistryUnreachableError: no answer.
        """
        return self._transport.ask("GET", "", (), fine=(401, 403, 404))

    # Manifests.

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """Return the manifest or index under a tag or digest, None when there is none ("Pulling manifests").

        :raises DigestMismatchError: the bytes do not have the digest that was asked for, or, of a tag, the one that the
            registry names in ``Docker-Content-Digest``.
        """
        if reference.startswith("sha256:"):
            return self._remembered.get((repository, reference), lambda: self._manifest(repository, reference))
        return self._manifest(repository, reference)

    def _manifest(self, repository: str, reference: str) -> Manifest | None:
        """Request a manifest, with the result and errors of `manifest`, also where it is remembered."""
        path = self._path(repository, "manifests", reference)
        options: dict[str, Any] = {"headers": {"Accept": _ACCEPT}, "fine": (404,), "most": limits.MANIFEST_BYTES}
        answer = self._transport.ask("GET", path, _pull(repository), **options)
        if answer.status == 404:
            return None
        manifest = Manifest.read(answer.header("Content-Type"), answer.body)
        expected = reference if reference.startswith("sha256:") else _digest_of(answer, f"GET {self.host}/{path}")
        if expected and expected != manifest.digest:
            raise DigestMismatchError(f"GET {self.host}/{path}", expected, manifest.digest)
        return manifest

    def has_manifest(self, repository: str, digest: str) -> bool:
        """Whether the repository has a manifest; it is not read."""
        return self.manifest_head(repository, digest).status != 404

    def tags(self, repository: str) -> tuple[str, ...]:
        """Return all tags of a repository ("Listing Tags"). :raises InvalidAnswerError: they may not be all."""
        from multiarch.registry.tag_list import read_tags

        return read_tags(self._transport, repository)

    def manifest_head(self, repository: str, reference: str) -> Answer:
        """Return the head of a manifest under a tag or digest; its status is 404 where there is none."""
        path = self._path(repository, "manifests", reference)
        return self._transport.ask("HEAD", path, _pull(repository), headers={"Accept": _ACCEPT}, fine=(404,))

    def put_manifest(self, repository: str, reference: str, manifest: Manifest, *, awaited: bool = False) -> str:
        """Write a manifest or index under a tag or its digest; return the digest ("Pushing manifests").

        :param awaited: whether an answer is waited for when the run is stopped meanwhile, as far as one comes soon.
        :raises DigestMismatchError: the registry stored something else.
        """
        path = self._path(repository, "manifests", reference)
        headers = {"Content-Type": manifest.media_type}
        options: dict[str, Any] = {"headers": headers, "data": manifest.body, "awaited": awaited}
        answer = self._transport.ask("PUT", path, _push(repository), **options)
        stored = _digest_of(answer, f"PUT {self.host}/{path}") or manifest.digest
        if stored != manifest.digest:
            raise DigestMismatchError(f"PUT {self.host}/{path}", manifest.digest, stored)
        return stored

    def read_back(self, reference: ImageReference, digest: str, before: str = "") -> None:
        """Check that a tag which was just written has the digest that was written.

        Some registries show it a little later: while the tag has the digest of *before*, or none, it is read again.

        :param before: the digest of the tag before it was written; empty when there was no tag.
        :raises ReadBackError: the tag has another digest, or keeps that of before.
        """

        def read() -> None:
            manifest = self.manifest(reference.repository, reference.tag)
            actual = manifest.digest if manifest else ""
            if actual != digest:
                raise ReadBackError(reference, digest, actual, transient=actual in ("", before))

        def is_late(error: BaseException) -> bool:
            # Other errors are not retried here: `manifest` has already done so.
            return isinstance(error, ReadBackError) and error.transient

        self._transport.call(f"read-back of {reference}", read, transient=is_late)

    def remove_tag(self, repository: str, tag: str) -> None:
        """Remove a tag, not the manifest that it points to ("Deleting tags").

        :raises RegistryError: the registry does not allow it.
        """
        try:
            self.delete(repository, tag)
        except RegistryError as error:
            if error.status not in (400, 405):
                raise
            # Registries that delete by digest alone remove all tags of it: so move the tag to a unique index first.
            note = {"org.opencontainers.image.description": f"in the place of a removed tag: {secrets.token_hex(16)}"}
            body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": note}
            spare = Manifest(OCI_INDEX, json.dumps(body).encode())
            for reference in (spare.digest, tag):  # first without the tag, to know whether it can be deleted at all
                self.put_manifest(repository, reference, spare)
                self.delete(repository, spare.digest)

    def delete(self, repository: str, reference: str) -> None:
        """Delete a tag, or by digest a manifest, of most registries with all its tags; nothing where it is not there.

        :raises RegistryError: the registry does not allow it (400 and 405: not of this kind, or not at all).
        """
        self._transport.ask("DELETE", f"{repository}/manifests/{reference}", _delete(repository), fine=(404,))

    # Blobs.

    def blob(self, repository: str, digest: str, size: int | None = None) -> bytes:
        """Return the content of a small blob, such as an image's config ("Pulling blobs").

        :param size: the bytes that its descriptor says; None where there is none.
        :raises InvalidAnswerError: it has more.
        """
        most = limits.MANIFEST_BYTES if size is None else max(0, min(size, limits.MANIFEST_BYTES))
        path = self._path(repository, "blobs", digest)
        content = self._transport.ask("GET", path, _pull(repository), most=most).body
        if (actual := digest_of(content)) != digest:
            raise DigestMismatchError(f"GET {self.host}/{path}", digest, actual)
        return content

    def open_blob(self, repository: str, descriptor: Descriptor, *, first: int | None = None) -> BlobReader:
        """Return a blob as a file, read as far as it is asked for.

        :param first: ask for that many bytes at first, and for the rest only when they are read.
        """
        path = self._path(repository, "blobs", descriptor.digest)
        name = self._transport.name("GET", path)

        def fetch(start: int, end: int | None) -> Answer:
            part = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
            return self._transport.once(name, "GET", path, _pull(repository), headers=part, stream=True)

        return BlobReader(name, descriptor, fetch, self._transport.call, first=first)

    def copy_blob(self, source: Registry, origin: str, repository: str, descriptor: Descriptor) -> None:
        """Copy a blob of *source*'s repository *origin* into *repository*: mounted within one registry, else sent.

        ("Mounting a blob from another repository", "Pushing blobs"; one that is there is not sent.)
        """
        digest = descriptor.digest
        self._path(repository, "blobs", digest)
        uploads = f"{repository}/blobs/uploads/"
        is_mounted = self.host == source.host
        if is_mounted:
            uploads += f"?mount={digest}&from={origin}"
        elif self._has_blob(repository, digest):
            return
        scopes = _push(repository) + (_pull(origin) if is_mounted else ())
        target = Target(self._transport.name("PUT", f"{repository}/blobs/{digest}"), uploads, scopes, descriptor)

        def is_there() -> bool:
            return self._has_blob(repository, digest)

        self._uploads.send(target, lambda: source.open_blob(origin, descriptor), is_there)

    def check_push(self, repository: str) -> None:
        """Check that this user may push, by an upload that is begun and cancelled.

        :raises RegistryError: the registry refuses.
        """
        path = f"{repository}/blobs/uploads/"
        answer = self._transport.ask("POST", path, _push(repository), headers={"Content-Length": "0"})
        if answer.header("Location"):
            # Not every registry allows to cancel an upload, or names where; it expires there.
            with contextlib.suppress(RegistryError, RegistryUnreachableError, InvalidAnswerError):
                name = self._transport.name("DELETE", path)
                self._transport.once(name, "DELETE", self._transport.follow(name, answer), _delete(repository))

    def stop(self) -> None:
        """End all requests and all waits between attempts; nothing is sent from now on."""
        self._transport.policy.stopped.set()

    def apart(self, policy: Policy) -> Registry:
        """Return a client over the same connections that retries, and is stopped, by another policy."""
        again = copy.copy(self)
        again._transport = self._transport.apart(policy)
        again._uploads = Uploads(again._transport)
        return again

    def unstoppable(self) -> Registry:
        """Return a client over the same connections that retries although the run was stopped, to put tags back."""
        again = self.apart(self._transport.policy.unstoppable())
        again._remembered = RememberedManifests()
        return again

    def _path(self, repository: str, kind: str, reference: str) -> str:
        """Return the path of a manifest or blob. :raises InvalidAnswerError: another manifest names it wrongly."""
        if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
            raise InvalidAnswerError(f"{self.host}/{repository}/{kind}", f"{str(reference)[:80]!a} is no sha256 digest")
        return f"{repository}/{kind}/{reference}"

    def _has_blob(self, repository: str, digest: str) -> bool:
        path = self._path(repository, "blobs", digest)
        return self._transport.ask("HEAD", path, _pull(repository), fine=(404,)).status != 404


def stop_all(registries: Iterable[Registry]) -> None:
    """Stop the requests of registries, and their retries."""
    for registry in registries:
        registry.stop()


def _digest_of(answer: Answer, name: str) -> str:
    """Return the digest in the head of an answer, empty without one. :raises InvalidAnswerError: it is no digest."""
    digest = answer.header("Docker-Content-Digest")
    if digest and not _DIGEST.fullmatch(digest):
        raise InvalidAnswerError(name, "the registry sent a Docker-Content-Digest that is no digest")
    return digest


def _pull(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull",)


def _delete(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:delete,pull,push",)


def _push(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,push",)

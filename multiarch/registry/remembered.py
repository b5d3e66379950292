"""Manifests that were read by digest: each is asked for once, whoever needs it how often."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from multiarch.errors import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from multiarch.image.manifest import Manifest

_MOST_BYTES = 32 << 20  # of all that are kept; the oldest goes first

Key = tuple[str, str]  # repository and digest


class RememberedManifests:
    """What a digest names never changes. Safe to use from several threads; those that wait ask nothing themselves."""

    def __init__(self) -> None:
        self._futures: dict[Key, Future[Manifest | None]] = {}
        self._sizes: dict[Key, int] = {}
        self._total = 0
        self._lock = threading.Lock()

    def get(self, key: Key, fetch: Callable[[], Manifest | None]) -> Manifest | None:
        """Return a manifest, fetched where it is not known; a failure, or that there is none, is not remembered."""
        with self._lock:
            known = self._futures.get(key)
            future = known or self._futures.setdefault(key, Future())
        if known is not None:
            try:
                return known.result()
            except StoppedError:
                return fetch()  # that one client is stopped says nothing to another that is not
        try:
            manifest = fetch()
        except BaseException as error:
            self._forget(key)
            future.set_exception(error)
            raise
        if manifest is None:
            self._forget(key)
        else:
            self._keep(key, len(manifest.body))
        future.set_result(manifest)
        return manifest

    def _forget(self, key: Key) -> None:
        with self._lock:
            del self._futures[key]

    def _keep(self, key: Key, size: int) -> None:
        with self._lock:
            self._sizes[key] = size
            self._total += size
            while self._total > _MOST_BYTES:
                oldest = next(iter(self._sizes))
                self._total -= self._sizes.pop(oldest)
                del self._futures[oldest]

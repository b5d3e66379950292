"""Builders of the settings as members of a fleet: those with an address, and the pods that a pool has at the moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from multiarch.buildkit.builder import Builder
from multiarch.fleet import access
from multiarch.fleet.access import scheme_of
from multiarch.fleet.errors import BuilderFaultError
from multiarch.fleet.member import Member, key_of
from multiarch.fleet.pods import addresses
from multiarch.fleet.tls_files import provide

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from multiarch.config.builders import RemoteBuilder
    from multiarch.config.settings import MatrixEntry
    from multiarch.fleet.access import Variables
    from multiarch.fleet.asking import Asking


class Finder(Struct, frozen=True):
    """How the members of a fleet are found.

    :ivar certificates: the directory of each builder that has some, by its name.
    :ivar variables: what the programs of a scheme are given, by the scheme.
    :ivar keys: of the images that are to be built, by which the pods of a pool that is large are chosen.
    """

    asking: Asking
    certificates: Mapping[str, Path | None]
    variables: Mapping[str, Variables]
    keys: tuple[str, ...]

    @classmethod
    def of(cls, asking: Asking, builders: Iterable[RemoteBuilder], matrix: Iterable[MatrixEntry]) -> Finder:
        """Provide what builders are reached with. :raises ConfigurationError: certificates or keys are missing."""
        known = list(builders)
        return cls(
            asking,
            {builder.name: provide(builder) for builder in known},
            {scheme: access.provide(scheme) for scheme in dict.fromkeys(map(scheme_of, known))},
            tuple(dict.fromkeys(map(key_of, matrix))),
        )

    def members(self, remote: RemoteBuilder) -> list[Member]:
        """Return a builder, or the pods of a pool, which are still to be asked; the pool itself where it has none."""
        if remote.pods is None:
            name = remote.tls.name if remote.tls else None
            tls, variables = self.certificates[remote.name], self.variables[scheme_of(remote)]
            builder = Builder(remote.address, name=remote.name, tls=tls, tls_name=name, variables=variables)
            return [Member(remote, builder)]
        try:
            return self.pods(remote)
        except BuilderFaultError as fault:
            return [Member(remote, self._pool(remote), fault=fault)]

    def pods(self, remote: RemoteBuilder) -> list[Member]:
        """Return the pods that a pool has now. :raises BuilderFaultError: kubectl finds none."""
        pool = self._pool(remote)
        found = addresses(remote, pool, self.asking, self.keys)
        return [Member(remote, replace(pool, address=one.address, name=f"{remote.name}/{one.name}")) for one in found]

    def _pool(self, remote: RemoteBuilder) -> Builder:
        return Builder("kube-pod://", name=remote.name, variables=self.variables[scheme_of(remote)])

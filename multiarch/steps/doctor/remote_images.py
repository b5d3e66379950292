"""Images where BuildKit would look for them: at the mirrors of their registry, then there."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.buildkit.server import wanted
from multiarch.errors import MultiarchError
from multiarch.formatting import one_line
from multiarch.image.platform import Platform
from multiarch.image.reference import ImageReference, is_loopback

if TYPE_CHECKING:
    from multiarch.buildkit.configuration import Tables
    from multiarch.image.manifest import Manifest
    from multiarch.registry.client import Registry
    from multiarch.run import Run


class Whereabouts(Enum):
    """Whether a registry has an image, as far as that is known."""

    THERE = "there"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Place(Struct, frozen=True):
    """What is known of an image.

    :ivar digest: of what its name stands for, an index or an image.
    :ivar platforms: for which it is; None where that is not written in it.
    :ivar is_index: whether it is an index, in which BuildKit looks for a platform.
    :ivar problem: why it is not known.
    """

    state: Whereabouts
    digest: str = ""
    platforms: tuple[Platform, ...] | None = None
    is_index: bool = False
    problem: str = ""


class RemoteImages:
    """Looks images up without pulling them. Safe to use from several threads."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tables: Tables = {}
        if run.settings.starts_buildkit:
            server = wanted(run.settings, run.host.info, local=run.host.is_local)
            self._tables = server.configuration.tables.get("registry", {})
        self._sees_loopback = not run.settings.starts_buildkit or run.host.shares_loopback

    def mirrors(self, registry: str) -> list[str]:
        """Return the mirrors of a registry, ``host[:port][/path]``."""
        return [str(mirror) for mirror in self._table(registry).get("mirrors") or []]

    def find_image(self, image: str) -> Place:
        """Return where an image is. :param image: as a setting or a Dockerfile names it."""
        try:
            reference = ImageReference.parse(image)
        except ValueError as error:
            return Place(Whereabouts.UNKNOWN, problem=one_line(str(error)))
        return self.find(reference)

    def find(self, reference: ImageReference) -> Place:
        """Return where an image is, as the first host says that has it; it is latest where no tag is named."""
        problems = []
        for host, prefix in self._hosts(reference.registry):
            if is_loopback(host) and not self._sees_loopback:
                problems.append(f"{host} is on the Docker host's loopback interface")
                continue
            try:
                registry = self._registry(host)
                repository = f"{prefix}{reference.repository}"
                manifest = registry.manifest(repository, reference.digest or reference.tag or "latest")
                if manifest is not None:
                    return self._read(registry, repository, manifest)
            except MultiarchError as error:
                problems.append(one_line(str(error)))
        if problems:
            return Place(Whereabouts.UNKNOWN, problem="; ".join(problems))
        return Place(Whereabouts.MISSING)

    def _hosts(self, registry: str) -> list[tuple[str, str]]:
        """Return the hosts to ask in their order, each with what stands before a repository there."""
        mirrors = [mirror.partition("/") for mirror in self.mirrors(registry)]
        return [*((host, f"{path}/" if path else "") for host, _, path in mirrors), (registry, "")]

    def _table(self, registry: str) -> Tables:
        table = self._tables.get(registry)
        return table if isinstance(table, dict) else {}

    def _registry(self, host: str) -> Registry:
        table = self._table(host)
        is_insecure = bool(table.get("http") or table.get("insecure"))
        return self._run.registry(host, insecure=is_insecure or host in self._insecure)

    @property
    def _insecure(self) -> tuple[str, ...]:
        return self._run.settings.publish.insecure_registries

    def _read(self, registry: Registry, repository: str, manifest: Manifest) -> Place:
        """Return what a manifest says. :raises MultiarchError: the config of an image cannot be read."""
        if manifest.problem:
            return Place(Whereabouts.UNKNOWN, problem=f"{repository}: {manifest.problem}")
        if manifest.is_index:
            entries = [entry.platform for entry in manifest.entries if entry.platform and not entry.is_attestation]
            platforms = [platform for entry in entries if (platform := _platform(entry))]
            return Place(Whereabouts.THERE, manifest.digest, tuple(dict.fromkeys(platforms)), is_index=True)
        own = None
        if manifest.config is not None:
            from multiarch.image.documents import parse_object

            content = registry.blob(repository, manifest.config.digest, manifest.config.size)
            try:
                own = _platform(parse_object(content))
            except ValueError as error:
                return Place(Whereabouts.UNKNOWN, problem=f"{repository}: its config: {error}")
        return Place(Whereabouts.THERE, manifest.digest, (own,) if own else None)


def _platform(fields: object) -> Platform | None:
    """Return the platform of an index's entry or an image's config; None of what is none, or of none that is known."""
    if not isinstance(fields, dict):
        return None
    names = [fields.get(key) or "" for key in ("os", "architecture", "variant")]
    if not all(isinstance(name, str) for name in names) or not (names[0] and names[1]):
        return None
    try:
        return Platform.normalised(*names)
    except ValueError:
        return None

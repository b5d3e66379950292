"""Settings of the BuildKit that we start, and of its client and its emulators: frozen, and valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multiarch.config.builders import RemoteBuilder
    from multiarch.config.entitlements import Entitlement


class BuildkitdSettings(Struct, frozen=True, kw_only=True):
    """What the server is told (BuildKit, docs/buildkitd.toml.md).

    :ivar config: the path of the user's own buildkitd.toml, None for none.
    :ivar environment: variables of the server.
    :ivar nameservers: addresses that a ``RUN`` and the server resolve names with; none for the Docker host's.
    :ivar max_used_space: the most disk space of its cache, as BuildKit reads it; None for BuildKit's default.
    :ivar max_parallelism: the most steps that run at a time, 0 for no limit.
    """

    config: str | None
    environment: Mapping[str, str]
    nameservers: tuple[str, ...]
    max_used_space: str | None
    max_parallelism: int


class BuilderSettings(Struct, frozen=True, kw_only=True):
    """The BuildKit that we start, its client and its emulators.

    :ivar host: ``BUILDKIT_HOST``, the address of a BuildKit that is used in place of ours; None where it is not set.
    :ivar remote: builders elsewhere.
    :ivar image: the image of the server.
    :ivar container: the name of its container; that of a server of its own begins with it.
    :ivar buildkitd: its configuration.
    :ivar address: where the server listens, None for a private socket.
    :ivar recreate: whether a running server is replaced.
    :ivar dest: the directory that the client is copied to, None for the user's cache.
    :ivar installer: the image that registers emulators.
    :ivar reinstall: whether emulators that are there are replaced.
    :ivar probe_image: the image in whose shell the kernel is asked for its emulators.
    :ivar entitlements: what builds may be allowed.
    :ivar emulate: whether platforms are emulated that no builder has.
    :ivar jobs: how many slots the builder has (`multiarch.buildkit.schedule`), 0 for as many as its host has room for.
    """

    host: str | None
    remote: tuple[RemoteBuilder, ...]
    image: str
    container: str
    buildkitd: BuildkitdSettings
    address: str | None
    recreate: bool
    dest: str | None
    installer: str
    reinstall: bool
    probe_image: str
    entitlements: tuple[Entitlement, ...]
    emulate: bool
    jobs: int


class EmbeddedRegistry(Struct, frozen=True):
    """The registry that we start where no image is configured: its container, and its port on the loopback interface.

    The volume of what it holds is named after the container.

    :ivar image: that of the distribution project, or another that takes the same options.
    """

    container: str
    port: int
    image: str

    @property
    def host(self) -> str:
        """``host:port``, as in the names of images."""
        return f"127.0.0.1:{self.port}"

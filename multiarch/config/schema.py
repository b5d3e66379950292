"""The ``multiarch`` block as it is written: the names, types and defaults of all settings."""

from __future__ import annotations

import msgspec

PREFIX = "INVOKE_MULTIARCH_"


class PlatformEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``platforms``, as written."""

    platform: str
    dockerfile: str | None = None
    target: str | None = None
    build_args: dict[str, str] = {}
    builder: str | None = None
    annotations: dict[str, str] = {}
    smoke: tuple[str, ...] | None = None
    runner: str | dict[str, str] | None = None


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``multiarch`` block, as written: the names, the types and the defaults of all settings."""

    image: tuple[str, ...] = ()
    tags: tuple[str, ...] = ("latest",)
    platforms: tuple[PlatformEntry, ...] = ()
    context: str = "."
    dockerfile: str | None = None
    target: str | None = None
    build_args: dict[str, str] = {}
    labels: dict[str, str] = {}
    secrets: dict[str, str] = {}
    ssh: tuple[str, ...] = ()
    cache: str = "none"
    cache_image: str | None = None
    no_cache: bool = False
    pull: bool = False
    frontend: str = "dockerfile.v0"
    source: str | None = None
    output: str | None = None
    attestations: tuple[str | dict[str, str], ...] = ({"provenance": "mode=min,inline-only=true"},)
    annotations: dict[str, str] = {}
    allow_dropping: bool = False
    smoke: tuple[str, ...] = ()
    smoke_seconds: float = 60.0
    insecure_registries: tuple[str, ...] = ()
    arch_tag: str | None = None
    build: str | None = None
    address: str | None = None
    recreate: bool = False
    dest: str | None = None
    reinstall: bool = False
    installer: str = "tonistiigi/binfmt:qemu-v10.2.3"
    probe_image: str = "busybox:stable"
    registry_image: str = "registry:2"
    buildkit_image: str = "moby/buildkit:v0.32.2"
    buildkit_container: str = "buildkit"
    buildkitd_config: str | None = None
    buildkitd_env: dict[str, str] = {}
    nameservers: tuple[str, ...] = ()
    max_used_space: str | None = None
    max_parallelism: int = 0
    registry_container: str = "multiarch-registry"
    registry_port: int = 5001
    retry_seconds: float = 180.0
    jobs: int = 0
    keep_going: bool = False
    branches: tuple[str, ...] = ("main", "master")
    install: str | None = None

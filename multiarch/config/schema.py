"""The ``multiarch`` block as it is written: the names, types and defaults of all settings."""

from __future__ import annotations

from typing import Any

import msgspec

PREFIX = "INVOKE_MULTIARCH_"


class PlatformEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``platforms``, as written."""

    platform: str
    context: str | None = None
    contexts: dict[str, str] = {}
    dockerfile: str | None = None
    target: str | None = None
    build_args: dict[str, str] = {}
    builder: str | tuple[str, ...] | None = None
    annotations: dict[str, str] = {}
    smoke: tuple[str, ...] | None = None
    foreign: tuple[str, ...] | None = None
    runner: str | dict[str, str] | None = None


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``multiarch`` block, as written: the names, the types and the defaults of all settings."""

    image: tuple[str, ...] = ()
    tags: tuple[str, ...] = ("latest",)
    version_tag: str | None = None
    allow_untagged: bool = False
    platforms: tuple[PlatformEntry, ...] = ()
    context: str = "."
    contexts: dict[str, str] = {}
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
    reproducible: bool = False
    compression: str | None = None
    compression_level: int | None = None
    oci_artifact: bool | None = None
    attestations: tuple[str | dict[str, str], ...] = ({"provenance": "mode=min,inline-only=true"},)
    annotations: dict[str, str] = {}
    add: tuple[str, ...] = ()
    allow_dropping: bool = False
    newer_wins: bool = True
    note_previous: bool = False
    foreign: tuple[str, ...] = ()
    smoke: tuple[str, ...] = ()
    smoke_seconds: float = 60.0
    smoke_tmpfs: tuple[str, ...] = ()
    smoke_capabilities: tuple[str, ...] = ()
    smoke_user: str | None = None
    smoke_env: dict[str, str] = {}
    sign: str | dict[str, Any] | None = None
    insecure_registries: tuple[str, ...] = ()
    digests: str | None = None
    arch_tag: str | None = None
    keep_staging: bool = True
    build: str | None = None
    address: str | None = None
    recreate: bool = False
    dest: str | None = None
    reinstall: bool = False
    installer: str = "tonistiigi/binfmt:qemu-v10.2.3"
    entitlements: tuple[str, ...] = ()
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
    only_changed: bool = False
    resume: bool = False
    branches: tuple[str, ...] = ("main", "master")
    install: str | None = None
    dotenv: str | None = None
    targets: dict[str, Any] = {}
    groups: dict[str, Any] = {}
    builders: dict[str, Any] = {}
    emulate: bool = True


# Settings that hold for all targets of a project: of its machine, its CI, and how the tool goes about.
OF_THE_PROJECT = frozenset(
    {
        "address",
        "branches",
        "build",
        "builders",
        "buildkit_image",
        "dest",
        "dotenv",
        "emulate",
        "groups",
        "insecure_registries",
        "install",
        "installer",
        "jobs",
        "keep_going",
        "only_changed",
        "output",
        "recreate",
        "resume",
        "retry_seconds",
        "sign",
        "targets",
    }
)


class Axes(msgspec.Struct, frozen=True):
    """What makes one entry of ``targets`` several targets; ``matrix`` has a list of values for each axis."""

    matrix: dict[str, tuple[Any, ...]] = {}
    exclude: tuple[dict[str, str], ...] = ()


# One entry of ``targets``: its axes, and the settings of the block that are not the project's.
TargetBlock = msgspec.defstruct(
    "TargetBlock",
    [(f.name, f.type, None) for f in msgspec.structs.fields(Block) if f.name not in OF_THE_PROJECT],
    bases=(Axes,),
    frozen=True,
    forbid_unknown_fields=True,
)

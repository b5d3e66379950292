"""Writes reference/settings.md: each setting with its type, default, flag, meaning and an example that is loaded.

The names, types and defaults are those of the schema, the meanings those of the table in settings.md.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from docs import settings_schema
from multiarch.config.layers import LISTS
from multiarch.config.schema import OF_THE_PROJECT, PREFIX, PlatformEntry

HERE = Path(__file__).parent
FILE = HERE / "reference" / "settings.md"
_INTRODUCTION = """\
<!-- Written by ./invokew reference from the schema and the table of settings.md. -->
# Settings, one by one

The settings of the `multiarch` block of `invoke.yaml`, in the order of the alphabet; [the table](../settings.md) has
them by subject, and says what wins over what. A variable holds a list as text with commas.
"""
# One for each setting, as it stands in the block.
EXAMPLES = {
    "image": "[docker.io/someone/app, ghcr.io/someone/app]",
    "tags": '["{semver}", "{major}.{minor}", latest]',
    "version_tag": "app-v{version}",
    "allow_untagged": "true",
    "platforms": "[linux/amd64, {platform: linux/arm/v7, dockerfile: Dockerfile.armhf}]",
    "context": "https://example.com/a/b.git#main:dir",
    "contexts": '{lib: ../lib, base: "docker-image://alpine:3"}',
    "dockerfile": "docker/Dockerfile",
    "target": "runtime",
    "build_args": '{VERSION: "{semver}", BUILD: "env:BUILD_NUMBER"}',
    "labels": "{org.opencontainers.image.title: app}",
    "secrets": '{token: "env:API_TOKEN", npmrc: "file:~/.npmrc"}',
    "ssh": '[default, "git=~/.ssh/deploy_key"]',
    "cache": "registry",
    "cache_image": "ghcr.io/someone/cache",
    "no_cache": "true",
    "pull": "true",
    "frontend": "gateway.v0",
    "source": "docker/dockerfile:1",
    "output": "oci,dest=app.tar",
    "reproducible": "true",
    "compression": "zstd",
    "compression_level": "19",
    "oci_artifact": "false",
    "attestations": "[provenance, sbom]",
    "annotations": "{org.opencontainers.image.description: A server}",
    "add": '["ghcr.io/someone/app@sha256:' + "0" * 64 + '"]',
    "allow_dropping": "true",
    "newer_wins": "false",
    "note_previous": "true",
    "foreign": "[/opt/game]",
    "smoke": "[app, --version]",
    "smoke_seconds": "120",
    "smoke_tmpfs": "[/run]",
    "smoke_capabilities": "[NET_BIND_SERVICE]",
    "smoke_user": '"1000"',
    "smoke_env": "{HOME: /tmp}",
    "sign": "{key: cosign.key, log: false}",
    "insecure_registries": '["registry.example:5000"]',
    "digests": "digests",
    "arch_tag": '"{tag}-{architecture}"',
    "keep_staging": "false",
    "build": "env-42",
    "address": "tcp://127.0.0.1:1234",
    "recreate": "true",
    "dest": "/usr/local/bin",
    "reinstall": "true",
    "installer": "registry.example:5000/mirror/binfmt:qemu-v10.2.3",
    "entitlements": "[network.host]",
    "probe_image": "registry.example:5000/mirror/busybox:stable",
    "registry_image": "registry:3",
    "buildkit_image": "moby/buildkit:v0.32.2",
    "buildkit_container": "buildkit-of-app",
    "buildkitd_config": "buildkitd.toml",
    "buildkitd_env": "{BUILDKIT_STEP_LOG_MAX_SIZE: '-1'}",
    "nameservers": "[192.0.2.53]",
    "max_used_space": "20GB",
    "max_parallelism": "4",
    "registry_container": "registry-of-app",
    "registry_port": "5002",
    "retry_seconds": "600",
    "jobs": "4",
    "keep_going": "true",
    "only_changed": "true",
    "resume": "true",
    "branches": "[main, release/1]",
    "install": "pip install .",
    "dotenv": "released.env",
    "targets": "{app: {context: app}, worker: {context: worker, platforms: [linux/amd64]}}",
    "groups": "{default: [app]}",
    "builders": '{arm: {address: "ssh://build@arm-box", platforms: [linux/arm64], jobs: 2}}',
    "emulate": "false",
}


def text() -> str:
    """Return the page."""
    properties = settings_schema.schema()["properties"]["multiarch"]["properties"]
    rows = _rows()
    parts = [_INTRODUCTION]
    parts += [_section(name, properties[name], rows[name]) for name in sorted(set(properties) - {"images"})]
    own = ", ".join(f"`{name}`" for name in PlatformEntry.__struct_fields__)
    parts.append(f"## A platform's own\n\nAn entry of `platforms` is a name or a mapping of these: {own}.")
    return "\n".join(parts) + "\n"


def _section(name: str, kind: dict[str, Any], row: tuple[list[str], str, str]) -> str:
    flags, default, meaning = row
    whole = "the project's: not for one target" if name in OF_THE_PROJECT else "a target may have its own"
    lines = [
        f"## {name}\n",
        f"{meaning[0].upper()}{meaning[1:]}." if meaning[0] not in "`[" else f"{meaning}.",
        "",
        "| | |",
        "|---|---|",
        f"| type | {_type(kind)} |",
        f"| default | {_default(kind, default)} |",
        f"| flag | {', '.join(flags) or 'none'} |",
        f"| variable | {f'`{PREFIX}{name.upper()}`' if _fits_a_variable(name, kind) else 'none'} |",
        f"| in `targets` | {whole} |",
        "",
        f"```yaml\nmultiarch:\n  {name}: {EXAMPLES[name]}\n```",
        "",
    ]
    return "\n".join(lines)


def _fits_a_variable(name: str, kind: dict[str, Any]) -> bool:
    """Whether a variable can hold a setting: a text, or a list that may be written as one."""
    kinds = [one.get("type") for one in kind.get("anyOf", [kind])]
    return name in LISTS or not {"array", "object", None} & set(kinds)


def _type(kind: dict[str, Any]) -> str:
    """Return a type in the words of YAML."""
    if "anyOf" in kind:
        return " or ".join(dict.fromkeys(_type(one) for one in kind["anyOf"] if one.get("type") != "null"))
    if kind.get("type") == "array":
        items = kind.get("items", {})
        return f"list of {'entries' if 'anyOf' in items else _type(items) + 's'}"
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    return names.get(kind.get("type", ""), "mapping")


def _default(kind: dict[str, Any], told: str) -> str:
    """Return the default: in the page's words where it has some, else the value."""
    if told:
        return told
    if kind.get("default") in (None, False):
        return "`false`" if "default" in kind else "none"
    return f"`{json.dumps(kind['default'])}`"


def _rows() -> dict[str, tuple[list[str], str, str]]:
    """Return flags, default and meaning of each setting, as the table of settings.md has them, links and all."""
    rows = {}
    for row in re.findall(r"^\| (`.+?) \|$", (HERE / "settings.md").read_text(), re.MULTILINE):
        names, flags, default, meaning = (cell.strip() for cell in row.split("|", 3))
        below = re.sub(r"\]\((?!http)", "](../", meaning)
        for name in re.findall(r"`([a-z_]+)`", names):
            rows[name] = (re.findall(r"`-[^`]+`", flags), default, below)
    return rows


if __name__ == "__main__":
    FILE.write_text(text())
    sys.stdout.write(f"{FILE.relative_to(HERE)}\n")

"""The words of ``buildctl build`` (BuildKit, docs/reference/buildctl.md).

The document's command in today's words: ``--opt`` for ``--frontend-opt``, ``--output type=image,…`` for
``--exporter image --exporter-opt …``.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit.configuration import docker_proxies
from multiarch.config.settings import CacheKind, OutputKind
from multiarch.paths import cache_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.buildkit.builder import Builder
    from multiarch.config.settings import MatrixEntry, Settings


def build_command(
    settings: Settings,
    entries: Sequence[MatrixEntry],
    buildctl: Path,
    builder: Builder,
    output: str,
    *,
    exports_cache: bool = True,
) -> list[str]:
    """Return the command that builds *entries*, which differ in their platforms alone.

    :param output: the value of ``--output``; empty for none.
    """
    build, entry = settings.build, entries[0]
    dockerfile = dockerfile_path(settings, entry)
    command = [str(buildctl), *builder.flags(), "build", "--frontend", build.frontend]
    for name, value in _options(settings, entries, dockerfile).items():
        command += ["--opt", f"{name}={value}"]
    command += ["--local", f"context={Path(build.context)}", "--local", f"dockerfile={dockerfile.parent}"]
    command += ["--no-cache"] if build.no_cache else []
    # The places of secrets, never secrets: buildctl reads them, and hands them to the RUNs that mount them.
    for name, secret in build.secrets.items():
        command += ["--secret", record(f"id={name}", f"{secret.kind.value}={secret.place}")]
    for name, path in build.ssh.items():
        command += ["--ssh", f"{name}={path}" if path else name]
    cache = _cache(settings, entry, exports=exports_cache)
    return [*command, *cache, *(["--output", output] if output else [])]


def export(settings: Settings, name: str, *attributes: str) -> str:
    """Return the value of ``--output``; empty where nothing is exported.

    :param name: the name of a pushed image.
    :param attributes: more attributes of a push.
    """
    output = settings.build.output
    if output.kind is OutputKind.NONE:
        return ""
    if output.kind is not OutputKind.IMAGE:
        return record(f"type={output.kind.value}", f"dest={output.dest}")
    return record("type=image", f"name={name}", *attributes, "push=true", *_insecure(settings))


def record(*fields: str) -> str:
    """Return attributes as buildctl reads them: a record of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


def dockerfile_path(settings: Settings, entry: MatrixEntry) -> Path:
    """Return the Dockerfile of a platform: its own, or the context's."""
    return Path(entry.dockerfile) if entry.dockerfile else Path(settings.build.context) / "Dockerfile"


def _options(settings: Settings, entries: Sequence[MatrixEntry], dockerfile: Path) -> dict[str, str]:
    """Return the options of the frontend (BuildKit, frontend/dockerui/config.go)."""
    build, entry = settings.build, entries[0]
    options = {"platform": ",".join(str(e.platform) for e in entries), "filename": dockerfile.name}
    if build.source:
        options["source"] = build.source
    if entry.stage:
        options["target"] = entry.stage
    arguments = {**docker_proxies().build_arguments(entry.build_args), **entry.build_args}
    options |= {f"build-arg:{name}": value for name, value in arguments.items()}
    options |= {f"label:{name}": value for name, value in build.labels.items()}
    if build.pull:
        options["image-resolve-mode"] = "pull"
    return options | {f"attest:{kind}": attributes for kind, attributes in build.attestations.items()}


def _cache(settings: Settings, entry: MatrixEntry, *, exports: bool) -> list[str]:
    """Return the flags of the build cache of one platform; each has its own, so that none overwrites another's."""
    image, slug = settings.publish.images[0], entry.platform.slug
    directory = cache_directory() / "buildkit" / image.name / slug
    ref = f"ref={image.with_tag(f'buildcache-{slug}')}"
    insecure = _insecure(settings)
    kind = settings.build.cache
    if kind is CacheKind.NONE:
        return []
    # reset: what the last build did not use is removed from the directory.
    exported, imported = {
        CacheKind.REGISTRY: (("type=registry", ref, "mode=max", *insecure), ("type=registry", ref, *insecure)),
        CacheKind.LOCAL: (
            ("type=local", f"dest={directory}", "mode=max", "reset=true"),
            ("type=local", f"src={directory}"),
        ),
        CacheKind.INLINE: (("type=inline",), ("type=registry", f"ref={entry.earlier}", *insecure)),
    }[kind]
    # A build that pushes nothing leaves nothing at the registry either, and has no image to keep a cache in.
    exports = exports and (settings.publish.push.wanted or kind is CacheKind.LOCAL)
    export_flags = ["--export-cache", record(*exported)] if exports else []
    return [*export_flags, "--import-cache", record(*imported)]


def _insecure(settings: Settings) -> list[str]:
    """Return the attribute for a first repository whose TLS may go unverified, or be missing."""
    publish = settings.publish
    return ["registry.insecure=true"] if publish.images[0].registry in publish.insecure_registries else []

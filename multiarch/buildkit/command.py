"""The words of ``buildctl build`` (BuildKit, docs/reference/buildctl.md).

The document's command in today's words: ``--opt`` for ``--frontend-opt``, ``--output type=image,…`` for
``--exporter image --exporter-opt …``.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit.bases import words
from multiarch.buildkit.configuration import docker_proxies
from multiarch.buildkit.inputs import dockerfile_path, has_local_dockerfile
from multiarch.certificates import known_certificates
from multiarch.config.caches import cache_place
from multiarch.config.settings import CacheKind, OutputKind
from multiarch.image.reference import DOCKER_HUB, DOCKER_HUB_API

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from multiarch.buildkit.bases import Base
    from multiarch.buildkit.builder import Builder
    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.image.reference import ImageReference

# In front of the names of named contexts, where they stand beside "context" and "dockerfile".
_NAMED = "named-"


def build_command(
    settings: Settings,
    entries: Sequence[MatrixEntry],
    buildctl: Path,
    builder: Builder,
    output: str,
    *,
    bases: Sequence[Base] = (),
    exports_cache: bool = True,
    insecure: Sequence[str] = (),
) -> list[str]:
    """Return the command that builds *entries*, which differ in their platforms alone.

    :param output: the value of ``--output``; empty for none.
    :param bases: what they are built on.
    :param insecure: registries beside those of the settings whose TLS may go unverified, or be missing.
    """
    build, entry = settings.build, entries[0]
    dockerfile = dockerfile_path(entry)
    command = [str(buildctl), *builder.flags(), "build", "--frontend", build.frontend]
    for name, value in _options(settings, entries, dockerfile).items():
        command += ["--opt", f"{name}={value}"]
    command += words(bases)
    for name, directory in _directories(entry, dockerfile).items():
        command += ["--local", f"{name}={directory}"]
    command += ["--no-cache"] if build.no_cache else []
    for entitlement in settings.builder.entitlements:
        command += ["--allow", entitlement.value]
    # The places of secrets, never secrets: buildctl reads them, and hands them to the RUNs that mount them.
    for name, secret in build.secrets.items():
        command += ["--secret", record(f"id={name}", f"{secret.kind.value}={secret.place}")]
    for name, path in build.ssh.items():
        command += ["--ssh", f"{name}={path}" if path else name]
    command += _token_trust({*settings.publish.insecure_registries, *insecure})
    cache = _cache(settings, entry, exports=exports_cache)
    return [*command, *cache, *(["--output", output] if output else [])]


def export(settings: Settings, name: str, *attributes: str) -> str:
    """Return the value of ``--output``; empty where nothing is exported. An archive for Docker is of standard output.

    :param name: the name of an image that is pushed or loaded.
    :param attributes: more attributes of a push.
    """
    output = settings.build.output
    if output.kind is OutputKind.NONE:
        return ""
    exporter = settings.build.exporter if output.kind is not OutputKind.LOCAL else ()
    if output.kind is OutputKind.DOCKER:
        return record("type=docker", f"name={name}", *exporter)
    if output.kind is not OutputKind.IMAGE:
        return record(f"type={output.kind.value}", f"dest={output.dest}", *exporter)
    insecure = _insecure(settings, settings.publish.images[0])
    return record("type=image", f"name={name}", *attributes, "push=true", *exporter, *insecure)


def export_one(settings: Settings, entry: MatrixEntry) -> str:
    """Return the value of ``--output`` for one platform: under its staging tag, or by digest alone."""
    return export(settings, str(entry.staging)) if settings.publish.digests is None else export_by_digest(settings)


def export_by_digest(settings: Settings) -> str:
    """Return the value of ``--output`` for images that are pushed without a tag."""
    return export(settings, settings.publish.images[0].name, "push-by-digest=true", "name-canonical=true")


def record(*fields: str) -> str:
    """Return attributes as buildctl reads them: a record of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


def _directories(entry: MatrixEntry, dockerfile: Path) -> dict[str, Path]:
    """Return the directories that the client sends, by the names that the frontend asks for."""
    context = {"context": Path(entry.context.place)} if entry.context.is_local else {}
    own = {"dockerfile": dockerfile.parent} if has_local_dockerfile(entry) else {}
    named = {f"{_NAMED}{name}": Path(c.place) for name, c in entry.contexts.items() if c.is_local}
    return context | own | named


def _options(settings: Settings, entries: Sequence[MatrixEntry], dockerfile: Path) -> dict[str, str]:
    """Return the options of the frontend (BuildKit, frontend/dockerui/config.go)."""
    build, entry = settings.build, entries[0]
    filename = dockerfile.name if has_local_dockerfile(entry) else str(dockerfile)
    options = {"platform": ",".join(str(e.platform) for e in entries), "filename": filename}
    if not entry.context.is_local:
        options["context"] = entry.context.place
        # Without it the frontend takes the Dockerfile of the context.
        options |= {"dockerfilekey": "dockerfile"} if has_local_dockerfile(entry) else {}
    for name, context in entry.contexts.items():
        options[f"context:{name}"] = f"local:{_NAMED}{name}" if context.is_local else context.place
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
    place = cache_place(settings, entry)
    ref = f"ref={place}"
    # A cache that a registry refuses, or for which a disk has no room, fails no build that is good.
    kept = ("mode=max", "ignore-error=true")
    insecure = _insecure(settings, settings.build.cache_image or settings.publish.images[0])
    kind = settings.build.cache
    if kind is CacheKind.NONE:
        return []
    # reset: what the last build did not use is removed from the directory.
    exported, imported = {
        CacheKind.REGISTRY: (("type=registry", ref, *kept, *insecure), ("type=registry", ref, *insecure)),
        CacheKind.LOCAL: (
            ("type=local", f"dest={place}", *kept, "reset=true"),
            ("type=local", f"src={place}"),
        ),
        CacheKind.GITHUB: (
            ("type=gha", f"scope={place}", "mode=max"),
            ("type=gha", f"scope={place}"),
        ),
        CacheKind.INLINE: (("type=inline",), ("type=registry", f"ref={entry.earlier}", *insecure)),
    }[kind]
    # A build that pushes nothing leaves nothing at the registry either, and has no image to keep a cache in.
    exports = exports and (settings.publish.push.wanted or kind in (CacheKind.LOCAL, CacheKind.GITHUB))
    export_flags = ["--export-cache", record(*exported)] if exports else []
    return [*export_flags, "--import-cache", record(*imported)]


def _token_trust(insecure: Collection[str]) -> list[str]:
    """Return the flags by which buildctl trusts the token servers of registries: it asks them, not the server."""
    values = [(host, "insecure=true") for host in sorted(insecure)]
    for known in known_certificates():
        values += [(known.host, f"ca={path}") for path in known.authorities]
        values += [(known.host, f"cert={pair.certificate},key={pair.key}") for pair in known.identities]
    flags: list[str] = []
    for host, trusted in values:
        # BuildKit asks for tokens by the host of the API.
        api = DOCKER_HUB_API if host == DOCKER_HUB else host
        flags += ["--registry-auth-tlscontext", record(f"host={api}", *trusted.split(","))]
    return flags


def _insecure(settings: Settings, image: ImageReference) -> list[str]:
    """Return the attribute for a repository whose TLS may go unverified, or be missing."""
    return ["registry.insecure=true"] if image.registry in settings.publish.insecure_registries else []

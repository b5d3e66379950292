"""The words of ``buildctl build`` (BuildKit, docs/reference/buildctl.md)."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.paths import cache_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.config.settings import Settings, Target


def commands(settings: Settings, target: Target, *, buildctl: Path, address: str) -> list[list[str]]:
    """Return the document's command for this step."""
    staged = settings.staging(settings.images[0], target.platform)
    return [_command(settings, (target,), str(buildctl), address, _output(settings, str(staged)))]


def _command(
    settings: Settings,
    targets: Sequence[Target],
    buildctl: str,
    address: str,
    output: str,
    *,
    exports_cache: bool = True,
) -> list[str]:
    """Return the command that builds *targets*, which differ in their platforms alone."""
    target = targets[0]
    context = Path(settings.context)
    dockerfile = _dockerfile(context, target)
    options = {"platform": ",".join(str(t.platform) for t in targets), "filename": dockerfile.name}
    if settings.source:
        options["source"] = settings.source
    if target.stage:
        options["target"] = target.stage
    options |= {f"build-arg:{name}": value for name, value in target.build_args.items()}
    options |= {f"label:{name}": value for name, value in settings.labels.items()}
    if settings.pull:
        options["image-resolve-mode"] = "pull"
    options |= {f"attest:{kind}": attributes for kind, attributes in settings.attestations.items()}
    command = [buildctl, "--addr", address, "build", "--frontend", settings.frontend]
    for name, value in options.items():
        command += ["--opt", f"{name}={value}"]
    command += ["--local", f"context={context}", "--local", f"dockerfile={dockerfile.parent}"]
    command += ["--no-cache"] if settings.no_cache else []
    # Where the secrets are, never what they are: buildctl reads them, and hands them to those RUNs that mount them.
    for name, (kind, place) in settings.secrets.items():
        command += ["--secret", _record(f"id={name}", f"{kind}={place}")]
    for name, path in settings.ssh.items():
        command += ["--ssh", f"{name}={path}" if path else name]
    cache = _cache(settings, target, exports=exports_cache)
    return [*command, *cache, *(["--output", output] if output else [])]


def _cache(settings: Settings, target: Target, *, exports: bool) -> list[str]:
    """Return the flags of the build cache of one platform; each has its own, lest one overwrites the other's."""
    image, slug = settings.images[0], target.platform.slug
    # A staging tag of this build alone is not there yet: what the last one published is.
    last = (
        image.with_tag(settings.tags[0]) if "{build}" in settings.arch_tag else settings.staging(image, target.platform)
    )
    directory = cache_directory() / "buildkit" / image.name / slug
    ref = f"ref={image.with_tag(f'buildcache-{slug}')}"
    insecure = _insecure(settings)
    # What an earlier build left in the directory, and this one does not use, goes.
    exported, imported = {
        "none": ((), ()),
        "registry": (("type=registry", ref, "mode=max", *insecure), ("type=registry", ref, *insecure)),
        "local": (("type=local", f"dest={directory}", "mode=max", "reset=true"), ("type=local", f"src={directory}")),
        "inline": (("type=inline",), ("type=registry", f"ref={last}", *insecure)),
    }[settings.cache]
    if not exported:
        return []
    # What is not pushed leaves nothing at the registry; nor is there an image to keep a cache in.
    exports = exports and (settings.pushes or settings.cache == "local")
    export = ["--export-cache", _record(*exported)] if exports else []
    return [*export, "--import-cache", _record(*imported)]


def _output(settings: Settings, name: str, *more: str) -> str:
    """Return the exporter's attributes; nothing where nothing is exported."""
    if settings.output.type == "none":
        return ""
    fields = [f"type={settings.output.type}"]
    if settings.output.type == "image":
        fields += [f"name={name}", *more, "push=true"]
        fields += _insecure(settings)
    else:
        fields.append(f"dest={settings.output.dest}")
    return _record(*fields)


def _insecure(settings: Settings) -> list[str]:
    """Return the attribute for a first repository whose TLS may go unverified, or be missing."""
    return ["registry.insecure=true"] if settings.images[0].registry in settings.insecure_registries else []


def _record(*fields: str) -> str:
    """Return attributes as buildctl reads them: a record of CSV."""
    record = io.StringIO()
    csv.writer(record, lineterminator="").writerow(fields)
    return record.getvalue()


def _dockerfile(context: Path, target: Target) -> Path:
    return Path(target.dockerfile) if target.dockerfile else context / "Dockerfile"

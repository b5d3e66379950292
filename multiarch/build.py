"""Step 4, ``build-arch``: build and push the image of one platform.

The document: "Building Images", in today's words: ``--opt`` for ``--frontend-opt``, ``--output type=image,…`` for
``--exporter image --exporter-opt …``. Progress is BuildKit's own stream of states (``--progress rawjson``).
"""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError, MissingPathError
from multiarch.paths import cache_directory
from multiarch.solve import Solve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.config.settings import Settings, Target
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.progress import Progress
    from multiarch.retry import Policy


@dataclass(frozen=True)
class PushedImage:
    """The image of one platform, in a registry: *reference* is its staging tag, *digest* what was pushed for it.

    Platforms that were built together have one digest: that of an index of all of them.
    """

    platform: Platform
    reference: ImageReference
    digest: str

    def __str__(self) -> str:
        return str(self.reference.with_digest(self.digest))


def build_arch(
    settings: Settings,
    target: Target,
    *,
    buildctl: Path,
    address: str,
    policy: Policy,
    progress: Progress,
    solves: list[Solve],
) -> PushedImage | Path | None:
    """Build one platform; return what was pushed to the first repository, or the path written with another output.

    With the output ``none`` there is neither.

    The other repositories get copies of it when the index is published.

    :param address: the builder, as BUILDKIT_HOST takes it.
    :param solves: each attempt is noted there when it begins.
    :raises MissingPathError: no such context or Dockerfile.
    :raises BuildFailedError: the solve failed for good; with the failing step and its last lines.
    """
    output = settings.output
    if output.dest:
        try:
            Path(output.dest).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError("--output", f"cannot write to {output.dest}: {error.strerror}") from None
    staged = settings.staging(settings.images[0], target.platform)
    command = _command(settings, (target,), str(buildctl), address, _output(settings, str(staged)))
    digest = _solve(settings, (target,), command, policy, progress, solves)
    if output.type == "image":
        return PushedImage(target.platform, staged, digest)
    return Path(output.dest) if output.dest else None


def build_together(
    settings: Settings,
    targets: Sequence[Target],
    *,
    buildctl: Path,
    address: str,
    policy: Policy,
    progress: Progress,
    solves: list[Solve],
) -> tuple[PushedImage, ...]:
    """Build platforms that differ in nothing else in one solve, so that the context travels once; push by digest.

    :returns: for each platform the staging tag that it is to have, with the digest of what was pushed for all of them;
        nothing with the output ``none``.
    :raises BuildFailedError: the solve failed for good, on any of them.
    """
    image = settings.images[0]
    output = _output(settings, image.name, "push-by-digest=true", "name-canonical=true")
    command = _command(settings, targets, str(buildctl), address, output)
    digest = _solve(settings, targets, command, policy, progress, solves)
    pushed = targets if settings.output.type == "image" else ()
    return tuple(PushedImage(t.platform, settings.staging(image, t.platform), digest) for t in pushed)


def build_beginning(
    settings: Settings,
    target: Target,
    dockerfile: Path,
    archive: Path,
    name: str,
    *,
    buildctl: Path,
    address: str,
    policy: Policy,
    progress: Progress,
) -> None:
    """Build what a *dockerfile* that is cut off comes to, from the cache, into an *archive* for ``docker load``.

    :param name: the image's, with a tag.
    :raises BuildFailedError: the solve failed for good.
    """
    # What a failed build without the cache has made is in the cache now. Attestations do not fit into such an archive.
    settings = replace(settings, no_cache=False, attestations={})
    target = replace(target, dockerfile=str(dockerfile), stage=None)
    output = _record("type=docker", f"name={name}", f"dest={archive}")
    command = _command(settings, (target,), str(buildctl), address, output, exports_cache=False)
    _solve(settings, (target,), command, policy, progress, [])


def _solve(
    settings: Settings,
    targets: Sequence[Target],
    command: list[str],
    policy: Policy,
    progress: Progress,
    solves: list[Solve],
) -> str:
    """Run a solve until it succeeds; return the digest of what it exported, nothing when that is no image."""
    for target in targets:
        check_paths(settings, target)
    platforms = tuple(target.platform for target in targets)

    def attempt(metadata: Path) -> None:
        solve = Solve(platforms, progress)
        solves.append(solve)
        words = ["--metadata-file", str(metadata), "--progress", "rawjson"]
        solve.run([*command, *words], policy.stopped)

    with tempfile.TemporaryDirectory(prefix="multiarch-") as directory:
        metadata = Path(directory) / "metadata.json"
        try:
            policy.call("build", lambda: attempt(metadata), show=lambda text: progress.retrying(text, platforms))
        except BaseException as error:
            progress.failed(platforms, stopped=policy.stopped.is_set() or not isinstance(error, Exception))
            raise
        progress.done(platforms)
        return str(json.loads(metadata.read_text()).get("containerimage.digest", "")) if metadata.exists() else ""


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


def check_paths(settings: Settings, target: Target) -> tuple[Path, Path]:
    """Return the context and the Dockerfile.

    :raises MissingPathError: one of them is not there.
    :raises ConfigurationError: a secret, or what ``ssh`` names, is not there.
    """
    context = Path(settings.context)
    if not context.is_dir():
        raise MissingPathError("build context", context, "context")
    dockerfile = _dockerfile(context, target)
    if not dockerfile.is_file():
        raise MissingPathError(f"Dockerfile for {target.platform}", dockerfile, "dockerfile")
    _check_secrets(settings)
    return context, dockerfile


def _check_secrets(settings: Settings) -> None:
    """See that what buildctl is going to read is there."""
    for name, (kind, place) in settings.secrets.items():
        if kind == "env" and place not in os.environ:
            raise ConfigurationError(f"multiarch.secrets.{name}", f"the variable {place} is not set")
        if kind == "src" and not Path(place).is_file():
            raise ConfigurationError(f"multiarch.secrets.{name}", f"there is no file {place}")
    for name, path in settings.ssh.items():
        if not path and not os.environ.get("SSH_AUTH_SOCK"):
            problem = f"SSH_AUTH_SOCK is not set: start an agent (eval $(ssh-agent)), or name a key: {name}=PATH"
            raise ConfigurationError("multiarch.ssh", problem)
        if not Path(path or os.environ["SSH_AUTH_SOCK"]).exists():
            raise ConfigurationError(
                "multiarch.ssh", f"there is no socket or key {path or os.environ['SSH_AUTH_SOCK']}"
            )

"""Step 4, ``build-arch``: build and push the image of one platform.

The document: "Building Images", in today's words: ``--opt`` for ``--frontend-opt``, ``--output type=image,…`` for
``--exporter image --exporter-opt …``. Progress is BuildKit's own stream of states (``--progress rawjson``).
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit.command import _command, _dockerfile, _output, _record
from multiarch.buildkit.solve import Solve
from multiarch.errors import ConfigurationError, MissingPathError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.buildkit.status import Observer
    from multiarch.config.settings import Settings, Target
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
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
    observer: Observer,
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
    digest = _solve(settings, (target,), command, policy, observer, solves)
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
    observer: Observer,
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
    digest = _solve(settings, targets, command, policy, observer, solves)
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
    observer: Observer,
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
    _solve(settings, (target,), command, policy, observer, [])


def _solve(
    settings: Settings,
    targets: Sequence[Target],
    command: list[str],
    policy: Policy,
    observer: Observer,
    solves: list[Solve],
) -> str:
    """Run a solve until it succeeds; return the digest of what it exported, nothing when that is no image."""
    for target in targets:
        check_paths(settings, target)
    platforms = tuple(target.platform for target in targets)

    def attempt(metadata: Path) -> None:
        solve = Solve(platforms, observer)
        solves.append(solve)
        words = ["--metadata-file", str(metadata), "--progress", "rawjson"]
        solve.run([*command, *words], policy.stopped)

    with tempfile.TemporaryDirectory(prefix="multiarch-") as directory:
        metadata = Path(directory) / "metadata.json"
        try:
            policy.call("build", lambda: attempt(metadata), show=lambda text: observer.retrying(text, platforms))
        except BaseException as error:
            observer.failed(platforms, stopped=policy.stopped.is_set() or not isinstance(error, Exception))
            raise
        observer.done(platforms)
        return str(json.loads(metadata.read_text()).get("containerimage.digest", "")) if metadata.exists() else ""


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

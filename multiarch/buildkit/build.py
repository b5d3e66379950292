"""Builds: one solve for the platforms that differ in nothing else, run until it succeeds or fails for good.

Progress is BuildKit's own stream of states (``--progress rawjson``).
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.buildkit import metadata
from multiarch.buildkit.command import build_command, dockerfile_path, export, record
from multiarch.buildkit.solve import Solve
from multiarch.config.settings import OutputKind, SecretKind
from multiarch.errors import BuildFailedError, ConfigurationError, MissingPathError
from multiarch.retry import is_transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from multiarch.buildkit.builder import Builder
    from multiarch.buildkit.status import Observer
    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.docker_host import DockerHost
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference
    from multiarch.retry import Policy


@dataclass(frozen=True)
class Client:
    """BuildKit's client, and what all solves of a run share.

    :ivar buildctl: the path of the program.
    :ivar policy: how solves are retried.
    :ivar observer: follows them.
    :ivar solves: each attempt is added when it begins.
    :ivar host: the Docker host whose containers a builder's address names.
    :ivar may_push: whether the first repository has let this user push in this run.
    :ivar insecure: registries that the Docker daemon does not verify.
    """

    buildctl: Path
    policy: Policy
    observer: Observer
    solves: list[Solve]
    host: DockerHost
    insecure: tuple[str, ...] = ()
    may_push: Callable[[], bool] = lambda: False


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


def build_platform(
    settings: Settings, entry: MatrixEntry, client: Client, builder: Builder
) -> PushedImage | Path | None:
    """Build one platform; return what was pushed to the first repository, or the path written with another output.

    With the output ``none`` there is neither. The other repositories get copies when the index is published.

    :raises MissingPathError: there is no such context or Dockerfile.
    :raises BuildFailedError: the solve failed for good; with the failing vertex and its last lines.
    """
    output = settings.build.output
    if output.dest:
        try:
            Path(output.dest).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError("--output", f"cannot write to {output.dest}: {error.strerror}") from None
    command = _command(settings, (entry,), client, builder, export(settings, str(entry.staging)))
    digest = _solve(settings, (entry,), command, client, builder, pushes=output.kind is OutputKind.IMAGE)
    if digest:
        return PushedImage(entry.platform, entry.staging, digest)
    return Path(output.dest) if output.dest else None


def build_together(
    settings: Settings, entries: Sequence[MatrixEntry], client: Client, builder: Builder
) -> tuple[PushedImage, ...]:
    """Build platforms that differ in nothing else in one solve, so that the context travels once; push by digest.

    :returns: for each platform the staging tag that it is to have, with the digest of what was pushed for all of them;
        nothing with the output ``none``.
    :raises BuildFailedError: the solve failed for good, on any of them.
    """
    output = export(settings, settings.publish.images[0].name, "push-by-digest=true", "name-canonical=true")
    command = _command(settings, entries, client, builder, output)
    digest = _solve(settings, entries, command, client, builder, pushes=settings.build.output.kind is OutputKind.IMAGE)
    return tuple(PushedImage(entry.platform, entry.staging, digest) for entry in entries) if digest else ()


def build_prefix(
    settings: Settings,
    entry: MatrixEntry,
    dockerfile: Path,
    archive: Path,
    name: str,
    client: Client,
    builder: Builder,
) -> None:
    """Build what a *dockerfile* that is cut off comes to, from the cache, into an *archive* for ``docker load``.

    :param name: the image's, with a tag.
    :raises BuildFailedError: the solve failed for good.
    """
    # Also a failed build without the cache fills it. Attestations do not fit into such an archive.
    settings = replace(settings, build=replace(settings.build, no_cache=False, attestations={}))
    entry = replace(entry, dockerfile=str(dockerfile), stage=None)
    output = record("type=docker", f"name={name}", f"dest={archive}")
    command = _command(settings, (entry,), client, builder, output, exports_cache=False)
    _solve(settings, (entry,), command, replace(client, solves=[]), builder, pushes=False)


def _command(
    settings: Settings, entries: Sequence[MatrixEntry], client: Client, builder: Builder, output: str, **options: bool
) -> list[str]:
    return build_command(settings, entries, client.buildctl, builder, output, insecure=client.insecure, **options)


def _solve(
    settings: Settings,
    entries: Sequence[MatrixEntry],
    command: list[str],
    client: Client,
    builder: Builder,
    *,
    pushes: bool,
) -> str:
    """Run a solve until it succeeds; return the digest of what it pushed, empty where it pushes nothing.

    :raises BuildFailedError: it failed for good, or no digest is known: what is under the tag may be of an earlier run.
    """
    for entry in entries:
        check_paths(settings, entry)
    platforms = tuple(entry.platform for entry in entries)
    policy, observer, environ = client.policy, client.observer, builder.environ(client.host)

    def attempt(file: Path) -> None:
        # An attempt that failed at its very end may have written it.
        file.unlink(missing_ok=True)
        solve = Solve(platforms, observer)
        client.solves.append(solve)
        solve.run([*command, "--metadata-file", str(file), "--progress", "rawjson"], policy.stopped, environ)

    with _temporary_directory() as directory:
        file = directory / "metadata.json"
        try:
            policy.call(
                "build",
                lambda: attempt(file),
                show=lambda text: observer.retrying(text, platforms),
                transient=_passing(client),
            )
            digest = _pushed_digest(platforms, file) if pushes else ""
        except BaseException as error:
            observer.failed(platforms, stopped=policy.stopped.is_set() or not isinstance(error, Exception))
            raise
        observer.done(platforms)
        return digest


def _passing(client: Client) -> Callable[[BaseException], bool]:
    """Return what tells whether the error of an attempt at a solve passes by itself."""
    refusals: list[BuildFailedError] = []

    def passes(error: BaseException) -> bool:
        # Once: a registry that has let us push in this run refuses by mistake, or a token has just expired.
        if isinstance(error, BuildFailedError) and error.is_refused_push and client.may_push():
            refusals.append(error)
            return len(refusals) == 1
        return is_transient(error)

    return passes


@contextmanager
def _temporary_directory() -> Iterator[Path]:
    """Yield a directory of this user alone, by a name that nobody can know before; remove it."""
    try:
        directory = tempfile.TemporaryDirectory(prefix="multiarch-", ignore_cleanup_errors=True)
    except OSError as error:
        problem = f"no temporary directory can be made: {error.strerror or error}"
        raise ConfigurationError("TMPDIR", f"{problem}; name one that may be written to") from None
    with directory as path:
        yield Path(path)


def _pushed_digest(platforms: Sequence[Platform], file: Path) -> str:
    try:
        return metadata.read_digest(file)
    except ValueError as error:
        problem = f"it ended well, but {error}, so that it is not known what was pushed"
        raise BuildFailedError(", ".join(map(str, platforms)), f"{problem}; run it again") from None


def check_paths(settings: Settings, entry: MatrixEntry) -> tuple[Path, Path]:
    """Return the context and the Dockerfile.

    :raises MissingPathError: one of them is not there.
    :raises ConfigurationError: a secret, or what ``ssh`` names, is not there.
    """
    context = Path(settings.build.context)
    if not context.is_dir():
        raise MissingPathError("build context", context, "context")
    dockerfile = dockerfile_path(settings, entry)
    if not dockerfile.is_file():
        raise MissingPathError(f"Dockerfile for {entry.platform}", dockerfile, "dockerfile")
    _check_secrets(settings)
    return context, dockerfile


def _check_secrets(settings: Settings) -> None:
    """Check that buildctl can read the secrets and the keys."""
    for name, secret in settings.build.secrets.items():
        if secret.kind is SecretKind.VARIABLE and secret.place not in os.environ:
            raise ConfigurationError(f"multiarch.secrets.{name}", f"the variable {secret.place} is not set")
        if secret.kind is SecretKind.FILE and not Path(secret.place).is_file():
            raise ConfigurationError(f"multiarch.secrets.{name}", f"there is no file {secret.place}")
    for name, path in settings.build.ssh.items():
        if not path and not os.environ.get("SSH_AUTH_SOCK"):
            problem = f"SSH_AUTH_SOCK is not set: start an agent (eval $(ssh-agent)), or name a key: {name}=PATH"
            raise ConfigurationError("multiarch.ssh", problem)
        if not Path(path or os.environ["SSH_AUTH_SOCK"]).exists():
            raise ConfigurationError(
                "multiarch.ssh", f"there is no socket or key {path or os.environ['SSH_AUTH_SOCK']}"
            )

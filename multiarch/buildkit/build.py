"""Builds: one solve for the platforms that differ in nothing else, run until it succeeds or fails for good.

Progress is BuildKit's own stream of states (``--progress rawjson``).
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from multiarch.buildkit import metadata
from multiarch.buildkit.bases import check_used
from multiarch.buildkit.command import build_command, export_by_digest, export_one, record
from multiarch.buildkit.inputs import check_inputs, dockerfile_path
from multiarch.buildkit.solve import Solve
from multiarch.config.settings import OutputKind
from multiarch.errors import BuildFailedError, ConfigurationError
from multiarch.paths import make_temporary_directory
from multiarch.retry import is_transient

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from multiarch.buildkit.bases import Base
    from multiarch.buildkit.builder import Builder
    from multiarch.buildkit.status import Observer
    from multiarch.config.settings import MatrixEntry, Settings
    from multiarch.docker_host import DockerHost
    from multiarch.image.platform import Leg
    from multiarch.image.reference import ImageReference
    from multiarch.retry import Policy


@contextmanager
def unwatched(_: Builder) -> Iterator[threading.Event | None]:
    """Watch no builder."""
    yield None


class Client(Struct, frozen=True):
    """BuildKit's client, and what all solves of a run share.

    :ivar buildctl: the path of the program.
    :ivar policy: how solves are retried.
    :ivar observer: follows them.
    :ivar solves: each attempt is added when it begins.
    :ivar host: the Docker host whose containers a builder's address names.
    :ivar may_push: whether the first repository has let this user push in this run.
    :ivar watch: watches a builder elsewhere during a solve; its event is set where it does not answer any more.
    :ivar insecure: registries that the Docker daemon does not verify.
    """

    buildctl: Path
    policy: Policy
    observer: Observer
    solves: list[Solve]
    host: DockerHost
    insecure: tuple[str, ...] = ()
    may_push: Callable[[], bool] = lambda: False
    watch: Callable[[Builder], AbstractContextManager[threading.Event | None]] = unwatched


class PushedImage(Struct, frozen=True):
    """The image of one platform, in a registry: *reference* is its staging tag, *digest* what was pushed for it.

    Platforms that were built together have one digest: that of an index of all of them.
    """

    leg: Leg
    reference: ImageReference
    digest: str

    def __str__(self) -> str:
        return str(self.reference.with_digest(self.digest))

    @property
    def json(self) -> dict[str, str]:
        """Its fields for programs."""
        leg = self.leg
        return {"reference": str(self), "digest": self.digest, "platform": str(leg.platform), "target": leg.target}


def build_platform(
    settings: Settings, entry: MatrixEntry, client: Client, builder: Builder, bases: Sequence[Base] = ()
) -> PushedImage | Path | None:
    """Build one platform; return what was pushed to the first repository, or the path written with another output.

    With the output ``none`` there is neither. The other repositories get copies when the index is published.

    :param bases: what it is built on.
    :raises MissingPathError: there is no such context or Dockerfile.
    :raises BuildFailedError: the solve failed for good; with the failing vertex and its last lines.
    """
    output = settings.build.output
    if output.dest:
        try:
            Path(output.dest).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError("--output", f"cannot write to {output.dest}: {error.strerror}") from None
    command = _command(settings, (entry,), client, builder, export_one(settings, entry), bases)
    digest = _solve(settings, (entry,), command, client, builder, bases, pushes=output.kind is OutputKind.IMAGE)
    if digest:
        tagged = entry.staging if settings.publish.digests is None else settings.publish.images[0]
        return PushedImage(entry.leg, tagged, digest)
    return Path(output.dest) if output.dest else None


def build_together(
    settings: Settings,
    entries: Sequence[MatrixEntry],
    client: Client,
    builder: Builder,
    bases: Sequence[Base] = (),
) -> tuple[PushedImage, ...]:
    """Build platforms that differ in nothing else in one solve, so that the context travels once; push by digest.

    :param bases: what they are built on.
    :returns: for each platform the staging tag that it is to have, with the digest of what was pushed for all of them;
        nothing with the output ``none``.
    :raises BuildFailedError: the solve failed for good, on any of them.
    """
    command = _command(settings, entries, client, builder, export_by_digest(settings), bases)
    digest = _solve(
        settings, entries, command, client, builder, bases, pushes=settings.build.output.kind is OutputKind.IMAGE
    )
    return tuple(PushedImage(entry.leg, entry.staging, digest) for entry in entries) if digest else ()


def build_layout(
    settings: Settings,
    entries: Sequence[MatrixEntry],
    layout: Path,
    client: Client,
    builder: Builder,
    bases: Sequence[Base] = (),
) -> str:
    """Build platforms into a directory (OCI image-spec, image-layout.md), and return the digest of their image.

    :param bases: what they are built on.
    :raises BuildFailedError: the solve failed for good, on any of them.
    """
    output = record("type=oci", "tar=false", f"dest={layout}")
    command = _command(settings, entries, client, builder, output, bases)
    return _solve(settings, entries, command, client, builder, bases, pushes=True)


def build_archive(
    settings: Settings,
    entries: Sequence[MatrixEntry],
    output: str,
    client: Client,
    builder: Builder,
    bases: Sequence[Base] = (),
) -> None:
    """Build platforms that differ in nothing else into an archive, where several or one are listed in an index.

    :param output: the value of ``--output``.
    :param bases: what they are built on.
    :raises BuildFailedError: the solve failed for good, on any of them.
    """
    command = _command(settings, entries, client, builder, output, bases)
    if settings.build.output.kind is OutputKind.OCI:
        command += ["--opt", "multi-platform=true"]
    _solve(settings, entries, command, client, builder, bases, pushes=False)


def build_prefix(
    settings: Settings,
    entry: MatrixEntry,
    dockerfile: Path,
    archive: Path,
    name: str,
    client: Client,
    builder: Builder,
    bases: Sequence[Base],
) -> None:
    """Build what a *dockerfile* that is cut off comes to, from the cache, into an *archive* for ``docker load``.

    :param name: the image's, with a tag.
    :raises BuildFailedError: the solve failed for good.
    """
    # Also a failed build without the cache fills it. Attestations do not fit into such an archive.
    settings = replace(settings, build=replace(settings.build, no_cache=False, attestations={}))
    entry = replace(entry, dockerfile=str(dockerfile), stage=None)
    output = record("type=docker", f"name={name}", f"dest={archive}")
    command = _command(settings, (entry,), client, builder, output, bases, exports_cache=False)
    _solve(settings, (entry,), command, replace(client, solves=[]), builder, (), pushes=False)


def _command(
    settings: Settings,
    entries: Sequence[MatrixEntry],
    client: Client,
    builder: Builder,
    output: str,
    bases: Sequence[Base],
    **options: bool,
) -> list[str]:
    insecure = client.insecure
    return build_command(settings, entries, client.buildctl, builder, output, bases=bases, insecure=insecure, **options)


def _solve(
    settings: Settings,
    entries: Sequence[MatrixEntry],
    command: list[str],
    client: Client,
    builder: Builder,
    bases: Sequence[Base],
    *,
    pushes: bool,
) -> str:
    """Run a solve until it succeeds; return the digest of what it pushed, empty where it pushes nothing.

    :raises BuildFailedError: it failed for good, or its builder is elsewhere and was lost; or no digest is known: what
        is under the tag may be of an earlier run.
    """
    for entry in entries:
        check_inputs(settings, entry)
    legs = tuple(entry.leg for entry in entries)
    policy, observer = client.policy, client.observer
    with make_temporary_directory() as directory:
        file = Path(directory) / "metadata.json"
        attempt = partial(_attempt, legs, command, client, builder, file)
        try:
            show = partial(observer.retrying, legs=legs)
            solve = policy.call("build", attempt, show=show, transient=_passing(client, builder))
            check_used(bases, entries[0], dockerfile_path(entries[0]), solve.vertices)
            digest = _pushed_digest(legs, file) if pushes else ""
        except BaseException as error:
            # A platform whose builder was lost goes on elsewhere.
            if not _is_loss(error, builder):
                observer.failed(legs, stopped=policy.stopped.is_set() or not isinstance(error, Exception))
            raise
        observer.done(legs)
        return digest


def _attempt(legs: tuple[Leg, ...], command: list[str], client: Client, builder: Builder, file: Path) -> Solve:
    """Run a solve once. :param file: takes its metadata."""
    # An attempt that failed at its very end may have written it.
    file.unlink(missing_ok=True)
    solve = Solve(legs, client.observer, builder)
    client.solves.append(solve)
    words = [*command, "--metadata-file", str(file), "--progress", "rawjson"]
    with client.watch(builder) as lost:
        solve.run(words, client.policy.stopped, builder.environ(client.host), lost)
    return solve


def _is_loss(error: BaseException, builder: Builder) -> bool:
    """Whether a builder elsewhere was lost, which its fleet sees to."""
    return bool(builder.name) and isinstance(error, BuildFailedError) and error.is_builders


def _passing(client: Client, builder: Builder) -> Callable[[BaseException], bool]:
    """Return what tells whether the error of an attempt at a solve passes by itself."""
    refusals: list[BuildFailedError] = []

    def passes(error: BaseException) -> bool:
        if _is_loss(error, builder):
            return False
        # Once: a registry that has let us push in this run refuses by mistake, or a token has just expired.
        if isinstance(error, BuildFailedError) and error.is_refused_push and client.may_push():
            refusals.append(error)
            return len(refusals) == 1
        return is_transient(error)

    return passes


def _pushed_digest(legs: Sequence[Leg], file: Path) -> str:
    try:
        return metadata.read_digest(file)
    except ValueError as error:
        problem = f"it ended well, but {error}, so that it is not known what was pushed"
        raise BuildFailedError(", ".join(map(str, legs)), f"{problem}; run it again") from None

"""Step 6, ``release``: the chain of the other five; and what a step run alone takes over from those before it."""

from __future__ import annotations

import os
import time
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from multiarch import binfmt, build, buildctl, buildkit, embedded, inspection, report, schedule
from multiarch import manifest as index
from multiarch.docker_host import DockerHost
from multiarch.errors import BuildctlMissingError, ConfigurationError, MultiarchError
from multiarch.registry import Registry
from multiarch.retry import Policy
from multiarch.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from multiarch.build import PushedImage
    from multiarch.platforms import Platform
    from multiarch.progress import Progress
    from multiarch.publication import PublishedTag
    from multiarch.settings import Settings, Target
    from multiarch.solve import Solve


class Session:
    """What the steps of one run share: the settings, the connections, the patience.

    Nothing is connected before it is needed.

    :ivar solves: every attempt at a solve, in the order in which they began.
    :ivar images: digest and size in bytes of what came out for each platform, as far as anything did.
    """

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self.settings = settings
        self.progress = progress
        self.policy = Policy(seconds=settings.retry_seconds)
        self.solves: list[Solve] = []
        self.images: dict[Platform, tuple[str, int]] = {}

    @cached_property
    def host(self) -> DockerHost:
        """The Docker host."""
        return DockerHost(self.policy, self.progress.say)

    @cached_property
    def registries(self) -> dict[str, Registry]:
        """A client for the registry of each image."""
        names = {image.registry for image in self.settings.images}
        insecure = self.settings.insecure_registries
        return {name: Registry(name, self.policy, self.progress.say, insecure=name in insecure) for name in names}

    @property
    def uses_our_builder(self) -> bool:
        """Whether something is built on the BuildKit that is started on the Docker host."""
        return bool(self.settings.local_platforms) and not self.settings.buildkit_host

    @cached_property
    def machine(self) -> str:
        """What the local builder's kernel calls itself (``uname -m``), as far as one can tell."""
        return str(self.host.info["Architecture"]) if self.uses_our_builder else os.uname().machine

    def stop(self) -> None:
        """End all waiting, and every solve."""
        self.policy.stopped.set()


def build_one(session: Session, target: Target) -> PushedImage | Path:
    """Build one platform on what is there already: the server that start-buildkit left, the client that is found."""
    settings = session.settings
    build.check_paths(settings, target)
    if settings.embedded and settings.output.type == "image":
        embedded.start_registry(session.host)
    client = buildctl.find_buildctl(settings)
    address = target.builder or buildkit.running_address(settings, session.host)
    buildkit.check_address(address, session.host)
    built = build.build_arch(
        settings,
        target,
        buildctl=client,
        address=address,
        policy=session.policy,
        progress=session.progress,
        solves=session.solves,
    )
    if isinstance(built, build.PushedImage):
        session.images[target.platform] = built.digest, 0
    return built


def publish(session: Session) -> tuple[PublishedTag, ...]:
    """Compose what is under the staging tags."""
    if session.settings.platforms and session.settings.embedded:
        embedded.start_registry(session.host)
    return index.manifest(session.settings, session.registries, say=session.progress.say).tags


def inspect(session: Session) -> list[str]:
    """Return the lines that show what is published."""
    if session.settings.embedded:
        embedded.start_registry(session.host)
    return inspection.inspect(session.settings, session.registries)


def release(session: Session) -> tuple[PublishedTag, ...]:
    """Prepare as far as needed, build all platforms at once, and publish their index.

    The tags move at the end, when every platform is pushed; any failure before leaves them as they were. The first
    platform to fail stops the others.

    :raises MultiarchError: what the failing step raised.
    """
    settings = session.settings
    if settings.output.type != "image":
        raise ConfigurationError("output", f"release publishes images; for {settings.output.type} run build-arch")
    for target in settings.matrix:
        build.check_paths(settings, target)
    with session.progress.section("prepare"):
        client, address = _prepare(session)
    with session.progress.section("build"):
        digests = _build(session, client, address)
    published = index.manifest(settings, session.registries, digests, say=session.progress.say)
    session.images |= {i.platform: (i.manifest.digest, i.manifest.size) for i in published.images}
    session.progress.table(summarise(settings.matrix, session.solves, session.images, session.machine))
    return published.tags


@contextmanager
def reporting(session: Session, task: str, file: str | None, *, dry: bool) -> Iterator[None]:
    """Have what is done meanwhile reported in *file*, if there is one, also when it fails.

    :param dry: write nothing.
    :raises ConfigurationError: no report can be written there; at the start, before anything is done.
    """
    path = report.check_name(file) if file else None
    if path is None or dry:
        yield
        return
    report.check_writable(path)
    started, problem = time.time(), ""
    try:
        yield
    except BrokenPipeError:  # who read the results has left, when they were there
        raise
    except BaseException as error:
        problem = _words(error)
        raise
    finally:
        settings, solves = session.settings, session.solves
        try:
            machine = session.machine if solves else os.uname().machine
        except MultiarchError:  # the Docker host is gone, and so is what it would have said
            machine = os.uname().machine
        rows = summarise(settings.matrix, solves, session.images, machine)
        made = report.report_of(
            settings, solves, rows, machine, task=task, started=started, finished=time.time(), error=problem
        )
        try:
            report.write(made, path)
            session.progress.say(f"report: {path}")
        except OSError as error:
            session.progress.say(f"--report: cannot write to {path}: {error.strerror}")


def _words(error: BaseException) -> str:
    """Return what the report says of the end of a run."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "interrupted"
    return str(error) or type(error).__name__


def _build(session: Session, client: Path, address: str) -> dict[Platform, str]:
    """Build the matrix; return the digest of what was pushed for each platform."""
    settings = session.settings
    machine = session.machine
    slots = settings.jobs or schedule.default_jobs(session.host.info if session.uses_our_builder else {})
    room = schedule.Slots(slots)
    session.progress.begin({t.platform: schedule.is_emulated(t, machine) for t in settings.matrix})

    def build_group(group: tuple[Target, ...]) -> tuple[PushedImage, ...]:
        with room.take(schedule.weight(group, machine)):
            return build.build_together(
                settings,
                group,
                buildctl=client,
                address=group[0].builder or address,
                policy=session.policy,
                progress=session.progress,
                solves=session.solves,
            )

    groups = schedule.groups(settings.matrix, slots, machine, apart=settings.keep_going)
    try:
        built = _in_parallel(session, [partial(build_group, g) for g in groups], keep_going=settings.keep_going)
    finally:
        session.progress.end()
    return {image.platform: image.digest for images in built for image in images}


def commands(settings: Settings) -> list[list[str]]:
    """Return the document's commands for the whole chain, for a local Linux Docker host like this machine."""
    machine = os.uname().machine
    lines = embedded.commands() if settings.embedded else []
    if settings.local_platforms and not settings.buildkit_host:
        lines += binfmt.commands(settings, machine)
        lines += buildkit.commands(settings, machine)
    lines += buildctl.commands(settings)
    for target in settings.matrix:
        lines += build_commands(settings, target)
    return lines + index.commands(settings)


def build_commands(settings: Settings, target: Target) -> list[list[str]]:
    """Return the document's command for one platform, with the client and the address that steps 2 and 3 give."""
    address = target.builder or buildkit.dry_address(settings)
    return build.commands(settings, target, buildctl=buildctl.default_path(settings), address=address)


def _prepare(session: Session) -> tuple[Path, str]:
    """Do of steps 1 to 3 what this run needs and is not done yet; return the client and the local builder's address."""
    settings, host = session.settings, session.host
    jobs: list[Callable[[], Any]] = []
    if settings.embedded:
        jobs.append(lambda: embedded.start_registry(host))
    else:
        # Who may not push learns it before the first minute of building.
        jobs += [partial(session.registries[image.registry].check_push, image.repository) for image in settings.images]
    local = bool(settings.local_platforms)
    if local and not settings.buildkit_host:
        jobs.append(lambda: binfmt.setup_binfmt(settings, host))
    for address in {target.builder for target in settings.matrix if target.builder}:
        buildkit.check_address(address, session.host)

    def server_and_client() -> tuple[Path, str]:
        address = buildkit.start_buildkit(settings, host) if local else ""
        if not local or settings.buildkit_host:
            try:
                return buildctl.find_buildctl(settings), address
            except BuildctlMissingError:
                return buildctl.copy_buildctl(settings, host), address
        path = buildctl.default_path(settings)
        return (path if path.is_file() else buildctl.copy_buildctl(settings, host)), address

    client, address = _in_parallel(session, [server_and_client, *jobs])[0]
    return client, address


def _in_parallel(session: Session, jobs: list[Callable[[], Any]], *, keep_going: bool = False) -> list[Any]:
    """Return the results of all *jobs*; the first failure, or an interrupt, stops the others and is raised.

    :param keep_going: let the others end, and raise all failures.
    """
    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        futures: list[Future[Any]] = [pool.submit(job) for job in jobs]
        try:
            done, _ = wait(futures, return_when=ALL_COMPLETED if keep_going else FIRST_EXCEPTION)
        except BaseException:
            session.stop()
            raise
        failed = [error for future in futures if future in done and (error := future.exception())]
        if failed:
            session.stop()
            if len(failed) > 1 and keep_going:
                raise MultiarchError("\n".join(map(str, failed)))
            raise failed[0]
    return [future.result() for future in futures]

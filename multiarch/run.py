"""What the steps of one run share."""

from __future__ import annotations

import os
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from multiarch.docker_host import DockerHost
from multiarch.errors import MultiarchError
from multiarch.registry.client import Registry
from multiarch.retry import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multiarch.buildkit.solve import Solve
    from multiarch.config.settings import Settings
    from multiarch.display.progress import Progress
    from multiarch.image.platform import Platform
    from multiarch.image.reference import ImageReference


class Run:
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
        return DockerHost(self.policy, self.progress.say, self.progress.trace)

    @cached_property
    def registries(self) -> dict[str, Registry]:
        """A client for the registry of each image."""
        names = {image.registry for image in self.settings.images}
        insecure = self.settings.insecure_registries
        say, trace = self.progress.say, self.progress.trace
        return {name: Registry(name, self.policy, say, insecure=name in insecure, trace=trace) for name in names}

    @cached_property
    def machine(self) -> str:
        """What the local builder's kernel calls itself (``uname -m``), as far as one can tell."""
        return self.host.machine if self.settings.starts_buildkit else os.uname().machine

    def stop(self) -> None:
        """End all waiting, and every solve."""
        self.policy.stopped.set()

    def go_on(self) -> None:
        """Let there be more after a failure, when all that was stopped has ended."""
        self.policy.stopped.clear()

    def together(self, jobs: Sequence[Callable[[], Any]], *, keep_going: bool = False) -> list[Any]:
        """Return the results of all *jobs*; the first failure, or an interrupt, stops the others and is raised.

        :param keep_going: let the others end, and raise all failures.
        """
        with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
            # An interrupt may come while the jobs are being begun.
            try:
                futures: list[Future[Any]] = [pool.submit(job) for job in jobs]
                done, _ = wait(futures, return_when=ALL_COMPLETED if keep_going else FIRST_EXCEPTION)
            except BaseException:
                self.stop()
                raise
            failed = [error for future in futures if future in done and (error := future.exception())]
            if failed:
                self.stop()
                if len(failed) > 1 and keep_going:
                    raise MultiarchError("\n".join(map(str, failed)))
                raise failed[0]
        return [future.result() for future in futures]


def not_pushed(settings: Settings) -> str:
    """Return the line of a build that pushes nothing, with the reason where there is one."""
    return f"built; nothing is pushed{f': {settings.withheld}' if settings.withheld else ''}"


def push_checks(run: Run, images: Sequence[ImageReference]) -> list[Callable[[], None]]:
    """Return what is done while it is built: who may not push learns it in the first second."""
    if run.settings.embedded or run.settings.output.type != "image":
        return []
    return [partial(_check_push, run, image) for image in images]


def _check_push(run: Run, image: ImageReference) -> None:
    run.registries[image.registry].check_push(image.repository)

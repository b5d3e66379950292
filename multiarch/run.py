"""State shared by the steps of one run: settings, connections, retry policy, results."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from multiarch.concurrency import Aside, together
from multiarch.errors import MultiarchError
from multiarch.image.reference import is_loopback
from multiarch.interrupts import nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from docker.models.containers import Container

    from multiarch.buildkit.bases import Bases
    from multiarch.buildkit.build import Client
    from multiarch.buildkit.builder import Builder
    from multiarch.buildkit.solve import Solve
    from multiarch.config.project import Project, Target
    from multiarch.config.settings import MatrixEntry
    from multiarch.display.progress import Progress
    from multiarch.docker_host import DockerHost
    from multiarch.fleet.fleet import Fleet
    from multiarch.fleet.heartbeat import Heartbeat, Limits
    from multiarch.image.platform import Leg
    from multiarch.image.reference import ImageReference
    from multiarch.image.suitability import Findings
    from multiarch.publish.tags import Sign
    from multiarch.registry.client import Registry
    from multiarch.retry import Policy

T = TypeVar("T")

_PATIENCE = 10.0  # seconds, for images that would be nice to know


class Run:
    """One run of a task. Connections are made when they are needed first.

    :param limits: the times within which builders elsewhere answer; None for the usual ones.
    :ivar solves: every attempt at a solve, in the order in which they began.
    :ivar on_moved: called when all tags have moved; what follows only shows it.
    :ivar images: digest and size in bytes of the image of each leg, as far as there is one.
    :ivar taken: digest of what was under the staging tag of each leg that was not built; see `--resume`.
    :ivar aside: jobs beside all else, which end before a step does. :ivar tagged: whose staging tags were written.
    :ivar findings: what the gates found of its programs.
    :ivar fleet: the builders elsewhere, once they were asked; None without any.
    """

    def __init__(self, project: Project, progress: Progress, *, limits: Limits | None = None) -> None:
        self.project = project
        self.settings = project.settings
        self.progress = progress
        self._stopped = threading.Event()
        self.solves: list[Solve] = []
        self.images: dict[Leg, tuple[str, int]] = {}
        self.taken: dict[Leg, str] = {}
        self.aside = Aside()
        self.tagged: set[Leg] = set()
        self.findings: dict[Leg, Findings] = {}
        self._held = ExitStack()
        self.fleet: Fleet | None = None
        self._heartbeat: Heartbeat | None = None
        self._limits = limits
        self._client: Client | None = None
        self._may_push: set[ImageReference] = set()
        self.on_moved: Callable[[], object] = nothing

    def say_notes(self) -> None:
        """Show what of the settings was taken otherwise than it is written."""
        for note in self.settings.notes:
            self.progress.say(note)

    @cached_property
    def policy(self) -> Policy:
        """How this run retries; `stop` ends its waits."""
        from multiarch.retry import Policy

        return Policy(seconds=self.settings.retry_seconds, stopped=self._stopped)

    @cached_property
    def host(self) -> DockerHost:
        """The Docker host."""
        from multiarch.docker_host import DockerHost
        from multiarch.registry.credentials import docker_login

        return DockerHost(self.policy, self.progress.say, self.progress.trace, login=docker_login)

    @cached_property
    def registries(self) -> dict[str, Registry]:
        """A client for the registry of each image, by host."""
        images = (*self.settings.publish.images, *self.settings.publish.add)
        return {name: self.registry(name) for name in dict.fromkeys(image.registry for image in images)}

    @cached_property
    def _sources(self) -> dict[str, list[Registry]]:
        return {}

    def sources(self, registry: str) -> list[Registry]:
        """Return clients of those who have the images of a registry: mirrors that Docker has for it, and then itself.

        They soon give up: what cannot be read is not waited for.
        """
        if registry not in self._sources:
            policy = self.policy.within(_PATIENCE)
            clients = []
            with suppress(MultiarchError):
                known = self.host.info.registries if self.settings.starts_buildkit else ()
                for url in (url for one in known if one.name == registry for url in one.mirrors):
                    scheme, _, place = url.rpartition("://")
                    if "/" not in place.rstrip("/"):
                        clients.append(self.registry(place.rstrip("/"), policy, insecure=scheme == "http"))
            own = self.registries.get(registry) or self.registry(registry, policy)
            self._sources.setdefault(registry, [*clients, own])
        return self._sources[registry]

    def registry(self, name: str, policy: Policy | None = None, *, insecure: bool = False) -> Registry:
        """Return a new client for any registry.

        :param policy: how its requests are retried; None for that of the run.
        :param insecure: whether TLS may go unverified, or be missing, also where the settings do not say so.
        """
        from multiarch.registry.client import Registry

        return Registry(
            name,
            policy or self.policy,
            self.progress.say,
            insecure=insecure or name in self.settings.publish.insecure_registries,
            declared=partial(self._is_insecure_for_docker, name),
            trace=self.progress.trace,
        )

    def _is_insecure_for_docker(self, registry: str) -> bool:
        """Whether the Docker daemon does not verify a registry, as far as there is one that answers."""
        with suppress(MultiarchError):
            return self.host.info.is_insecure(registry)
        return False

    @cached_property
    def bases(self) -> Bases:
        """What is built of the project, for what is built on it."""
        from multiarch.buildkit.bases import Bases

        return Bases(self.project, self._stopped)

    @cached_property
    def machine(self) -> str:
        """The name of the local builder's kernel (``uname -m``), as far as it can be known."""
        return self.host.machine if self.settings.starts_buildkit else os.uname().machine

    def is_emulated(self, entry: MatrixEntry) -> bool:
        """Whether a platform's programs run under an emulator where it is to be built."""
        from multiarch.buildkit.schedule import is_emulated

        if self.fleet and not entry.is_local:
            return self.fleet.candidates(entry)[0].emulates(entry.platform)
        return is_emulated(entry, self.machine)

    def build_on(self, entries: Sequence[MatrixEntry], local: Builder, build: Callable[[Builder], T]) -> T:
        """Return the result of *build* on the *local* builder, or on one of those elsewhere that have the platforms."""
        return build(local) if self.fleet is None or entries[0].is_local else self.fleet.build(entries, build)

    def client(self, buildctl: Path) -> Client:
        """Return BuildKit's client with what all solves of this run share."""
        self._client = self._client or self._make_client(buildctl)
        return self._client

    def _make_client(self, buildctl: Path) -> Client:
        """Return the client, with logins provided; say which proxies of Docker builds do not get."""
        from multiarch.buildkit.build import Client
        from multiarch.buildkit.configuration import docker_proxies
        from multiarch.registry.login_files import provide

        for name in docker_proxies().withheld():
            self.progress.say(
                f"{name} of Docker's config.json holds a user, so builds do not get it: others on this machine can see"
                " the arguments of buildctl; name a proxy without a user there, or in build_args"
            )
        host = self.host  # before: it is that of the configuration that docker has so far
        provide(buildctl)
        # Asked here only where the Docker host was asked about itself anyway.
        names = self.settings.registries if self.settings.starts_buildkit else ()
        insecure = tuple(name for name in names if not is_loopback(name) and self._is_insecure_for_docker(name))
        may_push = partial(self._is_pushable, self.settings.publish.images[0])
        client = Client(buildctl, self.policy, self.progress, self.solves, host, insecure, may_push)
        return replace(client, watch=self._heartbeat.watch) if self._heartbeat else client

    def ask_builders(self, buildctl: Path) -> None:
        """Ask the builders elsewhere what they have, once; from then on the matrix says what is built where.

        :raises BuilderFaultError: the only builder of a platform cannot be used.
        :raises NoBuilderLeftError: none of its builders can.
        :raises ConfigurationError: a platform would be emulated, and must not be.
        """
        from multiarch.fleet import settling

        settling.check_reach(self.project)
        builders = settling.builders_of(self.project)
        if builders and self.fleet is None:
            from multiarch.fleet.asking import Asking
            from multiarch.fleet.fleet import Fleet
            from multiarch.fleet.heartbeat import Heartbeat, Limits

            limits = self._limits or Limits()
            asking = Asking(buildctl, self.host, self._stopped, self.progress.trace, limits.answer)
            emulate = self.settings.builder.emulate
            self.fleet = Fleet(asking, self.policy, self.progress, emulate=emulate, left_out=limits.left_out)
            self._heartbeat = Heartbeat(asking, limits)
            self.fleet.ask_all(builders, self.project.matrix)
            self.project = settling.settle(self.project, self.fleet, lambda: self.machine, self.progress.say)
            self.settings = self.project.settings
            self.__dict__.pop("machine", None)  # what is started on the Docker host is known only now
        settling.check_reach(self.project)
        settling.check_emulation(self.project, lambda: self.machine)

    def handed_over(self, target: Target, digest: str) -> str:
        """Return the digest that others are built on: that of the image, where it is to serve other platforms too.

        The index around it, which lists its attestations, names its platform, and BuildKit takes it for no other.

        :param digest: of what was pushed for the target.
        """
        above = [one for one in self.project if target.name in one.bases.values()]
        own = {entry.platform for entry in target.settings.matrix}
        if len(own) > 1 or {entry.platform for one in above for entry in one.settings.matrix} <= own:
            return digest
        image = target.settings.publish.images[0]
        index = self.registries[image.registry].manifest(image.repository, digest)
        images = [entry.digest for entry in index.entries if not entry.is_attestation] if index else []
        return images[0] if len(images) == 1 else digest

    def start_embedded_registry(self) -> None:
        """Start the embedded registry where images go to it; once a run."""
        if self.settings.publish.embedded:
            self._embedded_registry  # noqa: B018 (it starts when it is first asked for)

    @cached_property
    def _embedded_registry(self) -> None:
        from multiarch.registry import embedded

        if registry := self.settings.publish.embedded:
            embedded.start_registry(registry, self.host)

    def push_checks(self, images: Sequence[ImageReference]) -> list[Callable[[], None]]:
        """Return jobs that check whether we may push, so that a refusal is known in the first second of a build."""
        if self.settings.publish.embedded or not self.settings.publish.push.wanted:
            return []
        return [partial(self._check_push, image) for image in images]

    def _check_push(self, image: ImageReference) -> None:
        self.registries[image.registry].check_push(image.repository)
        self._may_push.add(image)

    def _is_pushable(self, image: ImageReference) -> bool:
        return image in self._may_push

    def signing(self, images: Iterable[ImageReference]) -> AbstractContextManager[Sign | None]:
        """Return what signs by digest in the registries of *images*; None within where the settings sign nothing."""
        if (setting := self.settings.publish.sign) is None:
            return nullcontext()
        from multiarch.publish.signing import signing

        return signing(setting, self.registries, images, self.progress.say, self.progress.trace)

    def hold(self, server: Container) -> None:
        """Hold a server until the run is closed, so that no other run recreates it."""
        from multiarch.buildkit.use import held

        self._held.enter_context(held(server, self.host))

    def close(self) -> None:
        """Let go of what the run holds."""
        self._held.close()

    def stop(self) -> None:
        """End all waiting, and every solve; what runs aside goes on."""
        self._stopped.set()

    def resume(self) -> None:
        """Clear the stop flag. Call only when all jobs have ended."""
        self._stopped.clear()

    def together(self, jobs: Sequence[Callable[[], Any]], *, keep_going: bool = False) -> list[Any]:
        """Return the results of all *jobs*; the first failure, or an interrupt, stops the others and is raised.

        :param keep_going: let the others end, and raise all failures.
        """
        # As many threads as jobs: builds wait for each other's slots, and checks are not to wait for builds.
        return together(jobs, on_failure=self.stop, keep_going=keep_going, limit=len(jobs))

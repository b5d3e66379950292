"""Step 6, ``release``: prepare, build all platforms at once, publish (document, its whole chain)."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from multiarch.buildkit import schedule
from multiarch.buildkit.builder import Builder
from multiarch.config.settings import OutputKind
from multiarch.errors import ConfigurationError
from multiarch.fleet import planning
from multiarch.registry import embedded
from multiarch.steps import build_arch, copy_buildctl, manifest, setup_binfmt, start_buildkit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from multiarch.buildkit.build import Client
    from multiarch.config.project import Project, Target
    from multiarch.image.reference import ImageReference
    from multiarch.publish.changes import Verdict
    from multiarch.publish.publication import Published
    from multiarch.publish.tags import PublishedTag
    from multiarch.run import Run
    from multiarch.steps.resume import Resumption


def run(run: Run) -> tuple[PublishedTag | Path | ImageReference, ...]:
    """Prepare as far as needed, build all platforms of all targets at once, and publish their indexes.

    The tags move at the end, when every platform is pushed; any failure before leaves them as they were. The first
    platform to fail stops the others.

    :returns: the tags; what was written or loaded with another output, and nothing with the output ``none``.
    :raises MultiarchError: what the failing step raised.
    """
    with run.aside:
        return _release(run)


def _release(run: Run) -> tuple[PublishedTag | Path | ImageReference, ...]:
    from multiarch.steps.release import solves
    from multiarch.steps.resume import Resumption

    output, started = run.settings.build.output, time.time()
    check(run)
    whole, resumption = run.project, Resumption(run)
    verdicts: dict[str, Verdict] = {}
    digests = {}
    if run.settings.build.only_changed:
        from multiarch.steps import only_changed

        verdicts = only_changed.leave_out(run)
    if run.project.targets:
        with run.progress.section("prepare"):
            client, local = prepare(run, resumption)
        with run.progress.section("build"):
            if output.kind in (OutputKind.DOCKER, OutputKind.OCI):
                return solves.build_here(run, client, local)
            digests = solves.build_images(run, client, local, resumption)
    if verdicts:
        verdicts = only_changed.take_in(run, whole, verdicts)
    targets = manifest.published_targets(run.project)  # the builders have said what is built where
    if not targets:
        show_table(run)
        run.progress.say(f"built; nothing is pushed{run.settings.publish.push.reason}")
        return ()
    with run.progress.section("publish"):
        published = manifest.publish(run, targets, digests, verdicts)
    _tell(run, targets, published, started)
    return tuple(tag for one in published for tag in one.tags)


def commands(project: Project) -> list[list[str]]:
    """Return the document's commands for the whole chain, for a local Linux Docker host like this machine."""
    settings = project.settings
    lines = embedded.commands(settings.publish.embedded) if settings.publish.embedded else []
    if settings.starts_buildkit or settings.tries_images:
        lines += setup_binfmt.commands(project)
    if settings.starts_buildkit:
        lines += start_buildkit.commands(project)
    lines += [*copy_buildctl.commands(project), *planning.commands(project.matrix)]
    if settings.build.output.kind is OutputKind.OCI:
        (target,) = project.asked_for
        matrix = target.settings.matrix
        # What joins the archives of several solves is no command.
        groups = list(enumerate(schedule.groups(matrix, len(matrix) * 2, "")))
        return lines + [build_arch.archive_command(project, target, one, n, len(groups)) for n, one in groups]
    lines += [build_arch.command_of(project, target, entry) for target in project for entry in target.settings.matrix]
    return lines + manifest.commands(project)


def prepare(run: Run, resumption: Resumption) -> tuple[Client, Builder]:
    """Do what this run needs of steps 1 to 3, unless it is done; return the client and the local builder.

    Before them, builders elsewhere say what they have; beside them, the embedded registry starts.

    :param resumption: looks meanwhile for what need not be built.
    :raises MultiarchError: what the failing step raised, or the check of the Docker host.
    """
    if any(entry.builders for entry in run.project.matrix) or not run.settings.builder.emulate:
        run.ask_builders(copy_buildctl.ensure(run))
    settings, host = run.settings, run.host
    if settings.build.resume:
        run.start_embedded_registry()
    jobs: list[Callable[[], Any]] = [resumption.look]
    jobs += [run.start_embedded_registry] if settings.publish.embedded else []
    if settings.starts_buildkit:
        from multiarch.steps.doctor.checks import check_host

        host.info  # noqa: B018 (asked for once, before several threads want it)
        check_host(run)
    if settings.starts_buildkit or settings.tries_images:
        jobs.append(partial(setup_binfmt.run, run))
    client, local = run.together([partial(_server_and_client, run), *jobs])[0]
    return client, local


def _server_and_client(run: Run) -> tuple[Client, Builder]:
    settings = run.settings
    address = start_buildkit.run(run)[0] if settings.local_platforms else ""
    return run.client(copy_buildctl.ensure(run)), Builder(address, run.machine)


def check(run: Run) -> None:
    """Check what is known before anything is built: the output, the tags, the contexts and Dockerfiles, the signer.

    :raises MultiarchError: one of them cannot be used.
    """
    from multiarch.buildkit.inputs import check_inputs

    project = run.project
    _check_output(project)
    published = manifest.published_targets(project)
    for target in published:
        target.settings.publish.check()
    for target in project:
        target.settings.platforms  # noqa: B018 (an empty matrix is an error)
        for entry in target.settings.matrix:
            check_inputs(target.settings, entry)
    if run.settings.build.output.kind is OutputKind.IMAGE and published:
        with run.signing(()):
            pass


def _check_output(project: Project) -> None:
    kind, platforms = project.settings.build.output.kind, project.settings.platforms
    if kind is OutputKind.LOCAL:
        raise ConfigurationError("output", "release writes images; for local run build-arch")
    if kind is OutputKind.DOCKER and len(platforms) > 1:
        known = ", ".join(map(str, platforms))
        raise ConfigurationError("output", f"docker loads one platform; name it: --platform, one of {known}")
    project.check_output()


def _tell(run: Run, targets: Sequence[Target], published: Sequence[Published], started: float) -> None:
    """Show and record what was published. The tags have moved: nothing in here makes the release a failed one."""
    from multiarch.steps.release import record

    try:
        record.record(run, targets, published, started)
        show_table(run)
        for target, one in zip(targets, published, strict=True):
            # Of several images one platform each: what is to be typed differs in nothing else.
            for platform in target.settings.platforms[: 1 if target.name else None] if one.tags else ():
                run.progress.say(f"run it: docker run --rm --platform {platform} {one.tags[0].reference}")
    except Exception as error:  # noqa: BLE001 (whatever it is, the tags are published)
        run.progress.say(f"published; what follows cannot be shown ({type(error).__name__})")


def show_table(run: Run) -> None:
    """Show a row for each platform that was built."""
    from multiarch.display.summary import summarise

    built = {leg for solve in run.solves for leg in solve.legs}
    # Of what was left out of the build there is nothing to tell here.
    built |= run.taken.keys()
    matrix = [entry for entry in run.project.matrix if entry.leg in built or not run.settings.build.only_changed]
    run.progress.table(summarise(matrix, run.solves, run.images, run.machine, run.findings, run.taken))

"""Builders that are used as they are: of ``builder`` and ``BUILDKIT_HOST``. Their answer, version and platforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.buildkit.buildctl import find_buildctl
from multiarch.buildkit.builder import Builder
from multiarch.errors import BuildctlMissingError, ConfigurationError, MultiarchError, shown_address
from multiarch.formatting import one_line
from multiarch.image.platform import Platform
from multiarch.steps.doctor.client import INFO, WORKERS, LateError, ask, read_platforms, read_version
from multiarch.steps.doctor.finding import Finding, failure, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.run import Run

NAME = "builders"
# Attestations, and the answer to which version it is.
_OLDEST = (0, 11)


def addresses(run: Run) -> dict[str, list[Platform]]:
    """Return what each builder is to build, by its address. Builders of other kinds find their place here."""
    found: dict[str, list[Platform]] = {}
    for entry in run.project.matrix:
        if address := entry.builder or run.settings.builder.host:
            found.setdefault(address, [])
            found[address] += [] if entry.platform in found[address] else [entry.platform]
    return found


def examine(run: Run) -> Iterator[Finding]:
    """Yield a finding for each builder, which are asked side by side."""
    from multiarch.concurrency import together

    found = addresses(run)
    jobs = [lambda a=address, p=platforms: of_builder(run, a, p) for address, platforms in found.items()]
    yield from together(jobs)


def of_builder(run: Run, address: str, platforms: list[Platform]) -> Finding:
    """Return the finding about one builder. :param platforms: those that it is to build."""
    builder, shown = Builder(address), shown_address(address)
    names = ", ".join(map(str, platforms))
    try:
        builder.check(run.host)
    except (ConfigurationError, MultiarchError) as error:
        return failure(NAME, f"{names}: {one_line(str(error))}")
    try:
        command = [str(find_buildctl(run.settings)), *builder.flags()]
        version = read_version(ask(run, [*command, *INFO], builder.environ(run.host)))
        offered = read_platforms(ask(run, [*command, *WORKERS], builder.environ(run.host)))
    except BuildctlMissingError:
        return unknown(NAME, f"{shown} listens; more is not known without buildctl", "invoke copy-buildctl")
    except LateError as error:
        return unknown(NAME, f"{shown} listens, and is slow: {error}", "see what it builds")
    except MultiarchError as error:
        return failure(NAME, f"{shown} listens, and does not answer as BuildKit does: {error}", "correct the address")
    answers = {platform: offers(offered, platform) for platform in platforms}
    if missing := [platform for platform, answer in answers.items() if answer is False]:
        listed = ", ".join(map(str, missing))
        remedy = "register emulators on its machine, or name another builder"
        return failure(NAME, f"{shown} does not build {listed}, but {', '.join(sorted(offered or ()))}", remedy)
    if unsure := [platform for platform, answer in answers.items() if answer is None]:
        listed = ", ".join(map(str, unsure))
        return unknown(NAME, f"{shown} does not tell whether it builds {listed}", "try it: invoke build-arch")
    if version is None:
        return unknown(NAME, f"{shown} builds {names}; it does not tell its version", "update it where a build fails")
    if version.is_before(*_OLDEST):
        return warning(NAME, f"{shown} is BuildKit {version}, older than 0.11", "update it")
    return ok(NAME, f"{shown} is BuildKit {version}, and builds {names}")


def offers(offered: set[str] | None, platform: Platform) -> bool | None:
    """Return whether a builder's list has a platform, or one that does for it; None where it does not tell.

    BuildKit leaves out what a platform in it may stand for (worker/base, Platforms; containerd, platforms.Only): arm
    beside arm64, and 386 beside amd64.

    :param offered: the list, in any spelling; None where it is not known.
    """
    if offered is None:
        return None
    known = set()
    for text in offered:
        try:
            known.add(Platform.parse(text))
        except ValueError:
            continue
    architectures = {one.architecture for one in known if one.os == platform.os}
    if platform.architecture == "arm":
        if any(one.variant >= platform.variant for one in known if one.architecture == "arm"):
            return True
        return None if "arm64" in architectures else False
    if platform.architecture == "386" and "amd64" in architectures:
        return True
    return platform.architecture in architectures

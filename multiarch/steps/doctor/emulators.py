"""Emulators: registered or not, by which entry of binfmt_misc, and whether they run a program of their platform."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.errors import DockerError
from multiarch.formatting import one_line
from multiarch.image.platform import Platform, runs_natively
from multiarch.steps import setup_binfmt
from multiarch.steps.doctor import buildkit
from multiarch.steps.doctor.finding import Finding, State, failure, ok, unknown, warning
from multiarch.steps.doctor.programs import Outcome
from multiarch.steps.doctor.trials import Trial, run_programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multiarch.run import Run
    from multiarch.steps.setup_binfmt import Emulator

NAME = "emulators"
_ENTRIES = Path("/proc/sys/fs/binfmt_misc")
_MOST_ENTRIES = 1000
_REINSTALL = "invoke setup-binfmt --reinstall"


def examine(run: Run) -> Iterator[Finding]:
    """Yield a finding for each platform that the Docker host builds, or tries, and its CPU does not run."""
    settings, host = run.settings, run.host
    if not settings.starts_buildkit and not settings.tries_images:
        return
    foreign = [platform for platform in settings.local_platforms if not runs_natively(platform, host.machine)]
    if not foreign:
        yield ok(NAME, f"not needed: the Docker host runs {', '.join(map(str, settings.local_platforms))} itself")
        return
    own = host.platform.architecture
    entries = _known_entries(run)
    try:
        trials = run_programs(host, list(dict.fromkeys([own, *(platform.architecture for platform in foreign)])))
    except DockerError as error:
        yield unknown(NAME, f"no program could be run for {_listed(foreign)}: {one_line(str(error))}")
        return
    if trials[own].outcome is Outcome.FAILS:
        problem = f"not even a program for {own} runs in such a container: {trials[own].problem}"
        yield unknown(NAME, f"{_listed(foreign)}: {problem}")
        return
    # Where the kernel does not know the system call either, an emulator cannot be older for it.
    knows_age = trials[own].outcome is Outcome.RUNS
    missing = []
    for platform in foreign:
        entry = next((e for e in entries or () if e.runs(platform)), None)
        trial = trials[platform.architecture]
        if trial.outcome is Outcome.FAILS and entry is None:
            missing.append(platform)
        else:
            yield of_platform(platform, entry, trial, knows_age=knows_age)
    if missing:
        yield _unregistered(run, missing)


def of_platform(platform: Platform, entry: Emulator | None, trial: Trial, *, knows_age: bool) -> Finding:
    """Return the finding of a platform.

    :param entry: of binfmt_misc; None where it is not known, and a program runs.
    :param knows_age: whether the system call that an old emulator lacks tells of its age.
    """
    by = f"{entry.name} (flags {entry.flags or 'none'})" if entry else "an emulator"
    if trial.outcome is Outcome.RUNS or (trial.outcome is Outcome.OLD and not knows_age):
        return ok(NAME, f"{platform} runs by {by}")
    if trial.outcome is Outcome.OLD:
        problem = f"{platform} runs by {by}, which is old: it does not know faccessat2 (2020)"
        return warning(NAME, problem, f"replace it: {_REINSTALL}")
    if entry and "F" not in entry.flags:
        problem = f"{platform}: {by} lacks the flag F, so that it does not work in containers"
        return warning(NAME, problem, "release replaces it; or do so now: invoke setup-binfmt")
    problem = f"{platform}: {by} is registered, and does not run a program: {trial.problem}"
    return failure(NAME, problem, f"replace it: {_REINSTALL}")


def _unregistered(run: Run, missing: Sequence[Platform]) -> Finding:
    """Return the finding about platforms without an emulator, which a release registers where it can."""
    settings, host = run.settings, run.host
    if host.info.is_rootless:
        (command,) = setup_binfmt.commands_on(host.machine, settings)
        remedy = f"register them as root, once for all: {' '.join(command)}"
        return failure(NAME, f"nothing runs {_listed(missing)}, and a rootless Docker host cannot register it", remedy)
    installer = settings.builder.installer
    use = f"nothing runs {_listed(missing)} yet; release registers it"
    found = buildkit.of_image(run, installer, "installer", use, NAME)
    if found.state is State.OK:
        return warning(NAME, found.message, "or do so now: invoke setup-binfmt")
    problem = f"nothing runs {_listed(missing)}, and {found.message}"
    return Finding(NAME, found.state, problem, found.remedy or "invoke setup-binfmt")


def _known_entries(run: Run) -> tuple[Emulator, ...] | None:
    """Return the entries of binfmt_misc; None where they cannot be read without another container."""
    host = run.host
    if host.is_local and (text := _read_entries()):
        return tuple(setup_binfmt.parse_entries(text))
    text = setup_binfmt.ask_server(host, run.settings.builder.container)
    return tuple(setup_binfmt.parse_entries(text)) if text else None


def _read_entries() -> str:
    """Return the entries of this machine's kernel as the probe prints them; empty where they are not mounted."""
    lines = []
    try:
        for path in sorted(_ENTRIES.iterdir())[:_MOST_ENTRIES]:
            if path.name != "register":
                lines += [f"# entry {path.name}", path.read_text(errors="replace")]
    except OSError:
        return ""
    return "\n".join(lines)


def _listed(platforms: Sequence[Platform]) -> str:
    return ", ".join(map(str, platforms))

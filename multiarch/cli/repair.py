"""The flags of ``manifest`` that mend what is published, between Invoke and their steps. No logic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.cli.entry import perform, print_results, run_of
from multiarch.errors import ConfigurationError
from multiarch.formatting import shell_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoke.context import Context

    from multiarch.cli.entry import Step
    from multiarch.config.project import Project
    from multiarch.run import Run

# Flags that go with no repair, by the names of their settings: the others say which tags are meant.
_OTHERS = {
    "platforms": "platform",
    "annotations": "annotation",
    "digests": "digests",
    "allow_dropping": "allow-dropping",
}


class _Mending(Struct, frozen=True):
    """The step that the flags ask for. :ivar others: flags that are given too."""

    given: Mapping[str, Any]
    others: Sequence[str]

    def run(self, run: Run) -> tuple[object, ...]:
        """Do the step; return the tags. :raises ConfigurationError: flags contradict each other."""
        done: tuple[object, ...] = _step(self.given, self.others).run(run)
        return done

    def commands(self, _project: Project) -> list[list[str]]:
        """Return nothing: what the commands are only the registry knows."""
        return []


def mend(c: Context, given: Mapping[str, Any], *, inspect: bool, json: bool, **flags: Any) -> None:
    """Replace and remove platforms of published tags, or put these back, and print the tags.

    With ``--dry`` the registry is read, and the equivalent commands are printed.

    :param given: ``replace``, ``remove``, ``rollback`` and ``to``.
    """
    others = [flag for name, flag in _OTHERS.items() if flags.get(name)]
    step = _Mending(given, ["inspect", *others] if inspect else others)
    if not c.config.run.dry:
        perform(c, step, task="manifest", pushes=True, json=json, **flags)
        return
    with run_of(c, task="manifest", pushes=True, **flags) as run:
        print_results(shell_line(command) for command in _step(step.given, step.others).planned(run))


def release_into(tags: Sequence[str] | None, flags: Mapping[str, Any]) -> Step:
    """Return the step of ``release --into``.

    :param tags: those of ``--tag``. :param flags: by the names of settings.
    """
    from multiarch.steps.release.into import Into

    given = {"tag": tags} | {flag: flags.get(name) for name, flag in _OTHERS.items() if flag != "platform"}
    given |= {flag: flags.get(flag.replace("-", "_")) for flag in ("only-changed", "output")}
    return Into(bool(flags.get("platforms")), [f"--{flag}" for flag, value in given.items() if value])


def _step(given: Mapping[str, Any], others: Sequence[str]) -> Any:
    """Return the step that flags of ``manifest`` ask for.

    :param given: the flags that ask for a repair or a rollback. :param others: names of flags that go with neither.
    :raises ConfigurationError: flags do not go together.
    """
    from multiarch.steps.manifest_repair import ManifestRepair
    from multiarch.steps.manifest_rollback import ManifestRollback

    chosen = [f"--{name}" for name, value in given.items() if value]
    if given["to"] is not None and not given["rollback"]:
        raise ConfigurationError("--to", "only goes with --rollback")
    if given["rollback"] and (given["replace"] or given["remove"]):
        raise ConfigurationError("--rollback", f"does not go with {chosen[0]}; do one after the other")
    if others:
        raise ConfigurationError(chosen[0], f"does not go with --{others[0]}")
    if given["rollback"]:
        return ManifestRollback.parse(given["to"])
    return ManifestRepair.parse(given["replace"], given["remove"])

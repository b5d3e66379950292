"""The flags of ``manifest`` that mend what is published, between Invoke and their steps. No logic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiarch.cli.entry import print_results, run_of
from multiarch.errors import ConfigurationError
from multiarch.formatting import shell_line

if TYPE_CHECKING:
    from invoke.context import Context

# Flags that go with no repair, by the names of their settings: the others say which tags are meant.
_OTHERS = {
    "platforms": "platform",
    "annotations": "annotation",
    "digests": "digests",
    "allow_dropping": "allow-dropping",
}


def is_wanted(given: dict[str, Any]) -> bool:
    """Whether any of the flags is given."""
    return any(given.values())


def mend(c: Context, given: dict[str, Any], *, inspect: bool, quiet: bool, verbose: bool, **flags: Any) -> None:
    """Replace and remove platforms of published tags, or put these back, and print the tags.

    With ``--dry`` the registry is read, and the equivalent commands are printed.

    :param given: ``replace``, ``remove``, ``rollback`` and ``to``.
    """
    with run_of(c, pushes=True, quiet=quiet, verbose=verbose, **flags) as run:
        others = [flag for name, flag in _OTHERS.items() if flags.get(name)]
        step = _step(given, ["inspect", *others] if inspect else others)
        if c.config.run.dry:
            print_results(shell_line(command) for command in step.planned(run))
        else:
            print_results(step.run(run))


def _step(given: dict[str, Any], others: list[str]) -> Any:
    from multiarch.steps.manifest_repair import ManifestRepair
    from multiarch.steps.manifest_rollback import ManifestRollback

    chosen = [f"--{name}" for name, value in given.items() if value]
    if given["to"] and not given["rollback"]:
        raise ConfigurationError("--to", "only goes with --rollback")
    if given["rollback"] and (given["replace"] or given["remove"]):
        raise ConfigurationError("--rollback", f"does not go with {chosen[0]}; do one after the other")
    if others:
        raise ConfigurationError(chosen[0], f"does not go with --{others[0]}")
    if given["rollback"]:
        return ManifestRollback.parse(given["to"])
    return ManifestRepair.parse(given["replace"], given["remove"])

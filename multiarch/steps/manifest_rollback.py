"""``manifest --rollback``: published tags back on what they were before they were published last."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.errors import ConfigurationError
from multiarch.steps import manifest

if TYPE_CHECKING:
    from multiarch.publish.rollback import Rollback
    from multiarch.publish.tags import PublishedTag
    from multiarch.run import Run

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ManifestRollback(Struct, frozen=True):
    """The step. :ivar to: the digest to put the tags back on; empty for what each was before."""

    to: str = ""

    @classmethod
    def parse(cls, to: str | None) -> ManifestRollback:
        """Read the value of ``--to``. :raises ConfigurationError: it is no digest."""
        if to is not None and not _DIGEST.fullmatch(to):
            raise ConfigurationError("--to", f"{to!r} is no digest (expected sha256: and 64 hex digits)")
        return cls(to or "")

    def run(self, run: Run) -> tuple[PublishedTag, ...]:
        """Put all tags back, or none; return them.

        :raises NotRepairedError: it is not known what a tag was, or that is not whole any more.
        :raises TagsNotMovedError: a tag could not be moved.
        """
        rollback = self._rollback(run)
        run.start_embedded_registry()
        with run.signing(rollback.references) as sign:
            return rollback.run(run.on_moved, sign)

    def planned(self, run: Run) -> list[list[str]]:
        """Return the commands that do the same, with digests that are read; nothing is written."""
        return self._rollback(run).commands()

    def _rollback(self, run: Run) -> Rollback:
        from multiarch.publish.rollback import Rollback

        targets = manifest.published_targets(run.project)
        if not targets:
            raise ConfigurationError("--rollback", f"nothing is published{run.settings.publish.push.reason}")
        if self.to and len(targets) > 1:
            raise ConfigurationError("--to", f"with several targets say which: --target {targets[0].name}")
        for target in targets:
            target.settings.publish.push.check()
        references = [reference for target in targets for reference in target.settings.publish.references]
        return Rollback(references, self.to, run.registries, run.progress.say)

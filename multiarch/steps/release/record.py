"""The entry of a release in the record of this machine (`multiarch.display.history`)."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from multiarch.errors import MultiarchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multiarch.config.project import Target
    from multiarch.display.history import Release
    from multiarch.publish.publication import Published
    from multiarch.run import Run


def record(run: Run, targets: Sequence[Target], published: Sequence[Published], started: float) -> None:
    """Add a release to the record, where one can be kept. Its tags have moved: nothing makes it a failed one here.

    Nothing is said where it cannot, as for a user without a home in a CI; `log` shows what there is.

    :param started: seconds since the epoch.
    """
    from multiarch.display import history

    with suppress(OSError, MultiarchError):
        history.append(_releases(run, targets, published, started))


def _releases(run: Run, targets: Sequence[Target], published: Sequence[Published], started: float) -> Iterator[Release]:
    """Yield a record for each target whose tags have moved."""
    from multiarch.config.checkout import REVISION
    from multiarch.display.history import COMMIT, Release
    from multiarch.display.summary import summarise

    now = time.time()
    rows = summarise(run.project.matrix, run.solves, run.images, run.machine, run.findings)
    for target, one in zip(targets, published, strict=True):
        if not one.tags:  # a newer commit had them
            continue
        times = {str(row.platform): round(row.seconds, 1) for row in rows if row.target == target.name}
        # An annotation may be anything; a release with one that is no commit is one all the same.
        commit = target.settings.publish.annotations.get(REVISION, "")
        yield Release(
            when=round(now, 3),
            seconds=round(now - started, 1),
            tags=tuple(str(tag.reference) for tag in one.tags),
            digest=one.tags[0].digest,
            commit=commit if COMMIT.fullmatch(commit) else "",
            platforms=times,
            target=target.name,
        )

"""Folded sections in the logs of CIs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.ci import CIKind
from multiarch.formatting import clean, without_commands

if TYPE_CHECKING:
    from multiarch.ci import CI


class Folds(Struct, frozen=True):
    """The marks by which a CI folds a section of its log; empty where it folds none.

    :ivar start: template of what begins a section: *title*, *name* (the title as an identifier), *now* (Unix time).
    :ivar stop: template of what ends it.
    """

    start: str = ""
    stop: str = ""

    def begin(self, title: str) -> str:
        """Return the text that begins a section in the log; empty where the CI folds none."""
        return _fill(self.start, title)

    def end(self, title: str) -> str:
        """Return the text that ends a section in the log; empty where the CI folds none."""
        return _fill(self.stop, title)


# Sources: GitHub ("Workflow commands", "Grouping log lines"), travis-build (lib/travis/build/bash/travis_fold.bash),
# GitLab ("Custom collapsible sections").
_FOLDS = {
    CIKind.GITHUB: Folds("::group::{title}\n", "::endgroup::\n"),
    CIKind.TRAVIS: Folds("travis_fold:start:{name}\r\033[0K{title}\n", "travis_fold:end:{name}\r\033[0K"),
    CIKind.GITLAB: Folds(
        "\033[0Ksection_start:{now}:{name}\r\033[0K{title}\n", "\033[0Ksection_end:{now}:{name}\r\033[0K\n"
    ),
}


def folds_of(ci: CI | None) -> Folds:
    """Return the markers that fold sections of a CI's log; empty ones outside of a CI, and where it folds nothing."""
    return _FOLDS.get(ci.kind, Folds()) if ci else Folds()


def _fill(template: str, title: str) -> str:
    name = "".join(letter if letter.isalnum() else "_" for letter in title.lower())
    return template.format(title=without_commands(clean(title)), name=name, now=int(time.time()))

"""Advice on the slowest emulated vertices of a run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multiarch.display.reported import ReportedSolve, ReportedVertex

# vertices; the slowest few hold most of the time that can be saved
_MOST = 3
# Commands whose work a program of the builder's own architecture can do as well, as far as their names say.
_COMPILES = re.compile(
    r"(?<![\w./-])(go (build|install|test|generate|mod)|cargo|rustc|c?make|ninja|meson|gcc|g\+\+|cc|c\+\+|clang(\+\+)?|"
    r"\./configure|npm|npx|yarn|pnpm|pip3?|poetry|uv|mvn|gradle|dotnet|bundle|composer|mix|cabal|stack|zig)(?![\w.-])"
)


class Advice(Struct, frozen=True):
    """An emulated vertex, and what can be done about its time.

    :ivar share: its part of the time of the whole run, 0 to 1.
    :ivar texts: one for each remedy; what stands between backticks is code.
    :ivar target: the name of its target; empty where the project has none.
    """

    platform: str
    name: str
    instruction: str
    seconds: float
    share: float
    texts: tuple[str, ...]
    target: str = ""


def advice_on(solves: Iterable[ReportedSolve], total: float) -> tuple[Advice, ...]:
    """Return advice on the slowest emulated vertices; of one that was retried, the slowest attempt counts.

    :param total: seconds of the whole run.
    """
    slowest: dict[tuple[str, str, str], Advice] = {}
    for target, vertex in ((solve.target, vertex) for solve in solves for vertex in solve.steps):
        if not vertex.emulated or vertex.cached or not vertex.started or not vertex.completed:
            continue
        seconds = vertex.completed - vertex.started
        known = slowest.get((target, vertex.target, vertex.name))
        if not known or known.seconds < seconds:
            share = min(seconds / total, 1.0) if total > 0 else 0.0
            words = vertex.platform, vertex.name, vertex.instruction
            advice = Advice(*words, seconds, share, _texts(vertex), target)
            slowest[target, vertex.target, vertex.name] = advice
    return tuple(sorted(slowest.values(), key=lambda advice: -advice.seconds)[:_MOST])


def _texts(vertex: ReportedVertex) -> tuple[str, ...]:
    texts = []
    if _COMPILES.search(vertex.instruction):
        texts.append(
            "This looks like compiling: do it without an emulator, in a stage that begins with "
            "`FROM --platform=$BUILDPLATFORM`, cross-compile there for `$TARGETARCH` (declare it with ARG), "
            "and copy the result from that stage."
        )
    texts.append(
        f"Build {vertex.platform} on a machine of its own kind: give it a native builder, "
        "`builder: ssh://…` in the platform's entry under `platforms`."
    )
    return tuple(texts)

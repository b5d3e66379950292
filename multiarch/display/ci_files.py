"""What came out of a step, in the files that CIs take it from: outputs and summary of a job.

GitHub ("Workflow commands": GITHUB_OUTPUT, GITHUB_STEP_SUMMARY); GitLab ("artifacts:reports:dotenv"), whose file the
setting ``dotenv`` names. They only tell: one that cannot be written changes nothing of the outcome.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.display.summary import summary_cells
from multiarch.formatting import clean_lines, is_clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multiarch.display.outcome import Outcome

# Characters that are themselves in Markdown wherever they stand (GitHub Flavored Markdown Spec, section 2.4).
_PLAIN = frozenset(" ,./:@")
_LARGEST = 5 << 10  # bytes of a dotenv report ("artifacts:reports:dotenv")


def write(outcome: Outcome, environ: Mapping[str, str], dotenv: str | None, say: Callable[[str], None]) -> None:
    """Write the outcome where the CI takes it from.

    :param dotenv: the file of GitLab's report; None for none.
    :param say: takes what cannot be written.
    """
    pushed = [result for result in outcome.results if "reference" in result and "digest" in result]
    references = [str(result["reference"]) for result in pushed]
    digests = dict.fromkeys(str(result["digest"]) for result in pushed)
    texts = {
        "GITHUB_OUTPUT": (environ.get("GITHUB_OUTPUT"), _outputs(references, [*digests]) if references else ""),
        "GITHUB_STEP_SUMMARY": (environ.get("GITHUB_STEP_SUMMARY"), _summary(outcome)),
        "dotenv": (dotenv, _dotenv(references, [*digests])),
    }
    for name, (file, text) in texts.items():
        if file:
            try:
                # What an earlier run left in it is not of this one, which has released nothing.
                is_stale = name == "dotenv" and not outcome.results and Path(file).is_file()
                if text or is_stale:
                    # GitHub's files are those of all that a step runs; GitLab's is this run's.
                    with open(file, "w" if name == "dotenv" else "a", encoding="utf-8", opener=_open) as stream:
                        stream.write(text)
            except (OSError, ValueError) as error:
                say(f"{name}: cannot write to {file}: {getattr(error, 'strerror', None) or error}")


def _open(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody reads from is an error, where it would hold the end of the run."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


def _outputs(references: Sequence[str], digests: Sequence[str]) -> str:
    """Return the outputs ``references``, and where all tags have one digest ``reference`` and ``digest``."""
    values = {"references": json.dumps(references)}
    if len(digests) == 1:
        values |= {"reference": references[0], "digest": digests[0]}
    return "".join(f"{name}={value}\n" for name, value in values.items() if is_clean(value))


def _dotenv(references: Sequence[str], digests: Sequence[str]) -> str:
    """Return the same as variables; a report of GitLab has no quotes, so that a comma stands between references."""
    values = {}
    if len(digests) == 1:
        values = {"RELEASED_DIGEST": digests[0], "RELEASED_REFERENCE": references[0]}
    lines = "".join(f"{name}={value}\n" for name, value in values.items() if is_clean(value))
    every = f"RELEASED_REFERENCES={','.join(references)}\n"
    return lines + every if references and len(lines) + len(every) <= _LARGEST else lines


def _summary(outcome: Outcome) -> str:
    """Return the outcome as Markdown: its error, what was published, and the table of the platforms.

    Empty where it has none of them.
    """
    references = [str(result["reference"]) for result in outcome.results if "reference" in result]
    if not (outcome.error or references or outcome.platforms):
        return ""
    lines = [f"### {_plain(outcome.step)}", ""]
    if outcome.error:
        lines += ["failed:", "", *(f"    {line}" for line in clean_lines(outcome.error)), ""]
    lines += [f"- {_plain(reference)}" for reference in references]
    if outcome.platforms:
        head, *rows = summary_cells(outcome.platforms, outcome.unbuilt)
        lines += ["", *(f"| {' | '.join(map(_plain, cells))} |" for cells in (head, ["-"] * len(head), *rows))]
        lines[-len(rows) - 1] = "|---" * len(head) + "|"
    return "\n".join(lines) + "\n\n"


def _plain(text: str) -> str:
    """Return text that is no markup, whatever it holds."""
    return "".join(c if c.isalnum() or c in _PLAIN else f"&#{ord(c)};" for c in text)

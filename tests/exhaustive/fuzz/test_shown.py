"""What is written, of any text: no control but the end of a line, and no command of a CI."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiarch.buildkit.output import Output
from multiarch.buildkit.status import Vertex
from multiarch.display.console import progress_for
from multiarch.display.live import LiveProgress
from multiarch.display.report import page
from multiarch.display.rows import Layout, Row
from multiarch.formatting import clean, is_clean, one_line, shell_line, without_commands
from tests.exhaustive.fuzz.limits import fuzz
from tests.unit.display.test_report import embedded
from tests.unit.legs import leg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.image.platform import Leg

ARM64, AMD64 = leg("arm64"), leg("amd64")
# seconds a case
LONGEST = 20.0
# What is hostile, in pieces that are put together in any order, and between any other text.
PIECES = [
    *("\x1b", "\x1b[", "\x1b]", "\x1b[31m", "\x1b]52;c;", "\x07", "\x1b\\", "\x9b", "\x9d", "\x9c", "\x1bP", "\x08"),
    *("\r", "\n", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\t", " ", "\xa0", "\u3000", "\0"),
    *("\u202e", "\u2066", "\u200e", "\u061c", "\u200b", "\u200d", "\ufeff", "\xad", "\ud800", "\U000e0041"),
    *("::", ":", "::error::", "::add-mask::", "##[", "##[error]", "##vso[", "##teamcity[", "#", "##", "[", "vso["),
    *("section_start:1:a", "section_end", "travis_fold:start", "travis_time", "m", "[0K", "a", "0", ";", "/", "'"),
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(st.characters(codec=None), max_size=5)), max_size=40).map(
    "".join
)
CIS = {
    "github": {"GITHUB_ACTIONS": "true"},
    "gitlab": {"GITLAB_CI": "true"},
    "travis": {"TRAVIS": "true"},
    "circleci": {"CIRCLECI": "true"},
    "azure": {"TF_BUILD": "True"},
    "teamcity": {"TEAMCITY_VERSION": "2024.1"},
    "other": {"CI": "1"},
}
# What the CIs look for (see `multiarch.formatting`); GitHub's "::" after all that .NET takes for a blank.
COMMANDS = re.compile(r"^\s*::|##\w*\[|section_(start|end):|travis_(fold|time):")


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """All examples of a test take seconds, so each of them takes less than five."""
    began = time.process_time()
    yield
    assert time.process_time() - began < 60


def is_shown_clean(text: str) -> bool:
    """Whether no character moves the cursor, is not seen or turns the direction of writing."""
    visible_formats = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
    hidden = ("Cc", "Cs", "Zl", "Zp", "Cf")
    return not any(unicodedata.category(letter) in hidden and letter not in visible_formats for letter in text)


@fuzz
@given(TEXTS)
def test_a_line_is_clean_whatever_it_was(text: str) -> None:
    """It is one line, and stays as it is when it is cleaned again."""
    line = clean(text)
    assert is_shown_clean(line), ascii(line)
    assert (line, True) == (clean(line), is_clean(line))
    assert " ".join(line.split()) == one_line(text)


@fuzz
@given(TEXTS, st.sampled_from(sorted(CIS)), st.sampled_from([(), (ARM64,), (ARM64, AMD64)]), st.booleans())
def test_no_line_of_a_log_is_a_command(text: str, ci: str, platforms: tuple[Leg, ...], column: bool) -> None:
    """Wherever it stands: a notice, a vertex, its output, its error, a section's title."""
    stream = io.StringIO()
    progress = progress_for(stream, CIS[ci], quiet=False)
    if column:
        progress.begin({ARM64: True, AMD64: False})
    progress.say(text, platforms)
    vertex = Vertex(name=text, instruction=text, started=1.0, completed=2.0, error=text)
    progress.changed(vertex, platforms or (ARM64,))
    progress.said(vertex, text, platforms or (ARM64,))
    progress.retrying(text, platforms)
    progress.end()
    lines = stream.getvalue().split("\n")
    assert "" == lines.pop()
    assert [] == [line for line in lines if COMMANDS.search(line) or not is_shown_clean(line)]


@fuzz
@given(TEXTS)
def test_a_title_adds_nothing_to_the_mark_of_its_section(text: str) -> None:
    """Of the line that begins a section, all that a CI reads is ours."""
    for variables in CIS.values():
        streams = io.StringIO(), io.StringIO()
        for stream, title in zip(streams, (text, "title"), strict=True):
            with progress_for(stream, variables, quiet=False).section(title):
                pass
        hostile, plain = (stream.getvalue() for stream in streams)
        for mark in ("\x1b", "\r", "\n", "section_start:", "section_end:", "travis_fold:"):
            assert plain.count(mark) == hostile.count(mark), ascii(hostile)
        assert [] == re.findall(r"##\w*\[", hostile)


@fuzz
@given(TEXTS)
def test_a_line_break_begins_no_line_of_ours(text: str) -> None:
    """All lines but the first stand behind a column or a blank."""
    stream = io.StringIO()
    progress_for(stream, {}, quiet=False).say(f"-{text}")
    first, *others = stream.getvalue().removesuffix("\n").split("\n")
    assert (True, []) == (first.startswith("-"), [line for line in others if not line.startswith("  ")])


@fuzz
@given(TEXTS)
def test_harmless_words_of_a_command_stay(text: str) -> None:
    """Only blanks are added, so that a person reads what was there."""
    line = clean(text)
    assert line.replace(" ", "") == without_commands(line).replace(" ", "")


@fuzz
@given(TEXTS, TEXTS, st.integers(1, 200))
def test_a_row_is_one_line_of_its_width(name: str, output: str, width: int) -> None:
    """On a terminal of any width."""
    row = Row(leg("arm64", "app"), emulated=True)
    row.changed(Vertex(name=name, instruction=name, number=1, total=2, started=1.0, log=Output([output])))
    drawn = row.draw(Layout.of([row], width))
    assert is_shown_clean(drawn.plain.removesuffix("\n"))
    assert drawn.cell_len <= width


@settings(fuzz, max_examples=max(fuzz.max_examples // 10, 200))
@given(TEXTS)
def test_a_terminal_gets_no_code_but_ours(text: str) -> None:
    """The codes of rich are colours, movements of the cursor and erasures of lines."""
    stream = io.StringIO()
    progress = LiveProgress(stream)
    progress.say(text)
    progress.begin({ARM64: True})
    progress.changed(Vertex(name=text, instruction=text, started=1.0, log=Output([text])), [ARM64])
    progress.say(text, [ARM64])
    progress.end()
    plain = re.sub(r"\x1b\[(?:[\d;]*m|\d*A|2K|\?(?:25|2026)[hl])|\r", "", stream.getvalue())
    assert is_shown_clean(plain.replace("\n", "")), ascii(plain)


@fuzz
@given(TEXTS)
def test_a_page_holds_clean_texts(text: str) -> None:
    """A browser shows controls of writing too."""
    data = embedded(page({"name": text, "log": [text, {"deep": text}]}))
    for shown in (data["name"], data["log"][0], data["log"][1]["deep"]):
        assert all(map(is_shown_clean, shown.split("\n")))
    assert 2 == page({"name": text}).count("</script>")


@settings(fuzz, max_examples=max(fuzz.max_examples // 10, 200))
@given(st.lists(TEXTS.map(lambda text: text.replace("\0", "").replace("\ud800", "")), min_size=1, max_size=3))
def test_a_command_is_one_line_that_means_the_same(words: list[str]) -> None:
    """What --dry prints for a shell: bash reads back each word."""
    words = [word.encode(errors="ignore").decode() for word in words]
    line = shell_line(words)
    assert is_clean(line), ascii(line)
    script = f"for word in {line}; do printf '%s\\0' \"$word\"; done"
    read = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert words == read.decode().split("\0")[:-1]


def test_memory_stays_small() -> None:
    """Texts of many megabytes are cut before anything is done with them."""
    program = (
        "import io, pathlib, re\n"
        "from multiarch.display.progress import Progress\n"
        "for text in ('a' * 64_000_000, '\\x1b[' * 16_000_000, '\\r' * 16_000_000, ' ' * 32_000_000):\n"
        "    Progress(io.StringIO()).say(text)\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', pathlib.Path('/proc/self/status').read_text())[1])\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert int(result.stdout) < 300_000

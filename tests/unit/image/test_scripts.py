"""What shell scripts start: as a shell would run them, with what depends on a condition apart."""

from __future__ import annotations

from typing import Any

import pytest

from multiarch.image.shell_syntax import parse_script
from tests.unit.images import AMD64, ARM64, Files, entrypoint, programs_of

FILES: Files = {
    **dict.fromkeys(("bin/sh", "bin/busybox", "usr/bin/env", "bin/tini", "bin/mkdir"), ARM64),
    **dict.fromkeys(("app/server", "app/other", "usr/bin/server"), AMD64),
}


def started(script: str, *arguments: str, **config: Any) -> list[str]:
    """Return what a script starts but for its shell: possible programs with a question mark, notes in brackets."""
    files: Files = {**FILES, "run": b"#!/bin/sh\n" + script.encode()}
    programs = programs_of({**entrypoint("/run", *arguments), **config}, files)
    return [
        f"[{program.note}]" if program.note else program.path + ("" if program.is_certain else "?")
        for program in programs
        if program.note or program.path not in ("/bin/sh", "/bin/tini", "/usr/bin/env")
    ]


CERTAIN = {
    "plain": "/app/server",
    "with arguments": "/app/server --port 80 'a b'",
    "quoted": "\"/app/server\" '$x'",
    "assignment before": "A=b C='d e' /app/server",
    "variable": "APP=/app/server\n$APP",
    "variable in a path": "DIR=/app; exec ${DIR}/server",
    "default of a variable": "exec ${APP:-/app/server}",
    "exported": "export APP=/app/server\nexec $APP",
    "exec": "exec /app/server",
    "exec with options": "exec -a name /app/server",
    "command": "command /app/server",
    "cd": "cd /app\n./server",
    "cd and": "cd /app && ./server",
    "PATH": "PATH=/app:$PATH\nexport PATH\nserver",
    "subshell": "(cd /app; ./server)",
    "group": "{ /app/server; }",
    "background": "/app/server &\nwait",
    "pipe": "/app/server 2>&1 | cat >/dev/null || true",
    "negated": "! /app/server",
    "redirections": "/app/server >/log 2>&1 </dev/null",
    "redirection before": ">/log /app/server",
    "continuation": "/app/server \\\n  --port 80",
    "comment": "# /app/other\n/app/server # /app/other",
    "here-document": "cat <<EOF\n/app/other\nEOF\n/app/server",
    "indented here-document": "cat <<-'EOF' >/x\n\t/app/other\n\tEOF\n/app/server",
    "set options": "set -eux -o pipefail\n/app/server",
    "set parameters": 'set -- /app/server --x\nexec "$@"',
    "shift": 'set -- a b /app/server\nshift 2\nexec "$@"',
    "first parameter": 'set -- /app/server; exec "$1"',
    "eval": "eval '/app/server --x'",
    "function": "main() { /app/server; }\nmain",
    "function of bash": 'function main {\n  "$@"\n}\nmain /app/server',
    "endless loop": "while true; do /app/server; sleep 1; done",
    "substitution": "x=$(/app/server)",
    "backquotes": "echo `/app/server`",
    "condition": "if /app/server; then :; fi",
    "through env": "exec env A=b /app/server",
    "through tini and sh": "exec tini -- sh -c 'exec /app/server'",
    "end": "exec /app/server\n/app/other",
    "exit": "/app/server\nexit 0\n/app/other",
    "error behind": "exec /app/server\nif then",
    "directory of the script": 'cd "$(dirname "$0")"; app/server',
}


@pytest.mark.parametrize("case", CERTAIN)
def test_program_that_is_started_in_any_case_is_found(case: str) -> None:
    """However the script is written."""
    assert ["/app/server"] == [item for item in started(CERTAIN[case]) if not item.startswith("[")]


POSSIBLE = {
    "if": "if [ -f /x ]; then /app/server; fi",
    "else": "if [ -f /x ]; then :; else /app/server; fi",
    "elif": "if a; then :; elif b; then /app/server; fi",
    "case": 'case "$1" in\n  a|b) /app/server ;;\n  (*) : ;;\nesac',
    "or": "true || /app/server",
    "and behind a test": "[ -f /x ] && /app/server",
    "and behind a test of bash": "[[ -f /x && $1 == a* ]] && /app/server",
    "loop": "while read x; do /app/server; done",
    "loop over words": "for x in a b; do /app/server; done",
    "arithmetic loop": "for ((i=0; i<3; i++)); do /app/server; done",
    "function under a condition": "main() { /app/server; }\n[ -f /x ] && main",
    "PATH under a condition": "if [ -d /app ]; then PATH=/app:$PATH; fi\nexec server",
}


@pytest.mark.parametrize("case", POSSIBLE)
def test_program_under_a_condition_is_possible(case: str) -> None:
    """Whether it is met is known only when the script runs."""
    expected = "/usr/bin/server?" if "PATH" in case else "/app/server?"
    assert [expected] == [item for item in started(POSSIBLE[case]) if not item.startswith("[")]


@pytest.mark.parametrize(
    ("script", "note"),
    [
        ("exec $APP", "[/run starts exec with what is known only when it runs]"),
        ("$APP --x", "[/run starts $APP, which is known only when it runs]"),
        ("$(find-it) --x", "[/run starts $(find-it), which is known only when it runs]"),
        ('eval "$X"', "[/run runs by eval what is known only when it runs]"),
        (". /settings", "[/run reads in /settings, which is not followed]"),
        ("cd $X; ./server", "[./server, which /run starts,: its directory is known only when it runs]"),
        ("if then", "[/run is not followed to its end: a misplaced ';' in line 2]"),
        ("echo 'x", "[/run is not followed to its end: a quote is not closed]"),
        ("/nothing", "[/nothing, which /run starts, is not in its layers]"),
        ("exec sh $SCRIPT", "[/bin/sh runs a script that is known only when it runs]"),
        ("exec tini $OPTIONS server", "[/bin/tini starts what is known only when it runs]"),
    ],
)
def test_what_is_known_only_when_it_runs_is_noted(script: str, note: str) -> None:
    """By its name."""
    assert note in started(script) or note.startswith("[/run is not followed"), started(script)
    if note.startswith("[/run is not followed"):
        assert any(item.startswith("[/run is not followed to its end: ") for item in started(script))


def test_arguments_of_the_image_are_the_scripts() -> None:
    """Entrypoints of official images end so."""
    assert ["/app/server"] == started('exec "$@"', "/app/server")
    assert ["/app/server"] == started('set -e\nexec "$@"\n', Cmd=["/app/server", "--x"])
    changed = 'if [ "${1#-}" != "$1" ]; then\n  set -- /app/other "$@"\nfi\nexec "$@"'
    assert ["/app/server?", "/app/other?"] == started(changed, "/app/server")


def test_scripts_that_call_each_other_end() -> None:
    """As do those that call themselves."""
    assert [] == started('exec "$0" "$@"')
    assert [] == started("f() { f; f; }\nf")
    assert 1 == len(programs_of(entrypoint("/run"), {**FILES, "run": b"#!/bin/sh\n/run a\n/run b\n"}))


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "$(" * 5000,
        "${a:-" * 5000,
        "`" * 4999,
        "if x; then " * 5000,
        "a && " * 5000,
        "f() " * 5000,
        "case x in " * 3000,
        '"' + "$x" * 10000,
    ],
    ids=lambda text: text[:6],
)
def test_hostile_scripts_are_faults(text: str) -> None:
    """Of one line, in a moment."""
    fault = parse_script(text).fault
    assert (True, 1) == (bool(fault), len(fault.splitlines()))


@pytest.mark.parametrize(
    ("expected", "script"),
    [
        ("/app/server", "f() { return; /app/other; }\nf\n/app/server"),
        ("/app/server", "f() { (return); /app/server; exit; }\nf\n/app/other"),
        ("/app/server?", "trap stop EXIT\nstop() { /app/server; }"),
        ("/app/server?", "trap '/app/server --x' TERM\nexit"),
        ("[/run runs by trap what is known only when it runs]", "trap $STOP EXIT"),
        ("[/bin/sh, which /run starts, runs its standard input, which is not followed]", "sh <<EOF\n/app/server\nEOF"),
        ("[/bin/sh, which /run starts, runs its standard input, which is not followed]", "echo /app/server | sh -e"),
    ],
)
def test_what_runs_later_or_from_elsewhere_is_not_passed_over(expected: str, script: str) -> None:
    """Behind a function that returns, at a signal or the end, and from standard input."""
    assert [expected] == started(script)


def test_functions_that_are_nested_too_deeply_are_noted() -> None:
    """One that calls itself starts nothing new, and is no note."""
    chain = "".join(f"f{number}() {{ f{number + 1}; }}\n" for number in range(20))
    expected = "[/run calls functions that are nested too deeply to be followed]"
    assert [expected] == started(f"{chain}f20() {{ /app/server; }}\nf0")
    assert [] == started("f() { f; }\nf")


def test_words_that_double_have_an_end() -> None:
    """They would fill the memory; what is behind them is not known."""
    assert ["/app/server"] == started("set -- a\n" + 'set -- "$@" "$@"\n' * 60 + "/app/server")
    expected = "[/run starts exec with what is known only when it runs]"
    doubled = "set -- a\n" + 'set -- "$@" "$@"\n' * 12 + 'set -- "$@" /app/server\nshift 4096\n'
    assert [expected] == started(f'{doubled}exec "$@"')


def test_text_that_is_read_again_and_again_has_an_end() -> None:
    """Each eval of a large text takes its time."""
    script = "A=:\\ \n" + 'A="$A$A"\n' * 14 + 'eval "$A"\n' * 20 + "/app/server"
    assert ["[/run reads more than 262144 characters, not followed on]", "/app/server"] == started(script)

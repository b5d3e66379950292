"""Commands that shells run themselves (POSIX.1-2024, XCU 2.15; bash, dash and busybox)."""

from __future__ import annotations

# Commands that the shells run themselves, of which nothing more is to be known.
BUILTINS = frozenset(
    (
        *(":", "[", "[[", "alias", "autoload", "bg", "bind", "break", "caller", "compgen", "complete", "continue"),
        *(
            "dirs",
            "disown",
            "echo",
            "enable",
            "false",
            "fc",
            "fg",
            "getopts",
            "hash",
            "help",
            "history",
            "jobs",
            "kill",
        ),
        *(
            "let",
            "logout",
            "mapfile",
            "popd",
            "print",
            "printf",
            "pushd",
            "pwd",
            "read",
            "readarray",
            "setopt",
            "shopt",
        ),
        *(
            "suspend",
            "test",
            "times",
            "trap",
            "true",
            "type",
            "ulimit",
            "umask",
            "unalias",
            "unsetopt",
            "wait",
            "whence",
        ),
    )
)
# Commands that are run for their status.
TESTS = frozenset(
    (
        *(
            ":",
            "[",
            "[[",
            "cmp",
            "diff",
            "egrep",
            "false",
            "fgrep",
            "getent",
            "grep",
            "hash",
            "id",
            "mountpoint",
            "pgrep",
        ),
        *("test", "type", "which"),
    )
)
# The commands that change the shell itself.
SETTERS = ("cd", "declare", "export", "local", "readonly", "set", "shift", "typeset", "unset")

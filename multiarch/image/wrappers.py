"""Programs that start the one behind their own arguments: inits, switches of users, limits and priorities.

Each row has what its manual page says of its options; the ones that have a value of their own matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

# Words of a command; None is one that is known only when the image runs.
Words: TypeAlias = "tuple[str | None, ...]"


class Wrapper(Struct, frozen=True):
    """A program that starts another one.

    :ivar values: its options that have a value in the word behind them: letters, and long ones with their dashes.
    :ivar operands: the number of its own words before the command.
    :ivar only_behind_dashes: whether the command stands behind ``--`` alone.
    """

    values: str = ""
    operands: int = 0
    only_behind_dashes: bool = False

    def command(self, words: Words) -> Words:
        """Return the command that it starts; no words where it starts none."""
        if self.only_behind_dashes:
            return words[words.index("--") + 1 :] if "--" in words else ()
        return words[1 + _options(words[1:], self.values.split()) + self.operands :]


def _options(words: Words, values: list[str]) -> int:
    """Return the number of words that are options, their values, and the dashes that end them."""
    count = 0
    while count < len(words) and (word := words[count]) and word.startswith("-") and word != "-":
        count += 1
        if word == "--":
            break
        is_long = word.startswith("--") or word in values
        letters = [] if is_long else [letter for letter in word[1:] if letter in values]
        # A letter's value is what is behind it in its word, or the next word.
        if word in values or (letters and word.endswith(letters[0])):
            count += 1
    return min(count, len(words))


_TINI = Wrapper("p e")
_SETPRIV = (
    "--ambient-caps --apparmor-profile --bounding-set --egid --euid --groups --inh-caps --landlock-access"
    " --landlock-rule --pdeathsig --ptracer --regid --reuid --rgid --ruid --seccomp-filter --securebits --selinux-label"
)
_SUDO = "C D R T U a c g h p r t u --chdir --chroot --group --host --prompt --role --type --user"
_TAKES_USER = Wrapper(operands=1)
_BEHIND_DASHES = Wrapper(only_behind_dashes=True)
_WRAPPERS: Mapping[str, Wrapper] = {
    "catatonit": Wrapper(),
    "chpst": Wrapper("/ C F L M P b c d e f l m n o p r t u"),
    "chrt": Wrapper("D P T --sched-deadline --sched-period --sched-runtime", operands=1),
    "doas": Wrapper("C a u"),
    "docker-init": _TINI,
    "dockerize": Wrapper(
        "-delims -env -no-overwrite -stderr -stdout -template -timeout -wait -wait-http-header -wait-retry-interval"
    ),
    "dumb-init": Wrapper("r --rewrite"),
    "gosu": _TAKES_USER,
    "ionice": Wrapper("c n p u --class --classdata"),
    "ltrace": Wrapper("S a e l n o s u x"),
    "nice": Wrapper("n --adjustment"),
    "nohup": Wrapper(),
    "numactl": Wrapper("C N P i m p --cpunodebind --interleave --membind --physcpubind --preferred"),
    "prlimit": Wrapper("o p --output --pid"),
    "runuser": Wrapper("G g u w --group --supp-group --user --whitelist-environment"),
    "s6-setuidgid": _TAKES_USER,
    "setarch": Wrapper(operands=1),
    "setpriv": Wrapper(_SETPRIV),
    "setsid": Wrapper(),
    "setuidgid": _TAKES_USER,
    "stdbuf": Wrapper("e i o --error --input --output"),
    "strace": Wrapper("E I O P S a b e o p s u"),
    "su-exec": _TAKES_USER,
    "sudo": Wrapper(_SUDO),
    "taskset": Wrapper(operands=1),
    "time": Wrapper("f o --format --output"),
    "timeout": Wrapper("k s --kill-after --signal", operands=1),
    "tini": _TINI,
    "tini-static": _TINI,
    "wait-for": _BEHIND_DASHES,
    "wait-for-it": _BEHIND_DASHES,
    "with-contenv": Wrapper(),
    "xvfb-run": Wrapper("e f n p s w --auth-file --error-file --server-args --server-num --wait --xauth-protocol"),
}
# Dynamic loaders that are started with the program behind them (ld.so(8)), by the beginnings of their names.
_LOADERS = ("ld-linux", "ld-musl-", "ld.so", "ld64.so", "ld-")
_LOADER = Wrapper("--argv0 --audit --glibc-hwcaps-mask --glibc-hwcaps-prepend --inhibit-rpath --library-path --preload")
# Programs that start others as their own configuration says, which is not read.
SUPERVISORS = ("circusd", "crond", "monit", "pm2-runtime", "runsvdir", "s6-svscan", "supervisord", "systemd")
# The shells that begin as POSIX's does, and what these are called in one binary of many programs.
SHELLS = ("ash", "bash", "dash", "hush", "ksh", "lksh", "mksh", "rbash", "sh", "yash", "zsh")
MULTICALL = ("busybox", "busybox.static", "toybox")


def wrapper_of(name: str) -> Wrapper | None:
    """Return the wrapper of that name, None where none is known."""
    if wrapper := _WRAPPERS.get(name.removesuffix(".sh")):
        return wrapper
    if name.startswith("tini-"):  # its releases are called so, with an architecture
        return _TINI
    return _LOADER if name.startswith(_LOADERS) and (".so" in name or "musl" in name) else None


def shell_arguments(words: Words) -> tuple[str, Words]:
    """Return the letters of a shell's options, and its operands (POSIX, sh; bash, "Invoking Bash")."""
    rest, flags = [*words[1:]], ""
    while rest and (word := rest[0]) and word[0] in "-+" and len(word) > 1:
        rest.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            flags += "l" if word == "--login" else ""
            has_value = word in ("--rcfile", "--init-file")
        else:
            flags += word[1:] if word[0] == "-" else ""
            has_value = word[-1] in "oO"
        if has_value and rest:
            rest.pop(0)
    return flags, tuple(rest)


class Environment(Struct, frozen=True):
    """What a program is started in.

    :ivar directory: its working directory; None where that is not known.
    :ivar variables: a value is None where it is known only when the image runs.
    :ivar is_doubtful: whether PATH or the working directory may be others.
    """

    directory: str | None
    variables: Mapping[str, str | None]
    is_doubtful: bool = False


# Where the C library searches without a PATH (execvp(3)).
_PATH_WITHOUT_VARIABLE = "/bin:/usr/bin"
_ENV_VALUES = ["C", "S", "a", "u", "--argv0", "--chdir", "--split-string", "--unset"]


def command_of_env(words: Words, environment: Environment) -> tuple[Words, Environment]:
    """Return the command that ``env`` starts, and its environment (coreutils, env invocation)."""
    rest, variables, directory = list(words[1:]), dict(environment.variables), environment.directory
    while rest and (word := rest[0]):
        option = rest.pop(0) or ""
        name, equals, value = word.partition("=")
        if word == "--":
            break
        if word.startswith("-S") or name in ("--split-string",):
            text = word[2:] if word.startswith("-S") and len(word) > 2 else value if equals else _pop(rest)
            rest[:0] = split(text or "")
        elif word in ("-i", "-", "--ignore-environment"):
            variables = {"PATH": _PATH_WITHOUT_VARIABLE}
        elif word in ("-C", "--chdir") or name == "--chdir":
            given = value if equals else _pop(rest)
            directory = None if given is None or directory is None else _joined(directory, given)
        elif word.startswith("-"):
            if word in ("-u", "-a", "--unset", "--argv0"):
                _pop(rest)
        elif equals and name:
            variables[name] = value
        else:
            rest.insert(0, option)
            break
    while rest and (word := rest[0]) and "=" in word[1:]:
        name, _, variables[name] = word.partition("=")
        rest.pop(0)
    return tuple(rest), replace(environment, directory=directory, variables=variables)


def _pop(words: list[str | None]) -> str | None:
    return words.pop(0) if words else None


def _joined(directory: str, path: str) -> str:
    return path if path.startswith("/") else f"{directory.rstrip('/')}/{path}"


def split(text: str) -> list[str | None]:
    """Return the words of ``env -S``, which are those of a shell without expansions but for ``${NAME}``."""
    import shlex

    try:
        return [None if "${" in word else word for word in shlex.split(text)]
    except ValueError:
        return [None]

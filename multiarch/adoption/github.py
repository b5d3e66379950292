"""Workflows of GitHub Actions that build images: docker/build-push-action, docker/metadata-action, and scripts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from multiarch.adoption import builds, metadata_action
from multiarch.adoption.builds import Text
from multiarch.adoption.findings import Doubt, Draft, Evidence, Finding, FoundImage
from multiarch.adoption.script_commands import Recipe
from multiarch.adoption.source_files import UnreadableError, line_of, mapping, source_text, source_yaml
from multiarch.adoption.travis import is_block, script_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FOLDER = ".github/workflows"
_MOST_FILES = 100
# Others are not parsed.
_ABOUT_IMAGES = re.compile(r"docker/|buildctl|docker manifest|oci-worker|\.sh\b")
_EXPRESSION = re.compile(r"\$\{\{([^{}]{0,500})\}\}")
_OUTPUT = re.compile(r"\$\{\{\s*steps\.([\w-]+)\.outputs\.(tags|labels)\s*\}\}")
_ROOT = "{{defaultContext}}"
_BUILD, _META, _BAKE = "docker/build-push-action", "docker/metadata-action", "docker/bake-action"
# Inputs that say nothing of what the image is, or are read elsewhere.
_TAKEN = {"context", "file", "platforms", "target", "build-args", "tags", "labels", "push", "secrets", "build-contexts"}
_TAKEN |= {"pull", "no-cache", "load", "builder", "github-token", "outputs"}


def read(directory: Path) -> Evidence:
    """Return what the workflows of a directory say together."""
    folder = directory / _FOLDER
    names = sorted(path.name for path in folder.glob("*.y*ml") if path.is_file()) if folder.is_dir() else []
    images: list[FoundImage] = []
    doubts: list[Doubt] = []
    for name in names[:_MOST_FILES]:
        file = f"{_FOLDER}/{name}"
        try:
            text = source_text(directory, file)
            if text is not None and _ABOUT_IMAGES.search(text):
                images += _images(directory, file, source_yaml(text, file))
        except UnreadableError as error:
            doubts += error.evidence.doubts
    return Evidence(images=tuple(_named(_joined(images))), doubts=tuple(doubts))


@dataclass(frozen=True)
class _Step:
    """Step of a job. :ivar action: its name, without the version. :ivar line: its first."""

    action: str
    inputs: Any
    line: int
    environ: Mapping[str, str]

    def text(self, name: str) -> Text | None:
        """Return an input as text, with the variables of ``env`` that are literal."""
        value = self.inputs.get(name)
        if value is None:
            return None
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        block = isinstance(value, str) and is_block(value)
        return Text(_filled(text, self.environ), line_of(self.inputs, name, self.line) + block)

    def lines(self, name: str, *, by_comma: bool = False) -> list[Text]:
        """Return the lines of an input; those of a list in one line too."""
        text = self.text(name)
        if text is None:
            return []
        found = [Text(line.strip(), text.line + number) for number, line in enumerate(text.text.split("\n"))]
        if by_comma:
            found = [Text(part.strip(), item.line) for item in found for part in item.text.split(",")]
        return [item for item in found if item.text and not item.text.startswith("#")]


def _images(directory: Path, file: str, data: Any) -> list[FoundImage]:
    """Return what each step of a workflow says that builds an image, and what its scripts say together."""
    images: list[FoundImage] = []
    recipe = Recipe(directory, file)
    top = _environ(data, {})
    for name, job in mapping(data, "jobs").items():
        if not isinstance(job, dict) or not isinstance(job.get("steps"), list):
            continue
        environ = _environ(job, top)
        metas: dict[str, _Step] = {}
        first = line_of(data["jobs"], name, 0)
        for index, item in enumerate(job["steps"]):
            if not isinstance(item, dict):
                continue
            line = line_of(item, "uses", line_of(job["steps"], index, first))
            step = _Step(str(item.get("uses", "")).partition("@")[0], mapping(item, "with"), line, environ)
            own = _environ(item, environ)
            scripts = [_script(text, own) for text in script_lines(item, "run")]
            is_elsewhere = "working-directory" in item or "defaults" in job or "defaults" in data
            recipe.run(scripts, own, is_conditional="if" in item or "if" in job, is_elsewhere=is_elsewhere)
            if step.action == _META:
                metas[str(item.get("id", ""))] = step
            elif step.action == _BUILD and _pushes(step):
                images.append(_built(str(name), file, step, metas))
            elif step.action == _BAKE and len(metas) == 1:
                draft = Draft(str(name), file, is_built=False)
                _put_metadata(draft, next(iter(metas.values())))
                images.append(draft.image())
    if (image := recipe.image()) is not None:
        images.append(image)
    return images


def _environ(node: Any, outer: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of ``env`` that are literal."""
    found = dict(outer)
    for name, value in mapping(node, "env").items():
        text = _filled(str(value), found)
        found.pop(str(name), None)
        if isinstance(value, str) and not _EXPRESSION.search(text):
            found[str(name)] = text
    return found


def _filled(text: str, environ: Mapping[str, str]) -> str:
    """Return a text with the values of literal variables; other expressions stay."""

    def value(match: re.Match[str]) -> str:
        name = match[1].strip()
        return environ.get(name.removeprefix("env."), match[0]) if name.startswith("env.") else match[0]

    return _EXPRESSION.sub(value, text)


def _script(script: Text, environ: Mapping[str, str]) -> Text:
    """Return a script in which what GitHub fills in is a variable that is not sure."""
    return Text(_EXPRESSION.sub("$_", _filled(script.text, environ)), script.line)


def _pushes(step: _Step) -> bool:
    """Whether a build is published, at times: one that is not is a test."""
    push, outputs = step.text("push"), step.text("outputs")
    return bool((push and push.text != "false") or (outputs and "push=true" in outputs.text))


def _built(name: str, file: str, step: _Step, metas: Mapping[str, _Step]) -> FoundImage:
    """Return what a step of build-push-action says."""
    draft = Draft(name, file)
    tags = step.lines("tags", by_comma=True)
    if len(tags) == 1 and (output := _OUTPUT.fullmatch(tags[0].text)) and output[1] in metas:
        _put_metadata(draft, metas[output[1]])
    elif tags and _are_sure(draft, "tags", tags):
        builds.put_references(draft, tags)
    platforms = step.lines("platforms", by_comma=True)
    if _are_sure(draft, "platforms", platforms):
        builds.put_platforms(draft, platforms)
    _put_paths(draft, step)
    if (stage := step.text("target")) and _are_sure(draft, "target", [stage]):
        draft.put("target", stage.text, stage.line)
    for key, setting in {"build-args": "build_args", "labels": "labels", "build-contexts": "contexts"}.items():
        pairs = _pairs(draft, setting, step.lines(key))
        (builds.put_contexts if setting == "contexts" else _put_pairs(setting))(draft, pairs)
    for key, setting in {"pull": "pull", "no-cache": "no_cache"}.items():
        if flag := step.text(key):
            builds.put_flag(draft, setting, flag.text, flag.line)
    if secrets := step.text("secrets"):
        draft.doubt("secrets", "they are secrets of GitHub; write env:NAME for each", secrets.line)
    for key in step.inputs:
        if key not in _TAKEN:
            draft.doubt(str(key), "it is not taken", line_of(step.inputs, key, step.line))
    return draft.image()


def _put_pairs(setting: str) -> Any:
    return lambda draft, pairs: builds.put_pairs(draft, setting, pairs)


def _put_paths(draft: Draft, step: _Step) -> None:
    """Set ``context`` and ``dockerfile``, whose path is from the root of the repository."""
    context, file = step.text("context"), step.text("file")
    if context and context.text.startswith(_ROOT):
        context = Text(context.text.removeprefix(_ROOT).removeprefix(":") or ".", context.line)
    if not _are_sure(draft, "context", [context] if context else []):
        draft.is_built = False
        return
    builds.put_context(draft, context, None)
    if not _are_sure(draft, "dockerfile", [file] if file else []):
        draft.is_built = False
    elif file:
        builds.put_dockerfile(draft, file)


def _are_sure(draft: Draft, setting: str, texts: list[Text]) -> bool:
    """Whether texts have no expression; note a doubt otherwise."""
    for item in texts:
        if "${{" in item.text:
            draft.doubt(setting, f"{item.text} is known only while the workflow runs", item.line)
            return False
    return True


def _pairs(draft: Draft, setting: str, lines: list[Text]) -> dict[str, Text]:
    found = {}
    for item in lines:
        name, equals, value = item.text.partition("=")
        if _OUTPUT.fullmatch(item.text):
            draft.doubt(setting, "of metadata-action only commit and repository are set, in a CI", item.line)
        elif not equals or "${{" in item.text:
            draft.doubt(f"{setting}.{name}", "its value is known only while the workflow runs", item.line)
        else:
            found[name] = Text(value, item.line)
    return found


def _put_metadata(draft: Draft, step: _Step) -> None:
    """Set ``image`` and ``tags`` from a step of metadata-action."""
    draft_images: list[Text] = []
    images = step.lines("images")
    if not _are_sure(draft, "image", images):
        images = []
    for item in images:
        parts = [part.strip() for part in item.text.split(",")]
        if any(part.startswith("enable=") and part != "enable=true" for part in parts):
            draft.doubt("image", f"{item.text} is not for every build", item.line)
            draft_images = []
            break
        names = [part.removeprefix("name=") for part in parts if not part.startswith("enable=")]
        if len(names) > 1:
            draft.doubt("image", f"{item.text} is several names in one line", item.line)
            draft_images = []
            break
        draft_images += [Text(name, item.line) for name in names if name]
    if draft_images:
        builds.put_references(draft, draft_images)
        draft.findings.pop("tags", None)
    found, problems = metadata_action.templates(step.lines("tags"), step.lines("flavor"), step.line)
    for problem in problems:
        draft.doubt("tags", problem.reason, problem.line)
    if found:
        draft.put("tags", [item.text for item in found], found[0].line)


def _joined(images: list[FoundImage]) -> list[FoundImage]:
    """Return the images, each once: of those that are built alike, what differs is in doubt."""
    groups: dict[tuple[Any, ...], list[FoundImage]] = {}
    for image in images:
        key = (image.is_built, *(image.value(setting) for setting in ("context", "dockerfile", "target")))
        groups.setdefault(key, []).append(image)
    return [_agreed(group) for group in groups.values()]


def _agreed(images: list[FoundImage]) -> FoundImage:
    findings: dict[str, Finding] = {}
    doubts = dict.fromkeys(doubt for image in images for doubt in image.doubts)
    for setting in dict.fromkeys(name for image in images for name in image.findings):
        first, *others = [image.findings[setting] for image in images if setting in image.findings]
        other = next((one.place for one in others if one.value != first.value), None)
        if other is None:
            findings[setting] = first
        else:
            doubts[Doubt(setting, f"{other} says otherwise", first.place)] = None
    return replace(images[0], findings=findings, doubts=tuple(doubts))


def _named(images: list[FoundImage]) -> list[FoundImage]:
    """Return images with names of their own: the last word of the repository, else that of the job."""
    names = []
    for image in images:
        reference = image.value("image")
        first = reference[0] if isinstance(reference, list) else reference or ""
        names.append(str(first).rpartition("/")[2] or image.name)
    names = [name if names.count(name) == 1 else image.name for name, image in zip(names, images, strict=True)]
    return [replace(image, name=name) for name, image in zip(names, images, strict=True)]

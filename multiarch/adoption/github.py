"""Workflows of GitHub Actions that build images: docker/build-push-action, docker/metadata-action, and scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multiarch.adoption import builds, metadata_action
from multiarch.adoption.builds import Text
from multiarch.adoption.findings import Doubt, Draft, Evidence, FoundImage, Place
from multiarch.adoption.script_commands import Recipe
from multiarch.adoption.source_files import UnreadableError, line_of, mapping, source_text, source_yaml
from multiarch.adoption.travis import is_block, script_lines
from multiarch.adoption.workflow_images import joined, named
from multiarch.formatting import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FOLDER = ".github/workflows"
_MOST_FILES = 100
# Others are not parsed.
_ABOUT_IMAGES = re.compile(r"docker/|buildctl|docker manifest|docker buildx|oci-worker|\.sh\b")
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
                images += _images(directory, file, source_yaml(text, file), doubts)
        except UnreadableError as error:
            doubts += error.evidence.doubts
    return Evidence(images=tuple(named(joined(images))), doubts=tuple(doubts))


class _Step(Struct, frozen=True):
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


def _images(directory: Path, file: str, data: Any, doubts: list[Doubt]) -> list[FoundImage]:
    """Return what each step of a workflow says that builds an image, and what its scripts say together.

    :param doubts: takes those that are about no image in particular.
    """
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
            elif step.action == _BAKE:
                if len(metas) == 1:
                    draft = Draft(str(name), file, is_built=False)
                    _put_metadata(draft, next(iter(metas.values())))
                    images.append(draft.image())
                if targets := step.text("targets"):
                    reason = f"it releases bake's {one_line(targets.text, 100)}; here the group default is taken"
                    doubts.append(Doubt("", reason, Place(file, targets.line)))
    if (image := recipe.image()) is not None:
        images.append(image)
    doubts += recipe.doubts
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
    _put_outputs(draft, step, is_named=bool(tags))
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


def _put_outputs(draft: Draft, step: _Step, *, is_named: bool) -> None:
    """Set ``image`` from an output, where no tags name it; note what else it says."""
    outputs = step.lines("outputs")
    if not outputs or not _are_sure(draft, "outputs", outputs[:1]):
        return
    first = outputs[0]
    if len(outputs) > 1 or '"' in first.text:
        draft.doubt("outputs", "of several, or in quotes, it is not taken", first.line)
        return
    output = builds.attributes(first.text)
    builds.doubt_output(draft, output, first.line)
    if "name" in output and not is_named:
        builds.put_references(draft, [Text(output["name"], first.line)])
        draft.findings.pop("tags", None)


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
        if item.text.startswith('"'):
            # A value of several lines, as CSV has it; where it ends is not sure.
            draft.doubt(
                setting, f"{one_line(item.text, 60)} is in quotes; it is not taken, nor what follows", item.line
            )
            break
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

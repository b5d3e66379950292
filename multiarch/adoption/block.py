"""Our block of ``invoke.yaml``: its text where it is new, and what is added to one that is there."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from multiarch.adoption.errors import AdoptionError
from multiarch.config.schema import Block
from multiarch.formatting import one_line
from multiarch.pipelines.errors import PipelineError
from multiarch.pipelines.yaml_merge import load_file, merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multiarch.adoption.findings import Doubt, Evidence, FoundImage

KEY = "multiarch"
_MARK = "\ufeff"
# Text that no version of YAML takes for anything else; Invoke's parser knows 1.1, where on and 1:30 are no text.
_PLAIN = re.compile(r"(?:\./)?[A-Za-z_][\w./-]*(?::[\w./-]+)*|\.", re.ASCII)
_NO_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_WIDTH = 4096  # columns; no value of ours is folded
_ORDER = list(Block.__struct_fields__)


def settings_of(evidence: Evidence, known: Mapping[str, FoundImage]) -> dict[str, Any]:
    """Return the settings for what was found, as plain data.

    :param known: the images of our block by their names, whose settings are left out.
    """
    written = {image.name: _settings(image, known.get(image.name)) for image in evidence.images}
    written = {name: settings for name, settings in written.items() if settings or not known}
    if not is_of_targets(evidence):
        return next(iter(written.values()), {})
    block: dict[str, Any] = {"targets": written} if written else {}
    names = [image.name for image in evidence.images]
    if evidence.default and not known and set(evidence.default) <= set(names):
        block["groups"] = {"default": list(evidence.default)}
    return block


def is_of_targets(evidence: Evidence) -> bool:
    """Whether what was found is written as targets: one image alone is not, unless our block has it so."""
    return len(evidence.images) > 1 or any(image.is_target for image in evidence.images)


def _settings(image: FoundImage, known: FoundImage | None) -> dict[str, Any]:
    found = {name: one.value for name, one in image.findings.items() if known is None or name not in known.findings}
    return dict(sorted(found.items(), key=lambda pair: _ORDER.index(pair[0])))


def with_block(text: str, block: dict[str, Any], doubts: Iterable[Doubt], file: str) -> str:
    """Return the text of ``invoke.yaml`` with our settings in it; all else in it stays as it is.

    :param text: of the file; empty for none.
    :param doubts: that become comments of a new block.
    :raises AdoptionError: the file has no room for ours.
    """
    ends = "\r\n" if "\r\n" in text else "\n"
    plain = text.removeprefix(_MARK).replace("\r\n", "\n")
    try:
        data = load_file(plain, file)
        if data is None or KEY not in data:
            # A comment in a last line without an end would take ours in; a blank line sets ours apart.
            end = "\n" if plain and not plain.endswith("\n") else ""
            new = plain + end + ("\n" if plain.strip() else "") + _new(block, doubts)
        elif block:
            new = merged(plain, load_file(plain, file), {KEY: _nodes(block)}, frozenset(), lambda *_: False)
        else:
            return text
        _check(plain, new, data, block, file)
    except PipelineError as error:
        raise AdoptionError(str(error)) from None
    return (_MARK if text.startswith(_MARK) else "") + new.replace("\n", ends)


def _check(old: str, new: str, data: Any, block: dict[str, Any], file: str) -> None:
    """Check that a file holds what it did, its comments too, and ours. :raises AdoptionError: it does not."""
    expected = dict(data or {})
    former = expected.get(KEY)
    expected[KEY] = _joined(former if isinstance(former, dict) else {}, block) or None
    try:
        is_whole = load_file(new, file) == expected
    except PipelineError:
        is_whole = False
    comments = [line for line in old.split("\n") if line.lstrip().startswith("#")]
    if not is_whole or [line for line in comments if line.strip() not in new]:
        raise AdoptionError(f"{file}: ours cannot be put into it as it is written; write it more simply")


def _joined(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(old)
    for key, value in new.items():
        known = joined.get(key)
        joined[key] = _joined(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return joined


def _new(block: dict[str, Any], doubts: Iterable[Doubt]) -> str:
    """Return the text of a new block, with what is in doubt as comments."""
    out = io.StringIO()
    yaml = YAML()
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    if block:
        yaml.dump({KEY: _nodes(block)}, out)
    else:
        out.write(f"{KEY}:\n")
    comments = [one_line(f"{doubt.setting + ': ' if doubt.setting else ''}{doubt}") for doubt in doubts]
    if comments:
        out.write("  # Not set, as init is not sure; see what is said, and write it here:\n")
        out.writelines(f"  # - {comment}\n" for comment in comments)
    return out.getvalue()


def _nodes(value: Any) -> Any:
    """Return plain data as it is written: texts in quotes where they might be something else, lists in one line."""
    if isinstance(value, dict):
        return CommentedMap((_nodes(key), _nodes(item)) for key, item in value.items())
    if isinstance(value, list):
        sequence = CommentedSeq(_nodes(item) for item in value)
        if all(isinstance(item, str) for item in value):
            sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, str) and (not _PLAIN.fullmatch(value) or value.lower() in _NO_TEXT):
        return DoubleQuotedScalarString(value)
    return value

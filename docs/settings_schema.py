"""Writes invoke.schema.json: the ``multiarch`` block for editors, from the types of the settings and their page."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from multiarch.config.layers import LISTS
from multiarch.config.schema import OF_THE_PROJECT, Block, PlatformEntry

HERE = Path(__file__).parent
FILE = HERE / "invoke.schema.json"
_TEXT = {"type": "string"}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of an invoke.yaml, in which there may be more than our block."""
    told = _descriptions()
    settings = {name: {**_written(name, kind), "description": told[name]} for name, kind in _fields(Block).items()}
    settings["images"] = settings["image"]
    entry = _closed({name: _written(name, kind) for name, kind in _fields(PlatformEntry).items()})
    settings["attestations"]["anyOf"].append({"type": "object"})
    settings["platforms"]["anyOf"][1]["items"] = {"anyOf": [_TEXT, entry]}
    own = {name: value for name, value in settings.items() if name not in OF_THE_PROJECT}
    target = _closed(own | {"matrix": {"type": "object"}, "exclude": {"type": "array"}})
    settings["targets"]["additionalProperties"] = {"anyOf": [target, {"type": "null"}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "invoke.yaml",
        "type": "object",
        "properties": {"multiarch": _closed(settings)},
    }


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _fields(block: type[msgspec.Struct]) -> dict[str, Any]:
    properties: dict[str, Any] = msgspec.json.schema(block)["$defs"][block.__name__]["properties"]
    return properties


def _written(name: str, kind: dict[str, Any]) -> dict[str, Any]:
    """Return a setting as it may be written: some lists as text with commas; a default of nothing is not told."""
    default = {"default": kind["default"]} if kind.get("default") not in (None, [], {}, ()) else {}
    kind = {key: value for key, value in kind.items() if key != "default"}
    return {**({"anyOf": [_TEXT, kind]} if name in LISTS else kind), **default}


def _descriptions() -> dict[str, str]:
    """Return what the table of docs/settings.md says of each setting, without links and marks."""
    told: dict[str, str] = {}
    for row in re.findall(r"^\| (`.+?) \|$", (HERE / "settings.md").read_text(), re.MULTILINE):
        names, *_, meaning = re.split(r" *\| *", row)
        plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", meaning).replace("`", "")
        told |= dict.fromkeys(re.findall(r"`([a-z_]+)`", names), plain)
    return told


def text() -> str:
    """Return the file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
    sys.stdout.write(f"{FILE.name}\n")

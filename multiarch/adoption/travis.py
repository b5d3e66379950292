"""A ``.travis.yml`` whose scripts build platforms one by one and join them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from multiarch.adoption.builds import Text
from multiarch.adoption.findings import Evidence
from multiarch.adoption.script_commands import Recipe
from multiarch.adoption.source_files import UnreadableError, items, line_of, mapping, source_text, source_yaml

if TYPE_CHECKING:
    from pathlib import Path

_FILE = ".travis.yml"
# In the order in which Travis runs them (docs.travis-ci.com, "The Job Lifecycle").
_PHASES = ("before_install", "install", "before_script", "script", "after_success", "before_deploy", "after_script")
_PAIR = re.compile(r"([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|[^\s\"']*)")


def read(directory: Path) -> Evidence:
    """Return what the ``.travis.yml`` of a directory says."""
    try:
        text = source_text(directory, _FILE)
        if text is None:
            return Evidence()
        data = source_yaml(text, _FILE)
    except UnreadableError as error:
        return error.evidence
    recipe = Recipe(directory, _FILE)
    variables = _variables(data.get("env"))
    jobs = data.get("jobs", data.get("matrix"))
    included = [job for job in items(mapping({"jobs": jobs}, "jobs").get("include")) if isinstance(job, dict)]
    for job in included:
        # What a job sets for itself is not the same in all.
        for name in _variables(job.get("env")):
            variables.pop(name, None)
    for job in [data, *included]:
        own = _variables(job.get("env")) if job is not data else {}
        recipe.run(_scripts(job), {**variables, **own}, is_conditional="if" in job)
        for deployment in job["deploy"] if isinstance(job.get("deploy"), list) else [job.get("deploy")]:
            if isinstance(deployment, dict):
                recipe.run(script_lines(deployment, "script"), {**variables, **own}, is_conditional=True)
    image = recipe.image()
    return Evidence(images=(image,) if image else (), doubts=recipe.doubts)


def _scripts(job: Any) -> list[Text]:
    """Return the scripts of a job's phases, in order."""
    found = []
    for phase in _PHASES:
        found += script_lines(job, phase)
    return found


def script_lines(node: Any, key: str) -> list[Text]:
    """Return the commands at a key, a text or a list, with their lines."""
    value = node.get(key)
    found = []
    for index, item in enumerate(items(value)):
        line = line_of(node, key, 0) if isinstance(value, str) else line_of(value, index, line_of(node, key, 0))
        if isinstance(item, str):
            found.append(Text(item, line + is_block(item)))
    return found


def is_block(text: str) -> bool:
    """Whether a text stands below its key, as a block of lines."""
    return type(text).__name__ in ("LiteralScalarString", "FoldedScalarString")


def _variables(env: Any) -> dict[str, str]:
    """Return the variables that each job has: those of ``global``, and those of a matrix of one."""
    if isinstance(env, dict):
        found = _variables_of(items(env.get("global")) or [env.get("global")])
        for kind in ("jobs", "matrix"):
            rows = items(env.get(kind))
            if len(rows) > 1:
                for name in {name for row in rows for name in _variables_of([row])}:
                    found.pop(name, None)
            else:
                found |= _variables_of(rows)
        if not env.keys() & {"global", "jobs", "matrix"}:
            found |= _variables_of([env])
        return found
    rows = items(env)
    return _variables_of(rows) if len(rows) == 1 else {}


def _variables_of(rows: list[Any]) -> dict[str, str]:
    """Return the literal variables of rows of ``NAME=value``, or of mappings."""
    found = {}
    for row in rows:
        if isinstance(row, str):
            found.update({name: value.strip("\"'") for name, value in _PAIR.findall(row)})
        elif isinstance(row, dict):
            found.update({str(name): value for name, value in row.items() if isinstance(value, str)})
    return {name: str(value) for name, value in found.items() if "$" not in value}

"""Mistakes in a ``.travis.yml`` that its JSON schema lets pass.

Keys that nobody reads, stages that run out of order, conditions that never mean what they say.

Source: https://docs.travis-ci.com (Build Stages, Conditions, Job Lifecycle, Build Config YAML), and how
https://github.com/travis-ci/travis-yml reads the file.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from ruamel.yaml.nodes import MappingNode, SequenceNode

from multiarch.pipelines.travis.keys import (
    ALLOWED_FAILURE_KEYS,
    AXES,
    JOB_KEYS,
    JOBS_KEYS,
    PHASES,
    ROOT_KEYS,
    STAGE_KEYS,
)
from multiarch.pipelines.travis.nodes import compose, fields_of, is_value, items_of, kind_of
from multiarch.pipelines.travis.rules import (
    DEFAULT_STAGE,
    Job,
    Mistake,
    Stage,
    duplicate_keys,
    has_several,
    job_stages,
    undeclared_stages,
    unknown_keys,
    unused_stages,
    wrong_condition,
    wrong_phase,
    wrong_stages,
)
from multiarch.pipelines.yaml_reader import LimitError, YamlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ruamel.yaml.nodes import Node

    from multiarch.pipelines.travis.nodes import Fields

# mistakes; who has corrected them runs it again
_MOST_MISTAKES = 1000
# The lists of jobs below ``jobs``, and the keys of their entries.
_LISTS = {
    "include": JOB_KEYS,
    "exclude": JOB_KEYS,
    "allow_failures": ALLOWED_FAILURE_KEYS,
    "allowed_failures": ALLOWED_FAILURE_KEYS,
}


def check(text: str, name: str) -> list[str]:
    """Return the mistakes in a ``.travis.yml``.

    :param text: what is in the file.
    :param name: its name, for the messages.
    :return: each mistake one line, ``NAME:LINE: what is wrong; what to do``, by line; nothing for a file without.
        What is not YAML is one mistake, and nothing else is looked for.
    """
    try:
        document = compose(text)
    except LimitError as error:
        return [f"{name}:{error.line}: {error.problem}"]
    except YamlError as error:
        return [f"{name}:{error.line}: not YAML: {error.problem}; correct it, or quote the text"]
    if not isinstance(document, MappingNode):
        kind = kind_of(document)
        return [f"{name}:1: a mapping of keys is expected here, and this is {kind}; write script: and what it runs"]
    # Each is found and worded in time that grows with the file.
    mistakes = set(islice(chain(duplicate_keys(document), _File(fields_of(document)).mistakes()), _MOST_MISTAKES))
    return [f"{name}:{mistake.line}: {mistake.problem}" for mistake in sorted(mistakes)]


class _File:
    """Parts of a file, each held against its rules."""

    def __init__(self, root: Fields) -> None:
        self._root = root
        # Conditions of the first version had another grammar.
        self._parses_conditions = not ("conditions" in root and root["conditions"].value.value == "v0")

    def mistakes(self) -> Iterator[Mistake]:
        yield from self._entry(self._root, ROOT_KEYS, "at the top level")
        field = self._root.get("jobs") or self._root.get("matrix")
        if field:
            yield from self._jobs(field.value)
        if "stages" in self._root:
            yield from self._stages(self._root["stages"].value, _included(field.value) if field else [])

    def _entry(self, fields: Fields, known: frozenset[str], where: str) -> Iterator[Mistake]:
        yield from unknown_keys(fields, known, where)
        for phase in PHASES:
            if phase in fields:
                yield from wrong_phase(phase, fields[phase])
        yield from self._condition(fields)

    def _condition(self, fields: Fields) -> Iterator[Mistake]:
        if "if" in fields:
            yield from wrong_condition(fields["if"].value, parse_it=self._parses_conditions)

    def _jobs(self, node: Node) -> Iterator[Mistake]:
        if isinstance(node, SequenceNode):
            yield from self._list(node, "jobs", JOB_KEYS)
            return
        if not isinstance(node, MappingNode):
            yield Mistake.at(node, f"jobs is {kind_of(node)}; write include: below it, and a list of jobs below that")
            return
        fields = fields_of(node)
        yield from unknown_keys(fields, JOBS_KEYS, "in jobs")
        for word, known in _LISTS.items():
            if word in fields:
                yield from self._list(fields[word].value, f"jobs.{word}", known)

    def _list(self, node: Node, where: str, known: frozenset[str]) -> Iterator[Mistake]:
        for item in items_of(node):
            if isinstance(item, MappingNode):
                yield from self._entry(fields_of(item), known, f"in an entry of {where}")
            else:
                problem = f"an entry of {where} is {kind_of(item)}; write a mapping, such as script: make"
                yield Mistake.at(item, problem)

    def _stages(self, node: Node, jobs: list[Job]) -> Iterator[Mistake]:
        declared: dict[str, Stage] = {}
        for item in items_of(node):
            fields = fields_of(item) if isinstance(item, MappingNode) else {}
            yield from unknown_keys(fields, STAGE_KEYS, "in an entry of stages")
            yield from self._condition(fields)
            name = fields["name"].value if "name" in fields else item
            if is_value(name):
                declared[name.value.lower()] = Stage(name, is_conditional="if" in fields)
            else:
                yield Mistake.at(item, "an entry of stages has no name; write the stage's name, or name: and if:")
        yield from wrong_stages(jobs)
        stages = job_stages(jobs)
        yield from undeclared_stages(stages, declared)
        used = {stage.name.lower() for stage in stages}
        if not jobs or any(has_several(self._root, axis) for axis in (*AXES, "env")):
            used.add(DEFAULT_STAGE)
        yield from unused_stages(declared, used)


def _included(node: Node) -> list[Job]:
    """Return the jobs that ``jobs`` adds to those of the matrix."""
    if isinstance(node, MappingNode):
        fields = fields_of(node)
        if "include" not in fields:
            return []
        node = fields["include"].value
    return [Job(item, fields_of(item)) for item in items_of(node) if isinstance(item, MappingNode)]

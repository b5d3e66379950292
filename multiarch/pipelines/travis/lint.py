"""Finds the mistakes in a ``.travis.yml`` that its JSON schema lets pass.

Keys that nobody reads, stages that run out of order, conditions that never mean what they say.

Source: https://docs.travis-ci.com (Build Stages, Conditions, Job Lifecycle, Build Config YAML), and how
https://github.com/travis-ci/travis-yml reads the file.
"""

from __future__ import annotations

import warnings
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from multiarch.pipelines.travis.conditions import NAMES, ConditionError, parse
from multiarch.pipelines.travis.keys import (
    ALLOWED_FAILURE_KEYS,
    AXES,
    JOB_KEYS,
    JOBS_KEYS,
    PHASES,
    ROOT_KEYS,
    STAGE_KEYS,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ruamel.yaml.nodes import Node

# The keys of a mapping and their values, with what it merges (<<).
Fields: TypeAlias = "dict[str, tuple[Node, Node]]"
_Job: TypeAlias = "tuple[MappingNode, Fields]"

DEFAULT_STAGE = "test"


def check(text: str, name: str) -> list[str]:
    """Look for mistakes in a ``.travis.yml``.

    :param text: what is in the file.
    :param name: its name, for the messages.
    :return: each mistake one line, ``NAME:LINE: what is wrong; what to do``, by line; nothing for a file without.
        What is not YAML is one mistake, and nothing else is looked for.
    """
    try:
        with warnings.catch_warnings():
            # A name may be anchored again; the last one counts.
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            document = YAML(typ="rt").compose(text)
    except YAMLError as error:
        line, problem = _what_is_no_yaml(error, text)
        return [f"{name}:{line}: not YAML: {problem}; correct it, or quote the text"]
    if not isinstance(document, MappingNode):
        found = "nothing" if document is None else _kind(document)
        return [f"{name}:1: a mapping of keys is expected here, and this is {found}; write script: and what it runs"]
    mistakes = _Check(document).mistakes
    return [f"{name}:{line}: {problem}" for line, problem in sorted(dict.fromkeys(mistakes))]


class _Check:
    """One look at a file. :ivar mistakes: line, and what is wrong there and what to do."""

    def __init__(self, document: MappingNode) -> None:
        self.mistakes: list[tuple[int, str]] = []
        self.duplicates(document, set())
        root = _fields(document)
        # Conditions of the first version had another grammar.
        self.conditions = not ("conditions" in root and root["conditions"][1].value == "v0")
        self.keys(root, ROOT_KEYS, "at the top level")
        self.phases(root)
        self.condition(root)
        jobs = root.get("jobs") or root.get("matrix")
        included = self.jobs(jobs[1]) if jobs else []
        if "stages" in root:
            self.stages(root, root["stages"][1], included)

    def add(self, node: Node, problem: str) -> None:
        self.mistakes.append((node.start_mark.line + 1, " ".join(problem.split())))

    def duplicates(self, node: Node, seen: set[int]) -> None:
        if id(node) in seen or not isinstance(node, MappingNode | SequenceNode):
            return
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            for item in node.value:
                self.duplicates(item, seen)
            return
        first: dict[str, int] = {}
        for key, value in node.value:
            self.duplicates(value, seen)
            if not isinstance(key, ScalarNode) or key.value == "<<":
                continue
            if key.value in first:
                self.add(
                    key, f"{key.value!r} stands here again, after line {first[key.value]}; only one of them counts"
                )
            first.setdefault(key.value, key.start_mark.line + 1)

    def keys(self, fields: Fields, known: frozenset[str], where: str) -> None:
        for word, (key, value) in fields.items():
            # Travis names the first of these private; all hold what anchors point to, and nothing reads them.
            holds = word.startswith(("_", ".", "x-")) or (
                known == ROOT_KEYS and _is_named(value) and not _guess(word, known)
            )
            if word not in known and not holds:
                self.add(key, f"unknown key {word!r} {where}; {_remedy(word, known)}")

    def phases(self, fields: Fields) -> None:
        for phase in PHASES:
            if phase in fields:
                self.phase(phase, *fields[phase])

    def phase(self, phase: str, key: Node, node: Node) -> None:
        if isinstance(node, SequenceNode):
            for number, item in enumerate(_items(node), 1):
                if not _is_text(item):
                    self.add(item, f"item {number} of {phase} is {_kind(item)}, not text; {_quoting(item)}")
        elif not _is_text(node):
            # What is empty has no line of its own.
            where = key if _kind(node) == "empty" else node
            self.add(where, f"{phase} is {_kind(node)}, neither text nor a list of text; {_quoting(node)}")

    def condition(self, fields: Fields) -> None:
        if "if" not in fields:
            return
        node = fields["if"][1]
        if not _is_text(node):
            self.add(node, f"the condition is {_kind(node)}, not text; quote it")
        elif self.conditions:
            self.parsed_condition(node)

    def parsed_condition(self, node: Node) -> None:
        try:
            doubts = parse(node.value).doubts()
        except ConditionError as error:
            self.add(node, f"the condition {node.value!r} does not parse; column {error.column}: {error.problem}")
            return
        for doubt in doubts:
            if doubt.known == NAMES:
                what, known = "no name, so it stands for itself", f"{', '.join(NAMES)}, and env(NAME)"
            else:
                what, known = "no event type", ", ".join(doubt.known)
            remedy = _guess(doubt.word, doubt.known) or f"known are {known}"
            self.add(node, f"column {doubt.column} of the condition: {doubt.word!r} is {what}; {remedy}")

    def jobs(self, node: Node) -> list[_Job]:
        """Look at ``jobs``, and return those that it includes."""
        if isinstance(node, SequenceNode):
            return self.entries(node, "jobs", JOB_KEYS)
        if not isinstance(node, MappingNode):
            self.add(node, f"jobs is {_kind(node)}; write include: below it, and a list of jobs below that")
            return []
        fields = _fields(node)
        self.keys(fields, JOBS_KEYS, "in jobs")
        for word, known in (
            ("exclude", JOB_KEYS),
            ("allow_failures", ALLOWED_FAILURE_KEYS),
            ("allowed_failures", ALLOWED_FAILURE_KEYS),
        ):
            if word in fields:
                self.entries(fields[word][1], f"jobs.{word}", known)
        return self.entries(fields["include"][1], "jobs.include", JOB_KEYS) if "include" in fields else []

    def entries(self, node: Node, where: str, known: frozenset[str]) -> list[_Job]:
        found = []
        for item in _items(node):
            if not isinstance(item, MappingNode):
                self.add(item, f"an entry of {where} is {_kind(item)}; write a mapping, such as script: make")
                continue
            fields = _fields(item)
            self.keys(fields, known, f"in an entry of {where}")
            self.phases(fields)
            self.condition(fields)
            found.append((item, fields))
        return found

    def stages(self, root: Fields, node: Node, jobs: list[_Job]) -> None:
        declared: dict[str, tuple[Node, bool]] = {}
        for item in _items(node):
            fields = _fields(item) if isinstance(item, MappingNode) else {}
            self.keys(fields, STAGE_KEYS, "in an entry of stages")
            self.condition(fields)
            name = fields["name"][1] if "name" in fields else item
            if _is_a_value(name):
                declared[name.value.lower()] = (name, "if" in fields)
            else:
                self.add(item, "an entry of stages has no name; write the stage's name, or name: and if:")
        used = self.stages_of(jobs, declared)
        if not jobs or any(_several(root, axis) for axis in (*AXES, "env")):
            used.add(DEFAULT_STAGE)
        for stage, (name, conditional) in declared.items():
            if conditional and stage not in used:
                remedy = _guess(stage, used) or "give a job this stage, or remove it"
                self.add(name, f"stage {name.value!r} has a condition, and no job is of this stage; {remedy}")

    def stages_of(self, jobs: list[_Job], declared: Collection[str]) -> set[str]:
        """Return the stages of jobs, in lower case: Travis tells them apart by no more."""
        used: set[str] = set()
        for job, fields in jobs:
            node = fields["stage"][1] if "stage" in fields else None
            if node is None and used:
                continue  # it is of the stage of the job before it
            if node is not None and not _is_a_value(node):
                self.add(node, f"the stage is {_kind(node)}, not text; write the name of a stage")
                continue
            stage = DEFAULT_STAGE if node is None else node.value
            used.add(stage.lower())
            if stage.lower() not in declared:
                who = f"this job has no stage, so it is of {stage!r}, which" if node is None else f"stage {stage!r}"
                remedy = (node is not None and _guess(stage, declared)) or f"add {stage} to stages"
                self.add(node or job, f"{who} is not in stages, and so runs after those that are; {remedy}")
        return used


def _fields(node: MappingNode, above: tuple[MappingNode, ...] = ()) -> Fields:
    merged: Fields = {}
    own: Fields = {}
    for key, value in node.value:
        if key.value == "<<":
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                if isinstance(source, MappingNode) and source not in (*above, node):
                    merged = {**_fields(source, (*above, node)), **merged}
        elif isinstance(key, ScalarNode):
            own[key.value] = (key, value)
    return {**merged, **own}


def _items(node: Node, above: tuple[Node, ...] = ()) -> Iterator[Node]:
    """Yield the entries of a list, also of those within, as Travis does; one that is no list is the only entry."""
    if not isinstance(node, SequenceNode):
        yield node
    elif node not in above:
        for item in node.value:
            yield from _items(item, (*above, node))


def _several(root: Fields, axis: str) -> bool:
    if axis not in root:
        return False
    node = root[axis][1]
    if axis == "env" and isinstance(node, MappingNode):
        fields = _fields(node)
        node = (fields.get("jobs") or fields.get("matrix") or (node, node))[1]
    return len(list(_items(node))) > 1


def _is_named(node: Node) -> bool:
    """Tell whether an anchor names a node, or an item of it."""
    return bool(node.anchor) or any(item.anchor for item in node.value if isinstance(node, SequenceNode))


def _tag(node: Node) -> str:
    return str(node.tag).rpartition(":")[2]


def _is_text(node: Node) -> bool:
    # Travis makes text of true and false, and `install: true` is what many write.
    return isinstance(node, ScalarNode) and _tag(node) in ("str", "bool")


def _is_a_value(node: Node) -> bool:
    return isinstance(node, ScalarNode) and _tag(node) != "null"


def _kind(node: Node) -> str:
    if isinstance(node, MappingNode | SequenceNode):
        return "a mapping" if isinstance(node, MappingNode) else "a list"
    return {"null": "empty", "int": "a number", "float": "a number"}.get(_tag(node), "text")


def _quoting(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "quote it: a colon and a blank make a mapping of text"
    return "write a command, or skip" if _kind(node) == "empty" else "quote it"


def _guess(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word.lower(), list(known), 1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else ""


def _remedy(word: str, known: frozenset[str]) -> str:
    if word in ROOT_KEYS:
        return "it belongs to the top level"
    if word in JOB_KEYS:
        return "it belongs into a job, below jobs: include:"
    return _guess(word, known) or "remove it, or begin it with _ if it only holds what an anchor names"


def _what_is_no_yaml(error: YAMLError, text: str) -> tuple[int, str]:
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return (mark.line + 1 if mark else 1), " ".join(str(error.problem or error.context).split())
    if isinstance(error, ReaderError):
        return text.count("\n", 0, error.position) + 1, f"the character U+{error.character:04X} may not be in it"
    return 1, " ".join(str(error).split())

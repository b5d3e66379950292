"""Rules for the parts of a ``.travis.yml``, each of which yields the mistakes against it."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from multiarch.pipelines.travis.conditions import NAMES, ConditionError, parse
from multiarch.pipelines.travis.keys import JOB_KEYS, ROOT_KEYS
from multiarch.pipelines.travis.nodes import fields_of, is_anchored, is_text, is_value, items_of, kind_of, line_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from ruamel.yaml.nodes import Node

    from multiarch.pipelines.travis.conditions import Doubt
    from multiarch.pipelines.travis.nodes import Field, Fields

DEFAULT_STAGE = "test"
# characters of a message; a person reads no more
_LONGEST = 500
# characters of a word, and words, that are compared: a file may hold thousands
_LONGEST_WORD, _MOST_WORDS = 64, 500


class Mistake(Struct, frozen=True, order=True):
    """What is wrong in a line, and what to do."""

    line: int
    problem: str

    @classmethod
    def at(cls, node: Node, problem: str) -> Mistake:
        """Return a mistake with this problem, at the line of a YAML node."""
        problem = " ".join(problem.split())
        return cls(line_of(node), problem if len(problem) <= _LONGEST else f"{problem[:_LONGEST]} …")


class Job(Struct, frozen=True):
    """Entry of ``jobs.include``."""

    node: MappingNode
    fields: Fields


class Stage(Struct, frozen=True):
    """Entry of ``stages``. :ivar name: the node of its name."""

    name: Node
    is_conditional: bool


class JobStage(Struct, frozen=True):
    """Stage that a job names, or is of because none is named. :ivar node: that of the stage, or of the job."""

    name: str
    node: Node
    is_named: bool


def duplicate_keys(node: Node, seen: set[int] | None = None) -> Iterator[Mistake]:
    """Yield the keys that stand twice in a mapping, at any depth.

    :param seen: the identities of the nodes that were met; anchors make a file a graph.
    """
    seen = set() if seen is None else seen
    if id(node) in seen or not isinstance(node, MappingNode | SequenceNode):
        return
    seen.add(id(node))
    if isinstance(node, SequenceNode):
        for item in node.value:
            yield from duplicate_keys(item, seen)
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        yield from duplicate_keys(value, seen)
        if not isinstance(key, ScalarNode) or key.value == "<<":
            continue
        if line := first.get(key.value):
            yield Mistake.at(key, f"{key.value!r} stands here again, after line {line}; only one of them counts")
        first.setdefault(key.value, line_of(key))


def unknown_keys(fields: Fields, known: frozenset[str], where: str) -> Iterator[Mistake]:
    """Yield the keys that nothing reads, but for private ones."""
    for word, field in fields.items():
        # Travis names the first of these private; all hold what anchors point to, and nothing reads them.
        is_private = word.startswith(("_", ".", "x-")) or (
            known == ROOT_KEYS and is_anchored(field.value) and not _guess(word, known)
        )
        if word not in known and not is_private:
            yield Mistake.at(field.key, f"unknown key {word!r} {where}; {_place(word, known)}")


def wrong_phase(phase: str, field: Field) -> Iterator[Mistake]:
    """Yield what is neither text nor a list of text."""
    node = field.value
    if isinstance(node, SequenceNode):
        for number, item in enumerate(items_of(node), 1):
            if not is_text(item):
                yield Mistake.at(item, f"item {number} of {phase} is {kind_of(item)}, not text; {_quoting(item)}")
    elif not is_text(node):
        # What is empty has no line of its own.
        place = field.key if kind_of(node) == "empty" else node
        yield Mistake.at(place, f"{phase} is {kind_of(node)}, neither text nor a list of text; {_quoting(node)}")


def wrong_condition(node: Node, *, parse_it: bool) -> Iterator[Mistake]:
    """Yield what a condition cannot mean.

    :param parse_it: whether its grammar is the one that is known here.
    """
    if not is_text(node):
        yield Mistake.at(node, f"the condition is {kind_of(node)}, not text; quote it")
    elif parse_it:
        try:
            doubts = parse(node.value).doubts()
        except ConditionError as error:
            problem = f"the condition {node.value!r} does not parse; column {error.column}: {error.problem}"
            yield Mistake.at(node, problem)
        else:
            yield from (Mistake.at(node, _doubtful(doubt)) for doubt in doubts)


def wrong_stages(jobs: Iterable[Job]) -> Iterator[Mistake]:
    """Yield the stages of jobs that are no names."""
    for job in jobs:
        if "stage" in job.fields and not is_value(node := job.fields["stage"].value):
            yield Mistake.at(node, f"the stage is {kind_of(node)}, not text; write the name of a stage")


def job_stages(jobs: Iterable[Job]) -> list[JobStage]:
    """Return the stages of jobs; a job without one is of that of the job before it."""
    stages: list[JobStage] = []
    for job in jobs:
        node = job.fields["stage"].value if "stage" in job.fields else None
        if node is None and not stages:
            stages.append(JobStage(DEFAULT_STAGE, job.node, is_named=False))
        elif node is not None and is_value(node):
            stages.append(JobStage(node.value, node, is_named=True))
    return stages


def undeclared_stages(stages: Iterable[JobStage], declared: Collection[str]) -> Iterator[Mistake]:
    """Yield the stages of jobs that ``stages`` lacks.

    :param declared: in lower case: Travis tells stages apart by no more.
    """
    for stage in stages:
        if stage.name.lower() in declared:
            continue
        if stage.is_named:
            subject, guess = f"stage {stage.name!r}", _guess(stage.name, declared)
        else:
            subject, guess = f"this job has no stage, so it is of {stage.name!r}, which", ""
        remedy = guess or f"add {stage.name} to stages"
        yield Mistake.at(stage.node, f"{subject} is not in stages, and so runs after those that are; {remedy}")


def unused_stages(declared: Mapping[str, Stage], used: Collection[str]) -> Iterator[Mistake]:
    """Yield the stages that have a condition and no jobs. Both are told apart in lower case."""
    for word, stage in declared.items():
        if stage.is_conditional and word not in used:
            remedy = _guess(word, used) or "give a job this stage, or remove it"
            problem = f"stage {stage.name.value!r} has a condition, and no job is of this stage; {remedy}"
            yield Mistake.at(stage.name, problem)


def has_several(root: Fields, axis: str) -> bool:
    """Whether an axis of the matrix has several values, each of which makes a job."""
    if axis not in root:
        return False
    node = root[axis].value
    if axis == "env" and isinstance(node, MappingNode):
        fields = fields_of(node)
        entries = fields.get("jobs") or fields.get("matrix")
        node = entries.value if entries else node
    return len(list(items_of(node))) > 1


def _doubtful(doubt: Doubt) -> str:
    if doubt.known == NAMES:
        what, known = "no name, so it stands for itself", f"{', '.join(NAMES)}, and env(NAME)"
    else:
        what, known = "no event type", ", ".join(doubt.known)
    remedy = _guess(doubt.word, doubt.known) or f"known are {known}"
    return f"column {doubt.column} of the condition: {doubt.word!r} is {what}; {remedy}"


def _quoting(node: Node) -> str:
    """Return how to make text of a node."""
    if isinstance(node, MappingNode):
        return "quote it: a colon and a blank make a mapping of text"
    return "write a command, or skip" if kind_of(node) == "empty" else "quote it"


def _guess(word: str, known: Iterable[str]) -> str:
    """Return the known word that may have been meant, as a question; empty for none."""
    if len(word) > _LONGEST_WORD:
        return ""
    near = get_close_matches(word.lower(), list(islice(known, _MOST_WORDS)), 1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else ""


def _place(word: str, known: frozenset[str]) -> str:
    """Return where an unknown key belongs, or what it may have been meant for."""
    if word in ROOT_KEYS:
        return "it belongs to the top level"
    if word in JOB_KEYS:
        return "it belongs into a job, below jobs: include:"
    return _guess(word, known) or "remove it, or begin it with _ if it only holds what an anchor names"

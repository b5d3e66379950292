"""Stages and jobs that a .travis.yml makes for an event.

Source: lib/travis/yml/matrix.rb and lib/travis/yml/configs/stages.rb of https://github.com/travis-ci/travis-yml.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor

from multiarch.pipelines.travis.conditions import parse
from multiarch.pipelines.travis.keys import AXES, PHASES

if TYPE_CHECKING:
    from collections.abc import Iterable

# Entry of env: variables that a job gets together. Their values are as in the file, for bash to expand.
Variables: TypeAlias = tuple[tuple[str, str], ...]

DEFAULT_STAGE = "test"
_NOT_INHERITED = {
    "jobs",
    "matrix",
    "import",
    "stages",
    "notifications",
    "version",
    "allow_failure",
    "merge_mode",
    "env",
}
_VARIABLE = re.compile(
    r"""(\w+)=((?:"(?:\\.|[^"\\])*"|'[^']*'|`[^`]*`|\$\([^)]*\)|\\.|[^\s"'`])*)""",
)


@dataclass(frozen=True)
class Event:
    """Event that starts a build.

    :ivar type: push, pull_request, api or cron.
    :ivar branch: of a push, or the one that a pull request asks to be merged into.
    :ivar repo: the slug of the repository.
    :ivar fork: whether the repository is a fork.
    :ivar pull_request: its number; 0 for none.
    :ivar head_repo: the repository that a pull request comes from.
    :ivar head_branch: the branch that a pull request comes from.
    """

    type: str = "push"
    branch: str = "main"
    repo: str = "someone/app"
    tag: str = ""
    commit_message: str = ""
    sender: str = "someone"
    fork: bool = False
    pull_request: int = 0
    head_repo: str = ""
    head_branch: str = ""

    @property
    def trusted(self) -> bool:
        """Whether its jobs get secrets: not those of a pull request from another repository."""
        return self.type != "pull_request" or self.head_repo == self.repo


@dataclass(frozen=True)
class Job:
    """Job of a build.

    :ivar number: in its build, from 1.
    :ivar phases: those that it has.
    :ivar env: in the order in which bash sets them.
    """

    number: int
    name: str
    stage: str
    phases: Mapping[str, tuple[str, ...]]
    env: Variables
    language: str
    allow_failure: bool


@dataclass(frozen=True)
class Stage:
    """Stage of a build; it has one job or more."""

    name: str
    jobs: tuple[Job, ...]


def expand(text: str, event: Event, settings: Mapping[str, str] | None = None) -> tuple[Stage, ...]:
    """Return the stages of a build with their jobs, in order; none where the condition at the top level does not hold.

    Jobs are made by the axes of the top level (each combination of their values is one), then by ``jobs.include``.
    A single job of the axes is dropped where there are included jobs; without any job, there is one of the top level.
    Not modelled: axes that a language or system does not support.

    :param text: a .travis.yml without mistakes (`multiarch.pipelines.travis.lint` finds those).
    :param settings: variables of the repository's settings that conditions may use.
    :raises multiarch.pipelines.travis.conditions.ConditionError: a condition does not parse.
    """
    return _Expansion(_load(text), event, settings or {}).stages()


class _Expansion:
    def __init__(self, root: dict[str, Any], event: Event, settings: Mapping[str, str]) -> None:
        self.root, self.event, self.settings = root, event, settings
        self.global_env, self.env_axis = _env_of_root(root.get("env"))
        jobs = root.get("jobs", root.get("matrix", {}))
        self.of_jobs: dict[str, Any] = jobs if isinstance(jobs, dict) else {"include": jobs}

    def stages(self) -> tuple[Stage, ...]:
        of_root = [*self.global_env, *itertools.chain(*self.env_axis)]
        if not self.holds(self.root.get("if"), self.root, of_root):
            return ()
        jobs = [job for job in self.jobs() if self.holds(job.get("if"), job, job["env"])]
        declared = [{"name": stage} if isinstance(stage, str) else stage for stage in _list(self.root.get("stages"))]
        stage = next((s["name"] for s in declared if s["name"].lower() == DEFAULT_STAGE), DEFAULT_STAGE)
        for job in jobs:
            stage = job["stage"] = job.get("stage") or stage
        declarations: dict[str, dict[str, Any]] = {}
        for each in (*declared, *({"name": job["stage"]} for job in jobs)):
            declarations.setdefault(str(each["name"]).lower(), each)
        numbers = itertools.count(1)
        stages = []
        for lower, declaration in declarations.items():
            of_stage = [job for job in jobs if str(job["stage"]).lower() == lower]
            if of_stage and self.holds(declaration.get("if"), self.root, of_root):
                # Jobs that may fail come last.
                of_stage.sort(key=lambda job: bool(job.get("allow_failure")))
                stage_jobs = tuple(self.job(next(numbers), str(declaration["name"]), job) for job in of_stage)
                stages.append(Stage(str(declaration["name"]), stage_jobs))
        return tuple(stages)

    def jobs(self) -> list[dict[str, Any]]:
        included = [dict(job) for job in _list(self.of_jobs.get("include"))]
        stage = ""
        for job in included:
            stage = job["stage"] = job.get("stage") or stage
        jobs = self.of_the_matrix()
        if included and len(jobs) == 1:
            jobs = []
        inherited = {key: value for key, value in self.root.items() if key not in {*_NOT_INHERITED, *AXES}}
        first = {axis: _list(self.root[axis])[0] for axis in AXES if _list(self.root.get(axis))}
        whole_jobs = []
        for job in [*jobs, *included] or [{}]:
            own = [pair for entry in _entries(job["env"]) for pair in entry] if "env" in job else None
            env = own if own is not None else list(self.env_axis[0] if self.env_axis else ())
            whole = {**inherited, **first, **job, "env": [*self.global_env, *env]}
            if not any(self.matches(entry, whole, env) for entry in _list(self.of_jobs.get("exclude"))):
                for entry in _list(self.of_jobs.get("allow_failures")):
                    whole["allow_failure"] = whole.get("allow_failure") or self.matches(entry, whole, env)
                whole_jobs.append(whole)
        return whole_jobs

    def of_the_matrix(self) -> list[dict[str, Any]]:
        axes = {axis: _list(self.root[axis]) for axis in AXES if _list(self.root.get(axis))}
        if self.env_axis:
            axes["env"] = [dict(entry) for entry in self.env_axis]
        return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())] if axes else []

    def matches(self, entry: Mapping[str, Any], job: Mapping[str, Any], env: list[tuple[str, str]]) -> bool:
        """Whether an entry of ``exclude`` or ``allow_failures`` means a job: the job has all of its values."""
        for key, value in entry.items():
            if key == "env":
                same = env == [pair for each in _entries(value) for pair in each]
            elif key == "stage":
                same = (job.get("stage") or DEFAULT_STAGE) == value
            else:
                same = key == "if" or _list(job.get(key)) == _list(value)
            if not same:
                return False
        return self.holds(entry.get("if"), job, job["env"])

    def holds(self, condition: object, config: Mapping[str, Any], env: Iterable[tuple[str, str]]) -> bool:
        if condition is None:
            return True
        event = self.event
        of_config = {name: str(config[name]) for name in ("os", "dist", "group", "sudo", "language") if name in config}
        pull_request = event.type == "pull_request"
        data = {
            "os": "linux",
            **of_config,
            "type": event.type,
            "repo": event.repo,
            "branch": event.tag or event.branch,
            "tag": event.tag or None,
            "commit_message": event.commit_message,
            "sender": event.sender,
            "fork": event.fork,
            "head_repo": event.head_repo if pull_request else None,
            "head_branch": event.head_branch if pull_request else None,
        }
        return parse(str(condition)).evaluate(data, {**self.settings, **dict(env)})

    def job(self, number: int, stage: str, config: Mapping[str, Any]) -> Job:
        return Job(
            number=number,
            name=str(config.get("name", "")),
            stage=stage,
            phases={phase: tuple(map(_command, _flat(config[phase]))) for phase in PHASES if config.get(phase)},
            env=tuple(dict.fromkeys(config["env"])),
            language=str(config.get("language", "ruby")),
            allow_failure=bool(config.get("allow_failure")),
        )


class _Constructor(SafeConstructor):
    """Constructor that leaves 3.10 as it is written, as Travis does."""


_Constructor.add_constructor("tag:yaml.org,2002:float", lambda _, node: node.value)


def _load(text: str) -> dict[str, Any]:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    loaded = yaml.load(text)
    return dict(loaded) if isinstance(loaded, Mapping) else {}


def _env_of_root(env: object) -> tuple[list[tuple[str, str]], list[Variables]]:
    """Return the variables of all jobs, and the entries each of which makes a job."""
    if isinstance(env, Mapping) and {"global", "jobs", "matrix"} & set(env):
        of_all = [pair for entry in _entries(env.get("global")) for pair in entry]
        return of_all, _entries(env.get("jobs", env.get("matrix")))
    return [], _entries(env)


def _entries(env: object) -> list[Variables]:
    """Return the entries of an env, without the encrypted ones, which only Travis can read."""
    entries = []
    for entry in _list(env):
        if isinstance(entry, Mapping):
            entries.append(tuple((str(key), _command(value)) for key, value in entry.items() if key != "secure"))
        else:
            entries.append(tuple((match[1], match[2]) for match in _VARIABLE.finditer(str(entry))))
    return entries


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _flat(value: object) -> list[Any]:
    return [inner for item in _list(value) for inner in (_flat(item) if isinstance(item, list) else [item])]


def _command(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
